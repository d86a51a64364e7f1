"""A bucket's notifications, appended to files and read on from where the last reading ended."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from labelloop.errors import StoreDenied
from labelloop.reading.notification import named_in

PAGE = 5_000
"""Keys that are handed on together."""

HEAD = 1_024
"""Bytes by which a file is known again, as far as they had been read."""


@dataclass(frozen=True, slots=True)
class NamedKeys:
    """Some keys, each once, and the position after them. `n_unreadable` lines name nobody knows what."""

    keys: tuple[str, ...]
    n_unreadable: int
    position: str


class NotificationFiles:
    """The file at `path`, or the files of the folder there in the order of their names.

    Each line is a notification. Files only grow; one that is shorter, or begins otherwise, than when it
    was read is another one, and read from its beginning. Files whose names begin with a dot are left out,
    and so is a last line without an end: it is still being written.
    """

    def __init__(self, path: Path, bucket: str) -> None:
        self._path = path
        self._bucket = bucket

    def since(self, position: str | None) -> Iterator[NamedKeys]:
        """What was appended after `position`; everything for None.

        Raises:
            StoreDenied: the file or folder isn't there, or can't be read.
        """
        places = _Positions(position)
        keys: dict[str, None] = {}
        n_unreadable = 0
        for path in self._files(places):
            with self._readable(path), path.open("rb") as file:
                at = places.begin(path.name, file.read(HEAD), file.seek(0, os.SEEK_END))
                file.seek(at)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    at += len(line)
                    try:
                        keys |= dict.fromkeys(named_in(line, self._bucket) if line.strip() else ())
                    except ValueError:
                        n_unreadable += 1
                    if len(keys) >= PAGE:
                        places.put(path, at)
                        yield NamedKeys(tuple(keys), n_unreadable, str(places))
                        keys, n_unreadable = {}, 0
                places.put(path, at)
        yield NamedKeys(tuple(keys), n_unreadable, str(places))

    def end(self) -> str:
        """The position after all that is there now."""
        places = _Positions(None)
        for path in self._files(places):
            places.put(path, _whole_lines(path))
        return str(places)

    def _files(self, places: "_Positions") -> list[Path]:
        with self._readable(self._path):
            if self._path.is_dir():
                held = sorted(self._path.iterdir())
                files = [path for path in held if path.name[0] != "." and path.is_file()]
            else:
                self._path.stat()
                files = [self._path]
        places.keep({path.name for path in files})
        return files

    @contextmanager
    def _readable(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StoreDenied(
                f"[store] notifications: {path} can't be read: {exc.strerror}",
                remedy="name the file or folder to which the bucket's notifications are written, one on "
                "each line; without this setting labelloop lists the bucket",
            ) from exc


class _Positions:
    """How far each file was read, and how it began."""

    def __init__(self, position: str | None) -> None:
        self._ends: dict[str, tuple[int, str]] = {
            name: (at, begins) for name, (at, begins) in json.loads(position or "{}").items()
        }

    def __str__(self) -> str:
        return json.dumps(self._ends)

    def keep(self, names: set[str]) -> None:
        """Forget files that are gone."""
        self._ends = {name: end for name, end in self._ends.items() if name in names}

    def begin(self, name: str, head: bytes, size_bytes: int) -> int:
        """Where to read on in a file of that size, which begins with `head`."""
        at, begins = self._ends.get(name, (0, ""))
        return at if at <= size_bytes and begins == _digest(head[: min(at, HEAD)]) else 0

    def put(self, path: Path, at: int) -> None:
        """Note that a file was read up to there."""
        with path.open("rb") as file:
            self._ends[path.name] = at, _digest(file.read(min(at, HEAD)))


def _digest(head: bytes) -> str:
    return sha256(head).hexdigest()


def _whole_lines(path: Path) -> int:
    """The bytes of a file up to the end of its last whole line."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - HEAD)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            at = start
    return 0
