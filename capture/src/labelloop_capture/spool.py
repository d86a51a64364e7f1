"""What couldn't be sent yet, in files: a folder a process, which another takes over once it is gone."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = "lock"


class SpoolFull(Exception):
    """The spool holds as much as it may."""


class Spool:
    """Files that wait, the oldest first."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        """`folder` is shared by all processes of the application.

        Raises:
            OSError: it can't be written.
        """
        self.folder = folder / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._shared, self._limit = folder, limit_bytes
        folder.mkdir(parents=True, exist_ok=True)
        making = folder / f".{self.folder.name}"
        making.mkdir(mode=0o700)
        self._lock = _locked(making)
        making.rename(self.folder)  # nobody finds it before it is locked
        self._n = 0
        self.size = 0
        self._adopt()

    def put(self, held: bytes) -> None:
        """Keep something.

        Raises:
            SpoolFull: there is no room left.
            OSError: it can't be written.
        """
        if self.size + len(held) > self._limit:
            raise SpoolFull
        self._n += 1
        path = self.folder / f"{self._n:012d}.item"
        part = path.with_suffix(".part")
        part.write_bytes(held)
        part.rename(path)
        self.size += len(held)

    def items(self) -> Iterator[Path]:
        """What waits, the oldest first."""
        yield from sorted(self.folder.glob("*.item"))

    def done(self, path: Path) -> None:
        """Forget what was sent, or can't ever be."""
        self.size = max(0, self.size - path.stat().st_size)
        path.unlink()

    def close(self) -> None:
        """Leave what waits to the next process; an empty folder goes."""
        if not any(p.name != LOCK for p in self.folder.iterdir()):
            _remove(self.folder)
        os.close(self._lock)

    def _adopt(self) -> None:
        """Take over what processes left that are gone."""
        for left in sorted(self._shared.iterdir()):
            if left == self.folder or not left.is_dir():
                continue
            try:
                lock = _locked(left)
            except OSError:
                continue  # its process lives, or another took it over
            try:
                for path in sorted(left.iterdir()):
                    if path.suffix == ".item":
                        self._n += 1
                        self.size += path.stat().st_size
                        path.rename(self.folder / f"{self._n:012d}.item")
                    elif path.suffix == ".rows":
                        path.rename(self.folder / path.name)
                _remove(left)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    import shutil  # it loads every kind of compression

    shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> int:
    """An open file that locks the folder as long as its process lives.

    Raises:
        OSError: another process holds it.
    """
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
