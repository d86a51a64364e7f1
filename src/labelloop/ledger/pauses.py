"""The queues that are paused: nothing new of theirs is drawn or sent."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Pause:
    """A queue that is paused, since when, and who paused it."""

    queue: str
    paused_at: datetime
    paused_by: str


def every(tx: Transaction) -> list[Pause]:
    """The pauses that hold now, the oldest first."""
    rows = tx.execute(sa.select(t.pauses).order_by(t.pauses.c.paused_at, t.pauses.c.queue))
    return [Pause(r.queue, r.paused_at, r.paused_by) for r in rows]


def queues(tx: Transaction) -> frozenset[str]:
    """The names of the queues that are paused."""
    return frozenset(tx.execute(sa.select(t.pauses.c.queue)).scalars())


def pause(tx: Transaction, queue: str, *, by: str, at: datetime) -> bool:
    """Pause a queue; False if it was paused already."""
    if queue in queues(tx):
        return False
    tx.execute(t.pauses.insert().values(queue=queue, paused_at=at, paused_by=by))
    events.record(tx, [events.Event(at, by, "pause", f"queue:{queue}", "")])
    return True


def resume(tx: Transaction, queue: str, *, by: str, at: datetime) -> bool:
    """Let a queue go on; False if it wasn't paused."""
    if tx.execute(t.pauses.delete().where(t.pauses.c.queue == queue)).rowcount == 0:
        return False
    events.record(tx, [events.Event(at, by, "resume", f"queue:{queue}", "")])
    return True
