"""A receiver: another program that wants to hear of events."""

from datetime import datetime
from typing import Protocol

from labelloop.core.notice import Notice


class Receiver(Protocol):
    """Another program that wants to hear of events."""

    @property
    def shown(self) -> str:
        """Its address as messages may show it, without what is secret in it."""
        ...

    def deliver(self, notice: Notice, *, at: datetime) -> None:
        """Tell it of one event; `at` is now. It may hear of the same event again, under the same id.

        Raises:
            ReceiverError: it didn't confirm that it heard.
        """
