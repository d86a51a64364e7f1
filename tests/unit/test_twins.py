"""Byte-identical copies of an input share one task and one label, and stay on one side of the wall."""

import pytest

from labelloop.core.estimate import Estimate
from labelloop.core.task import TaskState
from labelloop.exports import manifest
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, LOW, World

ALL_LOW = LOW.replace("budget = 4\n", "")


def day(world: World, *, answer: str = "cat") -> None:
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all(answer)
    world.loop.collect()
    world.clock.pass_(days=1)


def test_copies_in_one_round_are_answered_once_and_count_each(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    for i in range(4):
        world.put(f"{i}.png", b"the same", predicted_class="cat" if i < 3 else "dog")
    world.put("other.png", predicted_class="cat")
    day(world)
    assert len(world.remote_keys()) == 2
    draws = world.draws()
    assert len(draws) == 5
    assert len({d.task_key for d in draws}) == 2
    assert {d.inclusion for d in draws} == {1.0}
    found = world.loop.measure().last_seven_days
    assert isinstance(found.estimate, Estimate)
    assert (found.n_labelled, found.estimate.value) == (5, 0.8)
    world.assert_counts()


def test_a_copy_that_comes_later_shares_the_label_that_is_there(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.put("first.png", b"the same")
    day(world)
    world.put("second.png", b"the same", predicted_class="dog")
    world.loop.index()
    assert world.loop.select(now=True).plans[0].n_drawn == 1
    assert world.loop.send().n_sent == 0
    assert [d.label for d in world.draws()] == ["cat", "cat"]
    assert world.loop.build().evaluation.n_human == 1, "a dataset holds an input once"


def test_a_training_queue_draws_no_copy_of_what_is_evaluated(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "1") + ALL_LOW)
    for i in range(6):
        world.put(f"{i}.png", b"the same", confidence="0.2")
    day(world)
    assert [d.queue for d in world.draws()] == ["accuracy"]
    world.put("later.png", b"the same", confidence="0.2")
    world.put("unlike.png", confidence="0.2")
    world.put("unlike too.png", confidence="0.2")
    day(world)
    for draw in world.draws("low"):
        assert draw.sample_id.startswith("unlike")
    world.loop.build()
    rows = list(manifest.rows(world.loop.dataset("training")))
    assert {row.sample_id.split(".")[0].split()[0] for row in rows} <= {"unlike"}


def test_copies_train_with_one_answer(make_world: MakeWorld) -> None:
    world = make_world(ALL_LOW)
    for i in range(3):
        world.put(f"{i}.png", b"the same", confidence="0.2")
    day(world, answer="dog")
    assert len(world.remote_keys()) == 1
    assert world.loop.build().training.n_human == 1
    rows = list(manifest.rows(world.loop.dataset("training")))
    assert {row.label for row in rows} == {"dog"}


@pytest.mark.parametrize("queue", [ACCURACY, ALL_LOW])
def test_a_copy_whose_twin_is_gone_is_asked_about_itself(make_world: MakeWorld, queue: str) -> None:
    world = make_world(queue)
    gone = world.put("gone.png", b"the same", confidence="0.2")
    world.loop.index()
    world.loop.select(now=True)
    world.store.delete(f"s3://production/{gone}")
    world.loop.send()
    assert world.states() == {TaskState.UNAVAILABLE: 1}
    world.clock.pass_(days=1)
    world.put("there.png", b"the same", confidence="0.2")
    day(world)
    assert world.states() == {TaskState.UNAVAILABLE: 1, TaskState.RESOLVED: 1}


def test_a_copy_of_an_evaluated_input_is_walled_though_it_has_no_task_of_its_own(
    make_world: MakeWorld,
) -> None:
    world = make_world(ACCURACY + ALL_LOW)
    world.put("a.png", b"the same", confidence="0.2")
    world.put("b.png", b"the same", confidence="0.2")
    day(world)
    assert {d.queue for d in world.draws()} == {"accuracy"}
    world.loop.select(since=world.clock.at.replace(month=1))
    assert {d.queue for d in world.draws()} == {"accuracy"}
    assert len({d.task_key for d in world.draws()}) == 1


def test_a_copy_of_a_forgotten_sample_is_not_forgotten(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.put("asked.png", b"the same")
    day(world)
    world.put("copy.png", b"the same")
    day(world)
    world.loop.forget(["asked.png"])
    found = {d.sample_id == "copy.png": (d.forgotten, d.label) for d in world.draws()}
    assert found == {True: (False, "cat"), False: (True, "cat")}
    world.put("third.png", b"the same")
    day(world)
    assert world.draws()[-1].task_key not in {d.task_key for d in world.draws()[:-1]}
