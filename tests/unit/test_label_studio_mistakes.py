"""What people do to Label Studio behind labelloop's back: nothing is lost, and nothing mixed up."""

from collections import Counter

import pytest

from labelloop.core.task import TaskState
from labelloop.errors import AnnotatorDenied, AnnotatorError, AnnotatorUnavailable, ProjectGone
from labelloop.ports.annotator import ProjectSpec, TaskData
from labelloop.testing import MemoryAnnotator
from tests.unit.conftest import MakeWorld
from tests.world import LOW, World

S = TaskState


@pytest.fixture
def sent(make_world: MakeWorld) -> World:
    """Four tasks of a training queue stand in Label Studio, with the ids 1 to 4."""
    world = make_world(LOW)
    world.traffic(4, confidence="0.1")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    return world


def label(world: World, key: str) -> str | None:
    return world.labels().get(key)


def key_of(world: World, remote_id: str) -> str:
    return str(world.annotator.data_of(remote_id)["labelloop"])


def imported_by_others(world: World, n: int) -> list[str]:
    data = [TaskData(task_key=f"theirs {i}", data={"image": f"theirs {i}"}) for i in range(n)]
    return list(world.annotator.import_tasks(world.project_ref("low"), data))


# --- restored from a backup -------------------------------------------------------------------


@pytest.fixture
def restored(sent: World) -> World:
    """Since the backup: answers to 1 and 2, four more tasks, an answer to 5; then others came first.

    The tasks 5 to 8 are now others', the counts are what they were, and 6 has others' answer.
    """
    backup = sent.annotator.backup()
    sent.clock.pass_(hours=1)
    for remote_id in ("t1", "t2"):
        sent.annotator.answer(remote_id, "dog", by="ana")
    sent.traffic(4, confidence="0.1")
    sent.loop.index()
    sent.loop.select(now=True)
    sent.loop.send()
    sent.annotator.answer("t5", "dog", by="ana")
    assert sent.loop.collect().n_labels == 3
    sent.annotator.restore(backup)
    sent.clock.pass_(hours=1)
    assert imported_by_others(sent, 4) == ["t5", "t6", "t7", "t8"]
    sent.annotator.answer("t6", "cat", by="ben")
    return sent


@pytest.mark.mistake("label-studio-restored")
def test_a_label_studio_restored_from_a_backup_loses_no_label_and_mixes_up_no_ids(
    restored: World,
) -> None:
    before = restored.labels()
    assert sorted(before.values()) == ["dog", "dog", "dog"]
    found = restored.loop.collect()
    assert (found.n_lost, found.n_deleted, found.n_labels) == (3, 0, 0)
    assert restored.labels() == before
    assert restored.states() == {S.RESOLVED: 3, S.SENT: 2, S.DRAWN: 3}
    assert restored.loop.send().n_sent == 3
    again = restored.loop.collect()
    assert (again.n_lost, again.n_deleted) == (0, 0)
    assert restored.labels() == before
    ours = [key for key in restored.remote_keys() if not key.startswith("theirs")]
    assert Counter(ours) == Counter(t.task_key for t in restored.tasks().values()) - Counter(
        [t.task_key for t in restored.tasks().values() if t.remote_id == "t5"]
    )
    restored.answer_all("cat")
    restored.loop.collect()
    assert restored.states() == {S.RESOLVED: 8}


@pytest.mark.mistake("label-studio-restored")
def test_a_new_answer_replaces_one_that_a_restored_label_studio_lost(restored: World) -> None:
    key = key_of(restored, "t1")
    restored.loop.collect()
    restored.annotator.answer("t1", "cat", by="ben")
    restored.loop.collect()
    assert label(restored, key) == "cat"


@pytest.mark.mistake("label-studio-restored")
def test_no_task_of_others_is_changed_that_has_the_id_of_one_of_ours(restored: World) -> None:
    theirs = [restored.annotator.data_of(i) for i in ("t5", "t6", "t7", "t8")]
    with restored.loop.project.ledger.read() as tx:
        from labelloop.ledger import tasks

        believed = [t.remote_id for t in tasks.in_project(tx, restored.project_ref("low"))]
    assert sorted(i for i in believed if i) == [f"t{number}" for number in range(1, 9)]
    # before any collect could notice
    assert restored.loop.send(refresh=True).n_refreshed == 2
    assert [restored.annotator.data_of(i) for i in ("t5", "t6", "t7", "t8")] == theirs


# --- tasks ------------------------------------------------------------------------------------


@pytest.mark.mistake("tasks-deleted")
def test_a_deleted_task_is_missed_though_others_imported_as_many(sent: World) -> None:
    sent.loop.collect()
    sent.annotator.delete_task("t2")
    imported_by_others(sent, 1)
    assert sent.loop.collect().n_lost == 1
    assert sent.loop.send().n_sent == 1


@pytest.mark.mistake("tasks-foreign")
def test_others_tasks_are_read_whole_once_and_not_each_time(sent: World) -> None:
    asked: list[object] = []
    original = sent.annotator.tasks

    def tasks(project_ref, updated_after=None):  # type: ignore[no-untyped-def]
        asked.append(updated_after)
        return original(project_ref, updated_after)

    sent.loop.collect()
    sent.clock.pass_(hours=1)
    imported_by_others(sent, 2)
    sent.annotator.tasks = tasks  # type: ignore[method-assign]
    sent.loop.collect()
    assert [mark is None for mark in asked] == [False, True]
    sent.loop.collect()
    sent.loop.collect()
    assert [mark is None for mark in asked] == [False, True, False, False]


# --- the labelling config ---------------------------------------------------------------------


@pytest.mark.mistake("choices-edited")
def test_choices_edited_by_hand_are_put_back(sent: World) -> None:
    project = sent.project_ref("low")
    for edited in (["cat"], ["cat", "hound"], ["cat", "dog", "cow"]):
        sent.annotator.offer(project, edited)
        sent.loop.send()
        assert list(sent.annotator.choices(project)) == ["cat", "dog"]


@pytest.mark.mistake("control-gone")
def test_a_project_without_our_control_waits_and_the_others_are_served(world: World) -> None:
    world.traffic(40)
    world.loop.run()
    world.annotator.offer(world.project_ref("accuracy"), None)
    world.clock.pass_(days=1)
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    with pytest.raises(AnnotatorError, match="has no Choices named 'label'"):
        world.loop.send()
    assert world.states() == {S.SENT: 13, S.DRAWN: 5}
    world.annotator.offer(world.project_ref("accuracy"), ["cat", "dog"])
    world.loop.send()
    assert world.states() == {S.SENT: 18}


@pytest.mark.mistake("config-refuses")
def test_a_project_that_takes_no_tasks_waits_and_the_others_are_served(world: World) -> None:
    world.traffic(40)
    world.loop.index()
    world.loop.select()
    world.annotator.fail_next(
        "import_tasks", AnnotatorError('"img" key is expected in task data'), carried_out=False
    )
    with pytest.raises(AnnotatorError, match="of queue 'accuracy' takes no tasks") as caught:
        world.loop.send()
    assert "must show $image" in caught.value.remedy
    assert world.states() == {S.DRAWN: 5, S.SENT: 4}
    started = world.clock.at
    world.loop.send()
    assert world.states() == {S.SENT: 9}
    assert world.clock.at == started, "nothing was in doubt, so nothing was waited for"


@pytest.mark.mistake("project-unreadable")
def test_a_project_that_cant_be_read_keeps_no_answers_of_others_back(world: World) -> None:
    world.traffic(40)
    world.loop.run()
    world.answer_all()
    world.annotator.fail_next("tasks")
    with pytest.raises(AnnotatorUnavailable):
        world.loop.collect()
    assert world.states() == {S.SENT: 5, S.RESOLVED: 4}
    for _ in range(2):
        world.annotator.fail_next("tasks")
    world.annotator.calls.clear()
    with pytest.raises(AnnotatorUnavailable):
        world.loop.collect()
    assert world.annotator.calls.count("tasks") == 2
    assert world.loop.collect().n_labels == 5


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.mistake("answer-no-class")
def test_an_empty_answer_and_one_of_two_choices_are_set_aside(sent: World) -> None:
    sent.annotator.answer("t1", by="ana")
    sent.annotator.answer("t2", "cat", "dog", by="ana")
    found = sent.loop.collect()
    assert sorted(s.value for s in found.strays) == ["(nothing)", "cat + dog"]
    assert (found.n_labels, sent.states()) == (0, {S.SENT: 4})


# --- projects out of sight --------------------------------------------------------------------


def unchanged(world: World) -> None:
    assert world.states() == {S.SENT: 4}
    assert sorted(world.remote_keys()) == sorted(t.task_key for t in world.tasks().values())
    assert len(world.annotator.projects()) == 1


@pytest.mark.mistake("account-outside")
def test_an_account_outside_the_organisation_loses_no_project(sent: World) -> None:
    sent.annotator.outside = True
    for verb in (sent.loop.collect, sent.loop.send):
        with pytest.raises(AnnotatorDenied, match="belongs to no organisation"):
            verb()
    sent.annotator.outside = False
    sent.loop.collect()
    unchanged(sent)


@pytest.mark.mistake("account-outside")
def test_a_project_that_the_account_may_not_see_is_not_gone(sent: World) -> None:
    sent.annotator.remove_marker(sent.project_ref("low"))
    sent.annotator.fail_next("find", AnnotatorDenied("no permission"), carried_out=False)
    with pytest.raises(
        AnnotatorDenied, match="has no access to project p1 of queue 'low'"
    ) as caught:
        sent.loop.collect()
    assert "member of the organisation" in caught.value.remedy
    assert sent.states() == {S.SENT: 4}


@pytest.mark.mistake("marker-removed")
def test_a_project_whose_marker_was_removed_is_named_and_not_made_twice(sent: World) -> None:
    project_ref = sent.project_ref("low")
    marker = sent.annotator.projects()[0].marker
    sent.annotator.remove_marker(project_ref)
    sent.traffic(4, confidence="0.1")
    sent.loop.index()
    sent.loop.select(now=True)
    for verb in (sent.loop.collect, sent.loop.send):
        with pytest.raises(AnnotatorError, match=f"has lost the line '{marker}'") as caught:
            verb()
        assert f"/projects/{project_ref}" in caught.value.remedy
    assert sent.annotator.calls.count("create_project") == 1
    assert sent.states() == {S.SENT: 4, S.DRAWN: 4}


@pytest.mark.mistake("label-studio-moved")
def test_another_label_studio_is_no_reason_to_send_everything_again(sent: World) -> None:
    sent.loop.collect()
    first = sent.annotator
    second = MemoryAnnotator(url="http://other", timeout_s=3, now=lambda: sent.clock.at)
    spec = ProjectSpec(
        title="food", marker="labelloop:f00d/low", classes=("a", "b"), show=(), blind=False
    )
    second.create_project(spec)  # another ledger's, with the id of ours
    sent.annotator = second
    sent.restart()
    for verb in (sent.loop.collect, sent.loop.send):
        with pytest.raises(
            AnnotatorError, match="the annotator at http://other has none of the"
        ) as caught:
            verb()
        assert "last saw them at http://annotator.invalid" in str(caught.value)
    assert list(second.choices("p1")) == ["a", "b"]
    assert sent.states() == {S.SENT: 4}
    # it was a slip
    sent.annotator = first
    sent.restart().collect()
    unchanged(sent)
    # it wasn't: the old one is gone for good
    sent.annotator = second
    sent.restart()
    assert sent.loop.collect(anew=True).n_lost == 4
    assert sent.loop.send().n_sent == 4
    sent.answer_all()
    assert sent.loop.collect().n_labels == 4


@pytest.mark.mistake("label-studio-moved")
def test_a_new_address_of_the_same_label_studio_is_taken_over(sent: World) -> None:
    sent.loop.collect()
    sent.annotator.url = "http://new"
    sent.loop.collect()
    sent.annotator.delete_project(sent.project_ref("low"))
    assert sent.loop.collect().lost_projects == ("low",)


@pytest.mark.mistake("project-duplicated")
def test_a_copied_project_is_left_alone_until_the_first_is_deleted(sent: World) -> None:
    (first,) = sent.annotator.projects()
    spec = ProjectSpec(
        title="a copy", marker=first.marker, classes=("cat", "dog"), show=(), blind=False
    )
    copy = sent.annotator.create_project(spec)
    tasks = [
        TaskData(task_key=key_of(sent, i), data=sent.annotator.data_of(i))
        for i in ("t1", "t2", "t3", "t4")
    ]
    copied = sent.annotator.import_tasks(copy.project_ref, tasks)
    sent.annotator.answer(copied[0], "dog", by="ben")
    sent.traffic(4, confidence="0.1")
    sent.loop.run(now=True)
    assert sent.states() == {S.SENT: 8}, "an answer to a copy is none"
    assert len(sent.annotator.task_ids(first.project_ref)) == 8
    assert len(sent.annotator.task_ids(copy.project_ref)) == 4

    sent.annotator.delete_project(first.project_ref)
    assert sent.loop.collect().n_lost == 8
    found = sent.loop.send()
    assert (found.n_sent, found.n_found) == (4, 4)
    assert sent.loop.collect().n_labels == 1


def test_a_project_that_vanishes_whenever_it_is_made_is_made_twice_at_most(
    make_world: MakeWorld,
) -> None:
    world = make_world(LOW)
    world.traffic(4, confidence="0.1")
    world.loop.index()
    world.loop.select()
    original = world.annotator.import_tasks

    def vanish(project_ref, tasks):  # type: ignore[no-untyped-def]
        world.annotator.delete_project(project_ref)
        return original(project_ref, tasks)

    world.annotator.import_tasks = vanish  # type: ignore[method-assign]
    with pytest.raises(ProjectGone):
        world.loop.send()
    assert world.annotator.calls.count("create_project") == 2
