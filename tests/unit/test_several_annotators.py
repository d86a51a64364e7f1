"""Several people answer one sample: majority, ties, and how far people agree."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.annotation import Annotation, resolve
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.line import LINE_END, chosen
from labelloop.core.task import TaskState
from labelloop.errors import ConfigError
from labelloop.exports import manifest
from labelloop.settings.file import load
from tests.world import ACCURACY, HEAD, LOW, Killed, World, kill_at_write

THREE = ACCURACY + "annotators_per_sample = 3\n"
SHARED = ACCURACY.replace("5", "40") + "overlap = 0.25\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, THREE)
    world.traffic(8)
    world.loop.run(now=True)
    yield world
    world.loop.close()


def said(answers: str) -> list[Annotation]:
    """One annotation a letter; a digit after it names the person, a dash is a skip."""
    made = []
    for i, text in enumerate(answers.split()):
        made.append(
            Annotation(
                task_key="k",
                remote_id=str(i),
                updated_at=datetime(2026, 3, 2, 12, i, tzinfo=UTC),
                annotator=text[1:] or f"p{i}",
                answer=None if text[0] == "-" else text[0],
                skipped=text[0] == "-",
            )
        )
    return made


@pytest.mark.parametrize(
    ("answers", "wanted", "label"),
    [
        ("a b", 1, "a"),
        ("a", 2, None),
        ("a a", 2, "a"),
        ("a b", 2, None),
        ("a b b", 2, "b"),
        ("a b c", 3, None),
        ("a b c c", 3, "c"),
        ("a a b b", 3, None),
        ("a - a", 3, None),
        ("- - -", 3, None),
        ("a1 a1 b2", 2, None),
        ("a1 b1 b1 a2", 2, "a"),
    ],
)
def test_the_answer_of_most_is_the_label(answers: str, wanted: int, label: str | None) -> None:
    found = resolve("k", said(answers), wanted=wanted)
    assert (found.label if found else None) == label


def test_a_label_names_all_it_counted_and_those_who_agree() -> None:
    found = resolve("k", said("a1 b2 a3"), wanted=3)
    assert found is not None
    assert (found.method, found.n_votes, found.annotator) == ("majority of 3", 3, "1 + 3")
    assert found.revision.count(" + ") == 2


def first(world: World) -> int:
    return world.annotator.task_ids(world.project_ref("accuracy"))[0]


def state(world: World, remote_id: str) -> TaskState:
    key = world.annotator.data_of(remote_id)["labelloop"]
    return next(t.state for t in world.tasks().values() if t.task_key == key)


def label(world: World, remote_id: str) -> str | None:
    return world.labels().get(str(world.annotator.data_of(remote_id)["labelloop"]))


def test_a_label_waits_for_everybody_that_is_wanted(world: World) -> None:
    task, held = first(world), world.annotator
    for by, after in (("ana", TaskState.ANNOTATED), ("ben", TaskState.ANNOTATED)):
        held.answer(task, "cat", by=by)
        world.loop.collect()
        assert state(world, task) is after
        assert label(world, task) is None
        assert task not in held.offered(world.project_ref("accuracy"), by=by)
        assert task in held.offered(world.project_ref("accuracy"), by="cem")
    held.answer(task, "dog", by="cem")
    assert world.loop.collect().n_labels == 1
    assert (state(world, task), label(world, task)) == (TaskState.RESOLVED, "cat")
    assert task not in held.offered(world.project_ref("accuracy"), by="dan")


def tie(world: World) -> tuple[str, list[str]]:
    task = first(world)
    ids = [
        world.annotator.answer(task, choice, by=by)
        for choice, by in (("cat", "ana"), ("dog", "ben"))
    ]
    return task, ids


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, ACCURACY + "annotators_per_sample = 2\n")
    world.traffic(8)
    world.loop.run(now=True)
    yield world
    world.loop.close()


def test_a_tie_is_offered_to_one_more_person_and_settled(pair: World) -> None:
    task, _ = tie(pair)
    project = pair.project_ref("accuracy")
    assert task not in pair.annotator.offered(project, by="cem")
    pair.loop.collect()
    assert state(pair, task) is TaskState.TIED
    assert pair.loop.send().n_asked_again == 1
    assert pair.loop.send().n_asked_again == 0, "asked once"
    assert task in pair.annotator.offered(project, by="cem")
    assert task not in pair.annotator.offered(project, by="ana")
    pair.annotator.answer(task, "dog", by="cem")
    assert pair.loop.collect().n_labels == 1
    assert (state(pair, task), label(pair, task)) == (TaskState.RESOLVED, "dog")
    pair.annotator.calls.clear()
    pair.loop.send()
    assert "ask_people" not in pair.annotator.calls
    assert task not in pair.annotator.offered(project, by="dan")


def test_an_edit_settles_a_tie_and_nobody_else_is_asked(pair: World) -> None:
    task, [_, second] = tie(pair)
    pair.loop.collect()
    pair.loop.send()
    pair.annotator.edit(second, "cat")
    pair.loop.collect()
    assert (state(pair, task), label(pair, task)) == (TaskState.RESOLVED, "cat")
    assert task in pair.annotator.offered(pair.project_ref("accuracy"), by="cem")
    pair.loop.send()
    assert task not in pair.annotator.offered(pair.project_ref("accuracy"), by="cem")


def test_a_deleted_answer_reopens_a_tie_and_a_label(pair: World) -> None:
    task, [one, two] = tie(pair)
    pair.loop.collect()
    pair.annotator.delete_annotation(two)
    pair.loop.collect()
    assert state(pair, task) is TaskState.ANNOTATED
    pair.loop.send()
    pair.annotator.answer(task, "cat", by="cem")
    pair.loop.collect()
    assert label(pair, task) == "cat"
    pair.annotator.delete_annotation(one)
    pair.loop.collect()
    assert (state(pair, task), label(pair, task)) == (TaskState.ANNOTATED, None)


def test_an_edit_can_tie_a_label(pair: World) -> None:
    task = first(pair)
    ids = [pair.annotator.answer(task, "cat", by=by) for by in ("ana", "ben")]
    pair.loop.collect()
    pair.annotator.edit(ids[0], "dog")
    pair.loop.collect()
    assert (state(pair, task), label(pair, task)) == (TaskState.TIED, None)


def test_a_second_answer_of_the_same_person_is_no_second_vote(pair: World) -> None:
    task = first(pair)
    for _ in range(2):
        pair.annotator.answer(task, "cat", by="ana")
    pair.loop.collect()
    assert state(pair, task) is TaskState.ANNOTATED
    assert task not in pair.annotator.offered(pair.project_ref("accuracy"), by="ben")
    pair.loop.send()
    assert task in pair.annotator.offered(pair.project_ref("accuracy"), by="ben")


def test_an_answer_that_is_no_class_takes_nobodys_place(pair: World) -> None:
    task = first(pair)
    project = pair.project_ref("accuracy")
    stray = pair.annotator.answer(task, "cow", by="ana")
    pair.annotator.answer(task, "cat", by="ben")
    pair.loop.collect()
    assert task not in pair.annotator.offered(project, by="cem")
    assert pair.loop.send().n_asked_again == 1
    assert task in pair.annotator.offered(project, by="cem")
    pair.annotator.edit(stray, "cat")
    pair.loop.collect()
    assert label(pair, task) == "cat"
    pair.loop.send()
    assert task not in pair.annotator.offered(project, by="cem")


def test_a_skip_leaves_the_place_to_others(pair: World) -> None:
    task = first(pair)
    pair.annotator.skip(task, by="ana")
    pair.loop.collect()
    assert state(pair, task) is TaskState.SKIPPED
    for by in ("ben", "cem"):
        assert task in pair.annotator.offered(pair.project_ref("accuracy"), by=by)
        pair.annotator.answer(task, "dog", by=by)
    pair.loop.collect()
    assert label(pair, task) == "dog"


@pytest.mark.parametrize("at", [1, 2])
def test_a_send_killed_while_it_asks_again_asks_in_the_end(pair: World, at: int) -> None:
    task, _ = tie(pair)
    pair.loop.collect()
    kill_at_write(pair, at)
    with pytest.raises(Killed):
        pair.loop.send()
    pair.restart().send()
    assert task in pair.annotator.offered(pair.project_ref("accuracy"), by="cem")
    assert pair.task(pair.draws()[0].sample_id, "evaluation").answers_wanted == 2


def test_a_tied_task_that_was_deleted_is_sent_again_and_asks_for_one_more(pair: World) -> None:
    task, _ = tie(pair)
    pair.loop.collect()
    pair.annotator.delete_task(task)
    pair.loop.collect()
    pair.loop.send()
    again = pair.annotator.task_ids(pair.project_ref("accuracy"))[-1]
    for by in ("ana", "ben"):
        assert again in pair.annotator.offered(pair.project_ref("accuracy"), by=by)
        pair.annotator.answer(again, "dog", by=by)
    pair.loop.collect()
    assert label(pair, again) == "dog"


def test_ties_are_listed_with_votes_and_page(pair: World) -> None:
    task, _ = tie(pair)
    pair.loop.collect()
    [found] = pair.loop.ties()
    assert (found.queue, dict(found.votes), found.remote_id) == (
        "accuracy",
        {"cat": 1, "dog": 1},
        task,
    )
    [queue] = pair.loop.status().queues
    assert (queue.n_tied, queue.n_open) == (1, 5)
    assert queue.oldest_at is not None
    assert pair.loop.measure().rounds[0].n_waiting == 5, "a tie still waits"


# --- overlap --------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, SHARED)
    world.traffic(60)
    world.loop.run(now=True)
    yield world
    world.loop.close()


def test_the_line_chooses_who_gets_a_second_annotator(shared: World) -> None:
    twice = {d.sample_id for d in shared.draws() if chosen(d.line, 0.25)}
    assert 3 < len(twice) < 20
    wanted = {t.sample_id: t.answers_wanted for t in shared.tasks().values()}
    assert {s for s, n in wanted.items() if n == 2} == twice
    ids = {
        str(shared.annotator.data_of(i)["labelloop"]): i
        for i in shared.annotator.task_ids(shared.project_ref("accuracy"))
    }
    shared.answer_all("cat")
    offered = set(shared.annotator.offered(shared.project_ref("accuracy"), by="ben"))
    assert offered == {ids[t.task_key] for t in shared.tasks().values() if t.sample_id in twice}


def test_the_chosen_part_is_independent_of_the_place() -> None:
    low = sum(chosen(place, 0.1) for place in range(2_000))
    high = sum(chosen(LINE_END - 1 - place, 0.1) for place in range(2_000))
    assert 140 < low < 260
    assert 140 < high < 260
    assert all(chosen(place, 1.0) and not chosen(place, 0.0) for place in range(100))


def test_agreement_counts_first_answers_of_those_wanted(shared: World) -> None:
    assert isinstance(shared.loop.measure().agreement[0].estimate, Undefined)
    twice = [t for t in shared.tasks().values() if t.answers_wanted == 2]
    ids = {str(shared.annotator.data_of(i)["labelloop"]): i for i in _all(shared)}
    shared.answer_all("cat")
    disagreeing = twice[:2]
    second = {
        t.task_key: shared.annotator.answer(
            ids[t.task_key], "dog" if t in disagreeing else "cat", by="ben"
        )
        for t in twice
    }
    shared.loop.collect()
    shared.loop.send()
    [found] = shared.loop.measure().agreement
    assert isinstance(found.estimate, Estimate)
    share = 1 - 2 / len(twice)
    assert (found.n_samples, found.n_tied) == (len(twice), 2)
    assert found.estimate.value == pytest.approx(share)
    assert found.estimate.low < share < found.estimate.high
    # a third answer and an edit settle the two; that doesn't change how far people agreed
    shared.annotator.answer(ids[disagreeing[0].task_key], "dog", by="cem")
    shared.annotator.edit(second[disagreeing[1].task_key], "cat")
    shared.loop.collect()
    [after] = shared.loop.measure().agreement
    assert after.estimate == found.estimate
    assert after.n_tied == 0
    assert shared.loop.measure().last_seven_days.n_labelled == 40


def _all(world: World) -> list[str]:
    return list(world.annotator.task_ids(world.project_ref("accuracy")))


def test_a_second_annotator_comes_with_the_rule(shared: World) -> None:
    assert shared.loop.project.queues[0].rule == "auto 40 of all traffic, two people for 25%"


def test_the_number_of_annotators_may_change_between_rounds(tmp_path: Path) -> None:
    world = World(tmp_path, THREE)
    world.traffic(8)
    world.loop.run(now=True)
    world.configure(ACCURACY)
    world.traffic(8)
    world.clock.pass_(days=2)
    world.loop.run()
    wanted = [t.answers_wanted for t in world.tasks().values()]
    assert sorted(wanted) == [1] * 5 + [3] * 5
    world.answer_all("cat")
    assert world.loop.collect().n_labels == 5
    offered = world.annotator.offered(world.project_ref("accuracy"), by="ben")
    assert len(offered) == 5, "those of the first round"
    world.loop.close()


def test_the_training_set_holds_the_majority(tmp_path: Path) -> None:
    world = World(tmp_path, LOW + "annotators_per_sample = 2\n")
    world.traffic(6, confidence="0.4")
    world.loop.run(now=True)
    [one, two, *_] = world.annotator.task_ids(world.project_ref("low"))
    for by in ("ana", "ben"):
        world.annotator.answer(one, "dog", by=by)
        world.annotator.answer(two, "dog" if by == "ana" else "cat", by=by)
    world.loop.collect()
    world.loop.build()
    [row] = manifest.rows(world.loop.dataset("training"))
    assert (row.label, row.annotator) == ("dog", "ana + ben")
    world.loop.close()


def test_overlap_and_several_annotators_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + THREE + "overlap = 0.1\n")
    with pytest.raises(ConfigError, match="leave overlap out"):
        load(path, {})


def test_status_lists_ties_from_the_command_line(pair: World) -> None:
    tie(pair)
    pair.loop.collect()
    config = ["--config", str(pair.folder / "labelloop.toml")]
    listed = CliRunner().invoke(group, ["status", "--ties", *config])
    assert listed.exit_code == 0, listed.output
    assert "cat 1, dog 1" in listed.output
    assert f"?task={first(pair)}" in listed.output
    assert "1 task tied" in CliRunner().invoke(group, ["status", *config]).output
