"""Tasks that wait for somebody, a page at a time, the longest first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.task import TaskState
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTask:
    """A task that was sent, and where a person opens it."""

    task_key: str
    queue: str
    sample_id: str
    state: TaskState
    sent_at: datetime
    project_ref: str
    remote_id: str


@dataclass(frozen=True, slots=True)
class After:
    """The task that a page ended with."""

    sent_at: datetime
    task_key: str


def page(
    tx: Transaction,
    states: Iterable[TaskState],
    *,
    queue: str | None = None,
    after: After | None = None,
    most: int = 50,
) -> list[WaitingTask]:
    """Tasks in these states, those that were sent first first."""
    c = t.tasks.c
    query = sa.select(t.tasks).where(
        c.state.in_([s.value for s in states]), c.sent_at.is_not(None), c.forgotten_at.is_(None)
    )
    if queue is not None:
        query = query.where(c.queue == queue)
    if after is not None:
        later = (c.sent_at == after.sent_at) & (c.task_key > after.task_key)
        query = query.where((c.sent_at > after.sent_at) | later)
    return [
        WaitingTask(
            task_key=r.task_key,
            queue=r.queue,
            sample_id=r.sample_id,
            state=TaskState(r.state),
            sent_at=r.sent_at,
            project_ref=r.project_ref or "",
            remote_id=r.remote_id or "",
        )
        for r in tx.execute(query.order_by(c.sent_at, c.task_key).limit(most))
    ]
