"""The whole loop ends in the same state, wherever its ledger lies and however often it is killed."""

import shutil
from pathlib import Path

import pytest

from tests.unit.conftest import MakeWorld
from tests.world import Killed, World, kill_at_write


def play(world: World, *, killed: bool = False) -> None:
    """Two days: traffic, a twin, what can't be read, feedback, answers, a task deleted by hand."""
    for day in range(2):
        world.traffic(12)
        world.put(f"twin-{day}.png", b"the same", confidence="0.2")
        world.put(f"bad-{day}.png", confidence="much")
        world.retag("class_01/00001.png", corrected_class="dog" if day else "cat")
        run(world, kill_at=3 * day + 2 if killed else None)
        world.answer_all("dog" if day else "cat")
        if day == 0:
            world.annotator.delete_task(world.annotator.task_ids(world.project_ref("low"))[0])
        run(world, kill_at=day + 1 if killed else None)
        world.clock.pass_(days=1, minutes=1)
    run(world)
    world.assert_counts()


def run(world: World, *, kill_at: int | None = None) -> None:
    """A run; where it is killed at one of its writes, the next one finishes it."""
    if kill_at is not None:
        kill_at_write(world, kill_at)
        with pytest.raises(Killed):
            world.loop.run()
        world.restart()
    assert not world.loop.run().failures


def state(world: World) -> dict[str, object]:
    """What must be the same: decisions, answers, numbers and content."""
    tasks = {key: (t.state, t.attempt, t.queue) for key, t in world.tasks().items()}
    return {
        "draws": world.draws(),
        "tasks": tasks,
        "datasets": [(d.name, d.version, d.content_hash) for d in world.loop.datasets()],
        "measured": world.loop.measure(),
        "held by Label Studio": sorted(world.remote_keys()),
    }


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, ledger_template: Path
) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / ".labelloop").mkdir()
    shutil.copy(ledger_template, folder / ".labelloop" / "ledger.db")
    world = World(folder)
    play(world)
    found = state(world)
    world.loop.close()
    return found


def test_the_loop_ends_in_the_same_state_on_every_database_and_however_killed(
    kind: str, make_world: MakeWorld, undisturbed: dict[str, object]
) -> None:
    world = make_world()
    play(world, killed=True)
    assert state(world) == undisturbed
