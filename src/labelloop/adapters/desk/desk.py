"""The desk: what people are given to label and what they answer, each call one short transaction."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from labelloop.adapters.desk import statements as ask
from labelloop.adapters.desk import tables as t
from labelloop.adapters.desk.database import Database, Writing, micros, moment
from labelloop.adapters.desk.tasks import recount
from labelloop.core.verdict import ACCEPTED, Outcome, Situation, may_look, pace, verdict
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
AT_A_TIME = 20
"""How many open items are looked at together for some that a person may take."""


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
        project = tx.execute(ask.QUEUE, {"of_queue": name}).one_or_none()
        if project is None or not _may_label(_member(tx, person), name):
            return None
        return DeskQueue(
            name=name,
            guide=self._guides.get(name, Guide()),
            kind=project.kind,
            classes=tuple(project.classes),
            show=tuple(project.show),
            blind=project.blind,
            n_open=project.n_left,
        )

    def next_items(self, queue: str, person: str, *, n: int = AHEAD) -> Sequence[Item]:
        """The items that a person holds, oldest first, and further ones until they are `n`."""
        with self._database.write(lasting=False) as tx:
            if not _may_label(_meet(tx, person), queue):
                return []
            tx.change(ask.END_OVER, {"of_person": person, "at": tx.at})
            of = {"of_queue": queue, "of_person": person, "at": tx.at}
            held = tx.connection.execute(ask.HELD, of).all()
            items = [row for row in held if self._may_look(tx.connection, row, person)]
            _change_leases(tx, ask.END_LEASE, person, [row for row in held if row not in items])
            _change_leases(tx, ask.RENEW, person, items)
            taken: list[Any] = []
            for project in tx.connection.scalars(ask.PROJECTS, {"of_queue": queue}).all():
                taken += self._free(tx, project, person, n - len(items) - len(taken))
            until = tx.at + LEASE_MICROS
            if taken:
                new = [{"task": row.task, "person": person, "until": until} for row in taken]
                tx.change(ask.LEASE, new)
        return [self._item(row, person, until=until) for row in [*items, *taken]]

    def _free(self, tx: Writing, project: int, person: str, n: int) -> Sequence[Any]:
        """Up to `n` open items of a project that a person may take."""
        found: list[Any] = []
        of = {"of_project": project, "of_person": person, "at": tx.at, "at_most": AT_A_TIME}
        after = -1
        while len(found) < n:
            page = tx.connection.execute(ask.OPEN, of | {"after": after}).all()
            found += [row for row in page if self._may_look(tx.connection, row, person)]
            if len(page) < AT_A_TIME:
                break
            after = page[-1].turn
        return found[: max(n, 0)]

    def item(self, item_id: str, person: str) -> Item | None:
        """An item that the person holds or answered; None: neither."""
        with self._database.read() as tx:
            row = _find(tx, item_id)
            if row is None:
                return None
            of = {"of_task": row.task, "of_person": person}
            until = tx.scalar(ask.LEASED_UNTIL, of) or 0
            if until <= self._database.now() and _own(tx, row.task, person) is None:
                return None
            standing = {"of_item": item_id, "of_person": person}
            given = tx.execute(ask.STANDING, standing).one_or_none()
        return self._item(row, person, until=until, given=given)

    def _item(self, row: Any, person: str, *, until: int, given: Any = None) -> Item:
        return Item(
            item_id=row.item_id,
            queue=row.queue,
            kind=row.kind,
            choices=tuple(row.classes),
            image=_within_the_service(row.data.get("image")),
            text=row.data.get("text"),
            shown={name: row.data[name] for name in row.show if name in row.data},
            second_look=row.look_of is not None and person.lower() in self._referees,
            leased_until=moment(until) if until else None,
            answer=None if given is None else _answer(given),
        )

    def _may_look(self, tx: sa.Connection, row: Any, person: str) -> bool:
        if row.look_of is None:
            return True
        looks = {"of_first": row.look_of, "of_task": row.task}
        before = {name.lower() for name in tx.scalars(ask.LOOKED, looks)}
        referees = self._referees - {name.lower() for name in tx.scalars(ask.LEFT)}
        return may_look(person.lower(), before=before, referees=referees, by_referee=row.by_referee)

    # --- answers ----------------------------------------------------------------------------------

    def give(self, person: str, answer: Answer) -> Reply:
        """Take an answer. A further answer of the same person to the item changes the first."""
        checked(answer)
        with self._database.write() as tx:
            of = {"of_answer": answer.answer_id}
            before = tx.connection.execute(ask.REPLY, of).one_or_none()
            if before is not None:
                if before.person != person:
                    raise ArgumentError(
                        f"the answer id {answer.answer_id!r} is somebody else's",
                        remedy="make one at random for each answer",
                    )
                return Reply(outcome=Outcome(before.outcome), replayed=True)
            member = _meet(tx, person)
            row = _find(tx.connection, answer.item_id)
            own = None if row is None else _own(tx.connection, row.task, person)
            at = None if row is None else self._situation(tx, member, answer, row, own)
            outcome = verdict(at)
            if row is not None and outcome in ACCEPTED:
                _put(tx, person, answer, row, own)
            _note(tx, person, answer, outcome, queue="" if row is None else row.queue)
        return Reply(outcome=outcome)

    def _situation(self, tx: Writing, member: Any, answer: Answer, row: Any, own: Any) -> Situation:
        leases = tx.connection.execute(ask.LEASES, {"of_task": row.task, "at": tx.at})
        holders = {lease.person for lease in leases}
        return Situation(
            allowed=_may_label(member, row.queue)
            and self._may_look(tx.connection, row, member.name),
            choice=answer.choice,
            classes=tuple(row.classes),
            answered=own is not None,
            closed=own is not None and _closed(own, tx.at),
            held=member.name in holders,
            n_missing=0 if row.done else row.people - row.n_answers,
            n_held=len(holders - {member.name}),
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
            tx.change(ask.TAKE_BACK, {"of_annotation": own.annotation})
            tx.change(ask.SUPERSEDE, {"of_item": item_id, "of_person": person})
            recount(tx, [row.task])
            _change_leases(tx, ask.END_LEASE, person, [row])
            until = tx.at + LEASE_MICROS
            tx.change(ask.LEASE, {"task": row.task, "person": person, "until": until})
        return Reply(outcome=Outcome.UNDONE)

    def release(self, person: str, item_ids: Collection[str] | None = None) -> None:
        """Give items back, or all that the person holds."""
        of = t.leases.c.person == person
        if item_ids is not None:
            named = sa.select(t.tasks.c.task).where(t.tasks.c.item_id.in_(item_ids))
            of &= t.leases.c.task.in_(named)
        with self._database.write(lasting=False) as tx:
            tx.change(t.leases.delete().where(of))

    # --- one person's work ------------------------------------------------------------------------

    def progress(self, queue: str, person: str, *, since: datetime) -> Progress:
        """The person's work in a queue; `n_today` counts from `since` on."""
        of = {"of_queue": queue, "of_person": person}
        with self._database.read() as tx:
            n, skipped, today = tx.execute(ask.COUNTS, of | {"since": micros(since)}).one()
            moments = [moment(at) for at in tx.scalars(ask.NEWEST, of)]
            member = _member(tx, person)
            n_left = tx.scalars(ask.N_OPEN, {"of_queue": queue}).one()
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
            tx.change(t.leases.delete().where(t.leases.c.person == person))
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
            tx.change(t.links.insert(), row)
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
            tx.change(t.links.update().where(of).values(used=t.links.c.used + 1))
            row = {"name": person, "queues": [offered.queue], "added_at": tx.at}
            tx.change(t.members.insert(), row)
        return Reply(outcome=Outcome.SAVED)


# --- statements -----------------------------------------------------------------------------------


def _within_the_service(image: str | None) -> str | None:
    """The path of an image of the gateway: whatever address the page is opened at, it is there too."""
    path = "" if image is None else image.rpartition("/media/")[2]
    return f"/media/{path}" if re.fullmatch("[0-9a-f]{32}", path) else image


def _find(tx: sa.Connection, item_id: str) -> Any:
    return tx.execute(ask.ITEM, {"of_item": item_id}).one_or_none()


def _own(tx: sa.Connection, task: int, person: str) -> Any:
    return tx.execute(ask.OWN, {"of_task": task, "of_person": person}).one_or_none()


def _change_leases(tx: Writing, statement: sa.Executable, person: str, rows: Sequence[Any]) -> None:
    """End or renew a person's leases of these tasks."""
    until = tx.at + LEASE_MICROS
    if rows:
        own = [{"of_task": r.task, "of_person": person, "new_until": until} for r in rows]
        tx.change(statement, own)


def _closed(own: Any, at: int) -> bool:
    return bool(at - own.given_at > MENDABLE_MICROS)


def _put(tx: Writing, person: str, answer: Answer, row: Any, own: Any) -> None:
    skipped = answer.choice is None
    choices = [] if skipped else [answer.choice]
    if own is None:
        values = {
            "annotation": tx.take("annotation"),
            "task": row.task,
            "person": person,
            "choices": choices,
            "skipped": skipped,
            "given_at": tx.at,
            "updated_at": tx.at,
        }
        tx.change(ask.ANSWER, values)
    else:
        values = {"new_choices": choices, "new_skipped": skipped, "new_updated_at": tx.at}
        tx.change(ask.CHANGE, {"of_annotation": own.annotation} | values)
        tx.change(ask.SUPERSEDE, {"of_item": row.item_id, "of_person": person})
    _change_leases(tx, ask.END_LEASE, person, [row])
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
    tx.change(ask.NOTE, row)


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
    return tx.execute(ask.MEMBER, {"of_person": person}).one_or_none()


def _meet(tx: Writing, person: str) -> Any:
    found = _member(tx.connection, person)
    if found is None:
        row = {"name": person, "queues": None, "added_at": tx.at, "approved_at": tx.at}
        tx.change(t.members.insert(), row)
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
    tx.change(t.members.update().where(t.members.c.name == person).values(**values))


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
