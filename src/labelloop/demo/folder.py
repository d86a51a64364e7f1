"""The one folder that holds all state of a demonstration."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from labelloop.errors import LabelloopError

MARK = ".labelloop-demo-state"
MARK_TEXT = (
    "All of this folder belongs to `labelloop demo`, which deletes it when it starts over.\n"
)


class FolderError(LabelloopError):
    """The demonstration's folder can't be used."""


@contextmanager
def fresh(folder: Path) -> Iterator[bool]:
    """Hold the folder, empty but for its mark; the value says whether an older run was deleted.

    Raises:
        FolderError: it holds something else, or another demonstration runs in it.
    """
    started_over = clean(folder)
    try:
        folder.mkdir(parents=True)
    except OSError as exc:
        raise FolderError(
            f"the folder {folder} can't be made: {exc.strerror}", remedy="name another: --folder"
        ) from exc
    mark = folder / MARK
    mark.write_text(MARK_TEXT, encoding="utf-8")
    with mark.open(encoding="utf-8") as file:
        _lock(file, folder)
        yield started_over


def clean(folder: Path) -> bool:
    """Delete the folder of an earlier demonstration; False where there is none.

    Raises:
        FolderError: it holds something else, or a demonstration runs in it.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        if folder.exists():
            folder.rmdir()
        return False
    try:
        with (folder / MARK).open(encoding="utf-8") as file:
            _lock(file, folder)
            shutil.rmtree(folder)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FolderError(
            f"{folder} isn't a demonstration's folder: it has no {MARK}",
            remedy="name another with --folder, or delete it yourself",
        ) from exc
    return True


def _lock(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise FolderError(
            f"another demonstration is running in {folder}",
            remedy="end it with Ctrl-C, or name another folder with --folder",
        ) from exc
