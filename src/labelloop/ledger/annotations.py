"""Annotations, with every revision of them, and the labels made from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.annotation import Annotation, Label, Standing
from labelloop.core.remote_id import order_given
from labelloop.core.task import TaskState
from labelloop.ledger import classes
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Stray:
    """An answer that isn't one of the classes: stored apart, and reported."""

    task_key: str
    remote_id: str
    value: str
    annotator: str


def latest(tx: Transaction, task_keys: Sequence[str]) -> dict[str, list[Annotation]]:
    """The latest revision of each annotation of some tasks, deleted ones included."""
    return {
        key: list({a.remote_id: a for a in every}.values())
        for key, every in revisions(tx, task_keys).items()
    }


def revisions(tx: Transaction, task_keys: Sequence[str]) -> dict[str, list[Annotation]]:
    """Every revision of each annotation of some tasks, the oldest first, deleted ones included."""
    present = classes.renamed(tx)
    found: dict[str, list[Annotation]] = {}
    for start in range(0, len(task_keys), _CHUNK):
        rows = tx.execute(
            sa.select(t.annotations)
            .where(t.annotations.c.task_key.in_(task_keys[start : start + _CHUNK]))
            .order_by(t.annotations.c.updated_at)
        )
        for r in rows:
            found.setdefault(r.task_key, []).append(
                Annotation(
                    task_key=r.task_key,
                    remote_id=r.remote_id,
                    updated_at=r.updated_at,
                    annotator=r.annotator,
                    answer=present.get(r.answer, r.answer),
                    skipped=r.skipped,
                    deleted=r.deleted_at is not None,
                    standing=Standing(r.standing),
                )
            )
    return found


def first_answers(tx: Transaction) -> list[tuple[str, int, list[str]]]:
    """For each task that asks several people: queue, how many it wants, and what they first answered.

    One answer a person, in the order in which they came; an answer that was deleted since is none.
    """
    present = classes.renamed(tx)
    return [
        (queue, wanted, [present.get(answer, answer) for answer in said.values()])
        for queue, wanted, said in _first_answers(tx, sa.true()).values()
    ]


def _first_answers(
    tx: Transaction, condition: sa.ColumnElement[bool]
) -> dict[str, tuple[str, int, dict[str, str]]]:
    """By task: its queue, the number of answers wanted, and each person's first answer, unedited."""
    rows = tx.execute(
        sa.select(
            t.tasks.c.queue,
            t.tasks.c.answers_wanted,
            t.annotations.c.task_key,
            t.annotations.c.annotator,
            t.annotations.c.answer,
            t.annotations.c.remote_id,
        )
        .join(t.tasks, t.tasks.c.task_key == t.annotations.c.task_key)
        .where(
            t.several,
            # says nothing new, but keeps SQLite from beginning with every annotation
            t.annotations.c.task_key.in_(sa.select(t.tasks.c.task_key).where(t.several)),
            t.annotations.c.answer.is_not(None),
            t.annotations.c.deleted_at.is_(None),
            t.annotations.c.standing == Standing.VOTE.value,
            condition,
        )
        .order_by(t.annotations.c.updated_at)
    ).all()
    found: dict[str, tuple[str, int, dict[str, str]]] = {}
    for r in sorted(rows, key=lambda r: order_given(r.remote_id)):
        _, _, by_person = found.setdefault(r.task_key, (r.queue, r.answers_wanted, {}))
        by_person.setdefault(r.annotator, r.answer)
    return found


def n_void(tx: Transaction, since: datetime) -> dict[str, int]:
    """By person, those with most first: how many answers given since then are void."""
    given = t.annotations.c
    n = sa.func.count(sa.distinct(given.task_key + " " + given.remote_id)).label("n")
    rows = tx.execute(
        sa.select(given.annotator, n)
        .where(
            t.apart,
            given.standing == Standing.VOID.value,
            given.updated_at >= since,
            given.deleted_at.is_(None),
        )
        .group_by(given.annotator)
        .order_by(n.desc(), given.annotator)
    )
    return {r.annotator: r.n for r in rows}


def tied_by_queue(tx: Transaction) -> dict[str, int]:
    """The number of tied tasks of each queue that asked several people."""
    tied = sa.func.sum(sa.case((t.tasks.c.state == TaskState.TIED.value, 1), else_=0))
    rows = tx.execute(
        sa.select(t.tasks.c.queue, tied.label("n")).where(t.several).group_by(t.tasks.c.queue)
    )
    return {r.queue: int(r.n) for r in rows}


def insert(tx: Transaction, annotations: Iterable[Annotation]) -> None:
    """Append revisions, which must be new."""
    rows = [
        {
            "task_key": a.task_key,
            "remote_id": a.remote_id,
            "updated_at": a.updated_at,
            "annotator": a.annotator,
            "answer": a.answer,
            "skipped": a.skipped,
            "standing": a.standing.value,
        }
        for a in annotations
    ]
    if rows:
        tx.execute(t.annotations.insert(), rows)


def mark_deleted(
    tx: Transaction, annotations: Iterable[Annotation], deleted_at: datetime | None
) -> None:
    """Mark every revision of annotations as deleted where people answer; None: as there again."""
    for a in annotations:
        tx.execute(
            t.annotations.update()
            .where(
                t.annotations.c.task_key == a.task_key,
                t.annotations.c.remote_id == a.remote_id,
            )
            .values(deleted_at=deleted_at)
        )


def anonymise(tx: Transaction, task_keys: Sequence[str], at: datetime) -> None:
    """Reduce the answers to some tasks to what agreements need, and their labels to the label alone.

    Of tasks that asked several people each person's first answer stays, without its author and time.
    """
    for start in range(0, len(task_keys), _CHUNK):
        chunk = task_keys[start : start + _CHUNK]
        first = _first_answers(tx, t.annotations.c.task_key.in_(chunk))
        for table in (t.annotations, t.strays):
            tx.execute(table.delete().where(table.c.task_key.in_(chunk)))
        tx.execute(
            t.labels.update()
            .where(t.labels.c.task_key.in_(chunk))
            .values(annotator="", revision="")
        )
        nameless = [
            {
                "task_key": key,
                "remote_id": str(number),
                "updated_at": at,
                "annotator": f"person {number}",
                "answer": answer,
                "skipped": False,
            }
            for key, (_, _, answers) in first.items()
            for number, answer in enumerate(answers.values(), start=1)
        ]
        if nameless:
            tx.execute(t.annotations.insert(), nameless)


def put_labels(tx: Transaction, labels: Sequence[tuple[Label, datetime]]) -> None:
    """Set labels, each with when it was reached. The time of a task's first label stays as it is."""
    values = {
        label.task_key: {
            "label": label.label,
            "method": label.method,
            "n_votes": label.n_votes,
            "revision": label.revision,
            "annotator": label.annotator,
            "resolved_at": at,
        }
        for label, at in labels
    }
    rows = list(values.items())
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        held = t.labels.c.task_key.in_([key for key, _ in chunk])
        known = set(tx.execute(sa.select(t.labels.c.task_key).where(held)).scalars())
        changed = [{"of": key, **row} for key, row in chunk if key in known]
        if changed:
            of = t.labels.c.task_key == sa.bindparam("of")
            tx.execute(t.labels.update().where(of), changed)
        new = [
            {"task_key": key, "first_at": row["resolved_at"], **row}
            for key, row in chunk
            if key not in known
        ]
        if new:
            tx.execute(t.labels.insert(), new)


def clear_labels(tx: Transaction, task_keys: Sequence[str]) -> None:
    """Remove the labels of tasks."""
    for start in range(0, len(task_keys), _CHUNK):
        chunk = task_keys[start : start + _CHUNK]
        tx.execute(t.labels.delete().where(t.labels.c.task_key.in_(chunk)))


def labels(tx: Transaction, task_keys: Sequence[str]) -> dict[str, Label]:
    """The labels of those of `task_keys` that have one."""
    present = classes.renamed(tx)
    found: dict[str, Label] = {}
    for start in range(0, len(task_keys), _CHUNK):
        rows = tx.execute(
            sa.select(t.labels).where(t.labels.c.task_key.in_(task_keys[start : start + _CHUNK]))
        )
        for r in rows:
            found[r.task_key] = Label(
                task_key=r.task_key,
                label=present.get(r.label, r.label),
                method=r.method,
                n_votes=r.n_votes,
                revision=r.revision,
                annotator=r.annotator,
            )
    return found


def set_strays(
    tx: Transaction, task_keys: Sequence[str], strays: Iterable[Stray], seen_at: datetime
) -> None:
    """Replace the strays of some tasks by `strays`."""
    for start in range(0, len(task_keys), _CHUNK):
        tx.execute(
            t.strays.delete().where(t.strays.c.task_key.in_(task_keys[start : start + _CHUNK]))
        )
    rows = [
        {
            "task_key": s.task_key,
            "remote_id": s.remote_id,
            "value": s.value,
            "annotator": s.annotator,
            "seen_at": seen_at,
        }
        for s in strays
    ]
    if rows:
        tx.execute(t.strays.insert(), rows)


def strays_by(tx: Transaction, task_keys: Sequence[str]) -> dict[str, list[str]]:
    """The authors of the strays of some tasks, by task."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(task_keys), _CHUNK):
        rows = tx.execute(
            sa.select(t.strays.c.task_key, t.strays.c.annotator).where(
                t.strays.c.task_key.in_(task_keys[start : start + _CHUNK])
            )
        )
        for r in rows:
            found.setdefault(r.task_key, []).append(r.annotator)
    return found


def strays(tx: Transaction) -> list[Stray]:
    """Every answer that isn't one of the classes."""
    return [
        Stray(r.task_key, r.remote_id, r.value, r.annotator)
        for r in tx.execute(sa.select(t.strays).order_by(t.strays.c.seen_at))
    ]
