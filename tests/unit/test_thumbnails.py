"""Small images: made apart from the service, from any bytes, and never in place of its answer."""

import io
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labelloop.images import decoder
from labelloop.images.decoder import SHOWN, SIDE
from labelloop.web.thumbnails import Thumbnails
from tests.unit.conftest import MakeWorld
from tests.unit.test_samples import Seen
from tests.world import QUEUES


def image(kind: str, size: tuple[int, int] = (1200, 900), mode: str = "RGB", **given: Any) -> bytes:
    """A photograph-like image: noise, so that it is large."""
    noise = random.Random(1).randbytes(size[0] * size[1] * len(mode))
    made = io.BytesIO()
    Image.frombytes(mode, size, noise).save(made, kind, **given)
    return made.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("BMP", "RGB"),
        ("GIF", "P"),
    ],
)
def test_an_image_is_made_small_whatever_its_kind(kind: str, mode: str) -> None:
    given = image(kind, mode=mode)
    made = decoder.made(SHOWN, given)
    with Image.open(io.BytesIO(made)) as found:
        assert (found.format, found.size) == ("WEBP", (SIDE, SIDE * 3 // 4))
        assert ("A" in found.mode) == (mode == "RGBA")
    assert len(made) < len(given) / 5


def test_a_small_image_is_upright_and_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "the model said dog"
    made = decoder.made(SHOWN, image("JPEG", exif=exif))
    with Image.open(io.BytesIO(made)) as found:
        assert found.size == (SIDE * 3 // 4, SIDE)
        assert not found.getexif()
    assert b"dog" not in made


def bomb() -> bytes:
    """A PNG of a few hundred kilobytes that would be a gigapixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        whole = kind + body
        return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 32_000, 32_000, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(4_000 * 32_001)) + b"x" * 30_000
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body)


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 50_000,
        image("PNG")[:60_000],
        bomb(),
        b"%!PS-Adobe-3.0 EPSF-3.0" + b" " * 30_000,
    ],
    ids=["nothing", "no image", "cut", "bomb", "a program for printers"],
)
def test_what_can_not_be_made_small_ends_nothing(given: bytes) -> None:
    made = Thumbnails()
    assert made.make("a", given) is None
    good = made.make("b", image("PNG"))
    assert good is not None
    assert made.known("b") == good
    assert made.known("a") is None


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelloop.web.thumbnails.PATIENCE_S", 0.0)
    began_s = time.monotonic()
    assert Thumbnails().make("a", image("PNG")) is None
    assert time.monotonic() - began_s < 5


def test_the_process_has_limits_and_an_end() -> None:
    code = (
        "import sys, resource; sys.argv = ['t']; "
        "import runpy, io; m = runpy.run_path(sys.argv[0] if False else PATH); "
    )
    script = code.replace("PATH", repr(str(Path(decoder.__file__)))) + (
        "sys.stdin = io.TextIOWrapper(open('/dev/null', 'rb')); m['main'](); "
        "print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_FSIZE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(2 * 2**30), "0"]


def test_lists_show_small_images_and_a_story_the_whole(make_world: MakeWorld) -> None:
    world = make_world(QUEUES)
    whole = image("PNG")
    world.put("a.png", whole)
    world.put("b.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50_000)
    world.loop.index()
    service = Seen(world)
    client = service.client()
    assert "/samples/a.png?image=small" in client.get("/samples").text
    assert client.get("/samples/a.png?image=1").content == whole
    for _ in range(2):
        made = client.get("/samples/a.png?image=small")
        assert made.headers["content-type"] == "image/webp"
        assert "sandbox" in made.headers["content-security-policy"]
        assert len(made.content) < 40_000
    assert client.get("/samples/b.png?image=small").headers["content-type"] == "image/png"
    service.site.close()
