"""The clock, and who hears how far a step is."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime:
        """The present instant, UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class Progress(Protocol):
    """Hears how far a step is."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """`done` of `total` (None: unknown) of `what` are finished."""


def silent(what: str, done: int, total: int | None) -> None:
    """A Progress that nobody watches."""
