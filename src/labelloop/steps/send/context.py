"""What every part of one send works with."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from labelloop.ledger import Lease, Ledger, Transaction
from labelloop.ports.annotator import Annotator
from labelloop.ports.clock import Clock, Progress
from labelloop.steps.send.settled import settled

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendContext:
    """The ledger under the lease of one send, the annotator, and the clock."""

    ledger: Ledger
    lease: Lease
    annotator: Annotator
    clock: Clock
    progress: Progress

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction that only reads."""
        return self.ledger.read()

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction that commits only while the lease holds."""
        return self.ledger.write(self.lease)

    def settled(
        self, look: Callable[[], Sequence[T]], complete: Callable[[Sequence[T]], bool]
    ) -> Sequence[T]:
        """What `look` finds once it is complete, or has not changed for one full time-out."""
        return settled(
            look,
            complete,
            timeout_s=self.annotator.timeout_s,
            clock=self.clock,
            progress=self.progress,
        )
