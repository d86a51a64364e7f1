"""The demonstration's clock: real seconds, on days that are moved."""

import time
from datetime import datetime, timedelta


class MovedClock:
    """A clock that runs as fast as a real one, from the instant that it was last moved to."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._moved_at_s = time.monotonic()

    def now(self) -> datetime:
        """The present instant of the demonstration, UTC."""
        return self._start + timedelta(seconds=time.monotonic() - self._moved_at_s)

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, real ones."""
        time.sleep(seconds)

    def move_to(self, instant: datetime) -> None:
        """Make it `instant` now; where that has passed, nothing changes: it never goes back."""
        if instant > self.now():
            self._start, self._moved_at_s = instant, time.monotonic()
