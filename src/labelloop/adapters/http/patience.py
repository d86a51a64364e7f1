"""How long the whole of an answer may take."""

import time

SLOWEST_BYTES_PER_S = 10_000


class Patience:
    """Ends an answer that drips: one may take `timeout_s`, and a second more for each 10,000 bytes.

    A limit on each read alone would never be reached by a server that sends a byte now and then.
    """

    def __init__(self, timeout_s: float) -> None:
        self._ends_at = time.monotonic() + timeout_s

    def received(self, n_bytes: int) -> None:
        """Note that so many bytes came.

        Raises:
            TimeoutError: they come too slowly.
        """
        self._ends_at += n_bytes / SLOWEST_BYTES_PER_S
        if time.monotonic() > self._ends_at:
            raise TimeoutError("the answer came too slowly")
