"""What every desk of the labelling page does, and what its annotator hears of it."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labelloop.adapters.desk.annotator import DeskAnnotator
from labelloop.adapters.desk.desk import DatabaseDesk
from labelloop.core.verdict import Outcome
from labelloop.errors import ArgumentError
from labelloop.ports.annotator import Annotator, ProjectSpec, RemoteTask, TaskData
from labelloop.ports.desk import LEASE, MENDABLE, Answer, Desk, Guide
from labelloop.testing import MemoryAnnotator, MemoryDesk

BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)
GUIDES = {"q": Guide(title="Fruit", guidelines="# Fig\nPurple.")}
REFEREES = ("rea@labelloop.example", "ron@labelloop.example")


@dataclass
class Room:
    annotator: Annotator
    desk: Desk
    clock: "Now"

    @property
    def now(self) -> datetime:
        return self.clock.at

    def pass_(self, time: timedelta) -> None:
        self.clock.at += time

    def project(self, **changes: Any) -> str:
        given: dict[str, Any] = {
            "title": "fruit: q",
            "marker": "labelloop:l1/q",
            "classes": ("fig", "plum"),
            "show": (),
            "blind": True,
        }
        return self.annotator.create_project(ProjectSpec(**(given | changes))).project_ref

    def tasks(self, ref: str, n: int = 1, **extra: Any) -> list[str]:
        """The keys of new tasks."""
        keys = [uuid.uuid4().hex for _ in range(n)]
        data = {"image": "/media/0123", **extra}
        self.annotator.import_tasks(ref, [TaskData(task_key=k, data=data) for k in keys])
        return keys

    def look(self, ref: str, first: str, *, by_referee: bool = False) -> None:
        task = TaskData(
            task_key=uuid.uuid4().hex,
            data={"image": "/media/4567"},
            look_of=first,
            by_referee=by_referee,
        )
        self.annotator.import_tasks(ref, [task])

    def offered(self, person: str, n: int = 5) -> list[str]:
        return [item.item_id for item in self.desk.next_items("q", person, n=n)]

    def give(self, person: str, item_id: str, choice: str | None = "fig") -> Outcome:
        return self.desk.give(person, answer(item_id, choice)).outcome

    def collected(self, ref: str, after: datetime | None = None) -> list[RemoteTask]:
        return [t for page in self.annotator.tasks(ref, after) for t in page]

    def answers(self, ref: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(a.annotator, a.choices) for t in self.collected(ref) for a in t.annotations]


def answer(item_id: str, choice: str | None = "fig", **more: Any) -> Answer:
    return Answer(answer_id=uuid.uuid4().hex, item_id=item_id, choice=choice, **more)


@dataclass
class Now:
    at: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    now = Now()
    if request.param == "memory":
        memory = MemoryAnnotator(now=now)
        desk = MemoryDesk(memory, referees=REFEREES, guides=GUIDES, now=now)
        yield Room(memory, desk, now)
        return
    url = f"sqlite:///{tmp_path / 'answers.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").database()
    annotator = DeskAnnotator(url, now=now, page_size=3)
    desk_ = DatabaseDesk(annotator.database, referees=REFEREES, guides=GUIDES)
    yield Room(annotator, desk_, now)
    annotator.close()


def test_a_person_is_given_items_and_the_same_ones_when_they_ask_again(room: Room) -> None:
    ref = room.project()
    assert room.desk.queues("ana") != [] or room.desk.queue("q", "ana") is not None
    room.tasks(ref, 12)
    first = room.offered("ana")
    assert len(set(first)) == 5
    assert room.offered("ana") == first
    assert not set(first) & set(room.offered("ben"))
    [queue] = room.desk.queues("ana")
    assert (queue.name, queue.n_open, queue.classes) == ("q", 12, ("fig", "plum"))
    assert queue.guide.guidelines.startswith("# Fig")
    assert len(room.offered("cem", n=9)) == 2, "two were left"


def test_a_blind_item_tells_nothing_but_its_input(room: Room) -> None:
    ref = room.project()
    [key] = room.tasks(ref, predicted_class="fig", confidence=0.5)
    [item] = room.desk.next_items("q", "ana")
    assert (item.image, item.text, dict(item.shown)) == ("/media/0123", None, {})
    assert key not in repr(item)
    assert "predicted" not in repr(item)
    assert len(item.item_id) >= 32


def test_a_training_item_shows_what_its_queue_names(room: Room) -> None:
    ref = room.project(blind=False, show=("predicted_class",))
    room.tasks(ref, predicted_class="fig", confidence=0.5)
    [item] = room.desk.next_items("q", "ana")
    assert dict(item.shown) == {"predicted_class": "fig"}


def test_an_answer_reaches_the_annotator_once_however_often_it_is_sent(room: Room) -> None:
    ref = room.project()
    room.tasks(ref, 2)
    item_id = room.offered("ana")[0]
    given = answer(item_id, "plum", note="soft", took_ms=900)
    replies = [room.desk.give("ana", given) for _ in range(3)]
    assert [r.outcome for r in replies] == [Outcome.SAVED] * 3
    assert [r.replayed for r in replies] == [False, True, True]
    assert room.answers(ref) == [("ana", ("plum",))]
    assert item_id not in room.offered("ana") + room.offered("ben")
    [past] = room.desk.history("q", "ana")
    assert (past.answer, past.outcome, past.mendable) == (given, Outcome.SAVED, True)


def test_an_answers_id_is_one_persons(room: Room) -> None:
    room.tasks(room.project(), 2)
    given = answer(room.offered("ana")[0])
    room.desk.give("ana", given)
    with pytest.raises(ArgumentError, match="somebody else"):
        room.desk.give("ben", given)
    with pytest.raises(ArgumentError, match="is none"):
        room.desk.give("ben", Answer(answer_id="x", item_id=given.item_id, choice="fig"))


def test_a_skip_has_a_reason_and_leaves_the_item_to_others(room: Room) -> None:
    ref = room.project()
    room.tasks(ref)
    [item_id] = room.offered("ana")
    room.desk.give("ana", answer(item_id, None, reason="blurred"))
    assert room.offered("ana") == []
    assert room.offered("ben") == [item_id]
    assert [a.skipped for t in room.collected(ref) for a in t.annotations] == [True]
    [past] = room.desk.history("q", "ana")
    assert (past.answer.choice, past.answer.reason) == (None, "blurred")


def test_an_answer_is_changed_by_a_further_one_and_taken_back(room: Room) -> None:
    ref = room.project()
    room.tasks(ref)
    [item_id] = room.offered("ana")
    first = answer(item_id, "fig")
    room.desk.give("ana", first)
    seen = room.collected(ref)[0].updated_at
    assert room.give("ana", item_id, "plum") is Outcome.MENDED
    assert room.desk.give("ana", first).replayed, "an old request that comes again changes nothing"
    assert room.answers(ref) == [("ana", ("plum",))]
    [changed] = room.collected(ref, seen)
    held = room.desk.item(item_id, "ana")
    assert held is not None
    assert held.answer is not None
    assert held.answer.choice == "plum"
    assert room.desk.item(item_id, "ben") is None
    replies = [room.desk.undo("ana", item_id) for _ in range(2)]
    assert [r.outcome for r in replies] == [Outcome.UNDONE] * 2
    assert room.answers(ref) == []
    assert [t.remote_id for t in room.collected(ref, changed.updated_at)] == [changed.remote_id]
    assert room.offered("ben") == []
    assert room.offered("ana") == [item_id]
    assert room.desk.history("q", "ana") == []


def test_an_old_answer_stays_as_it_is(room: Room) -> None:
    ref = room.project()
    room.tasks(ref)
    [item_id] = room.offered("ana")
    room.give("ana", item_id)
    room.pass_(MENDABLE + timedelta(seconds=1))
    assert room.give("ana", item_id, "plum") is Outcome.CLOSED
    assert room.desk.undo("ana", item_id).outcome is Outcome.CLOSED
    assert room.answers(ref) == [("ana", ("fig",))]
    assert not room.desk.history("q", "ana")[-1].mendable


def test_a_lease_that_is_over_stands_in_nobodys_way(room: Room) -> None:
    ref = room.project()
    room.tasks(ref, 2)
    one, two = room.offered("ana")
    room.desk.release("ana", [two])
    room.pass_(LEASE - timedelta(seconds=1))
    assert room.offered("ana", n=1) == [one], "whoever asks again keeps what they hold"
    room.pass_(timedelta(seconds=2))
    assert room.offered("ben") == [two]
    assert room.offered("ana") == [one]
    late = answer(two, "plum")
    reply = room.desk.give("ana", late)
    assert reply.outcome is Outcome.LEASED
    assert "somebody else has it" in reply.words
    room.desk.release("ben")
    assert room.desk.give("ana", late).outcome is Outcome.LEASED, "the same reply again"
    assert room.give("ana", two) is Outcome.SAVED, "nobody has it now"
    assert {p.outcome for p in room.desk.history("q", "ana")} == {Outcome.SAVED, Outcome.LEASED}
    room.pass_(LEASE + timedelta(seconds=1))
    assert room.offered("ben") == [one]


def test_released_items_go_to_others(room: Room) -> None:
    room.tasks(room.project(), 3)
    mine = room.offered("ana")
    room.desk.release("ana", mine[:1])
    assert room.offered("ben") == mine[:1]
    room.desk.release("ana")
    room.desk.release("ana")
    assert room.offered("ben") == mine


def test_an_answer_for_what_is_gone_settled_or_no_class_is_kept_and_counts_for_nothing(
    room: Room,
) -> None:
    ref = room.project()
    room.tasks(ref, 3)
    gone, settled, other = room.offered("ana")
    held = {t.task_key: t.remote_id for t in room.collected(ref)}
    ids = list(held.values())
    by_item = {}
    for item_id in (gone, settled, other):
        room.give("ana", item_id)
        [(remote_id)] = [
            t.remote_id
            for t in room.collected(ref)
            if t.annotations and t.remote_id not in by_item.values()
        ]
        by_item[item_id] = remote_id
        room.desk.undo("ana", item_id)
    assert sorted(by_item.values()) == sorted(ids)
    room.annotator.delete_task(by_item[gone])
    room.annotator.ask_people(by_item[settled], 1, done=True)
    assert room.give("ana", gone) is Outcome.GONE
    assert room.give("ana", "0" * 32) is Outcome.GONE
    assert room.give("ana", settled) is Outcome.SETTLED
    room.annotator.set_choices(ref, ["plum", "pear"])
    assert room.give("ana", other, "fig") is Outcome.UNKNOWN_CLASS
    assert room.answers(ref) == []
    assert room.desk.undo("ana", gone).outcome is Outcome.GONE
    assert {p.outcome for p in room.desk.history("q", "ana")} == {
        Outcome.GONE,
        Outcome.SETTLED,
        Outcome.UNKNOWN_CLASS,
    }
    assert room.give("ana", other, "pear") is Outcome.SAVED


def test_several_people_answer_an_item_that_asks_several(room: Room) -> None:
    ref = room.project(people=2)
    room.tasks(ref)
    [item_id] = room.offered("ana")
    assert room.offered("ben") == [item_id], "two at once"
    assert room.offered("cem") == [], "and no third"
    room.give("ana", item_id, "fig")
    assert room.offered("ana") == []
    assert room.give("cem", item_id) is Outcome.LEASED
    room.give("ben", item_id, "plum")
    assert room.give("cem", item_id) is Outcome.SETTLED
    assert room.answers(ref) == [("ana", ("fig",)), ("ben", ("plum",))]


def test_nobody_looks_twice_at_a_sample(room: Room) -> None:
    ref = room.project()
    [key] = room.tasks(ref)
    [item_id] = room.offered("ana")
    room.give("ana", item_id)
    room.look(ref, key)
    assert room.offered("ana") == []
    [item] = room.desk.next_items("q", "ben")
    assert not item.second_look, "only referees are told"
    assert room.give("ana", item.item_id) is Outcome.NOT_ALLOWED
    assert room.give("ben", item.item_id) is Outcome.SAVED


def test_a_look_for_a_referee_is_given_to_one_while_one_is_left(room: Room) -> None:
    ref = room.project()
    [key] = room.tasks(ref)
    [item_id] = room.offered("ana")
    room.give("ana", item_id)
    room.look(ref, key, by_referee=True)
    room.look(ref, key, by_referee=True)
    room.look(ref, key, by_referee=True)
    assert room.offered("ben") == []
    rea, ron = REFEREES
    [first, *_] = room.desk.next_items("q", rea)
    assert first.second_look
    assert room.give(rea, first.item_id) is Outcome.SAVED
    assert room.offered(rea) == []
    [second, *_] = room.offered(ron)
    assert room.give(ron, second) is Outcome.SAVED
    assert room.offered(ron) == []
    assert len(room.offered("ben")) == 1, "no referee is left"
    assert room.offered("ana") == []


def test_people_label_the_queues_that_are_theirs(room: Room) -> None:
    room.tasks(room.project())
    room.desk.assign("ana", ["other"])
    assert (room.desk.queue("q", "ana"), list(room.desk.queues("ana"))) == (None, [])
    assert room.offered("ana") == []
    [item_id] = room.offered("ben")
    room.desk.release("ben")
    assert room.give("ana", item_id) is Outcome.NOT_ALLOWED
    room.desk.assign("ana", None)
    assert room.offered("ana") == [item_id]


def test_an_excluded_persons_answers_are_asked_of_others(room: Room) -> None:
    ref = room.project()
    room.tasks(ref, 2)
    one, two = room.offered("ana")
    room.give("ana", one)
    seen = max(t.updated_at for t in room.collected(ref))
    assert room.desk.exclude("ana") == 1
    assert room.answers(ref) == []
    assert len(room.collected(ref, seen)) == 1
    assert room.offered("ana") == []
    assert room.give("ana", two) is Outcome.NOT_ALLOWED
    assert sorted(room.offered("ben")) == sorted([one, two])
    [ana] = [m for m in room.desk.members() if m.name == "ana"]
    assert ana.excluded_at is not None
    assert room.desk.approve("ana") == 1
    assert room.answers(ref) == [("ana", ("fig",))]
    assert room.give("ben", one) is Outcome.SETTLED
    with pytest.raises(ArgumentError, match="nobody"):
        room.desk.exclude("zoe")


def test_newcomers_join_by_a_link_and_wait_until_somebody_approves_them(room: Room) -> None:
    ref = room.project()
    room.tasks(ref, 2)
    token = room.desk.make_link("q", people=2, expires_at=room.now + timedelta(days=2))
    link = room.desk.link(token)
    assert link is not None
    assert (link.queue, link.places_left) == ("q", 2)
    assert room.desk.join(token, "new").outcome is Outcome.SAVED
    assert room.desk.join(token, "new").outcome is Outcome.NAME_TAKEN
    [member] = room.desk.members()
    assert (member.queues, member.approved_at) == (("q",), None)
    item_id = room.offered("new")[0]
    assert room.give("new", item_id) is Outcome.WAITING
    assert room.give("new", item_id, "plum") is Outcome.MENDED
    assert room.desk.progress("q", "new", since=room.now).n_waiting == 1
    assert room.answers(ref) == []
    assert item_id not in room.offered("ben"), "it waits for the approval"
    seen = max(t.updated_at for t in room.collected(ref))
    assert room.desk.approve("new") == 1
    assert room.answers(ref) == [("new", ("plum",))]
    assert len(room.collected(ref, seen)) == 1
    room.desk.join(token, "newer")
    assert room.desk.link(token) is None
    assert room.desk.join(token, "newest").outcome is Outcome.LINK_OVER
    late = room.desk.make_link("q", people=2, expires_at=room.now + timedelta(days=2))
    room.pass_(timedelta(days=2))
    assert room.desk.join(late, "newest").outcome is Outcome.LINK_OVER


def test_a_person_sees_their_progress_and_pace(room: Room) -> None:
    room.tasks(room.project(), 12)
    for i in range(8):
        room.pass_(timedelta(seconds=6))
        room.give("ana", room.offered("ana")[0], "fig" if i % 4 else None)
    assert room.give("ben", room.offered("ben")[0]) is Outcome.SAVED
    progress = room.desk.progress("q", "ana", since=BEGIN + timedelta(seconds=40))
    assert (progress.n_answered, progress.n_skipped, progress.n_today) == (6, 2, 2)
    assert progress.per_hour == pytest.approx(600)
    assert progress.n_left == 5, "what was skipped waits for somebody else"
    assert room.desk.progress("q", "cem", since=BEGIN).per_hour is None
    pages = [room.desk.history("q", "ana", skip=skip, n=3) for skip in (0, 3, 6)]
    moments = [past.at for page in pages for past in page]
    assert len(moments) == 8
    assert moments == sorted(moments, reverse=True)


def test_items_come_in_about_the_order_in_which_they_were_sent(room: Room) -> None:
    ref = room.project()
    for name in ("early", "late"):
        data = [TaskData(task_key=f"{name}{i}", data={"image": name}) for i in range(60)]
        room.annotator.import_tasks(ref, data)
    items = room.desk.next_items("q", "ana", n=40)
    assert {item.image for item in items} == {"early"}


def test_everybody_gets_something_else(room: Room) -> None:
    room.tasks(room.project(), 40)
    seen: set[str] = set()
    for person in "abcdefgh":
        own = set(room.offered(person))
        assert len(own) == 5
        assert not own & seen
        seen |= own
