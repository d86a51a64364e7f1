"""Byte-identical copies of an input share one task and one label, and stay on one side of the wall."""

from collections.abc import Callable
from hashlib import md5

import pytest

from labelloop.core.estimate import Estimate
from labelloop.core.task import TaskState
from labelloop.errors import InputGone
from labelloop.exports import manifest
from labelloop.ports.log import SameSize
from labelloop.steps.build import same_content
from labelloop.steps.build.same_content import compared
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


def test_a_budget_is_not_spent_on_copies_of_what_is_evaluated(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "1") + LOW)
    for i in range(40):
        world.put(f"{i}.png", b"the same", confidence="0.2")
    day(world)
    assert [d.queue for d in world.draws()] == ["accuracy"]
    for i in range(300):
        world.put(f"copy {i}.png", b"the same", confidence="0.2")
    for i in range(7):
        world.put(f"unlike {i}.png", confidence="0.2")
    world.loop.index()
    plans = {p.queue: p for p in world.loop.select(now=True).plans}
    assert (plans["low"].n_drawn, plans["low"].n_matching) == (4, 306)
    drawn = [d.sample_id for d in world.draws("low")]
    assert len(drawn) == 4
    assert all(name.startswith("unlike") for name in drawn)


def test_where_only_copies_are_left_the_rest_of_a_budget_is_kept(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "1") + LOW)
    for i in range(9):
        world.put(f"{i}.png", b"the same", confidence="0.2")
    world.put("unlike.png", confidence="0.2")
    day(world)
    evaluated = world.draws("accuracy")[0].sample_id
    assert len(world.draws("low")) == (4 if evaluated == "unlike.png" else 1)


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


@pytest.mark.parametrize("model", ["v1", "v2"])
def test_what_a_key_holds_now_takes_no_label_of_what_it_held(
    make_world: MakeWorld, model: str
) -> None:
    """A sample drawn again shares its task by its id: the log keeps the input that was asked about."""
    world = make_world(ACCURACY)
    world.put("asked.png", b"a cat", predicted_class="cat", model="v1")
    day(world)
    world.put("asked.png", b"a dog", predicted_class="dog", model=model)
    world.put("copy.png", b"a dog", predicted_class="dog", model=model)
    assert world.loop.index().n_set_aside == 1
    world.loop.select(since=world.clock.at.replace(month=1))
    first, again, copy = sorted(world.draws(), key=lambda d: (d.sample_id, d.round))
    assert (again.task_key, again.content_hash) == (first.task_key, first.content_hash)
    assert (again.predicted_class, again.label) == ("cat", "cat")
    assert (copy.predicted_class, copy.label) == ("dog", None)
    assert copy.task_key != first.task_key


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


# --- uploads in parts, whose ETags are no hashes of the content -------------------------------


def same(name: str, content_hash: str, *, named: bool = False, size_bytes: int = 9) -> SameSize:
    return SameSize(
        uri=f"s3://b/{name}", content_hash=content_hash, size_bytes=size_bytes, named=named
    )


PARTS, OTHER_PARTS, FAR_PARTS = (f"{c * 32}-2" for c in "abc")
WHOLE = md5(b"the same", usedforsecurity=False).hexdigest()
BODIES = {"judge": b"the same", "twin": b"the same", "unlike": b"an other"}


def reading(asked: list[str], **more: bytes) -> Callable[[str, str], bytes]:
    def read(uri: str, _content_hash: str) -> bytes:
        name = uri.removeprefix("s3://b/")
        asked.append(name)
        if name not in BODIES | more:
            raise InputGone(f"{name} is gone")
        return (BODIES | more)[name]

    return read


def test_copies_in_other_parts_or_in_one_are_found_by_their_bytes() -> None:
    asked: list[str] = []
    contents = [
        same("judge", PARTS, named=True),
        same("twin", OTHER_PARTS),
        same("unlike", FAR_PARTS),
        same("whole twin", WHOLE),
        same("whole unlike", "f" * 32),
    ]
    found = compared(contents, {}, reading(asked))
    assert found.walled == {OTHER_PARTS, WHOLE}
    assert sorted(asked) == ["judge", "twin", "unlike"], "what is whole says its MD5 itself"
    asked.clear()
    assert compared(contents, found.read, reading(asked)).walled == {OTHER_PARTS, WHOLE}
    assert asked == []


def test_what_cannot_be_read_may_be_a_copy() -> None:
    gone_twin = [same("judge", PARTS, named=True), same("gone", OTHER_PARTS), same("w", "f" * 32)]
    assert compared(gone_twin, {}, reading([])).walled == {OTHER_PARTS}
    gone_judge = [same("gone", PARTS, named=True), same("twin", OTHER_PARTS), same("w", "f" * 32)]
    assert compared(gone_judge, {}, reading([])).walled == {OTHER_PARTS, "f" * 32}


def test_only_so_many_are_read_at_once_and_the_others_stay_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(same_content, "READ_AT_MOST", 2)
    contents = [
        same("judge", PARTS, named=True),
        same("unlike", OTHER_PARTS),
        same("x", FAR_PARTS),
    ]
    first = compared(contents, {}, reading([], x=b"yet other"))
    assert first.walled == {FAR_PARTS}
    assert compared(contents, first.read, reading([], x=b"yet other")).walled == frozenset()


def test_no_copy_of_an_evaluation_input_trains_however_it_was_uploaded(
    make_world: MakeWorld,
) -> None:
    world = make_world(ACCURACY.replace("5", "1") + ALL_LOW)
    tags = {"predicted_class": "cat", "confidence": "0.2", "timestamp": "2026-03-02T12:00:00Z"}
    for name, etag in {"whole": "", "in two": PARTS, "in three": OTHER_PARTS}.items():
        world.store.put(name, b"the same", tags=tags, etag=etag)
    day(world)
    for i in range(3):
        world.store.put(f"unlike {i}", b"unlike %d" % i, tags=tags, etag=f"{i}" * 32 + "-2")
    day(world)
    built = world.loop.build()
    assert built.n_walled == 2
    trained = {row.sample_id for row in manifest.rows(world.loop.dataset("training"))}
    judges = {d.sample_id for d in world.draws("accuracy")}
    assert trained == {f"unlike {i}" for i in range(3)} - judges
    assert len(trained) == 2
