"""A receiver in memory."""

from datetime import datetime

from labelloop.core.notice import Notice
from labelloop.errors import ReceiverError


class MemoryReceiver:
    """Keeps what it hears; fails while it is told to.

    >>> from datetime import UTC
    >>> receiver, now = MemoryReceiver(), datetime(2026, 3, 1, tzinfo=UTC)
    >>> receiver.deliver(Notice(name="test", subject="test", key="1", at=now, id="e1"), at=now)
    >>> [notice.id for notice in receiver.heard]
    ['e1']
    """

    def __init__(self, shown: str = "memory") -> None:
        self.shown = shown
        self.heard: list[Notice] = []
        self.fails = False
        self.n_asked = 0

    def deliver(self, notice: Notice, *, at: datetime) -> None:  # noqa: ARG002  fixed by the port
        """Keep the notice.

        Raises:
            ReceiverError: `fails` is set.
        """
        self.n_asked += 1
        if self.fails:
            raise ReceiverError(f"{self.shown} failed", remedy="set fails to False")
        self.heard.append(notice)
