"""A labelling page's state in memory: the people's side of a MemoryAnnotator."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from labelloop.core.verdict import Outcome, Situation, may_look, pace, verdict
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
from labelloop.testing.annotator import EARLIEST, KEY, MemoryAnnotator, _Task

if TYPE_CHECKING:
    from labelloop.ports.annotator import RemoteAnnotation


@dataclass(slots=True, kw_only=True)
class _Given:
    """A reply, and whether it still tells how things stand."""

    person: str
    queue: str
    answer: Answer
    outcome: Outcome
    at: datetime
    stands: bool = True


@dataclass(slots=True, kw_only=True)
class _Link:
    queue: str
    people: int
    expires_at: datetime
    used: int = 0


class MemoryDesk:
    """The desk of a MemoryAnnotator: what people answer here, the annotator's `tasks` tell.

    referees
        the names of those whose second looks decide
    guides
        what each queue tells its people

    >>> from labelloop.ports.annotator import ProjectSpec, TaskData
    >>> annotator = MemoryAnnotator()
    >>> spec = ProjectSpec(title="", marker="labelloop:l1/q", classes=("fig",), show=(), blind=True)
    >>> project = annotator.create_project(spec)
    >>> data = {"image": "/media/0123"}
    >>> _ = annotator.import_tasks(project.project_ref, [TaskData(task_key="k1", data=data)])
    >>> desk = MemoryDesk(annotator)
    >>> [item] = desk.next_items("q", "ana")
    >>> answer = Answer(answer_id="0123456789abcdef", item_id=item.item_id, choice="fig")
    >>> desk.give("ana", answer).words
    'Your answer is saved.'
    """

    def __init__(
        self,
        annotator: MemoryAnnotator,
        *,
        referees: Collection[str] = (),
        guides: Mapping[str, Guide] | None = None,
        now: Callable[[], datetime] = lambda: EARLIEST,
    ) -> None:
        self._annotator = annotator
        self._referees = frozenset(referees)
        self._guides = dict(guides or {})
        self._now = now
        self._items: dict[str, str] = {}
        self._leases: dict[tuple[str, str], datetime] = {}
        self._given: dict[str, _Given] = {}
        self._annotations: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._excluded: dict[str, list[tuple[str, RemoteAnnotation]]] = {}
        self._members: dict[str, Member] = {}
        self._links: dict[str, _Link] = {}

    # --- queues and items -------------------------------------------------------------------------

    def queues(self, person: str) -> Sequence[DeskQueue]:
        """The queues that a person may label, by name; those that hold tasks."""
        names = {self._queue_of(task) for task in self._annotator._tasks.values()}
        return [q for name in sorted(names) if (q := self.queue(name, person)) is not None]

    def queue(self, name: str, person: str) -> DeskQueue | None:
        """One queue; None where it isn't there or the person may not label it."""
        refs = self._project_refs(name)
        if not refs or not self._may_label(person, name):
            return None
        spec = self._annotator._projects[refs[-1]].spec
        return DeskQueue(
            name=name,
            guide=self._guides.get(name, Guide()),
            kind=spec.kind,
            classes=spec.classes,
            show=spec.show,
            blind=spec.blind,
            n_open=sum(self._missing(task) > 0 for _, task in self._of_queue(name)),
        )

    def next_items(self, queue: str, person: str, *, n: int = AHEAD) -> Sequence[Item]:
        """The items that a person holds, oldest first, and further ones until they are `n`."""
        if not self._may_label(person, queue):
            return []
        self._meet(person)
        held = [(i, t) for i, t in self._of_queue(queue) if self._holds(person, i)]
        mine = [(i, t) for i, t in held if self._may_look(person, t)]
        for remote_id, task in held:
            if (remote_id, task) not in mine:
                del self._leases[person, remote_id]
        for remote_id, task in self._of_queue(queue):
            if len(mine) >= n:
                break
            if (remote_id, task) not in mine and self._may_take(person, remote_id, task):
                mine.append((remote_id, task))
        for remote_id, _ in mine:
            self._leases[person, remote_id] = self._now() + LEASE
        return [self._item(person, i, task) for i, task in mine]

    def item(self, item_id: str, person: str) -> Item | None:
        """An item that the person holds or answered; None: neither."""
        found = self._find(item_id)
        if found is None:
            return None
        remote_id, task = found
        if not self._holds(person, remote_id) and self._own(person, item_id) is None:
            return None
        return self._item(person, remote_id, task)

    # --- answers ----------------------------------------------------------------------------------

    def give(self, person: str, answer: Answer) -> Reply:
        """Take an answer. A further answer of the same person to the item changes the first."""
        checked(answer)
        before = self._given.get(answer.answer_id)
        if before is not None:
            if before.person != person:
                raise ArgumentError(f"the answer id {answer.answer_id!r} is somebody else's")
            return Reply(outcome=before.outcome, replayed=True)
        self._meet(person)
        found = self._find(answer.item_id)
        queue = self._queue_of(found[1]) if found else ""
        outcome = verdict(self._situation(person, answer, *found) if found else None)
        if found and outcome in {Outcome.SAVED, Outcome.WAITING, Outcome.MENDED}:
            self._put(person, answer, *found)
        self._given[answer.answer_id] = _Given(
            person=person, queue=queue, answer=answer, outcome=outcome, at=self._now()
        )
        return Reply(outcome=outcome)

    def undo(self, person: str, item_id: str) -> Reply:
        """Take the person's answer to an item back; they hold the item again. Idempotent."""
        found = self._find(item_id)
        if found is None:
            return Reply(outcome=Outcome.GONE)
        own = self._own(person, item_id)
        if own is None:
            return Reply(outcome=Outcome.UNDONE, replayed=True)
        if self._closed(person, item_id):
            return Reply(outcome=Outcome.CLOSED)
        remote_id, task = found
        annotation_id, _ = self._annotations.pop((person, item_id))
        task.annotations.pop(annotation_id, None)
        self._annotator._count(task)
        own.stands = False
        self._leases[person, remote_id] = self._now() + LEASE
        return Reply(outcome=Outcome.UNDONE)

    def release(self, person: str, item_ids: Collection[str] | None = None) -> None:
        """Give items back, or all that the person holds."""
        for who, remote_id in list(self._leases):
            if who == person and (item_ids is None or self._item_id(remote_id) in item_ids):
                del self._leases[who, remote_id]

    # --- one person's work ------------------------------------------------------------------------

    def progress(self, queue: str, person: str, *, since: datetime) -> Progress:
        """The person's work in a queue; `n_today` counts from `since` on."""
        own = [g for g in self._standing(queue, person) if Reply(outcome=g.outcome).accepted]
        member = self._members.get(person)
        waits = member is not None and member.approved_at is None
        return Progress(
            n_answered=sum(g.answer.choice is not None for g in own),
            n_skipped=sum(g.answer.choice is None for g in own),
            n_today=sum(g.at >= since for g in own),
            n_waiting=len(own) if waits else 0,
            n_left=sum(self._missing(task) > 0 for _, task in self._of_queue(queue)),
            per_hour=pace([g.at for g in own]),
        )

    def history(self, queue: str, person: str, *, skip: int = 0, n: int = 50) -> Sequence[Past]:
        """What the person answered in a queue, newest first, refused answers included."""
        found = self._standing(queue, person)[skip : skip + n]
        return [
            Past(
                answer=g.answer,
                queue=queue,
                at=g.at,
                outcome=g.outcome,
                mendable=Reply(outcome=g.outcome).accepted
                and self._find(g.answer.item_id) is not None
                and not self._closed(person, g.answer.item_id),
            )
            for g in found
        ]

    # --- people -----------------------------------------------------------------------------------

    def members(self) -> Sequence[Member]:
        """Everybody whom the desk knows, by name."""
        return [
            replace(member, n_answers=sum(person == name for person, _ in self._annotations))
            for name, member in sorted(self._members.items())
        ]

    def assign(self, person: str, queues: Sequence[str] | None) -> None:
        """Let a person label these queues, or all (None)."""
        self._meet(person)
        named = None if queues is None else tuple(sorted(queues))
        self._members[person] = replace(self._members[person], queues=named)

    def approve(self, person: str) -> int:
        """Let a person's answers count; returns how many do."""
        member = self._known(person)
        self._members[person] = replace(member, approved_at=self._now(), excluded_at=None)
        self._annotator.waiting.discard(person)
        for remote_id, annotation in self._excluded.pop(person, []):
            if remote_id in self._annotator._tasks:
                held = self._annotator._tasks[remote_id].annotations
                held[annotation.remote_id] = annotation
        return self._recount(person)

    def exclude(self, person: str) -> int:
        """Let a person's answers count as none; returns how many."""
        member = self._known(person)
        self._members[person] = replace(member, excluded_at=self._now())
        self.release(person)
        n = self._recount(person)
        for remote_id, task in self._annotator._tasks.items():
            own = [a for a in task.annotations.values() if a.annotator == person]
            for annotation in own:
                del task.annotations[annotation.remote_id]
                self._excluded.setdefault(person, []).append((remote_id, annotation))
                self._annotator._count(task)
        return n

    def make_link(self, queue: str, *, people: int, expires_at: datetime) -> str:
        """A new join link for so many people."""
        token = token_hex(16)
        self._links[token] = _Link(queue=queue, people=people, expires_at=expires_at)
        return token

    def link(self, token: str) -> JoinLink | None:
        """What a join link offers."""
        held = self._links.get(token)
        if held is None or held.used >= held.people or held.expires_at <= self._now():
            return None
        left = held.people - held.used
        return JoinLink(queue=held.queue, places_left=left, expires_at=held.expires_at)

    def join(self, token: str, person: str) -> Reply:
        """Let a newcomer label the link's queue."""
        if self.link(token) is None:
            return Reply(outcome=Outcome.LINK_OVER)
        if person in self._members:
            return Reply(outcome=Outcome.NAME_TAKEN)
        held = self._links[token]
        held.used += 1
        self._meet(person)
        self._members[person] = replace(
            self._members[person], queues=(held.queue,), approved_at=None
        )
        self._annotator.waiting.add(person)
        return Reply(outcome=Outcome.SAVED)

    # --- state ------------------------------------------------------------------------------------

    def _meet(self, person: str) -> None:
        now = self._now()
        if person not in self._members:
            self._members[person] = Member(
                name=person, queues=None, added_at=now, approved_at=now, excluded_at=None
            )
            self._annotator.members.append(person)

    def _recount(self, person: str) -> int:
        """Let the tasks that a person answered be ones that changed; returns how many answers there are."""
        n = 0
        for task in self._annotator._tasks.values():
            own = sum(a.annotator == person for a in task.annotations.values())
            if own:
                self._annotator._count(task)
            n += own
        return n

    def _known(self, person: str) -> Member:
        if person not in self._members:
            raise ArgumentError(f"nobody is called {person!r} on the labelling page")
        return self._members[person]

    def _may_label(self, person: str, queue: str) -> bool:
        member = self._members.get(person)
        if member is None:
            return True
        return member.excluded_at is None and (member.queues is None or queue in member.queues)

    def _queue_of(self, task: _Task) -> str:
        return self._annotator._projects[task.project_ref].spec.marker.rpartition("/")[2]

    def _project_refs(self, queue: str) -> list[str]:
        held = self._annotator._projects.items()
        return [ref for ref, p in held if p.spec.marker.rpartition("/")[2] == queue]

    def _of_queue(self, queue: str) -> Iterator[tuple[str, _Task]]:
        refs = set(self._project_refs(queue))
        yield from [(i, t) for i, t in self._annotator._tasks.items() if t.project_ref in refs]

    def _item_id(self, remote_id: str) -> str:
        return self._items.setdefault(remote_id, token_hex(16))

    def _find(self, item_id: str) -> tuple[str, _Task] | None:
        held = self._annotator._tasks
        remote_id = next((r for r, i in self._items.items() if i == item_id), None)
        return None if remote_id not in held else (remote_id, held[remote_id])

    def _holds(self, person: str, remote_id: str) -> bool:
        until = self._leases.get((person, remote_id))
        return until is not None and until > self._now()

    def _n_held_by_others(self, person: str, remote_id: str) -> int:
        holders = [who for who, held in self._leases if held == remote_id and who != person]
        return sum(self._holds(who, remote_id) for who in holders)

    @staticmethod
    def _missing(task: _Task) -> int:
        if task.done:
            return 0
        return task.people - sum(not a.skipped for a in task.annotations.values())

    def _may_take(self, person: str, remote_id: str, task: _Task) -> bool:
        by = {a.annotator for a in task.annotations.values()}
        free = self._missing(task) - self._n_held_by_others(person, remote_id)
        return free > 0 and person not in by and self._may_look(person, task)

    def _may_look(self, person: str, task: _Task) -> bool:
        if task.look_of is None:
            return True
        first = task.look_of
        looks = [
            t
            for t in self._annotator._tasks.values()
            if t is not task and first in {t.look_of, t.data.get(KEY)}
        ]
        before = {a.annotator for t in looks for a in t.annotations.values() if not a.skipped}
        return may_look(person, before=before, referees=self._active(), by_referee=task.by_referee)

    def _active(self) -> frozenset[str]:
        """The referees who may answer."""
        left = {name for name, m in self._members.items() if m.excluded_at is not None}
        return self._referees - left

    def _situation(self, person: str, answer: Answer, remote_id: str, task: _Task) -> Situation:
        queue = self._queue_of(task)
        return Situation(
            allowed=self._may_label(person, queue) and self._may_look(person, task),
            choice=answer.choice,
            classes=self._annotator._projects[task.project_ref].spec.classes,
            answered=self._own(person, answer.item_id) is not None,
            closed=self._closed(person, answer.item_id),
            held=self._holds(person, remote_id),
            n_missing=self._missing(task),
            n_held=self._n_held_by_others(person, remote_id),
            approved=self._members[person].approved_at is not None,
        )

    def _own(self, person: str, item_id: str) -> _Given | None:
        """The answer that stands."""
        if (person, item_id) not in self._annotations:
            return None
        of_item = [
            g
            for g in self._given.values()
            if g.person == person and g.answer.item_id == item_id and g.stands
        ]
        return next((g for g in reversed(of_item) if Reply(outcome=g.outcome).accepted), None)

    def _closed(self, person: str, item_id: str) -> bool:
        held = self._annotations.get((person, item_id))
        return held is not None and self._now() - held[1] > MENDABLE

    def _put(self, person: str, answer: Answer, remote_id: str, task: _Task) -> None:
        before = self._own(person, answer.item_id)
        choices = () if answer.choice is None else (answer.choice,)
        if before is not None:
            annotation_id, _ = self._annotations[person, answer.item_id]
            before.stands = False
            task.annotations[annotation_id] = replace(
                task.annotations[annotation_id],
                choices=choices,
                skipped=answer.choice is None,
                updated_at=self._annotator._instant(),
            )
            self._annotator._count(task)
            return
        annotation_id = self._annotator._annotate(
            remote_id, choices, person, skipped=answer.choice is None
        )
        self._annotations[person, answer.item_id] = annotation_id, self._now()
        self._leases.pop((person, remote_id), None)

    def _standing(self, queue: str, person: str) -> list[_Given]:
        own = [g for g in self._given.values() if g.person == person and g.queue in {queue, ""}]
        return [g for g in reversed(own) if g.stands]

    def _item(self, person: str, remote_id: str, task: _Task) -> Item:
        spec = self._annotator._projects[task.project_ref].spec
        own = self._own(person, self._item_id(remote_id))
        return Item(
            item_id=self._item_id(remote_id),
            queue=self._queue_of(task),
            kind=spec.kind,
            choices=spec.classes,
            image=task.data.get("image"),
            text=task.data.get("text"),
            shown={name: task.data[name] for name in spec.show if name in task.data},
            second_look=task.look_of is not None and person in self._referees,
            leased_until=self._leases.get((person, remote_id)),
            answer=None if own is None else own.answer,
        )
