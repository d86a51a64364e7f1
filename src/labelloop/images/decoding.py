"""Images decoded by a process of its own, which is begun anew where an image ended it."""

import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from labelloop.images import decoder


def can_decode() -> bool:
    """Whether Pillow is installed, with which images are decoded."""
    return find_spec("PIL") is not None


class Decoder:
    """One process, and one image at a time. An image that can't be decoded within the limits is None."""

    def __init__(self) -> None:
        self._process = _begin()
        self._end = weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        """The process that decodes the next image."""
        return self._process.pid

    def shown(self, image: bytes, *, patience_s: float) -> bytes | None:
        """The image as a small one for lists: WebP."""
        return self._ask(decoder.SHOWN, image, patience_s)

    def compared(self, image: bytes, *, patience_s: float) -> bytes | None:
        """Its pixels at COMPARED_SIDE by COMPARED_SIDE, in RGB."""
        return self._ask(decoder.COMPARED, image, patience_s)

    def close(self) -> None:
        """End the process."""
        self._end()

    def _ask(self, what: bytes, image: bytes, patience_s: float) -> bytes | None:
        if self._process.poll() is not None:
            self._begin_anew()
        coming, going = self._process.stdout, self._process.stdin
        assert coming is not None and going is not None  # noqa: S101, PT018  pipes, both
        patience = threading.Timer(patience_s, self._process.kill)
        patience.start()
        made = None
        try:
            decoder.write_frame(going, what + image)
            made = decoder.read_frame(coming)
        except OSError:
            made = None
        finally:
            patience.cancel()
            if made is None:
                self._begin_anew()
        return made or None

    def _begin_anew(self) -> None:
        self._end()
        self._process = _begin()
        self._end = weakref.finalize(self, _end, self._process)


def _begin() -> "subprocess.Popen[bytes]":
    """A process that has no environment, and no way to import from where it stands."""
    return subprocess.Popen(  # noqa: S603  our own file
        [sys.executable, "-I", str(Path(decoder.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    process.wait()
