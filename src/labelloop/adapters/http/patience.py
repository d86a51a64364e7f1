"""How long a server is waited for: for the whole of an answer, and between two attempts."""

import io
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ATTEMPTS = 4
ATTEMPTS_AFTER_TIMEOUT = 2
FIRST_PAUSE_S = 0.4
LONGEST_PAUSE_S = 30.0
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


def pause_s(attempt: int, told_s: float | None = None) -> float:
    """How long to wait after the attempt of this number, 1 first; `told_s`: what the server asked for."""
    spread = random.uniform(0.5, 1.5)  # noqa: S311  so that clients don't return together
    return told_s or float(FIRST_PAUSE_S * 2 ** (attempt - 1) * spread)


def told_s(retry_after: str, date: str = "") -> float | None:
    """The seconds that a Retry-After header asks for, as a number or an instant; None: none.

    `date` is the server's own clock, the Date header of the same answer.

    >>> told_s("7"), told_s("Wed, 04 Mar 2026 12:00:30 GMT", "Wed, 04 Mar 2026 12:00:00 GMT")
    (7.0, 30.0)
    """
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    until = instant(retry_after)
    if until is None:
        return None
    since = instant(date) or datetime.now(UTC)
    return max(0.0, (until - since).total_seconds())


def instant(date: str) -> datetime | None:
    """The instant that an HTTP date names; None where it names none."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return None
