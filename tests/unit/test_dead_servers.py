"""One server that is down stops only what needs it, and what waited is done once it is back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from labelloop.core.task import TaskState
from labelloop.errors import AnnotatorUnavailable, LabelloopError, StoreUnavailable
from labelloop.testing import MemoryAnnotator, MemoryStore
from tests.world import World


class Down:
    """A server that answers nothing: every call of its port raises; what asks nothing still works."""

    inline = False
    timeout_s = 3.0

    def __init__(self, error: Callable[[], LabelloopError]) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object, **__: object) -> Any:
            raise self._error()

        return call

    def lasting(self, life: timedelta) -> timedelta:
        return life


def down_annotator() -> MemoryAnnotator:
    refused = lambda: AnnotatorUnavailable("refused", remedy="start it", carried_out=False)  # noqa: E731
    return cast("MemoryAnnotator", Down(refused))


def down_store() -> MemoryStore:
    return cast("MemoryStore", Down(lambda: StoreUnavailable("refused", remedy="start it")))


def test_a_dead_label_studio_stops_neither_index_nor_select(world: World) -> None:
    world.traffic(40)
    alive, world.annotator = world.annotator, down_annotator()
    ran = world.restart().run()
    assert ran.failures.keys() == {"send"}
    assert ran.indexed is not None
    assert ran.indexed.n_new == 40
    assert world.states() == {TaskState.DRAWN: 9}
    world.annotator = alive
    again = world.restart().run()
    assert not again.failures
    assert world.states() == {TaskState.SENT: 9}
    assert sorted(world.remote_keys()) == sorted(t.task_key for t in world.tasks().values())


def test_a_label_studio_that_dies_later_stops_neither_index_nor_the_numbers(world: World) -> None:
    world.traffic(40)
    world.loop.run()
    world.answer_all()
    world.loop.collect()
    world.traffic(10)
    world.annotator = down_annotator()
    ran = world.restart().run(now=True)
    assert ran.failures.keys() == {"collect", "send"}
    assert ran.indexed is not None
    assert ran.indexed.n_new == 10
    assert ran.measured is not None
    assert ran.built is not None
    assert ran.built.evaluation.is_new


def test_a_dead_store_stops_neither_collect_nor_the_numbers(world: World) -> None:
    world.traffic(40)
    world.loop.run()
    assert world.answer_all() == 9
    alive, world.store = world.store, down_store()
    ran = world.restart().run(now=True)
    assert ran.failures.keys() == {"index"}
    assert ran.collected is not None
    assert ran.collected.n_labels == 9
    assert ran.selected is None  # its traffic would be missing from the round
    assert ran.measured is not None
    assert ran.built is not None
    assert ran.built.evaluation.is_new
    world.store = alive
    world.traffic(10)
    again = world.restart().run(now=True)
    assert not again.failures
    assert again.selected is not None
    assert again.selected.n_frame == 10


@pytest.mark.parametrize("call", ["objects", "tags"])
def test_a_store_that_dies_in_the_middle_loses_nothing(world: World, call: str) -> None:
    world.traffic(40)
    alive = world.store
    once = getattr(alive, call)

    def breaks(*args: object) -> Any:
        yield from list(once(*args))[:1]
        raise StoreUnavailable("reset", remedy="try again")

    setattr(alive, call, breaks)
    assert world.loop.run().failures.keys() == {"index"}
    setattr(alive, call, once)
    assert not world.loop.run().failures
    assert world.states() == {TaskState.SENT: 9}
