"""Opening a ledger: made, migrated, refused, or explained."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from labelloop.errors import LedgerError
from labelloop.ledger import Ledger
from labelloop.ledger.tables import metadata
from labelloop.loop import Loop
from tests.unit.conftest import MakeWorld


def test_a_new_ledger_is_made_with_its_folder_and_opens_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/ledger.db"
    first = Ledger.open(url)
    assert first.identity() is None
    made = first.create_identity()
    assert first.create_identity() == made
    first.close()
    second = Ledger.open(url)
    assert second.identity() == made
    second.close()


def test_two_ledgers_have_two_identities(tmp_path: Path) -> None:
    made = []
    for name in "ab":
        ledger = Ledger.open(f"sqlite:///{tmp_path}/{name}.db")
        made.append(ledger.create_identity())
        ledger.close()
    assert made[0].ledger_id != made[1].ledger_id
    assert made[0].salt != made[1].salt


def test_a_sqlite_ledger_is_in_wal_mode_and_synchronous(ledger_template: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{ledger_template}")
    with ledger.read() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    ledger.close()


def test_the_migrations_make_the_tables_that_the_code_declares(ledger_template: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{ledger_template}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.fixture
def ledger_path(ledger_template: Path, tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    path.write_bytes(ledger_template.read_bytes())
    return path


def test_a_ledger_of_a_newer_labelloop_is_refused(ledger_path: Path) -> None:
    edit(ledger_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="version 9999"):
        Ledger.open(f"sqlite:///{ledger_path}")


def test_a_ledger_of_a_newer_format_is_refused(ledger_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{ledger_path}")
    ledger.create_identity()
    edit(ledger_path, "UPDATE meta SET format = 2")
    with pytest.raises(LedgerError, match="format 2"):
        ledger.identity()
    ledger.close()


def test_a_file_that_is_no_database_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger.open(f"sqlite:///{path}")
    assert path.read_bytes() == b"no database at all" * 1000


def test_damage_found_later_is_a_ledger_error_too(ledger_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{ledger_path}")
    ledger.close()
    data = ledger_path.read_bytes()
    ledger_path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(LedgerError, match=r"can't be (opened|read)"):
        Ledger.open(f"sqlite:///{ledger_path}").identity()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="can't be opened") as caught:
        Ledger.open(f"sqlite:///{tmp_path}/file/ledger.db")
    assert "[state] ledger" in caught.value.remedy


def test_a_ledger_that_may_only_be_read_says_so(ledger_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///file:{ledger_path}?mode=ro&uri=true")
    with pytest.raises(LedgerError, match="readonly"):
        ledger.create_identity()
    with pytest.raises(LedgerError, match="readonly"), ledger.lease("send"):
        pass
    ledger.close()


@pytest.mark.parametrize("url", ["ledger.db", "", "mongo://x", "sqlite//x"])
def test_what_is_no_database_url_is_refused(url: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)
    assert caught.value.remedy


def test_the_password_of_a_database_is_not_in_the_error() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open("postgresql+psycopg://me:s3cr3t@127.0.0.1:9/none")
    assert "s3cr3t" not in str(caught.value)


def test_a_lost_ledger_is_refused_while_its_log_is_there(make_world: MakeWorld) -> None:
    world = make_world()
    settings = world.settings
    with Loop(settings, store=world.store, annotator=world.annotator) as loop:
        world.traffic(2)
        assert loop.index().n_new == 2
        lost = loop.log.ledger_id
    world.loop.close()
    for path in (world.folder / ".labelloop").glob("ledger.db*"):
        path.unlink()
    with Loop(settings, store=world.store, annotator=world.annotator) as loop:
        for _ in range(2):
            with pytest.raises(LedgerError, match=f"belongs to ledger {lost}") as caught:
                loop.run()
            assert "restore the ledger" in caught.value.remedy
