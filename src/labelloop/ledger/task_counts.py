"""The number of tasks in each state, updated with every move, so that nobody counts millions."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from labelloop.core.queue import Purpose
from labelloop.core.task import Task, TaskState
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class TaskCount:
    """The number of tasks of a queue in a state."""

    queue: str
    purpose: Purpose
    state: TaskState
    n: int


_MORE = (
    t.task_counts.update()
    .where(
        t.task_counts.c.queue == sa.bindparam("of"),
        t.task_counts.c.purpose == sa.bindparam("for"),
        t.task_counts.c.state == sa.bindparam("in"),
    )
    .values(n=t.task_counts.c.n + sa.bindparam("more"))
)


def every(tx: Transaction) -> list[TaskCount]:
    """The counts that aren't 0, by queue."""
    counts = t.task_counts.c
    query = sa.select(t.task_counts).where(counts.n > 0)
    return [
        TaskCount(r.queue, Purpose(r.purpose), TaskState(r.state), r.n)
        for r in tx.execute(query.order_by(counts.queue, counts.purpose, counts.state))
    ]


def purposes(tx: Transaction) -> dict[str, frozenset[Purpose]]:
    """What the tasks of each queue are for; a queue has one purpose, unless its name was reused."""
    found: dict[str, frozenset[Purpose]] = {}
    for r in tx.execute(sa.select(t.task_counts.c.queue, t.task_counts.c.purpose).distinct()):
        found[r.queue] = found.get(r.queue, frozenset()) | {Purpose(r.purpose)}
    return found


def count_new(tx: Transaction, queues: Iterable[tuple[str, Purpose]]) -> None:
    """Count new tasks, each by its queue and purpose."""
    for (queue, purpose), n in Counter(queues).items():
        _add(tx, queue, purpose, TaskState.DRAWN, n)


def count_moved(tx: Transaction, tasks: Iterable[Task], to: TaskState) -> None:
    """Count tasks in `to`, and no longer in their previous states."""
    for (queue, purpose, state), n in Counter((k.queue, k.purpose, k.state) for k in tasks).items():
        _add(tx, queue, purpose, state, -n)
        _add(tx, queue, purpose, to, n)


def _add(tx: Transaction, queue: str, purpose: Purpose, state: TaskState, n: int) -> None:
    counted = {"of": queue, "for": purpose.value, "in": state.value, "more": n}
    if tx.execute(_MORE, counted).rowcount == 0:
        made = {"queue": queue, "purpose": purpose.value, "state": state.value, "n": n}
        tx.execute(t.task_counts.insert(), made)
