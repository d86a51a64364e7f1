"""A ledger restored to an earlier moment: the next runs bring it together with what went on."""

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from labelloop.core.task import TaskState
from labelloop.errors import LogError
from labelloop.ledger import events, rounds
from tests.lasting import LastingWorld
from tests.unit.conftest import MakeWorld
from tests.world import World


def backup(source: Path, target: Path) -> None:
    """What `sqlite3 ledger.db '.backup copy.db'` does, also while it is written."""
    there, copy = sqlite3.connect(source), sqlite3.connect(target)
    there.backup(copy)
    copy.close()
    there.close()


def play(world: World) -> None:
    """Two days; after each step of the first a copy of the ledger is kept: copy0.db, copy1.db ..."""
    n = 0
    for day in range(2):
        world.traffic(12)
        for verb in ("index", "collect", "select", "send", "run"):
            if verb == "run":
                world.answer_all("dog" if day else "cat")
            getattr(world.loop, verb)()
            if day == 0:
                ledger = world.folder / ".labelloop" / "ledger.db"
                backup(ledger, world.folder / f"copy{n}.db")
                n += 1
        world.clock.pass_(days=1, minutes=1)


def restore(world: World, moment: int) -> None:
    world.loop.close()
    ledger = world.folder / ".labelloop" / "ledger.db"
    for path in ledger.parent.glob("ledger.db*"):
        path.unlink()
    shutil.copy(world.folder / f"copy{moment}.db", ledger)
    world.restart()


@pytest.mark.mistake("ledger-restored")
@pytest.mark.parametrize(
    ("ledger", "catalog", "batches", "remedy"),
    [
        (1, 2, 2, None),
        (1, 1, 2, None),
        (2, 1, 2, "labelloop doctor --repair"),
        (2, 1, 1, "newer backup"),
    ],
)
def test_ledger_catalog_and_batches_are_restored_to_different_days(
    lasting: LastingWorld,
    tmp_path: Path,
    ledger: int,
    catalog: int,
    batches: int,
    remedy: str | None,
) -> None:
    """By `.backup` of both databases and a copy of the warehouse: day 1 is the project as it was kept."""
    names = ("ledger", "catalog")
    for day in (1, 2):
        if day == 2:
            lasting.traffic(12)
            assert not lasting.loop.run().failures
            lasting.answer_all("cat")
            assert not lasting.loop.run().failures
            lasting.clock.pass_(days=1, minutes=1)
        for name in names:
            backup(lasting.state / f"{name}.db", tmp_path / f"{name}{day}.db")
        shutil.copytree(lasting.state / "log", tmp_path / f"log{day}")
    lasting.loop.close()
    for name, day in zip(names, (ledger, catalog), strict=True):
        for path in lasting.files(f"{name}.db*"):
            path.unlink()
        shutil.copy(tmp_path / f"{name}{day}.db", lasting.state / f"{name}.db")
    shutil.rmtree(lasting.state / "log")
    shutil.copytree(tmp_path / f"log{batches}", lasting.state / "log")
    lasting.restart()

    failure = lasting.loop.run().failures.get("index")
    assert (failure is None) == (remedy is None)
    if remedy is not None:
        assert remedy in (failure.remedy if failure else "")
        assert not [e for e in lasting.remote_keys() if lasting.remote_keys().count(e) > 1]
    if batches == 1:
        return
    lasting.loop.doctor(repair=True)
    assert not lasting.loop.run(now=True).failures
    lasting.answer_all("cat")
    assert not lasting.loop.run().failures
    assert max(Counter(lasting.remote_keys()).values()) == 1
    with lasting.loop.project.ledger.read() as tx:
        assert sum(r.n_frame for r in rounds.every(tx)) == 36
    assert (
        len(lasting.loop.project.log.samples([f"class_01/{n:05d}.png" for n in range(1, 37)])) == 36
    )


@pytest.mark.parametrize("moment", range(5))
def test_a_restored_ledger_is_reconciled_by_the_next_runs(
    make_world: MakeWorld, moment: int
) -> None:
    world = make_world()
    play(world)
    released = {
        path: path.read_bytes()
        for path in (world.folder / ".labelloop" / "datasets").glob("*/*/dataset.json")
    }
    restore(world, moment)

    first = world.loop.run()
    assert not first.failures
    assert first.indexed is not None
    assert first.indexed.n_batches_restored == 1
    assert first.indexed.n_new == 0
    with world.loop.project.ledger.read() as tx:
        assert [e.verb for e in events.of(tx, "ledger")] == ["restored"]
    world.answer_all("cat")
    second = world.loop.run()
    assert not second.failures
    assert second.indexed is not None
    assert second.indexed.n_batches_restored == 0

    # nothing is there twice, whatever was drawn again, and nobody is asked twice
    assert max(Counter(world.remote_keys()).values()) == 1
    assert set(world.states()) == {TaskState.RESOLVED}
    # what was released stands
    assert {path: path.read_bytes() for path in released} == released
    # every input is in one frame
    with world.loop.project.ledger.read() as tx:
        assert sum(r.n_frame for r in rounds.every(tx)) == 24


@pytest.mark.mistake("log-restored")
def test_a_log_that_was_restored_to_an_earlier_moment_is_refused(make_world: MakeWorld) -> None:
    world = make_world()
    world.traffic(3)
    world.loop.index()
    earlier = dict(world.log._visible)
    world.traffic(3)
    world.loop.index()
    world.log._visible = earlier
    with pytest.raises(
        LogError, match="the prediction log lacks batch 2, which the ledger knows"
    ) as caught:
        world.restart().index()
    assert "newer backup" in caught.value.remedy
    assert len(world.tasks()) == 0
