"""The process that makes small images: it reads images of strangers, so it has limits and nothing to take.

It is run by its path, and imports nothing of labelloop. Standard input and output carry frames: four bytes of
length, then that many of an image; an empty frame says that there is no small image of it.
"""

import io
import resource
import select
import struct
import sys
from typing import IO

LENGTH = struct.Struct(">I")
SIDE = 320
"""Pixels of the longer side, at most: twice what pages show, for dense screens."""
_MEMORY = 768 * 2**20
_CPU_S = 300
_PIXELS = 64_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_IDLE_S = 60.0


def small(image: bytes) -> bytes:
    """The image within SIDE by SIDE pixels as WebP, upright and without metadata; empty: it can't be made."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = _PIXELS // 2  # Pillow refuses from twice as many
    try:
        with Image.open(io.BytesIO(image), formats=_FORMATS) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((SIDE, SIDE))
            made = io.BytesIO()
            alpha = upright.has_transparency_data
            upright.convert("RGBA" if alpha else "RGB").save(made, "WEBP", quality=80, method=1)
    except Exception:  # noqa: BLE001  whatever a decoder makes of bytes that strangers chose
        return b""
    return made.getvalue()


def main() -> None:
    """Answer frame by frame until the input ends, or nothing came for a minute."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    coming, going = sys.stdin.buffer, sys.stdout.buffer
    while select.select([coming], [], [], _IDLE_S)[0]:
        image = read_frame(coming)
        if image is None:
            return
        write_frame(going, small(image))


def read_frame(coming: IO[bytes]) -> bytes | None:
    """The next frame; None: the other side ended."""
    head = coming.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = coming.read(length)
    return body if len(body) == length else None


def write_frame(going: IO[bytes], body: bytes) -> None:
    """Send a frame."""
    going.write(LENGTH.pack(len(body)) + body)
    going.flush()


if __name__ == "__main__":
    main()
