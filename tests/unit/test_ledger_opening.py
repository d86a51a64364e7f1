"""Opening a ledger: made, migrated, refused, or explained."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from labelloop.errors import LedgerError
from labelloop.ledger import Ledger, cursors
from labelloop.ledger.engine import database_url
from labelloop.ledger.migrations import VERSIONS, newest
from labelloop.ledger.tables import metadata
from labelloop.loop import Loop
from labelloop.project import Project
from tests.postgres import PostgreSQL
from tests.unit.conftest import MakeWorld


def test_a_new_ledger_is_made_with_its_folder_and_opens_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/ledger.db"
    assert Ledger.look(url) is None
    Ledger.open(url).close()
    again = Ledger.look(url)
    assert again is not None
    again.close()


def test_an_empty_database_of_postgresql_becomes_a_ledger(postgresql: PostgreSQL) -> None:
    url = postgresql.database()
    assert Ledger.look(url) is None
    ledger = Ledger.open(url)
    assert ledger.identity() is None
    ledger.close()


def test_an_identity_is_made_once(url: str, ledger: Ledger) -> None:
    assert ledger.identity() is None
    made = ledger.create_identity()
    assert ledger.create_identity() == made
    second = Ledger.open(url)
    assert second.identity() == made
    second.close()


def test_two_ledgers_have_two_identities(new_ledger: Callable[[], str]) -> None:
    made = []
    for _ in range(2):
        ledger = Ledger.open(new_ledger())
        made.append(ledger.create_identity())
        ledger.close()
    assert made[0].ledger_id != made[1].ledger_id
    assert made[0].salt != made[1].salt


def test_processes_that_open_a_new_ledger_together_find_one_identity(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    if kind == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.database()
    code = (
        "import sys; from labelloop.ledger import Ledger;"
        "sys.stdin.read(); print(Ledger.open(sys.argv[1]).create_identity().ledger_id)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    ends = [process.communicate(timeout=240) for process in started]
    assert [stderr for _, stderr in ends] == ["", "", ""]
    assert len({stdout for stdout, _ in ends}) == 1


def test_a_sqlite_ledger_is_in_wal_mode_and_synchronous(ledger_template: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{ledger_template}")
    with ledger.read() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    ledger.close()


def test_the_newest_migration_is_the_one_that_alembic_runs_last() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(VERSIONS.parent)).get_current_head() == newest()


def test_a_ledger_of_this_version_is_opened_without_alembic(url: str) -> None:
    opens = f"import sys; from labelloop.ledger import Ledger; Ledger.open({url!r}).close(); "
    ran = "print([name for name in sys.modules if name.startswith('alembic')])"
    done = subprocess.run([sys.executable, "-c", opens + ran], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_migrations_make_the_tables_that_the_code_declares(url: str) -> None:
    engine = sa.create_engine(database_url(url))
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


@pytest.mark.mistake("ledger-newer")
def test_a_ledger_of_a_newer_labelloop_is_refused(ledger_path: Path) -> None:
    edit(ledger_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="version 9999"):
        Ledger.open(f"sqlite:///{ledger_path}")


@pytest.mark.mistake("ledger-newer")
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


@pytest.mark.parametrize(
    "text", ["ledger.db", "", "mongo://x", "sqlite//x", "mysql://x/y", "postgresql+psycopg2://h/d"]
)
def test_what_is_no_database_url_is_refused(text: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open(text)
    assert "postgresql://USER" in caught.value.remedy


def test_the_password_of_a_database_is_not_in_the_error() -> None:
    with pytest.raises(LedgerError, match=r"127\.0\.0\.1:9/none") as caught:
        Ledger.open("postgresql://me:s3cr3t@127.0.0.1:9/none")
    assert "s3cr3t" not in str(caught.value)


def test_a_database_that_cannot_hold_every_name_is_refused(postgresql: PostgreSQL) -> None:
    url = postgresql.database(
        template="template0",
        options="ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'",
    )
    with pytest.raises(LedgerError, match="SQL_ASCII") as caught:
        Ledger.open(url)
    assert "UTF8" in caught.value.remedy


def test_a_user_of_postgresql_without_rights_is_told_so(postgresql: PostgreSQL) -> None:
    url = postgresql.ledger()
    name = f"u_{url[-8:]}"
    postgresql.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'weak'")
    _, at, place = url.partition("@")
    with pytest.raises(LedgerError, match="permission denied") as caught:
        Ledger.open(f"postgresql://{name}:weak{at}{place}")
    assert "every right" in caught.value.remedy


def test_a_writer_that_stands_still_in_mid_transaction_is_ended_by_the_server(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.ledger.engine.STILL_S", 0.2)
    url = postgresql.ledger()
    still, other = Ledger.open(url), Ledger.open(url)

    def write_slowly() -> None:
        with still.lease("send") as lease, still.write(lease) as tx:
            cursors.put(tx, "who", "still")
            with other.lease("collect"):
                pass  # waits for the first to be ended
            cursors.put(tx, "who", "late")

    with pytest.raises(LedgerError) as caught:
        write_slowly()
    assert "run again" in caught.value.remedy
    with other.read() as tx:
        assert cursors.get(tx, "who") is None
    still.close()
    other.close()


def test_a_lost_ledger_is_refused_while_its_log_is_there(make_world: MakeWorld) -> None:
    world = make_world()
    settings = world.settings
    with Loop(Project(settings, store=world.store, annotator=world.annotator)) as loop:
        world.traffic(2)
        assert loop.index().n_new == 2
        lost = loop.project.log.ledger_id
    world.loop.close()
    for path in (world.folder / ".labelloop").glob("ledger.db*"):
        path.unlink()
    with Loop(Project(settings, store=world.store, annotator=world.annotator)) as loop:
        for _ in range(2):
            with pytest.raises(LedgerError, match=f"belongs to ledger {lost}") as caught:
                loop.run()
            assert "restore the ledger" in caught.value.remedy
