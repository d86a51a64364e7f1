"""Small images for lists, made by processes of their own and kept in memory."""

import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from labelloop.web import thumbnailer

AT_ONCE = 2
"""So many processes."""
PATIENCE_S = 5.0
"""After so long a process is ended: the image is shown whole."""
SMALL_ENOUGH = 24_000
"""Bytes of an image that is sent as it is."""
KEPT_BYTES, KEPT_S = 64_000_000, 3600.0
"""So many bytes of small images are kept, each for as long as browsers keep an image."""


class Thumbnails:
    """Makes small images. Without Pillow, or where one can't be made, there is none."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._n_bytes = 0
        self._can = find_spec("PIL") is not None
        weakref.finalize(self, _end, self._idle)

    def known(self, name: str) -> bytes | None:
        """The small image that was made under this name, if it is kept."""
        with self._lock:
            made_at_s, found = self._kept.get(name, (0.0, None))
            if found is None or time.monotonic() - made_at_s > KEPT_S:
                return None
            self._kept.move_to_end(name)
            return found

    def make(self, name: str, image: bytes) -> bytes | None:
        """The small image, which is kept under a name; None: show the image as it is."""
        if not self._can or len(image) <= SMALL_ENOUGH:
            return None
        with self._turns:
            made = self._ask(image)
        if not made or len(made) >= len(image):
            return None
        with self._lock:
            _, before = self._kept.pop(name, (0.0, b""))
            self._n_bytes += len(made) - len(before)
            self._kept[name] = time.monotonic(), made
            while self._n_bytes > KEPT_BYTES:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._n_bytes -= len(oldest)
        return made

    def _ask(self, image: bytes) -> bytes | None:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is None or process.poll() is not None:
            process = _begin()
        coming, going = process.stdout, process.stdin
        assert coming is not None and going is not None  # noqa: S101, PT018  pipes, both
        patience = threading.Timer(PATIENCE_S, process.kill)
        patience.start()
        made = None
        try:
            thumbnailer.write_frame(going, image)
            made = thumbnailer.read_frame(coming)
        except OSError:
            made = None
        finally:
            patience.cancel()
            if made is None:
                _end([process])
            else:
                with self._lock:
                    self._idle.append(process)
        return made


@cache
def shared() -> Thumbnails:
    """Those of all projects of this process."""
    return Thumbnails()


def _begin() -> "subprocess.Popen[bytes]":
    """A process that has no environment, and no way to import from where it stands."""
    return subprocess.Popen(  # noqa: S603  our own file
        [sys.executable, "-I", str(Path(thumbnailer.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )


def _end(processes: "list[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()
    processes.clear()
