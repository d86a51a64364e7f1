"""Small pictures of images, made by processes with limits of their own.

An image of a few kilobytes may unpack to gigabytes, or find a fault in a decoder: what decodes it has no
keys, little memory and little time, reads bytes and writes fixed numbers of them. An image that can't be
read within the limits has no thumbnail.
"""

import io
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO

import numpy as np
import numpy.typing as npt

from labelloop.errors import ConfigError

Reading = Callable[[], bytes | None]
"""Reads the bytes of one input; None where it is gone."""
Thumbnail = npt.NDArray[np.uint8]
SIDE = 32
"""A thumbnail has so many pixels a side, whatever the shape of the image."""
PIXELS = 100_000_000
"""Larger images are not read."""
BYTES = 64 * 2**20
_N_BYTES = SIDE * SIDE * 3
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
_TIME_S = 20.0
_MEMORY_BYTES = 2 * 2**30
_AT_MOST = 4
_WORKERS = 16
_PASSED_ON = ("PATH", "PYTHONPATH", "TMPDIR", "SYSTEMROOT", "LANG", "LC_ALL")
_READ, _UNREADABLE = b"\1", b"\0"


def thumbnails(
    inputs: Iterable[tuple[str, Reading]],
) -> Mapping[str, Thumbnail]:
    """(SIDE, SIDE, 3) uint8 in RGB by name, of the images that can be read; others have none.

    Raises:
        ConfigError: Pillow isn't installed.
    """
    given = list(inputs)
    if not given:
        return {}
    with _decoders(min(_AT_MOST, os.cpu_count() or 1)) as free:

        def one(each: tuple[str, Reading]) -> tuple[str, Thumbnail | None]:
            name, read = each
            data = read()
            if not data or len(data) > BYTES:
                return name, None
            decoder = free.get()
            try:
                return name, decoder.decode(data)
            finally:
                free.put(decoder)

        with ThreadPoolExecutor(_WORKERS) as pool:
            return {name: made for name, made in pool.map(one, given) if made is not None}


def features(made: Thumbnail) -> npt.NDArray[np.float32]:
    """(768,) float32 of length 1: 16 x 16 cells in RGB, less their mean.

    >>> features(np.zeros((SIDE, SIDE, 3), dtype=np.uint8)).shape
    (768,)
    """
    cells = made.astype(np.float32).reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(1, 3))
    vector: npt.NDArray[np.float32] = (cells - cells.mean()).ravel()
    vector /= max(1e-6, float(np.linalg.norm(vector)))
    return vector


class Decoder:
    """A process that makes thumbnails, begun anew where an image ended it."""

    def __init__(self) -> None:
        self._process = _begin()

    def decode(self, data: bytes) -> Thumbnail | None:
        """The thumbnail of an image; None where it can't be read."""
        try:
            return self._asked(data)
        except (OSError, TimeoutError, EOFError):
            self.close()
            self._process = _begin()
            return None

    @property
    def pid(self) -> int:
        """The process that reads the next image."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with suppress(OSError):
            self._process.communicate()

    def _asked(self, data: bytes) -> Thumbnail | None:
        assert self._process.stdin is not None  # noqa: S101  both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(len(data).to_bytes(8, "big") + data)
        self._process.stdin.flush()
        if _received(self._process.stdout, 1) != _READ:
            return None
        found = _received(self._process.stdout, _N_BYTES)
        return np.frombuffer(found, dtype=np.uint8).reshape(SIDE, SIDE, 3)


@contextmanager
def _decoders(n: int) -> Iterator[SimpleQueue[Decoder]]:
    from importlib.util import find_spec

    if find_spec("PIL") is None:
        raise ConfigError(
            "images are compared with Pillow, which isn't installed",
            remedy="pip install 'labelloop[images]'",
        )
    free: SimpleQueue[Decoder] = SimpleQueue()
    every = [Decoder() for _ in range(n)]
    for decoder in every:
        free.put(decoder)
    try:
        yield free
    finally:
        for decoder in every:
            decoder.close()


def _begin() -> "subprocess.Popen[bytes]":
    environment = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
    return subprocess.Popen(  # noqa: S603  this program
        [sys.executable, "-P", "-m", __name__],
        env={**environment, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )


def _received(file: IO[bytes], n: int) -> bytes:
    """The next n bytes.

    Raises:
        TimeoutError: they don't come.
        EOFError: the process ended.
    """
    found = b""
    with selectors.DefaultSelector() as ready:
        ready.register(file, selectors.EVENT_READ)
        while len(found) < n:
            if not ready.select(_TIME_S):
                raise TimeoutError
            part = os.read(file.fileno(), n - len(found))
            if not part:
                raise EOFError
            found += part
    return found


def _main() -> None:
    """Answer images from standard input with thumbnails on standard output."""
    _limit_this_process()
    while len(size := sys.stdin.buffer.read(8)) == 8:
        data = sys.stdin.buffer.read(int.from_bytes(size, "big"))
        made = _thumbnail(data)
        sys.stdout.buffer.write(_UNREADABLE if made is None else _READ + made)
        sys.stdout.buffer.flush()


def _thumbnail(data: bytes) -> bytes | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > PIXELS:
                return None
            image.draft("RGB", (4 * SIDE, 4 * SIDE))  # a JPEG is decoded at a fraction of its size
            shown = image.convert("RGBA" if "transparency" in image.info else image.mode)
            small = shown.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
            return small.tobytes()
    except Exception:  # noqa: BLE001  whatever a decoder says of a hostile file
        return None


def _limit_this_process() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for what, most in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    _main()
