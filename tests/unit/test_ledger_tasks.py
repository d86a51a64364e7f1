"""Tasks move in one place, each time with an event, and never from a state that is no longer theirs."""

from collections.abc import Sequence

import pytest

from labelloop.core.task import Task, TaskState
from labelloop.errors import LedgerError
from labelloop.ledger import events, tasks
from tests.unit.conftest import MakeWorld
from tests.world import LOW, World

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def drawn(make_world: MakeWorld) -> World:
    world = make_world(LOW)
    world.traffic(3, confidence="0.1")
    world.loop.index()
    world.loop.select()
    return world


def move(world: World, moved: Sequence[Task], to: TaskState) -> None:
    with (
        world.loop.project.ledger.lease("send") as lease,
        world.loop.project.ledger.write(lease) as tx,
    ):
        tasks.move(tx, moved, to, actor="me", at=world.clock.at)


def test_a_forbidden_move_is_refused_and_nothing_is_written(drawn: World) -> None:
    all_tasks = list(drawn.tasks().values())
    with pytest.raises(LedgerError, match="can't go from drawn to resolved"):
        move(drawn, all_tasks, TaskState.RESOLVED)
    assert drawn.states() == {TaskState.DRAWN: 3}


def test_a_task_that_moved_meanwhile_is_not_moved_back(drawn: World) -> None:
    stale = list(drawn.tasks().values())
    move(drawn, stale[:1], TaskState.ABANDONED)
    with pytest.raises(LedgerError, match="1 tasks are no longer drawn"):
        move(drawn, stale, TaskState.SENDING)
    assert drawn.states() == {TaskState.DRAWN: 2, TaskState.ABANDONED: 1}


def test_every_move_leaves_an_event(drawn: World) -> None:
    drawn.loop.send()
    drawn.answer_all("dog")
    drawn.loop.collect()
    for task in drawn.tasks().values():
        with drawn.loop.project.ledger.read() as tx:
            told = [(e.actor, e.verb) for e in events.of(tx, task.task_key)]
        assert told == [
            ("send", "sending"),
            ("send", "sent"),
            ("collect", "annotated"),
            ("collect", "resolved"),
        ]
