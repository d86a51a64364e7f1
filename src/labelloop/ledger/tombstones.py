"""Forgotten samples: what the ledger holds of a sample, and what stays of it for the estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.task import OPEN, Task, TaskState
from labelloop.core.tombstone import Tombstones, sample_hash
from labelloop.ledger import annotations, held_counts, tasks
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement

_UNSETTLED = OPEN | {TaskState.DRAWN, TaskState.SENDING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What the ledger holds of some samples. `drawn` are the samples that any round drew."""

    tasks: tuple[Task, ...]
    drawn: frozenset[str]
    n_draws: int
    n_answers: int


def every(tx: Transaction) -> Tombstones:
    """All tombstones."""
    salt = tx.execute(sa.select(t.meta.c.salt)).scalar_one()
    hashes = tx.execute(sa.select(t.tombstones.c.sample_hash)).scalars()
    return Tombstones(bytes.fromhex(salt), frozenset(hashes))


def traces(tx: Transaction, sample_ids: Sequence[str]) -> Traces:
    """What the ledger holds of some samples."""
    held = [task for chunk in per_statement(sample_ids) for task in tasks.of_samples(tx, chunk)]
    drawn: dict[str, int] = {}
    for chunk in per_statement(sample_ids):
        rows = tx.execute(
            sa.select(t.draws.c.sample_id, sa.func.count().label("n"))
            .where(t.draws.c.sample_id.in_(chunk))
            .group_by(t.draws.c.sample_id)
        )
        drawn |= {r.sample_id: r.n for r in rows}
    n_answers = sum(
        len(of_task) for of_task in annotations.latest(tx, [k.task_key for k in held]).values()
    )
    return Traces(
        tasks=tuple(held),
        drawn=frozenset(drawn),
        n_draws=sum(drawn.values()),
        n_answers=n_answers,
    )


def bury(tx: Transaction, sample_ids: Sequence[str], held: Sequence[Task], at: datetime) -> None:
    """Reduce samples to what the estimates need, under their hash; `held` are their tasks.

    Tasks that wait for an answer become unavailable.
    """
    salt = every(tx).salt
    by_state = [task for task in held if task.state in _UNSETTLED]
    tasks.move(tx, by_state, TaskState.UNAVAILABLE, actor="forget", at=at)
    keys = [task.task_key for task in held]
    held_counts.remove_tasks(tx, [task for task in held if task.remote_id is not None])
    annotations.anonymise(tx, keys, at)
    for chunk in per_statement(keys):
        tx.execute(t.events.update().where(t.events.c.subject.in_(chunk)).values(detail=""))
    for sample_id in sample_ids:
        name = sample_hash(sample_id, salt)
        tx.execute(
            t.draws.update()
            .where(t.draws.c.sample_id == sample_id)
            .values(
                sample_id=name,
                content_hash="",
                corrected_class=None,
                flagged=None,
                margin=None,
                attributes_json=None,
            )
        )
        tasks.anonymise(tx, sample_id, name, at)
        there = t.tombstones.c.sample_hash == name
        if tx.execute(sa.select(t.tombstones.c.sample_hash).where(there)).first() is None:
            tx.execute(t.tombstones.insert().values(sample_hash=name, forgotten_at=at))
