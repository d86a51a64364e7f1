"""collect: every answer comes home, with its edits, its skips and its deletions."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from labelloop.core.task import TaskState
from labelloop.errors import AnnotatorUnavailable
from labelloop.ledger import cursors, events, held_counts
from tests.lasting import Kept
from tests.unit.conftest import Keep, MakeWorld
from tests.world import HEAD, LOW, Killed, World, kill_at_write

S = TaskState


def send(world: World) -> None:
    world.traffic(4, confidence="0.1")
    world.loop.index()
    world.loop.select()
    world.loop.send()


@pytest.fixture(scope="module")
def kept(keep: Keep) -> Kept[World]:
    return keep(send, LOW)


@pytest.fixture
def sent(kept: Kept[World]) -> Iterator[World]:
    """Four tasks of a training queue stand in Label Studio, with the ids t1 to t4."""
    with kept.again() as world:
        yield world


def label(world: World, remote_id: str) -> str | None:
    key = str(world.annotator.data_of(remote_id)["labelloop"])
    return world.labels().get(key)


def state(world: World, remote_id: str) -> TaskState:
    key = str(world.annotator.data_of(remote_id)["labelloop"])
    return next(t.state for t in world.tasks().values() if t.task_key == key)


def revisions(world: World, remote_id: str) -> int:
    import sqlalchemy as sa

    from labelloop.ledger import tables as t

    key = world.annotator.data_of(remote_id)["labelloop"]
    with world.loop.project.ledger.read() as tx:
        return len(
            tx.execute(sa.select(t.annotations).where(t.annotations.c.task_key == key)).all()
        )


def test_nothing_sent_makes_no_request(world: World) -> None:
    assert world.loop.collect().n_labels == 0
    assert world.annotator.calls == []


def test_an_answer_becomes_the_label_of_its_task(sent: World) -> None:
    sent.annotator.answer("t1", "dog", by="ana")
    assert sent.loop.collect().n_labels == 1
    assert label(sent, "t1") == "dog"
    assert sent.states() == {S.RESOLVED: 1, S.SENT: 3}
    assert sent.loop.collect().n_labels == 0


def test_an_edit_is_a_new_revision_and_a_new_label(sent: World) -> None:
    number = sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    sent.annotator.edit(number, "cat")
    found = sent.loop.collect()
    assert (found.n_labels, found.n_edited) == (0, 1)
    assert label(sent, "t1") == "cat"
    assert revisions(sent, "t1") == 2
    with sent.loop.project.ledger.read() as tx:
        told = [e.verb for e in events.of(tx, str(sent.annotator.data_of("t1")["labelloop"]))]
    assert told[-2:] == ["annotated", "resolved"]
    assert sent.loop.collect().n_edited == 0


def test_the_first_answer_holds_against_later_ones(sent: World) -> None:
    first = sent.annotator.answer("t1", "dog", by="ana")
    sent.annotator.answer("t1", "cat", by="ben")
    sent.loop.collect()
    assert label(sent, "t1") == "dog"
    sent.annotator.delete_annotation(first)
    sent.loop.collect()
    assert label(sent, "t1") == "cat"


def test_a_skip_and_then_an_answer(sent: World) -> None:
    number = sent.annotator.skip("t1", by="ana")
    assert sent.loop.collect().n_skipped == 1
    assert state(sent, "t1") is S.SKIPPED
    sent.annotator.answer("t1", "cat", by="ben")
    assert sent.loop.collect().n_labels == 1
    assert state(sent, "t1") is S.RESOLVED
    sent.annotator.edit(number, "dog")
    sent.loop.collect()
    assert label(sent, "t1") == "dog"


def test_answers_that_are_deleted_reopen_their_task(sent: World) -> None:
    number = sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    sent.annotator.delete_annotation(number)
    assert sent.loop.collect().n_deleted == 1
    assert (label(sent, "t1"), state(sent, "t1")) == (None, S.SENT)
    sent.annotator.answer("t1", "cat", by="ben")
    assert sent.loop.collect().n_labels == 1
    assert label(sent, "t1") == "cat"


def test_a_skip_that_is_deleted_reopens_its_task(sent: World) -> None:
    number = sent.annotator.skip("t1", by="ana")
    sent.loop.collect()
    sent.annotator.delete_annotation(number)
    sent.loop.collect()
    assert state(sent, "t1") is S.SENT


@pytest.mark.mistake("answer-no-class")
def test_an_answer_that_is_no_class_is_set_aside_and_reported(sent: World) -> None:
    number = sent.annotator.answer("t1", "cow", by="ana")
    (stray,) = sent.loop.collect().strays
    assert (stray.value, stray.annotator) == ("cow", "ana")
    assert state(sent, "t1") is S.SENT
    (listed,) = sent.loop.status().strays
    assert (listed.value, listed.annotator, listed.queue) == ("cow", "ana", "low")
    assert (listed.project_ref, listed.remote_id) == (sent.project_ref("low"), "t1")
    sent.annotator.edit(number, "dog")
    assert sent.loop.collect().strays == ()
    assert label(sent, "t1") == "dog"


def test_an_answer_edited_into_no_class_withdraws_the_label(sent: World) -> None:
    number = sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    sent.annotator.edit(number, "cow")
    found = sent.loop.collect()
    assert [s.value for s in found.strays] == ["cow"]
    assert (label(sent, "t1"), state(sent, "t1")) == (None, S.SENT)
    sent.annotator.edit(number, "dog")
    sent.loop.collect()
    assert label(sent, "t1") == "dog"


def test_a_class_that_is_retired_keeps_its_labels_and_sets_new_ones_aside(sent: World) -> None:
    sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    sent.configure(LOW, head=HEAD.replace('"dog"]', '"cow"]'))
    sent.annotator.answer("t2", "dog", by="ana")
    sent.annotator.duplicate_task("t3")  # the counts differ, so that everything is read again
    found = sent.loop.collect()
    assert label(sent, "t1") == "dog"
    assert label(sent, "t2") is None
    assert [s.value for s in found.strays] == ["dog"]


def test_strays_become_answers_when_their_class_is_added(sent: World) -> None:
    sent.annotator.answer("t1", "cow", by="ana")
    sent.loop.collect()
    sent.clock.pass_(days=1)
    sent.configure(LOW, head=HEAD.replace('"dog"]', '"dog", "cow"]'))
    found = sent.loop.collect()
    assert (found.n_labels, found.strays) == (1, ())
    assert label(sent, "t1") == "cow"


# --- duplicates -----------------------------------------------------------------------------


@pytest.mark.mistake("tasks-copied")
def test_an_unanswered_duplicate_is_deleted(sent: World) -> None:
    twin = sent.annotator.duplicate_task("t1")
    assert sent.loop.collect().n_duplicates == 1
    assert twin not in sent.annotator.task_ids(sent.project_ref("low"))
    assert len(sent.remote_keys()) == 4


@pytest.mark.parametrize("collected_before", [True, False])
def test_an_answered_duplicate_is_folded_and_the_other_goes(
    sent: World, collected_before: bool
) -> None:
    if collected_before:
        sent.loop.collect()
    twin = sent.annotator.duplicate_task("t1")
    key = str(sent.annotator.data_of("t1")["labelloop"])
    sent.annotator.answer(twin, "dog", by="ana")
    found = sent.loop.collect()
    assert (found.n_labels, found.n_duplicates) == (1, 1)
    assert sent.labels() == {key: "dog"}
    assert twin in sent.annotator.task_ids(sent.project_ref("low"))
    assert len(sent.remote_keys()) == len(set(sent.remote_keys())) == 4
    assert sent.states() == {S.RESOLVED: 1, S.SENT: 3}


@pytest.mark.mistake("tasks-copied")
def test_two_answered_duplicates_are_one_task_with_two_answers(sent: World) -> None:
    twin = sent.annotator.duplicate_task("t1")
    sent.annotator.answer(twin, "dog", by="ana")
    sent.clock.pass_(hours=1)
    own = sent.annotator.answer("t1", "cat", by="ben")
    sent.loop.collect()
    assert label(sent, "t1") == "dog"
    sent.clock.pass_(hours=1)
    # only one of the two changes: the other's answer isn't in the page, and stands
    sent.annotator.edit(own, "dog")
    sent.annotator.edit(own, "cat")
    found = sent.loop.collect()
    assert (label(sent, "t1"), found.n_deleted) == ("dog", 0)


def test_the_duplicate_takes_over_where_the_task_is_deleted(sent: World) -> None:
    twin = sent.annotator.duplicate_task("t1")
    key = str(sent.annotator.data_of("t1")["labelloop"])
    sent.annotator.delete_task("t1")
    sent.loop.collect()
    task = next(t for t in sent.tasks().values() if t.task_key == key)
    assert (task.state, task.remote_id) == (S.SENT, twin)


@pytest.mark.mistake("tasks-foreign")
def test_tasks_that_are_not_ours_are_left_alone(sent: World) -> None:
    from labelloop.ports.annotator import TaskData

    project = sent.project_ref("low")
    (foreign,) = sent.annotator.import_tasks(project, [TaskData(task_key="x", data={"image": "i"})])
    sent.annotator.answer(foreign, "cat", by="ana")
    found = sent.loop.collect()
    assert (found.n_labels, found.n_duplicates, found.n_lost) == (0, 0, 0)
    assert foreign in sent.annotator.task_ids(project)


# --- what is gone ---------------------------------------------------------------------------


@pytest.mark.mistake("tasks-deleted")
def test_a_deleted_task_is_sent_again(sent: World) -> None:
    key = str(sent.annotator.data_of("t2")["labelloop"])
    sent.annotator.delete_task("t2")
    assert sent.loop.collect().n_lost == 1
    assert sent.states() == {S.SENT: 3, S.DRAWN: 1}
    assert sent.loop.send().n_sent == 1
    task = next(t for t in sent.tasks().values() if t.task_key == key)
    assert (task.state, task.attempt) == (S.SENT, 1)
    assert len(sent.remote_keys()) == 4


def test_a_resolved_label_stands_when_its_task_is_deleted(sent: World) -> None:
    key = str(sent.annotator.data_of("t1")["labelloop"])
    sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    sent.annotator.delete_task("t1")
    assert sent.loop.collect().n_lost == 0
    assert sent.labels() == {key: "dog"}
    assert sent.loop.send().n_sent == 0


def test_a_skipped_task_that_is_deleted_is_sent_again_and_open(sent: World) -> None:
    sent.annotator.skip("t1", by="ana")
    sent.loop.collect()
    sent.annotator.delete_task("t1")
    assert sent.loop.collect().n_lost == 1
    sent.loop.send()
    sent.loop.collect()
    assert sent.states() == {S.SENT: 4}


@pytest.mark.mistake("project-deleted")
def test_a_deleted_project_is_named_and_its_open_tasks_sent_again(sent: World) -> None:
    sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    sent.annotator.delete_project(sent.project_ref("low"))
    found = sent.loop.collect()
    assert (found.lost_projects, found.n_lost) == (("low",), 3)
    assert sent.loop.collect().lost_projects == ()
    assert sent.loop.send().n_sent == 3
    assert sent.states() == {S.RESOLVED: 1, S.SENT: 3}
    sent.answer_all()
    assert sent.loop.collect().n_labels == 3


# --- how it reads ---------------------------------------------------------------------------


def test_only_what_changed_is_read_and_the_watermark_overlaps_by_a_minute(sent: World) -> None:
    asked: list[object] = []
    original = sent.annotator.tasks

    def tasks(project_ref, updated_after=None):  # type: ignore[no-untyped-def]
        asked.append(updated_after)
        return original(project_ref, updated_after)

    sent.annotator.tasks = tasks  # type: ignore[method-assign]
    sent.clock.pass_(hours=1)
    sent.annotator.answer("t1", "dog", by="ana")
    changed_at = sent.clock.at
    sent.loop.collect()
    sent.loop.collect()
    sent.loop.collect()
    assert asked[0] is None
    assert len(asked) == 3
    for mark in asked[1:]:
        assert abs(mark - (changed_at - timedelta(minutes=1))) < timedelta(seconds=1)  # type: ignore[operator]


def test_a_change_that_shows_late_is_found_by_the_counts(sent: World) -> None:
    sent.annotator.answer("t1", "dog", by="ana")
    sent.loop.collect()
    with (
        sent.loop.project.ledger.lease("collect") as lease,
        sent.loop.project.ledger.write(lease) as tx,
    ):
        later = (sent.clock.at + timedelta(hours=1)).isoformat()
        cursors.put(tx, f"collect:{sent.project_ref('low')}", later)
    sent.annotator.answer("t2", "cat", by="ana")
    assert sent.loop.collect().n_labels == 1
    with sent.loop.project.ledger.read() as tx:
        assert held_counts.count_again(tx, sent.project_ref("low")) == 2


def test_pages_are_read_to_the_end(make_world: MakeWorld) -> None:
    from labelloop.testing import MemoryAnnotator

    world = make_world(LOW.replace("budget = 4", ""))
    world.annotator = MemoryAnnotator(timeout_s=3, page_size=3, now=lambda: world.clock.at)
    world.restart()
    world.traffic(10, confidence="0.1")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    assert world.answer_all() == 10
    assert world.loop.collect().n_labels == 10


@pytest.mark.parametrize("call", ["projects", "tasks", "find", "delete_task"])
def test_a_fault_at_any_call_loses_nothing(sent: World, call: str) -> None:
    for number in (1, 2, 3):
        sent.annotator.answer(f"t{number}", "dog", by="ana")
    sent.annotator.duplicate_task("t4")
    sent.annotator.fail_next(call)
    with pytest.raises(AnnotatorUnavailable):
        sent.loop.collect()
    sent.loop.collect()
    assert len(sent.labels()) == 3
    assert len(sent.remote_keys()) == 4


@pytest.mark.parametrize("at", range(1, 4))
def test_a_collect_killed_at_any_write_ends_in_the_same_state(sent: World, at: int) -> None:
    number = sent.annotator.answer("t1", "dog", by="ana")
    sent.annotator.skip("t2", by="ana")
    sent.annotator.answer("t3", "cow", by="ana")
    sent.loop.collect()
    sent.annotator.edit(number, "cat")
    sent.annotator.answer("t2", "cat", by="ben")
    sent.annotator.delete_task("t4")
    kill_at_write(sent, at)
    with pytest.raises(Killed):
        sent.loop.collect()
    sent.restart().collect()
    assert sorted(sent.labels().values()) == ["cat", "cat"]
    assert sent.states() == {S.RESOLVED: 2, S.SENT: 1, S.DRAWN: 1}
    assert revisions(sent, "t1") == 2
    assert [s.value for s in sent.loop.status().strays] == ["cow"]
