"""Which samples wait for a blind answer, so that nobody sees by the way what the model said of them."""

from dataclasses import dataclass

import sqlalchemy as sa

from labelloop.core.queue import Purpose
from labelloop.core.task import ASKED_AGAIN, TaskState
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_WAITING = tuple(
    state.value
    for state in TaskState
    if state not in {TaskState.RESOLVED, TaskState.UNAVAILABLE, TaskState.ABANDONED}
)

_of_any_purpose = t.tasks.c.purpose.in_(list(Purpose))
"""True; the index on samples begins with the purpose."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """The samples with an open blind task, those that share one, and the contents of them all.

    A byte-identical copy shows the same picture, and the model said the same of it: whoever lists
    predictions leaves out both.
    """

    sample_ids: frozenset[str]
    content_hashes: frozenset[str]

    def has(self, sample_id: str, content_hash: str = "") -> bool:
        """True if a sample is hidden, itself or as a copy."""
        return sample_id in self.sample_ids or content_hash in self.content_hashes


def open_samples() -> sa.Select[tuple[str]]:
    """The samples with a blind task, whichever look, that is neither resolved nor given up."""
    return sa.select(t.tasks.c.sample_id).where(
        t.tasks.c.state.in_(_WAITING),
        # in expressions, so that no index on the purpose is taken: few tasks wait, most are blind
        (sa.func.coalesce(t.tasks.c.purpose, "") == Purpose.EVALUATION.value)
        | (sa.func.coalesce(t.tasks.c.look, 0) == ASKED_AGAIN),
    )


def hidden(tx: Transaction) -> Hidden:
    """The samples that are absent from every list, filter, count, cell and download."""
    samples: set[str] = {r.sample_id for r in tx.execute(open_samples())}
    contents: set[str] = set()
    for r in tx.execute(_draws_of(t.tasks.c.sample_id.in_(open_samples()))):
        samples.add(r.sample_id)
        contents.add(r.content_hash)
    return Hidden(frozenset(samples), frozenset(contents - {""}))


def open_tasks_of(tx: Transaction, sample_id: str) -> list[str]:
    """The keys of the open blind tasks of a sample, its own and one that it shares with a twin."""
    own = sa.select(t.draws.c.task_key).where(t.draws.c.sample_id == sample_id)
    first = t.tasks.alias()
    shared = sa.select(first.c.sample_id).where(first.c.task_key.in_(own))
    return list(
        tx.execute(
            sa.select(t.tasks.c.task_key)
            .where(
                _of_any_purpose,
                t.blind,
                t.tasks.c.sample_id.in_(shared) | (t.tasks.c.sample_id == sample_id),
                t.tasks.c.state.in_(_WAITING),
            )
            .order_by(t.tasks.c.look)
        ).scalars()
    )


def _draws_of(condition: sa.ColumnElement[bool]) -> sa.Select[tuple[str, str]]:
    """The draws whose task is a blind task that meets a condition."""
    return (
        sa.select(t.draws.c.sample_id, t.draws.c.content_hash)
        .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
        .where(_of_any_purpose, t.blind, condition)
    )
