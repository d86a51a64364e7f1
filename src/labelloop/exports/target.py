"""The file or folder that an export writes: claimed by one export, each file whole or absent."""

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from labelloop.core.dataset import DatasetVersion
from labelloop.errors import DatasetError

MARK = ".labelloop.json"
GONE = "gone.jsonl"
CLASSES = "classes.json"
CLASS_NUMBERS = "class_to_idx.json"
CROISSANT = "croissant.json"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Raise what the file system says inside as one DatasetError that names the target."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            remedy = "free space there and run it again: it carries on where it stopped"
        elif exc.errno in _FORBIDDEN:
            remedy = "mend the rights there, or give another --target"
        else:
            remedy = "give another --target"
        why = exc.strerror or str(exc)
        raise DatasetError(f"{target} can't be written: {why}", remedy=remedy) from exc


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that stands at `path` once it is whole, and not before."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with new_file(partial) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def new_file(path: Path) -> IO[bytes]:
    """A new file at `path`. What stood there is removed and, were it a link, not followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def make_folder(path: Path) -> None:
    """Make a folder of the export, unless it is there.

    Raises:
        DatasetError: a link stands in its place, so that files would be written elsewhere.
    """
    if path.is_symlink():
        raise DatasetError(
            f"{path} is a link to {path.readlink()}, and an export writes only inside its target",
            remedy="remove the link, or choose another --target",
        )
    path.mkdir(exist_ok=True)


def write_numbers(path: Path, classes: Iterable[str]) -> None:
    """Write the number of each class, as torchvision calls it `class_to_idx`."""
    write_json(path, {name: number for number, name in enumerate(classes)})


def write_json(path: Path, content: object) -> None:
    """Write a JSON file for people and programs, whole."""
    with whole(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


@contextmanager
def claimed(
    target: Path, versions: Sequence[DatasetVersion], format_name: str, **more: object
) -> Iterator[None]:
    """The folder, made where absent, marked as this export's, and locked until the end.

    `more` is what else two runs of the same export have in common.

    Raises:
        DatasetError: it holds something else, or another process is writing there.
    """
    target.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise DatasetError(
                f"another export is writing to {target}",
                remedy="wait until it has ended, or choose another --target",
            ) from exc
        except OSError as exc:
            if exc.errno not in {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}:
                raise  # some network file systems know no locks: then nobody is kept out
        _mark(target, versions, {"format": format_name, **more})
        yield
    finally:
        os.close(handle)


def _mark(target: Path, versions: Sequence[DatasetVersion], how: Mapping[str, object]) -> None:
    own = {
        **how,
        "versions": [
            {"dataset": v.name, "version": v.version, "content": v.content_hash} for v in versions
        ],
    }
    mark = target / MARK
    if not mark.exists():
        if any(found.name != f".{MARK}.partial" for found in target.iterdir()):
            raise DatasetError(
                f"{target} contains files that no export wrote",
                remedy="choose another --target, or an empty folder",
            )
        write_json(mark, own)
        return
    try:
        held = json.loads(mark.read_text(encoding="utf-8"))
        names = " and ".join(f"{v['dataset']} v{v['version']}" for v in held["versions"])
        what = f"{names} as {held['format']}"
    except (ValueError, TypeError, KeyError):
        held, what = None, f"its {MARK} can't be read"
    if held != own and _numbers(held) == _numbers(own):
        raise DatasetError(
            f"{target} contains {what} from before `labelloop forget` erased samples of it, so "
            "their files are still there",
            remedy="delete the folder, and export again",
        )
    if held != own:
        raise DatasetError(
            f"{target} already contains another export: {what}",
            remedy="choose another --target, or delete the folder: labelloop doesn't mix exports",
        )


def _numbers(mark: Mapping[str, object]) -> object:
    """A mark without the contents of its versions."""
    versions = mark.get("versions")
    kept = versions if isinstance(versions, list) else []
    return {**mark, "versions": [(v["dataset"], v["version"]) for v in kept]}
