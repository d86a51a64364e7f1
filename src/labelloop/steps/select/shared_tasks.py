"""Which task each draw of a round names: one that an earlier draw made, or a new one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from labelloop.core.draw import Draw
from labelloop.core.queue import Purpose
from labelloop.ledger import Transaction, tasks


def with_shared_tasks(
    tx: Transaction, draws: Iterable[Draw], purposes: Mapping[str, Purpose]
) -> tuple[Draw, ...]:
    """The draws, each with the key of the task that its sample has for the queue's purpose already."""
    given = tuple(draws)
    held: dict[tuple[Purpose, str], str] = {}
    for purpose in Purpose:
        own = [d.sample_id for d in given if purposes[d.queue] is purpose]
        held |= {(purpose, sample): key for sample, key in tasks.keys_of(tx, purpose, own).items()}
    return tuple(
        replace(d, task_key=held.get((purposes[d.queue], d.sample_id), d.task_key)) for d in given
    )
