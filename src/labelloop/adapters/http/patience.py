"""How long the whole of an answer may take."""

import io
import time
from collections.abc import Callable

SLOWEST_BYTES_PER_S = 10_000


class Patience:
    """Ends an answer that drips: one may take `timeout_s`, and a second more for each 10,000 bytes.

    A limit on each read alone would never be reached by a server that sends a byte now and then.
    """

    def __init__(self, timeout_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ends_at = now() + timeout_s

    def received(self, n_bytes: int) -> None:
        """Note that so many bytes came.

        Raises:
            TimeoutError: they come too slowly.
        """
        self._ends_at += n_bytes / SLOWEST_BYTES_PER_S
        if self._now() > self._ends_at:
            raise TimeoutError("the answer came too slowly")


class PatientReader(io.RawIOBase):
    """The bytes of `source`, as long as they come fast enough."""

    def __init__(self, source: io.RawIOBase, patience: Patience) -> None:
        self._source = source
        self._patience = patience

    def readable(self) -> bool:
        """True: it is there to be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        """The count of bytes that were put into `buffer`.

        Raises:
            TimeoutError: they come too slowly.
        """
        n_bytes = self._source.readinto(buffer)
        self._patience.received(n_bytes or 0)
        return n_bytes

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()
