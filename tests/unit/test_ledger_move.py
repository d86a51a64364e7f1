"""Moving a ledger: all of it arrives, or nothing does, and only one of the two goes on."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from labelloop.core.answers import Answers
from labelloop.errors import LeaseHeld, LedgerError
from labelloop.ledger import Ledger, classes
from labelloop.ledger import tables as t
from labelloop.ledger.engine import database_url
from labelloop.loop import Loop
from labelloop.project import Project
from tests.unit.conftest import MakeWorld
from tests.unit.test_ledger_loop import run, state
from tests.world import World

if TYPE_CHECKING:
    from tests.postgres import PostgreSQL


@pytest.fixture
def other(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the other kind than the world's ledger lies in."""
    if kind == "postgresql":
        return f"sqlite:///{tmp_path}/moved.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture
def full(make_world: MakeWorld) -> World:
    """A project with answers, a correction and what can't be read."""
    world = make_world()
    world.traffic(12)
    world.put("Füchse 狐.png", confidence="0.1", corrected_class="dog")
    world.put("bad.png", confidence="much")
    run(world)
    world.answer_all("cat")
    run(world)
    return world


def test_everything_arrives_and_the_loop_goes_on_there(full: World, other: str) -> None:
    before = state(full)
    moved = {m.table: m.n_rows for m in full.loop.move_ledger(other)}
    assert moved["draws"] == len(full.draws())
    assert moved["rejects"] == 1
    assert moved["meta"] == 1
    text = (full.folder / "labelloop.toml").read_text()
    old = full.settings.state.ledger.get_secret_value()
    named = text.replace(old, other) if old in text else f'{text}\n[state]\nledger = "{other}"\n'
    full.configure("", head=named)
    assert state(full) == before
    full.traffic(12)
    full.clock.pass_(days=1, minutes=1)
    run(full)
    assert len({d.round for d in full.draws()}) == 2


def test_the_ledger_that_was_left_is_refused_and_says_where_to(full: World, other: str) -> None:
    full.loop.move_ledger(other)
    there = Ledger.look(other)
    assert there is not None
    place = re.escape(there.place)
    there.close()
    with pytest.raises(LedgerError, match=f"was moved to {place}") as caught:
        full.loop.send()  # by a process that had it open
    assert "[state] ledger" in caught.value.remedy
    with pytest.raises(LedgerError, match=f"was moved to {place}"):
        _ = full.restart().project.ledger


def test_a_database_with_rows_is_refused_and_keeps_them(full: World, other: str) -> None:
    there = Ledger.open(other)
    with there.write_at_once() as tx:
        classes.declare(tx, Answers(classes=["cow"]), full.clock.now())
    with pytest.raises(LedgerError, match="classes has rows"):
        full.loop.move_ledger(other)
    with there.read() as tx:
        assert set(classes.live(tx)) == {"cow"}
    there.close()
    run(full)


def test_a_database_that_cannot_be_reached_is_the_argument_to_correct(full: World) -> None:
    with pytest.raises(LedgerError) as caught:
        full.loop.move_ledger("postgresql://127.0.0.1:9/x")
    assert caught.value.remedy.startswith("check --to: ")


def test_a_running_step_is_waited_for(full: World, other: str) -> None:
    with (
        full.loop.project.ledger.lease("send"),
        pytest.raises(LeaseHeld, match="is running `send`"),
    ):
        full.loop.move_ledger(other)
    full.loop.move_ledger(other)


def test_a_copy_that_is_not_the_same_is_undone(full: World, postgresql: "PostgreSQL") -> None:
    url = postgresql.database()
    Ledger.open(url).close()
    engine = sa.create_engine(database_url(url))
    with engine.begin() as tx:
        tx.exec_driver_sql(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.label := 'dog'; RETURN NEW; END $$"
        )
        tx.exec_driver_sql(
            "CREATE TRIGGER spoil BEFORE INSERT ON labels FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    with pytest.raises(LedgerError, match="the copy of labels differs"):
        full.loop.move_ledger(url)
    with engine.connect() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(t.draws)).scalar_one() == 0
    engine.dispose()
    run(full)


def test_a_ledger_is_not_moved_onto_itself(new_ledger: Callable[[], str]) -> None:
    from labelloop.ledger.move import move

    ledger = Ledger.open(new_ledger())
    with pytest.raises(LedgerError, match="already"):
        move(ledger, ledger, progress=lambda _w, _d, _t: None)
    ledger.close()


def test_where_there_is_no_ledger_there_is_nothing_to_move(make_world: MakeWorld) -> None:
    world = make_world()
    world.loop.close()
    (world.folder / ".labelloop" / "ledger.db").unlink()
    with (
        Loop(Project(world.settings)) as loop,
        pytest.raises(LedgerError, match="no ledger to move"),
    ):
        loop.move_ledger("sqlite://")
