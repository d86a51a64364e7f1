"""What the desk asks its database at each answer: statements that are built once.

Building a statement takes longer than SQLite takes to answer it. Names that begin with `of_` are the values
by which rows are found.
"""

import sqlalchemy as sa

from labelloop.adapters.desk import tables as t
from labelloop.core.verdict import ACCEPTED, LATELY

_at = sa.bindparam("at", type_=sa.BigInteger)
_person = sa.bindparam("of_person", type_=sa.Text)
_queue = sa.bindparam("of_queue", type_=sa.Text)
_task = sa.bindparam("of_task", type_=sa.BigInteger)
_item = sa.bindparam("of_item", type_=sa.Text)
_own_lease = (t.leases.c.task == _task) & (t.leases.c.person == _person)
_answered = sa.exists().where(
    t.annotations.c.task == t.tasks.c.task, t.annotations.c.person == _person
)
_accepted = t.replies.c.outcome.in_(sorted(outcome.value for outcome in ACCEPTED))
_said = (t.replies.c.person == _person) & (t.replies.c.queue == _queue)
_standing = _said & t.replies.c.stands & _accepted
_n_open = (
    sa.select(sa.func.coalesce(sa.func.sum(t.projects.c.n_open), 0))
    .where(t.projects.c.queue == _queue)
    .scalar_subquery()
)

_ITEM = sa.select(
    t.tasks,
    t.projects.c.queue,
    t.projects.c.kind,
    t.projects.c.classes,
    t.projects.c.show,
).join(t.projects, t.projects.c.project == t.tasks.c.project)

ITEM = _ITEM.where(t.tasks.c.item_id == _item)
"""An item with what is needed of its project."""

HELD = (
    _ITEM.join(t.leases, t.leases.c.task == t.tasks.c.task)
    .where(
        t.leases.c.person == _person,
        t.leases.c.until > _at,
        t.projects.c.queue == _queue,
        t.tasks.c.is_open,
        ~_answered,
    )
    .order_by(t.tasks.c.turn)
)
"""The items of a queue that a person holds, in the order in which they are given."""

OPEN = (
    _ITEM.where(
        t.tasks.c.project == sa.bindparam("of_project"),
        t.tasks.c.is_open,
        t.tasks.c.turn > sa.bindparam("after"),
        ~_answered,
        ~sa.exists().where(
            t.leases.c.task == t.tasks.c.task,
            t.leases.c.person == _person,
            t.leases.c.until > _at,
        ),
        t.tasks.c.people - t.tasks.c.n_answers
        > sa.select(sa.func.count())
        .where(
            t.leases.c.task == t.tasks.c.task,
            t.leases.c.person != _person,
            t.leases.c.until > _at,
        )
        .scalar_subquery(),
    )
    .order_by(t.tasks.c.turn)
    .limit(sa.bindparam("at_most"))
)
"""The next open items of a project that nobody else holds and the person hasn't answered."""

PROJECTS = (
    sa.select(t.projects.c.project)
    .where(t.projects.c.queue == _queue)
    .order_by(t.projects.c.project)
)
QUEUE = (
    sa.select(t.projects, _n_open.label("n_left"))
    .where(t.projects.c.queue == _queue)
    .order_by(t.projects.c.project.desc())
    .limit(1)
)
"""A queue's newest project, and how many items of the queue are open."""
N_OPEN = sa.select(_n_open)

MEMBER = sa.select(t.members).where(t.members.c.name == _person)
LEFT = sa.select(t.members.c.name).where(t.members.c.excluded_at.is_not(None))
"""Who is excluded."""

OWN = (
    sa.select(t.annotations)
    .where(t.annotations.c.task == _task, t.annotations.c.person == _person)
    .limit(1)
)
"""A person's answer to a task."""
REPLY = sa.select(t.replies.c.person, t.replies.c.outcome).where(
    t.replies.c.answer_id == sa.bindparam("of_answer")
)
STANDING = (
    sa.select(t.replies)
    .where(t.replies.c.item_id == _item, t.replies.c.person == _person)
    .where(t.replies.c.stands, _accepted)
    .order_by(t.replies.c.at.desc())
    .limit(1)
)
"""A person's answer to an item, with its note."""
COUNTS = sa.select(
    sa.func.count(),
    sa.func.count().filter(t.replies.c.choice.is_(None)),
    sa.func.count().filter(t.replies.c.at >= sa.bindparam("since")),
).where(_standing)
"""How many items a person answered, skipped, and answered or skipped since a moment."""
NEWEST = sa.select(t.replies.c.at).where(_standing).order_by(t.replies.c.at.desc()).limit(LATELY)

LEASES = sa.select(t.leases.c.person, t.leases.c.until).where(
    t.leases.c.task == _task, t.leases.c.until > _at
)
LEASED_UNTIL = sa.select(t.leases.c.until).where(_own_lease)
LEASE: sa.Insert = t.leases.insert()
RENEW = t.leases.update().where(_own_lease).values(until=sa.bindparam("new_until"))
END_LEASE = t.leases.delete().where(_own_lease)
END_OVER = t.leases.delete().where(t.leases.c.person == _person, t.leases.c.until <= _at)
"""Ends what a person held until now."""

ANSWER: sa.Insert = t.annotations.insert()
CHANGE = (
    t.annotations.update()
    .where(t.annotations.c.annotation == sa.bindparam("of_annotation"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("choices", "skipped", "updated_at")})
)
TAKE_BACK = t.annotations.delete().where(
    t.annotations.c.annotation == sa.bindparam("of_annotation")
)
NOTE: sa.Insert = t.replies.insert()
SUPERSEDE = (
    t.replies.update()
    .where(t.replies.c.item_id == _item, t.replies.c.person == _person, _accepted)
    .values(stands=False)
)
"""Lets the accepted answers of a person to an item be ones that were changed or taken back."""

LOOKED = (
    sa.select(t.annotations.c.person)
    .select_from(t.annotations.join(t.tasks, t.tasks.c.task == t.annotations.c.task))
    .where(
        (t.tasks.c.look_of == sa.bindparam("of_first"))
        | (t.tasks.c.task_key == sa.bindparam("of_first")),
        t.tasks.c.task != _task,
        ~t.annotations.c.skipped,
        t.annotations.c.person.not_in(LEFT),
    )
)
"""Who gave another look at a sample, of those whose answers count."""
