"""What measure keeps: the same numbers as worked out afresh, from what is new alone."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from labelloop.ledger import Ledger
from labelloop.measuring import kept_results
from labelloop.measuring.measured import Measured
from labelloop.ports.annotator import RemoteTask
from labelloop.steps.measure import measure
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, World

UNIFORM = ACCURACY.replace("5", "10")
UNEVEN = UNIFORM + 'draw = "uncertainty"\n'


def afresh(world: World, folder: Path) -> Measured:
    """What measure says over a copy of the ledger that has kept nothing."""
    copy = folder / "copy.db"
    copy.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(world.folder / ".labelloop" / "ledger.db")) as own,
        closing(sqlite3.connect(copy)) as other,
    ):
        own.backup(other)
        other.execute("DELETE FROM measured")
        other.commit()
    ledger = Ledger.open(f"sqlite:///{copy}")
    try:
        return measure(ledger, clock=world.clock, timezone=world.settings.project.timezone)
    finally:
        ledger.close()


def keeping(world: World) -> Measured:
    """What measure says within `run`: it keeps what it works out."""
    ledger, timezone = world.loop.project.ledger, world.settings.project.timezone
    return measure(ledger, clock=world.clock, timezone=timezone, keep=True)


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(*said: object) -> None:
        heard.append(str(said[2]))

    engine = world.loop.project.ledger._engine
    sa.event.listen(engine, "before_cursor_execute", hear)
    yield heard
    sa.event.remove(engine, "before_cursor_execute", hear)


def there(world: World) -> list[RemoteTask]:
    """The blind tasks as Label Studio holds them."""
    pages = world.annotator.tasks(world.project_ref("accuracy"))
    return [task for page in pages for task in page]


def a_day(world: World, number: int) -> None:
    """Traffic of two models in turn, and answers to most of what waits."""
    world.traffic(30, model="m1" if number < 15 else "m2")
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    for task in there(world):
        if not task.annotations and world.rng.random() < 0.6:
            world.annotator.answer(task.remote_id, world.rng.choice(["cat", "dog"]), by="ana")
    world.clock.pass_(hours=23)
    world.loop.collect()


def surgery(world: World, number: int) -> None:
    """An old answer is edited, another deleted, a task skipped, another gone."""
    answered = [task for task in there(world) if task.annotations]
    if number % 3 == 0 and len(answered) > 6:
        old = answered[3].annotations[0]
        world.annotator.edit(old.remote_id, "cat" if old.choices == ("dog",) else "dog")
        world.annotator.delete_annotation(answered[5].annotations[0].remote_id)
    waiting = [task.remote_id for task in there(world) if not task.annotations]
    if number % 4 == 1 and len(waiting) > 2:
        world.annotator.skip(waiting[0], by="ana")
        world.annotator.delete_task(waiting[1])
    world.loop.collect()


@pytest.mark.parametrize("queue", [UNIFORM, UNEVEN], ids=["uniform", "uneven"])
def test_what_was_kept_is_what_would_be_worked_out(
    queue: str, make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(queue)
    for number in range(17):
        a_day(world, number)
        if number % 2:
            surgery(world, number)
        found = keeping(world)
        if number % 3 == 0 or number > 14:
            assert found == afresh(world, tmp_path), number
    assert found.trend.looks, "a week closed"
    assert found.trend.means, "a week settled"
    assert len(found.by_model) == 2


def test_asking_again_reads_no_draws_of_rounds_that_nothing_happened_to(
    make_world: MakeWorld,
) -> None:
    world = make_world(UNIFORM)
    for number in range(12):
        a_day(world, number)
    world.clock.pass_(days=30)
    first = keeping(world)
    with statements(world) as heard:
        assert keeping(world) == first
    heard = [said for said in heard if "tasks.state IN" not in said]  # those of open tasks alone
    assert [said for said in heard if "FROM draws JOIN" in said or "FROM cells" in said] == []
    a_day(world, 12)
    with statements(world) as heard:
        keeping(world)
    read = [said for said in heard if "FROM draws JOIN" in said]
    assert 0 < len(read) < 12


def test_other_terms_are_worked_out_afresh(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(UNIFORM)
    for number in range(3):
        a_day(world, number)
    keeping(world)
    text = (world.folder / "labelloop.toml").read_text()
    head = text.replace('name = "pets"', 'name = "pets"\ntimezone = "Pacific/Auckland"')
    world.configure("", head=head)
    assert keeping(world) == afresh(world, tmp_path)


def falsified(world: World) -> None:
    """Give each round a kept result that no computation gives."""
    with closing(sqlite3.connect(world.folder / ".labelloop" / "ledger.db")) as ledger:
        for name, text in ledger.execute("SELECT name, value FROM measured").fetchall():
            if name.startswith("round "):
                kept = json.loads(text)
                kept["accuracy"]["n_set_aside"] = 12_345
                ledger.execute(
                    "UPDATE measured SET value = ? WHERE name = ?", (json.dumps(kept), name)
                )
        ledger.commit()


def test_results_of_another_method_version_are_not_used(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(UNIFORM)
    for number in range(2):
        a_day(world, number)
    keeping(world)
    falsified(world)
    assert {a.n_set_aside for a in keeping(world).rounds} == {12_345}, "kept results are used"
    # what a person does who changes how an estimate is computed
    monkeypatch.setattr(kept_results, "METHOD_VERSION", kept_results.METHOD_VERSION + 1)
    found = keeping(world)
    assert {a.n_set_aside for a in found.rounds} == {0}
    assert found == afresh(world, tmp_path)
    monkeypatch.undo()
    assert keeping(world) == found, "nor are the later ones by the earlier version"


def test_by_hand_nothing_is_kept_and_within_run_it_is(make_world: MakeWorld) -> None:
    def kept() -> int:
        with world.loop.project.ledger.read() as tx:
            return tx.exec_driver_sql("SELECT count(*) FROM measured").scalar_one()

    world = make_world(UNIFORM)
    a_day(world, 0)
    by_hand = world.loop.measure()
    assert kept() == 0
    assert world.loop.run().measured == by_hand
    assert kept() > 0


def test_a_run_keeps_the_report_that_pages_show(make_world: MakeWorld) -> None:
    world = make_world(UNIFORM)
    for number in range(3):
        a_day(world, number)
    world.loop.run()
    assert world.loop.kept_report() == world.loop.report(), "to the last digit"
    with statements(world) as heard:
        shown = world.loop.kept_report()
    assert not [said for said in heard if "FROM draws" in said]
    world.clock.pass_(minutes=14)
    world.loop.run()
    assert world.loop.kept_report() == shown, "nothing happened since"
    world.clock.pass_(minutes=1)
    world.loop.run()
    assert world.loop.kept_report().made_at == world.clock.now(), "the last seven days are others"
    a_day(world, 3)
    world.loop.run()
    assert world.loop.kept_report().labels == world.loop.report().labels
    text = (world.folder / "labelloop.toml").read_text()
    world.configure("", head=text.replace("budget = 10", "budget = 12"))
    assert world.loop.kept_report().plan.budget == world.loop.plan().budget, "of other settings"
