"""The events: one row for each change of a task, a round or a dataset, in order."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to `subject`."""

    at: datetime
    actor: str
    verb: str
    subject: str
    detail: str


def record(tx: Transaction, events: Iterable[Event]) -> None:
    """Append events."""
    rows = [
        {"at": e.at, "actor": e.actor, "verb": e.verb, "subject": e.subject, "detail": e.detail}
        for e in events
    ]
    if rows:
        tx.execute(t.events.insert(), rows)


def newest_at(tx: Transaction, verb: str) -> datetime | None:
    """When the newest event of a verb was."""
    newest = sa.select(t.events.c.at).where(t.events.c.verb == verb)
    at: datetime | None = tx.execute(
        newest.order_by(t.events.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    return at


def of(tx: Transaction, subject: str) -> list[Event]:
    """The events of one subject, oldest first."""
    rows = tx.execute(
        sa.select(t.events).where(t.events.c.subject == subject).order_by(t.events.c.id)
    )
    return [Event(r.at, r.actor, r.verb, r.subject, r.detail) for r in rows]
