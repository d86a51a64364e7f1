"""What annotator and desk share: how a task counts its answers, and when it changed."""

from collections.abc import Sequence
from secrets import randbits

import sqlalchemy as sa

from labelloop.adapters.desk import tables as t
from labelloop.adapters.desk.database import Writing

NEIGHBOURS = 20
"""Among so many items that came together the order in which they are given is random."""


def turn(number: int) -> int:
    """The place of a task in the order in which items are given."""
    return (number // NEIGHBOURS << 32) | randbits(32)


def counted() -> sa.ColumnElement[bool]:
    """Of annotations: their author isn't excluded."""
    return t.annotations.c.person.not_in(
        sa.select(t.members.c.name).where(t.members.c.excluded_at.is_not(None))
    )


def told() -> sa.ColumnElement[bool]:
    """Of annotations: their author is approved, and not excluded."""
    quiet = t.members.c.excluded_at.is_not(None) | t.members.c.approved_at.is_(None)
    return t.annotations.c.person.not_in(sa.select(t.members.c.name).where(quiet))


_given = t.annotations.c
_counts = sa.and_(_given.task == sa.bindparam("of_task"), ~_given.skipped, counted())
_COUNTED = sa.select(
    t.tasks.c.project,
    t.tasks.c.people,
    t.tasks.c.is_open,
    sa.select(sa.func.count()).where(_counts).scalar_subquery().label("n"),
    sa.select(sa.func.count(_given.person.distinct())).where(_counts).scalar_subquery().label("by"),
).where(t.tasks.c.task == sa.bindparam("of_task"))
_RECOUNT = (
    t.tasks.update()
    .where(t.tasks.c.task == sa.bindparam("of_task"))
    .values(
        {
            name: sa.bindparam(f"new_{name}")
            for name in ("n_answers", "done", "is_open", "updated_at")
        }
    )
)
_N_OPEN = (
    t.projects.update()
    .where(t.projects.c.project == sa.bindparam("of_project"))
    .values(n_open=t.projects.c.n_open + sa.bindparam("more"))
)


def count_open(tx: Writing, project: int, more: int) -> None:
    """Note that a project has so many more open tasks, or fewer."""
    if more:
        tx.change(_N_OPEN, {"of_project": project, "more": more})


def recount(tx: Writing, tasks: Sequence[int]) -> None:
    """Count the answers of tasks anew: they changed. Whether enough people answered shows here."""
    for task in tasks:
        held = tx.connection.execute(_COUNTED, {"of_task": task}).one()
        done = held.by >= held.people
        is_open = not done and held.n < held.people
        values = {
            "of_task": task,
            "new_n_answers": held.n,
            "new_done": done,
            "new_is_open": is_open,
            "new_updated_at": tx.at,
        }
        tx.change(_RECOUNT, values)
        count_open(tx, held.project, is_open - held.is_open)
