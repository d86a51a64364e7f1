"""Files of a folder: walked in order, opened without being led out of it, written at once or not at all."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, unquote_to_bytes

from labelloop.errors import ConfigError

SCHEME = "file://"
PASSING = (".tmp", ".part", ".partial")
"""Endings of files that something is still writing."""

NOT_OURS = frozenset({"lost+found"})


class OutsideFolder(Exception):
    """A link that leads out of the folder, or what isn't a file."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the folder. `name` is its path below it; `beside` the JSON that belongs to it."""

    path: str
    name: str
    size_bytes: int
    changed_ns: int
    beside: str | None
    fault: str


def folder_of(uri: str) -> Path:
    """The absolute path that a file:// uri names, links followed as far as they exist.

    >>> folder_of("file:///no-such-place/a%20b")
    PosixPath('/no-such-place/a b')

    Raises:
        ConfigError: no file:// uri with an absolute path.
    """
    return Path(os.path.realpath(path_of(uri)))


def path_of(uri: str) -> str:
    """The absolute path that a file:// uri names, as it stands.

    Raises:
        ConfigError: no file:// uri with an absolute path.
    """
    path = os.fsdecode(unquote_to_bytes(uri.removeprefix(SCHEME)))
    if not uri.startswith(SCHEME) or not path.startswith("/") or "\0" in path:
        raise ConfigError(
            f"{uri!r} isn't the name of a folder", remedy="write a path, or file:///absolute/path"
        )
    return path


def uri_of(path: str) -> str:
    """The file:// uri of an absolute path; bytes that aren't UTF-8 come back as they were.

    >>> uri_of("/data/a b#1.png")
    'file:///data/a%20b%231.png'
    """
    return SCHEME + quote(os.fsencode(path))


def walk(root: Path, start: Path, hidden: Path | None) -> Iterator[FoundFile]:
    """Every input below `start`, folder by folder in order of their names.

    Left out are names that begin with a dot, files still being written, metadata, and what lies
    below `hidden`. A link is followed to a file inside the root; any other is a fault.

    Raises:
        OSError: a folder can't be listed; one that vanished meanwhile is left out.
    """
    waiting = [str(start)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except FileNotFoundError:
            if folder == str(start):
                raise
            continue
        names = {e.name for e in entries}
        below: list[str] = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name in NOT_OURS:
                continue
            if entry.is_dir(follow_symlinks=False):
                if hidden is None or entry.path != str(hidden):
                    below.append(entry.path)
            elif not entry.name.endswith((".json", ".jsonl", *PASSING)):
                found = _found(root, entry, names)
                if found is not None:
                    yield found
        waiting += reversed(below)


def _found(root: Path, entry: "os.DirEntry[str]", names: set[str]) -> FoundFile | None:
    """The input that an entry is; None where it is gone, or a pipe, socket or device."""
    fault = ""
    try:
        told = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(told.st_mode):
            fault = _link_fault(root, entry.path)
            told = told if fault else entry.stat()
        elif not stat.S_ISREG(told.st_mode):
            return None
        beside, doubt = _beside(entry.name, names)
        changed_ns = told.st_ctime_ns
        if beside is not None:
            beside = os.path.join(os.path.dirname(entry.path), beside)  # noqa: PTH118, PTH120  many of them
            changed_ns = max(changed_ns, os.lstat(beside).st_ctime_ns)
    except FileNotFoundError:
        return None
    name = os.path.relpath(entry.path, root)
    if not _is_text(name):
        fault = "the file's name isn't UTF-8"
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return FoundFile(entry.path, name, told.st_size, changed_ns, beside, fault or doubt)


def _beside(name: str, names: set[str]) -> tuple[str | None, str]:
    """The JSON of an input, `x.png.json` or else `x.json`; and why it can't be told whose that is."""
    if f"{name}.json" in names:
        return f"{name}.json", ""
    stem = os.path.splitext(name)[0]  # noqa: PTH122  a name, not a path
    if f"{stem}.json" not in names:
        return None, ""
    rivals = sorted(
        other
        for other in names
        if os.path.splitext(other)[0] == stem and not other.endswith((".json", *PASSING))  # noqa: PTH122
    )
    if len(rivals) > 1:
        return f"{stem}.json", (
            f"{stem}.json could belong to {' or '.join(rivals)}: name it {name}.json"
        )
    return f"{stem}.json", ""


def _link_fault(root: Path, path: str) -> str:
    target = os.path.realpath(path)
    if not _inside(target, root):
        return "a link that leads out of the folder"
    if not os.path.isfile(target):  # noqa: PTH113  a string already
        return "a link to what isn't a file; links to folders aren't followed"
    return ""


def open_inside(path: str, roots: Sequence[Path]) -> BufferedReader:
    """The regular file at `path`, opened for reading.

    Raises:
        OutsideFolder: its real place is in none of `roots`, or it is no regular file.
        OSError: it can't be opened; FileNotFoundError where it is gone.
    """
    real = os.path.realpath(path)
    if not any(_inside(real, root) for root in roots):
        raise OutsideFolder("it leads out of the folder")
    try:
        # The real path holds no link now; one that is put there meanwhile is not followed either.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise OutsideFolder("it leads out of the folder") from exc
        if exc.errno in {errno.ENOTDIR, errno.ENAMETOOLONG}:
            raise FileNotFoundError(exc.errno, exc.strerror) from exc
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutsideFolder("it isn't a file")
    return os.fdopen(descriptor, "rb")


def write_whole(path: Path, body: bytes) -> None:
    """Write a file that is there whole or not at all; a web server may read it.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{token_hex(8)}.partial")
    try:
        partial.write_bytes(body)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _inside(path: str, root: Path) -> bool:
    return path.startswith(f"{str(root).rstrip('/')}/")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
