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


def recount(tx: Writing, tasks: Sequence[int]) -> None:
    """Count the answers of tasks anew: they changed. Whether enough people answered shows here."""
    for task in tasks:
        given = t.annotations.c
        answers = sa.and_(given.task == task, ~given.skipped, counted())
        n, people = tx.connection.execute(
            sa.select(sa.func.count(), sa.func.count(given.person.distinct())).where(answers)
        ).one()
        wanted = tx.connection.execute(
            sa.select(t.tasks.c.people).where(t.tasks.c.task == task)
        ).scalar_one()
        done = people >= wanted
        tx.connection.execute(
            t.tasks.update()
            .where(t.tasks.c.task == task)
            .values(n_answers=n, done=done, is_open=not done and n < wanted, updated_at=tx.at)
        )
