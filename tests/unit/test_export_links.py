"""Links that somebody planted where an export writes lead nowhere, and images are never unpacked."""

import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from labelloop.core.dataset import DatasetVersion
from labelloop.errors import DatasetError
from tests.lasting import LastingWorld

FOLDERS = ("imagefolder", "webdataset", "huggingface")


@pytest.fixture
def version(lasting: LastingWorld) -> DatasetVersion:
    return lasting.loop.dataset("training")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else with a file in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("as it was")
    return folder


def untouched(outside: Path) -> bool:
    return [path.name for path in outside.iterdir()] == ["precious"] and (
        outside / "precious"
    ).read_text() == "as it was"


@pytest.mark.parametrize("to", ["csv", "jsonl"])
def test_a_link_in_place_of_the_half_written_file_is_not_followed(
    lasting: LastingWorld, version: DatasetVersion, tmp_path: Path, outside: Path, to: str
) -> None:
    target = tmp_path / f"set.{to}"
    (tmp_path / f".set.{to}.partial").symlink_to(outside / "precious")
    lasting.loop.export([version], to, target)
    assert untouched(outside)
    assert target.is_file()
    assert not target.is_symlink()


@pytest.mark.parametrize("to", FOLDERS)
def test_links_in_an_export_are_replaced_or_refused(
    lasting: LastingWorld, version: DatasetVersion, tmp_path: Path, outside: Path, to: str
) -> None:
    target = tmp_path / "set"
    lasting.loop.export([version], to, target)
    for path in [p for p in target.rglob("*") if p.is_file() and p.name != ".labelloop.json"]:
        path.unlink()
        path.symlink_to(outside / "precious")
        path.with_name(f".{path.name}.partial").symlink_to(outside / "precious")
    lasting.loop.export([version], to, target)
    assert untouched(outside)
    assert not [path for path in target.rglob("*") if path.is_symlink() and path.exists()]


@pytest.mark.parametrize(("to", "folder"), [("imagefolder", "cat"), ("huggingface", "data")])
def test_a_link_in_place_of_a_folder_is_refused(
    lasting: LastingWorld,
    version: DatasetVersion,
    tmp_path: Path,
    outside: Path,
    to: str,
    folder: str,
) -> None:
    target = tmp_path / "set"
    lasting.loop.export([version], to, target)
    kept = target / folder
    kept.rename(tmp_path / "kept")
    kept.symlink_to(outside)
    with pytest.raises(DatasetError, match=f"{folder} is a link to {outside}") as caught:
        lasting.loop.export([version], to, target)
    assert "remove the link" in caught.value.remedy
    assert untouched(outside)


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it is 60,000 by 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = (60_000).to_bytes(4, "big") * 2
    head = chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0]))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def test_an_image_that_is_a_bomb_is_passed_on_as_bytes(
    lasting: LastingWorld, tmp_path: Path
) -> None:
    with pytest.raises(Image.DecompressionBombError):
        Image.open(BytesIO(bomb()))
    lasting.put("class_01/bomb.png", bomb(), predicted_class="cat", confidence="0.99")
    assert not lasting.loop.run().failures  # the only one of its round, so it is evaluated
    lasting.answer_all("cat")
    assert not lasting.loop.run().failures
    newest = lasting.loop.dataset("evaluation")
    for to in FOLDERS:
        lasting.loop.export([newest], to, tmp_path / to)
    assert bomb() in [p.read_bytes() for p in (tmp_path / "imagefolder").rglob("*bomb.png")]
