"""Second looks: their tasks, the answers that count of them, and who is a referee."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from labelloop.core.looks import Look, Referee, Referees, Reply
from labelloop.core.queue import Purpose
from labelloop.core.task import Task, TaskState
from labelloop.ledger import classes, events, task_counts, tasks
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.top_ups import TopUps

_DONE = (TaskState.RESOLVED, TaskState.UNAVAILABLE, TaskState.ABANDONED)
_of_evaluation = t.tasks.c.purpose == Purpose.EVALUATION.value
"""True of second looks; what asks again about the training set stands alone."""
BY_REFEREE = "second look by a referee"
BY_ANOTHER = "second look by another person"
"""The methods of the labels of looks: who gave them."""


def referees(tx: Transaction) -> Referees:
    """Everybody who is or was a referee."""
    rows = tx.execute(sa.select(t.referees).order_by(t.referees.c.annotator))
    return Referees(
        tuple(Referee(annotator=r.annotator, named_at=r.named_at, left_at=r.left_at) for r in rows)
    )


def name_referees(tx: Transaction, annotators: Iterable[str], at: datetime) -> None:
    """Take over who is a referee now; who no longer is one left at this moment."""
    wanted, known = set(annotators), {r.annotator: r for r in referees(tx).every}
    for annotator in sorted(wanted - known.keys()):
        tx.execute(t.referees.insert().values(annotator=annotator, named_at=at))
    for annotator, held in known.items():
        left_at = None if annotator in wanted else held.left_at or at
        if left_at != held.left_at:
            tx.execute(
                t.referees.update()
                .where(t.referees.c.annotator == annotator)
                .values(left_at=left_at)
            )


def make(
    tx: Transaction, made: Sequence[tuple[Task, Look, str]], *, actor: str, at: datetime
) -> None:
    """Write the tasks of looks that there aren't yet: the task of the first answer, the look, the key."""
    if not made:
        return
    rows = [
        {
            "task_key": key,
            "sample_id": first.sample_id,
            "uri": first.uri,
            "queue": first.queue,
            "purpose": first.purpose.value,
            "look": look.value,
            "answers_wanted": 1,
            "attempt": 0,
            "state": TaskState.DRAWN.value,
        }
        for first, look, key in made
    ]
    tx.execute(t.tasks.insert(), rows)
    task_counts.count_new(tx, ((first.queue, first.purpose) for first, _, _ in made))
    events.record(
        tx,
        [
            events.Event(at, actor, "drawn", key, f"look {look.value} at {first.task_key}")
            for first, look, key in made
        ],
    )


def tasks_of(tx: Transaction, sample_ids: Sequence[str]) -> dict[str, dict[Look, Task]]:
    """The tasks of the further looks at some samples, by sample and look."""
    found: dict[str, dict[Look, Task]] = {}
    for task in tasks.looks_at(tx, sample_ids):
        found.setdefault(task.sample_id, {})[Look(task.look)] = task
    return found


def firsts_of(subjects: sa.Select[tuple[str]]) -> sa.Select[tuple[str]]:
    """The keys of the first tasks of the samples that the tasks with these keys look at again."""
    first = t.tasks.alias()
    return (
        sa.select(first.c.task_key)
        .join(
            t.tasks,
            (t.tasks.c.purpose == first.c.purpose) & (t.tasks.c.sample_id == first.c.sample_id),
        )
        .where(t.further, t.tasks.c.task_key.in_(subjects), first.c.look == 0)
    )


def replies(
    tx: Transaction, numbers: Collection[int] | None = None
) -> Mapping[str, Mapping[Look, Reply]]:
    """What was answered at further looks, by the sample of the first task; of some rounds' draws, or all."""
    query = _replies()
    if numbers is not None:
        first = t.tasks.alias()
        query = query.where(
            t.tasks.c.sample_id.in_(
                sa.select(first.c.sample_id)
                .join(t.draws, t.draws.c.task_key == first.c.task_key)
                .where(t.draws.c.round.in_(numbers))
            ),
        )
    return _by_sample(tx, query)


def replies_about(tx: Transaction, samples: Sequence[str]) -> Mapping[str, Mapping[Look, Reply]]:
    """The same of a few samples."""
    return _by_sample(tx, _replies().where(t.tasks.c.sample_id.in_(samples)))


def _replies() -> sa.Select[Any]:
    return (
        sa.select(
            t.tasks.c.sample_id,
            t.tasks.c.look,
            t.labels.c.label,
            t.labels.c.annotator,
            t.labels.c.method,
        )
        .join(t.labels, t.labels.c.task_key == t.tasks.c.task_key)
        .where(t.further, _of_evaluation)
    )


def _by_sample(tx: Transaction, query: sa.Select[Any]) -> Mapping[str, Mapping[Look, Reply]]:
    present = classes.renamed(tx)
    found: dict[str, dict[Look, Reply]] = {}
    for r in tx.execute(query):
        found.setdefault(r.sample_id, {})[Look(r.look)] = Reply(
            present.get(r.label, r.label), r.annotator, r.method == BY_REFEREE
        )
    return found


def sample_ids() -> sa.Select[tuple[str]]:
    """The samples with an answer at a further look."""
    further = t.tasks.alias()
    return (
        sa.select(further.c.sample_id)
        .join(t.labels, t.labels.c.task_key == further.c.task_key)
        .where(
            further.c.look > sa.literal_column("0"),
            further.c.purpose == Purpose.EVALUATION.value,
        )
    )


def rounds_with(tx: Transaction) -> frozenset[int]:
    """The rounds whose draws get second looks."""
    return frozenset(
        tx.execute(
            sa.select(t.rounds.c.round).where(t.rounds.c.second_look, t.rounds.c.tops_up.is_(None))
        ).scalars()
    )


def rounds_with_open(tx: Transaction) -> frozenset[int]:
    """The rounds with a further look that waits for somebody."""
    first, further = t.tasks.alias(), t.tasks.alias()
    rows = tx.execute(
        sa.select(t.draws.c.round)
        .distinct()
        .join(first, first.c.task_key == t.draws.c.task_key)
        .join(
            further,
            (further.c.purpose == first.c.purpose) & (further.c.sample_id == first.c.sample_id),
        )
        .where(
            further.c.look > sa.literal_column("0"),
            further.c.purpose == Purpose.EVALUATION.value,
            further.c.state.not_in([s.value for s in _DONE]),
        )
    )
    top_ups = TopUps.read(tx)
    return frozenset(top_ups.round_of(number) for number in rows.scalars())


def n_open(tx: Transaction) -> dict[str, int]:
    """By queue: how many further looks wait for somebody, sent or not."""
    rows = tx.execute(
        sa.select(t.tasks.c.queue, sa.func.count().label("n"))
        .where(t.further, _of_evaluation, t.tasks.c.state.not_in([s.value for s in _DONE]))
        .group_by(t.tasks.c.queue)
    )
    return {r.queue: int(r.n) for r in rows}
