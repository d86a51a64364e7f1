"""What each person did: answers, edits and skips, with their times."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from labelloop.core.annotation import Standing
from labelloop.core.task import ASKED_AGAIN
from labelloop.ledger import classes
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

LATELY = timedelta(days=30)
"""How far back people's work is counted."""


@dataclass(frozen=True, slots=True)
class Done:
    """One annotation as it stands, and when it was given.

    several
        whether its task asked several people
    counted
        False for an answer to a second look that its author could not give
    void
        True for a blind answer whose author had seen what the model said: it counts as none either
    """

    task_key: str
    annotator: str
    answer: str | None
    skipped: bool
    given_at: datetime
    several: bool
    counted: bool
    void: bool


def done(tx: Transaction, since: datetime) -> Iterator[Done]:
    """The answers given after a moment, in the order of their times; no deleted ones, no decisions."""
    present = classes.renamed(tx)
    given = t.annotations
    rows = tx.execute(
        sa.select(
            given.c.task_key,
            given.c.remote_id,
            given.c.annotator,
            given.c.answer,
            given.c.skipped,
            given.c.updated_at,
            given.c.standing,
            t.tasks.c.answers_wanted,
            t.tasks.c.look,
            t.labels.c.annotator.label("counted_by"),
        )
        .join(t.tasks, t.tasks.c.task_key == given.c.task_key)
        .outerjoin(t.labels, t.labels.c.task_key == given.c.task_key)
        .where(
            given.c.updated_at >= since,
            given.c.deleted_at.is_(None),
            given.c.standing != Standing.DECISION.value,
        )
        .order_by(given.c.updated_at)
    )
    found: dict[tuple[str, str], Done] = {}
    for r in rows:
        key = r.task_key, r.remote_id
        first = found.get(key)
        found[key] = Done(
            task_key=r.task_key,
            annotator=r.annotator,
            answer=present.get(r.answer, r.answer),
            skipped=r.skipped,
            given_at=r.updated_at if first is None else first.given_at,
            several=r.answers_wanted > 1,
            counted=r.look in {0, ASKED_AGAIN} or r.skipped or r.counted_by == r.annotator,
            void=r.standing == Standing.VOID.value,
        )
    yield from sorted(found.values(), key=lambda d: d.given_at)
