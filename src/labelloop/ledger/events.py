"""The events: one row for each change of a task, a round or a dataset, in order."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.blindness import Hidden
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


@dataclass(frozen=True, slots=True)
class Group:
    """Events of one verb by one actor at one moment; `subject` is the newest one's.

    detail
        what all of them say; empty where they differ
    """

    newest_id: int
    at: datetime
    actor: str
    verb: str
    subject: str
    detail: str
    n: int


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Groups of events, the newest first; `before`: where the next page begins, None: this is the last."""

    groups: tuple[Group, ...]
    before: int | None


def newest(
    tx: Transaction, *, before: int | None, hidden: Hidden | None, most: int = 2_000
) -> GroupPage:
    """What happened last, of at most so many events.

    hidden
        samples whose events aren't shown, nor are those of second looks; None: all are
    """
    c, task = t.events.c, t.tasks.c
    query = sa.select(t.events).order_by(c.id.desc()).limit(most)
    if before is not None:
        query = query.where(c.id < before)
    newest_ones = query.subquery()
    shown = sa.select(newest_ones, task.sample_id, task.look).outerjoin(
        t.tasks, task.task_key == newest_ones.c.subject
    )
    found: dict[tuple[datetime, str, str], Group] = {}
    last, n = None, 0
    for r in tx.execute(shown.order_by(newest_ones.c.id.desc())):
        last, n = r.id, n + 1
        if hidden is not None and (r.look or hidden.has(r.sample_id)):
            continue
        key = (r.at, r.actor, r.verb)
        held = found.get(key)
        found[key] = (
            Group(r.id, r.at, r.actor, r.verb, r.subject, r.detail, 1)
            if held is None
            else replace(held, n=held.n + 1, detail=held.detail if held.detail == r.detail else "")
        )
    return GroupPage(tuple(found.values()), last if n == most else None)
