"""Small images for lists, made by processes of their own and kept in memory."""

import threading
import time
from collections import OrderedDict
from functools import cache

from labelloop.images.decoding import Decoder, can_decode

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
        self._idle: list[Decoder] = []
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._n_bytes = 0
        self._can = can_decode()

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
            decoder = self._idle.pop() if self._idle else None
        decoder = decoder or Decoder()
        try:
            return decoder.shown(image, patience_s=PATIENCE_S)
        finally:
            with self._lock:
                self._idle.append(decoder)


@cache
def shared() -> Thumbnails:
    """Those of all projects of this process."""
    return Thumbnails()
