"""The desk: what people are given to label and what they answer, each call one short transaction."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from labelloop.adapters.desk import tables as t
from labelloop.adapters.desk.database import Database, Writing, micros, moment
from labelloop.adapters.desk.tasks import counted, recount
from labelloop.core.verdict import (
    ACCEPTED,
    LATELY,
    Outcome,
    Situation,
    may_look,
    pace,
    verdict,
)
from labelloop.errors import ArgumentError
from labelloop.ports.desk import (
    AHEAD,
    LEASE,
    MENDABLE,
    Answer,
    DeskQueue,
    Guide,
    Item,
    JoinLink,
    Member,
    Past,
    Progress,
    Reply,
    checked,
)

LEASE_MICROS = LEASE // (LEASE.resolution)
MENDABLE_MICROS = MENDABLE // MENDABLE.resolution
AT_A_TIME = 50
"""How many open items are looked at together for one that a person may take."""


class DatabaseDesk:
    """The desk of the answers' database that a `DeskAnnotator` works on too.

    referees
        the names of those whose second looks decide; upper and lower case are the same
    guides
        what each queue tells its people
    """

    def __init__(
        self,
        database: Database,
        *,
        referees: Collection[str] = (),
        guides: Mapping[str, Guide] | None = None,
    ) -> None:
        self._database = database
        self._referees = frozenset(name.lower() for name in referees)
        self._guides = dict(guides or {})

    # --- queues and items -------------------------------------------------------------------------

    def queues(self, person: str) -> Sequence[DeskQueue]:
        """The queues that a person may label, by name; those that hold tasks."""
        with self._database.read() as tx:
            has_tasks = sa.exists().where(t.tasks.c.project == t.projects.c.project)
            named = sa.select(t.projects.c.queue).where(has_tasks).distinct()
            names = sorted(tx.scalars(named))
            found = [self._queue(tx, name, person) for name in names]
        return [queue for queue in found if queue is not None]

    def queue(self, name: str, person: str) -> DeskQueue | None:
        """One queue; None where it isn't there or the person may not label it."""
        with self._database.read() as tx:
            return self._queue(tx, name, person)

    def _queue(self, tx: sa.Connection, name: str, person: str) -> DeskQueue | None:
        newest = (
            sa.select(t.projects)
            .where(t.projects.c.queue == name)
            .order_by(t.projects.c.project.desc())
            .limit(1)
        )
        project = tx.execute(newest).one_or_none()
        if project is None or not _may_label(_member(tx, person), name):
            return None
        return DeskQueue(
            name=name,
            guide=self._guides.get(name, Guide()),
            kind=project.kind,
            classes=tuple(project.classes),
            show=tuple(project.show),
            blind=project.blind,
            n_open=_n_open(tx, name),
        )

    def next_items(self, queue: str, person: str, *, n: int = AHEAD) -> Sequence[Item]:
        """The items that a person holds, oldest first, and further ones until they are `n`."""
        with self._database.write() as tx:
            member = _meet(tx, person)
            if not _may_label(member, queue):
                return []
            referees = self._active_referees(tx.connection)
            items: list[Any] = []
            for held in _held(tx, queue, person):
                if self._may_look(tx.connection, held, person, referees):
                    items.append(held)
                else:
                    _end_lease(tx, held.task, person)
            projects = tx.connection.scalars(
                sa.select(t.projects.c.project)
                .where(t.projects.c.queue == queue)
                .order_by(t.projects.c.project)
            ).all()
            for project in projects:
                self._take(tx, project, person, items, n, referees)
            return [self._item(tx.connection, row, person) for row in items]

    def _take(
        self,
        tx: Writing,
        project: int,
        person: str,
        items: list[Any],
        n: int,
        referees: frozenset[str],
    ) -> None:
        """Lease open items of a project to a person until `items` are `n`."""
        after = -1
        while len(items) < n:
            page = tx.connection.execute(_open_items(project, person, after, tx.at)).all()
            for row in page:
                if len(items) < n and self._may_look(tx.connection, row, person, referees):
                    _lease(tx, row.task, person)
                    items.append(row)
            if len(page) < AT_A_TIME:
                return
            after = page[-1].turn

    def item(self, item_id: str, person: str) -> Item | None:
        """An item that the person holds or answered; None: neither."""
        with self._database.read() as tx:
            row = _find(tx, item_id)
            if row is None:
                return None
            held = _lease_of(tx, row.task, person) > self._database.now()
            if not held and _own(tx, row.task, person) is None:
                return None
            return self._item(tx, row, person)

    def _item(self, tx: sa.Connection, row: Any, person: str) -> Item:
        return Item(
            item_id=row.item_id,
            queue=row.queue,
            kind=row.kind,
            choices=tuple(row.classes),
            image=_within_the_service(row.data.get("image")),
            text=row.data.get("text"),
            shown={name: row.data[name] for name in row.show if name in row.data},
            second_look=row.look_of is not None and person.lower() in self._referees,
            leased_until=moment(until) if (until := _lease_of(tx, row.task, person)) else None,
            answer=_answer_that_stands(tx, row.item_id, person),
        )

    def _active_referees(self, tx: sa.Connection) -> frozenset[str]:
        left = tx.scalars(sa.select(t.members.c.name).where(t.members.c.excluded_at.is_not(None)))
        return self._referees - {name.lower() for name in left}

    @staticmethod
    def _may_look(tx: sa.Connection, row: Any, person: str, referees: frozenset[str]) -> bool:
        if row.look_of is None:
            return True
        looks = (t.tasks.c.look_of == row.look_of) | (t.tasks.c.task_key == row.look_of)
        given = t.annotations.join(t.tasks, t.tasks.c.task == t.annotations.c.task)
        people = tx.scalars(
            sa.select(t.annotations.c.person)
            .select_from(given)
            .where(looks, t.tasks.c.task != row.task, ~t.annotations.c.skipped, counted())
        )
        before = {name.lower() for name in people}
        return may_look(person.lower(), before=before, referees=referees, by_referee=row.by_referee)

    # --- answers ----------------------------------------------------------------------------------

    def give(self, person: str, answer: Answer) -> Reply:
        """Take an answer. A further answer of the same person to the item changes the first."""
        checked(answer)
        with self._database.write() as tx:
            before = tx.connection.execute(
                sa.select(t.replies.c.person, t.replies.c.outcome).where(
                    t.replies.c.answer_id == answer.answer_id
                )
            ).one_or_none()
            if before is not None:
                if before.person != person:
                    raise ArgumentError(
                        f"the answer id {answer.answer_id!r} is somebody else's",
                        remedy="make one at random for each answer",
                    )
                return Reply(outcome=Outcome(before.outcome), replayed=True)
            member = _meet(tx, person)
            row = _find(tx.connection, answer.item_id)
            outcome = verdict(None if row is None else self._situation(tx, member, answer, row))
            if row is not None and outcome in ACCEPTED:
                _put(tx, person, answer, row)
            _note(tx, person, answer, outcome, queue="" if row is None else row.queue)
        return Reply(outcome=outcome)

    def _situation(self, tx: Writing, member: Any, answer: Answer, row: Any) -> Situation:
        person = member.name
        others = (t.leases.c.task == row.task) & (t.leases.c.person != person)
        own = _own(tx.connection, row.task, person)
        referees = self._active_referees(tx.connection)
        return Situation(
            allowed=_may_label(member, row.queue)
            and self._may_look(tx.connection, row, person, referees),
            choice=answer.choice,
            classes=tuple(row.classes),
            answered=own is not None,
            closed=own is not None and _closed(own, tx.at),
            held=_lease_of(tx.connection, row.task, person) > tx.at,
            n_missing=0 if row.done else row.people - row.n_answers,
            n_held=tx.connection.execute(
                sa.select(sa.func.count()).where(others, t.leases.c.until > tx.at)
            ).scalar_one(),
            approved=member.approved_at is not None,
        )

    def undo(self, person: str, item_id: str) -> Reply:
        """Take the person's answer to an item back; they hold the item again. Idempotent."""
        with self._database.write() as tx:
            row = _find(tx.connection, item_id)
            if row is None:
                return Reply(outcome=Outcome.GONE)
            own = _own(tx.connection, row.task, person)
            if own is None:
                return Reply(outcome=Outcome.UNDONE, replayed=True)
            if _closed(own, tx.at):
                return Reply(outcome=Outcome.CLOSED)
            of = t.annotations.c.annotation == own.annotation
            tx.connection.execute(t.annotations.delete().where(of))
            _supersede(tx, person, item_id)
            recount(tx, [row.task])
            _lease(tx, row.task, person)
        return Reply(outcome=Outcome.UNDONE)

    def keep(self, person: str, item_ids: Collection[str]) -> Sequence[str]:
        """Keep items for another `LEASE`; the ids of those that the person holds."""
        if not item_ids:
            return []
        with self._database.write() as tx:
            held = tx.connection.execute(
                sa.select(t.tasks.c.task, t.tasks.c.item_id)
                .join(t.leases, t.leases.c.task == t.tasks.c.task)
                .where(
                    t.leases.c.person == person,
                    t.leases.c.until > tx.at,
                    t.tasks.c.item_id.in_(item_ids),
                )
            ).all()
            for row in held:
                _lease(tx, row.task, person)
        there = {row.item_id for row in held}
        return [item_id for item_id in item_ids if item_id in there]

    def release(self, person: str, item_ids: Collection[str] | None = None) -> None:
        """Give items back, or all that the person holds."""
        of = t.leases.c.person == person
        if item_ids is not None:
            named = sa.select(t.tasks.c.task).where(t.tasks.c.item_id.in_(item_ids))
            of &= t.leases.c.task.in_(named)
        with self._database.write() as tx:
            tx.connection.execute(t.leases.delete().where(of))

    # --- one person's work ------------------------------------------------------------------------

    def progress(self, queue: str, person: str, *, since: datetime) -> Progress:
        """The person's work in a queue; `n_today` counts from `since` on."""
        said = t.replies.c
        own = (
            (said.person == person)
            & (said.queue == queue)
            & said.stands
            & said.outcome.in_([o.value for o in ACCEPTED])
        )
        with self._database.read() as tx:
            n, skipped, today = tx.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.count().filter(said.choice.is_(None)),
                    sa.func.count().filter(said.at >= micros(since)),
                ).where(own)
            ).one()
            newest = sa.select(said.at).where(own).order_by(said.at.desc()).limit(LATELY)
            moments = [moment(at) for at in tx.scalars(newest)]
            member = _member(tx, person)
            n_left = _n_open(tx, queue)
        waits = member is not None and member.approved_at is None
        return Progress(
            n_answered=n - skipped,
            n_skipped=skipped,
            n_today=today,
            n_waiting=n if waits else 0,
            n_left=n_left,
            per_hour=pace(moments),
        )

    def history(self, queue: str, person: str, *, skip: int = 0, n: int = 50) -> Sequence[Past]:
        """What the person answered in a queue, newest first, refused answers included."""
        said = t.replies.c
        own = (said.person == person) & said.queue.in_([queue, ""]) & said.stands
        with self._database.read() as tx:
            rows = tx.execute(
                sa.select(t.replies, t.annotations.c.given_at)
                .outerjoin(t.tasks, t.tasks.c.item_id == said.item_id)
                .outerjoin(
                    t.annotations,
                    (t.annotations.c.task == t.tasks.c.task)
                    & (t.annotations.c.person == said.person),
                )
                .where(own)
                .order_by(said.at.desc())
                .offset(skip)
                .limit(n)
            ).all()
        now = self._database.now()
        return [
            Past(
                answer=_answer(r),
                queue=queue,
                at=moment(r.at),
                outcome=Outcome(r.outcome),
                mendable=r.outcome in ACCEPTED and r.given_at is not None and not _closed(r, now),
            )
            for r in rows
        ]

    # --- people -----------------------------------------------------------------------------------

    def members(self) -> Sequence[Member]:
        """Everybody whom the desk knows, by name."""
        of = t.annotations.c.person == t.members.c.name
        n = sa.select(sa.func.count()).where(of).scalar_subquery()
        with self._database.read() as tx:
            rows = tx.execute(sa.select(t.members, n.label("n")).order_by(t.members.c.name)).all()
        return [
            Member(
                name=r.name,
                queues=None if r.queues is None else tuple(r.queues),
                added_at=moment(r.added_at),
                approved_at=None if r.approved_at is None else moment(r.approved_at),
                excluded_at=None if r.excluded_at is None else moment(r.excluded_at),
                n_answers=r.n,
            )
            for r in rows
        ]

    def assign(self, person: str, queues: Sequence[str] | None) -> None:
        """Let a person label these queues, or all (None)."""
        named = None if queues is None else sorted(queues)
        with self._database.write() as tx:
            _meet(tx, person)
            _set_member(tx, person, queues=named)

    def approve(self, person: str) -> int:
        """Let a person's answers count; returns how many do."""
        with self._database.write() as tx:
            _known(tx, person)
            _set_member(tx, person, approved_at=tx.at, excluded_at=None)
            return _recount_of(tx, person)

    def exclude(self, person: str) -> int:
        """Let a person's answers count as none; returns how many."""
        with self._database.write() as tx:
            _known(tx, person)
            _set_member(tx, person, excluded_at=tx.at)
            tx.connection.execute(t.leases.delete().where(t.leases.c.person == person))
            return _recount_of(tx, person)

    def make_link(self, queue: str, *, people: int, expires_at: datetime) -> str:
        """A new join link for so many people."""
        token = token_hex(16)
        row = {
            "token_hash": _hash(token),
            "queue": queue,
            "people": people,
            "used": 0,
            "expires_at": micros(expires_at),
        }
        with self._database.write() as tx:
            tx.connection.execute(t.links.insert().values(row))
        return token

    def link(self, token: str) -> JoinLink | None:
        """What a join link offers."""
        with self._database.read() as tx:
            return _link(tx, token, self._database.now())

    def join(self, token: str, person: str) -> Reply:
        """Let a newcomer label the link's queue."""
        with self._database.write() as tx:
            offered = _link(tx.connection, token, tx.at)
            if offered is None:
                return Reply(outcome=Outcome.LINK_OVER)
            if _member(tx.connection, person) is not None:
                return Reply(outcome=Outcome.NAME_TAKEN)
            of = t.links.c.token_hash == _hash(token)
            tx.connection.execute(t.links.update().where(of).values(used=t.links.c.used + 1))
            row = {"name": person, "queues": [offered.queue], "added_at": tx.at}
            tx.connection.execute(t.members.insert().values(row))
        return Reply(outcome=Outcome.SAVED)


# --- statements -----------------------------------------------------------------------------------


_ROW = sa.select(
    t.tasks,
    t.projects.c.queue,
    t.projects.c.kind,
    t.projects.c.classes,
    t.projects.c.show,
).join(t.projects, t.projects.c.project == t.tasks.c.project)
"""An item with what is needed of its project."""


def _open_items(project: int, person: str, after: int, at: int) -> sa.Select[Any]:
    """The next open items of a project that nobody else holds and the person hasn't answered."""
    others = sa.select(sa.func.count()).where(
        t.leases.c.task == t.tasks.c.task, t.leases.c.person != person, t.leases.c.until > at
    )
    mine = sa.exists().where(t.leases.c.task == t.tasks.c.task, t.leases.c.person == person)
    held = mine.where(t.leases.c.until > at)
    answered = sa.exists().where(
        t.annotations.c.task == t.tasks.c.task, t.annotations.c.person == person
    )
    return (
        _ROW.where(
            t.tasks.c.project == project,
            t.tasks.c.is_open,
            t.tasks.c.turn > after,
            ~answered,
            ~held,
            t.tasks.c.people - t.tasks.c.n_answers > others.scalar_subquery(),
        )
        .order_by(t.tasks.c.turn)
        .limit(AT_A_TIME)
    )


def _held(tx: Writing, queue: str, person: str) -> Sequence[Any]:
    """The items of a queue that a person holds, in the order in which they are given."""
    held = (t.leases.c.person == person) & (t.leases.c.until > tx.at)
    answered = sa.exists().where(
        t.annotations.c.task == t.tasks.c.task, t.annotations.c.person == person
    )
    of = _ROW.join(t.leases, t.leases.c.task == t.tasks.c.task).where(
        held, t.projects.c.queue == queue, t.tasks.c.is_open, ~answered
    )
    return tx.connection.execute(of.order_by(t.tasks.c.turn)).all()


def _within_the_service(image: str | None) -> str | None:
    """The path of an image of the gateway: whatever address the page is opened at, it is there too."""
    path = "" if image is None else image.rpartition("/media/")[2]
    return f"/media/{path}" if re.fullmatch("[0-9a-f]{32}", path) else image


def _find(tx: sa.Connection, item_id: str) -> Any:
    return tx.execute(_ROW.where(t.tasks.c.item_id == item_id)).one_or_none()


def _n_open(tx: sa.Connection, queue: str) -> int:
    of = t.tasks.c.project.in_(sa.select(t.projects.c.project).where(t.projects.c.queue == queue))
    return tx.execute(sa.select(sa.func.count()).where(of, t.tasks.c.is_open)).scalar_one()


def _lease_of(tx: sa.Connection, task: int, person: str) -> int:
    """Until when a person holds an item; 0: never given."""
    of = (t.leases.c.task == task) & (t.leases.c.person == person)
    return tx.scalar(sa.select(t.leases.c.until).where(of)) or 0


def _lease(tx: Writing, task: int, person: str) -> None:
    _end_lease(tx, task, person)
    row = {"task": task, "person": person, "until": tx.at + LEASE_MICROS}
    tx.connection.execute(t.leases.insert().values(row))


def _end_lease(tx: Writing, task: int, person: str) -> None:
    of = (t.leases.c.task == task) & (t.leases.c.person == person)
    tx.connection.execute(t.leases.delete().where(of))


def _own(tx: sa.Connection, task: int, person: str) -> Any:
    of = (t.annotations.c.task == task) & (t.annotations.c.person == person)
    return tx.execute(sa.select(t.annotations).where(of).limit(1)).one_or_none()


def _closed(own: Any, at: int) -> bool:
    return bool(at - own.given_at > MENDABLE_MICROS)


def _put(tx: Writing, person: str, answer: Answer, row: Any) -> None:
    own = _own(tx.connection, row.task, person)
    skipped = answer.choice is None
    choices = [] if skipped else [answer.choice]
    values = {"choices": choices, "skipped": skipped, "updated_at": tx.at}
    if own is None:
        values |= {
            "annotation": tx.take("annotation"),
            "task": row.task,
            "person": person,
            "given_at": tx.at,
        }
        tx.connection.execute(t.annotations.insert().values(values))
    else:
        of = t.annotations.c.annotation == own.annotation
        tx.connection.execute(t.annotations.update().where(of).values(values))
        _supersede(tx, person, row.item_id)
    _end_lease(tx, row.task, person)
    recount(tx, [row.task])


def _note(tx: Writing, person: str, answer: Answer, outcome: Outcome, *, queue: str) -> None:
    row = {
        "answer_id": answer.answer_id,
        "person": person,
        "queue": queue,
        "item_id": answer.item_id,
        "choice": answer.choice,
        "reason": answer.reason,
        "note": answer.note,
        "took_ms": answer.took_ms,
        "outcome": outcome.value,
        "at": tx.at,
        "stands": True,
    }
    tx.connection.execute(t.replies.insert().values(row))


def _supersede(tx: Writing, person: str, item_id: str) -> None:
    """Let the accepted answers of a person to an item be ones that were changed or taken back."""
    said = t.replies.c
    of = (said.person == person) & (said.item_id == item_id)
    of &= said.outcome.in_([o.value for o in ACCEPTED])
    tx.connection.execute(t.replies.update().where(of).values(stands=False))


def _answer_that_stands(tx: sa.Connection, item_id: str, person: str) -> Answer | None:
    said = t.replies.c
    of = (said.item_id == item_id) & (said.person == person) & said.stands
    of &= said.outcome.in_([o.value for o in ACCEPTED])
    newest = sa.select(t.replies).where(of).order_by(said.at.desc()).limit(1)
    row = tx.execute(newest).one_or_none()
    return None if row is None else _answer(row)


def _answer(r: Any) -> Answer:
    return Answer(
        answer_id=r.answer_id,
        item_id=r.item_id,
        choice=r.choice,
        reason=r.reason,
        note=r.note,
        took_ms=r.took_ms,
    )


def _member(tx: sa.Connection, person: str) -> Any:
    return tx.execute(sa.select(t.members).where(t.members.c.name == person)).one_or_none()


def _meet(tx: Writing, person: str) -> Any:
    found = _member(tx.connection, person)
    if found is None:
        row = {"name": person, "queues": None, "added_at": tx.at, "approved_at": tx.at}
        tx.connection.execute(t.members.insert().values(row))
        found = _member(tx.connection, person)
    return found


def _known(tx: Writing, person: str) -> None:
    if _member(tx.connection, person) is None:
        names = tx.connection.scalars(sa.select(t.members.c.name).order_by(t.members.c.name))
        raise ArgumentError(
            f"nobody is called {person!r} on the labelling page",
            remedy=f"the people are: {', '.join(names) or 'none yet'}",
        )


def _set_member(tx: Writing, person: str, **values: Any) -> None:
    tx.connection.execute(t.members.update().where(t.members.c.name == person).values(**values))


def _may_label(member: Any, queue: str) -> bool:
    if member is None:
        return True
    return member.excluded_at is None and (member.queues is None or queue in member.queues)


def _recount_of(tx: Writing, person: str) -> int:
    """Count anew what a person answered; returns how many answers they gave."""
    of = t.annotations.c.person == person
    tasks = tx.connection.scalars(sa.select(t.annotations.c.task).where(of)).all()
    recount(tx, sorted(set(tasks)))
    return len(tasks)


def _hash(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _link(tx: sa.Connection, token: str, at: int) -> JoinLink | None:
    row = tx.execute(sa.select(t.links).where(t.links.c.token_hash == _hash(token))).one_or_none()
    if row is None or row.used >= row.people or row.expires_at <= at:
        return None
    left = row.people - row.used
    return JoinLink(queue=row.queue, places_left=left, expires_at=moment(row.expires_at))
