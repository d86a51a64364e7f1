"""A backup is made while labelloop runs, and brought back: nothing is lost or asked twice."""

import shutil
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.errors import LedgerError
from labelloop.ledger import cursors, rounds
from labelloop.views.json_form import document
from tests.json_documents import result_of
from tests.lasting import LastingWorld
from tests.unit.conftest import MakeWorld
from tests.world import World


def lose(world: World) -> None:
    """The ledger and the catalog are gone; the log's files are there."""
    world.loop.close()
    for path in [*world.state.glob("ledger.db*"), *world.state.glob("catalog.db*")]:
        path.unlink()


def test_a_project_goes_on_from_its_backup(lasting: LastingWorld, tmp_path: Path) -> None:
    lasting.traffic(12)
    assert not lasting.loop.run().failures
    made = lasting.loop.back_up(tmp_path)
    assert set(made.sizes_bytes) == {"ledger.db", "catalog.db"}
    lasting.answer_all("cat")
    assert not lasting.loop.run().failures
    keys = Counter(lasting.remote_keys())
    lose(lasting)
    lasting.restart()
    restored = lasting.loop.restore(made.folder)
    result_of(document("restore", restored), "restore")
    assert restored.sizes_bytes.keys() == made.sizes_bytes.keys()
    lasting.restart()
    assert not lasting.loop.run().failures
    assert Counter(lasting.remote_keys()) == keys
    assert set(lasting.labels().values()) >= {"cat"}
    lasting.assert_counts()


def test_on_each_kind_of_database_it_is_one_sqlite_file(
    make_world: MakeWorld, kind: str, tmp_path: Path
) -> None:
    world = make_world()
    world.traffic(20)
    world.loop.run()
    drawn = len(world.draws())
    made = world.loop.back_up(tmp_path)
    assert [p.name for p in sorted(made.folder.iterdir())] == ["backup.json", "ledger.db"]
    with closing(sqlite3.connect(made.folder / "ledger.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM draws").fetchone() == (drawn,)
    with pytest.raises(LedgerError, match="already"):
        world.loop.restore(made.folder)
    empty = make_world()
    if kind == "sqlite":
        for path in empty.state.glob("ledger.db*"):
            path.unlink()
    empty.log = world.log
    empty.restart()
    assert empty.loop.restore(made.folder).ledger_id == made.ledger_id
    assert len(empty.draws()) == drawn
    with empty.loop.project.ledger.write_at_once() as tx:
        rounds.put_skipped(tx, rounds.Skipped(1, empty.clock.at))  # its counters go on


def test_a_copy_is_of_one_moment_while_another_process_writes(
    lasting: LastingWorld, tmp_path: Path
) -> None:
    """The writer changes two cursors in each transaction: a copy never has one of them."""
    ledger, stop = lasting.loop.project.ledger, threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            with ledger.write_at_once() as tx:
                cursors.put(tx, "first", str(n))
                cursors.put(tx, "second", str(n))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            made = lasting.loop.back_up(tmp_path)
            with closing(sqlite3.connect(made.folder / "ledger.db")) as copy:
                found = copy.execute(
                    "SELECT value FROM cursors WHERE name IN ('first', 'second')"
                ).fetchall()
            assert len(set(found)) <= 1
            shutil.rmtree(made.folder)
    finally:
        stop.set()
        writer.join()


def test_a_damaged_backup_is_refused_and_nothing_changes(
    lasting: LastingWorld, tmp_path: Path
) -> None:
    made = lasting.loop.back_up(tmp_path)
    lose(lasting)
    lasting.restart()
    with (made.folder / "ledger.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    with pytest.raises(LedgerError, match="is damaged"):
        lasting.loop.restore(made.folder)
    (made.folder / "backup.json").unlink()
    with pytest.raises(LedgerError, match="no whole backup"):
        lasting.loop.restore(made.folder)
    assert lasting.files("ledger.db*") == []


def test_the_commands_say_what_is_left_to_do(lasting: LastingWorld, tmp_path: Path) -> None:
    config = str(lasting.folder / "labelloop.toml")
    run = CliRunner().invoke
    said = run(group, ["ledger", "backup", str(tmp_path / "b"), "--config", config])
    assert said.exit_code == 0, said.output
    assert "now copy" in said.output
    (folder,) = (tmp_path / "b").iterdir()
    lose(lasting)
    said = run(group, ["ledger", "restore", str(folder), "--config", config])
    assert said.exit_code == 0, said.output
    assert "`labelloop run` now adds what happened after the backup" in said.output


def test_without_a_ledger_there_is_nothing_to_copy(tmp_path: Path, make_world: MakeWorld) -> None:
    world = make_world()
    for path in world.state.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(LedgerError, match="no ledger to copy"):
        world.loop.back_up(tmp_path)
