"""A ledger of every earlier version is brought to the present one, with all that it holds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext

import labelloop.ledger.migrations
from labelloop.core.row_range import RowRange
from labelloop.core.task import TaskState
from labelloop.ledger import Ledger, datasets, rejects, source_files, tasks, tombstones
from labelloop.ledger.engine import database_url
from labelloop.ledger.migrations import LARGE_INDEXES, newest

if TYPE_CHECKING:
    from tests.postgres import PostgreSQL

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def empty(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture
def first(empty: str) -> Iterator[sa.Engine]:
    """A ledger as version 0001 made it, with a task and a dataset version in it."""
    engine = sa.create_engine(database_url(empty))
    config = Config()
    config.set_main_option(
        "script_location", str(Path(labelloop.ledger.migrations.__file__).parent)
    )
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            sa.text("INSERT INTO meta (ledger_id, format, salt) VALUES ('l1', 1, '00ff')")
        )
        connection.execute(
            sa.text(
                "INSERT INTO tasks (task_key, sample_id, uri, queue, purpose, answers_wanted, "
                "attempt, state) VALUES ('k', 'a.png', 's3://b/a.png', 'accuracy', 'evaluation', 1, "
                "0, 'drawn')"
            )
        )
        at = AT if engine.dialect.name == "postgresql" else "2026-03-01 12:00:00"
        connection.execute(
            sa.text(
                "INSERT INTO rejects (uri, reason, value, first_seen_at, last_read_at) VALUES "
                "('f.csv', 'file can''t be read', '', :at, :at), "
                "('g.csv#2', 'unknown class', 'cow', :at, :at)"
            ).bindparams(at=at)
        )
        connection.execute(
            sa.text(
                "INSERT INTO source_files (uri, version, n_rows, n_set_aside, read_at) VALUES "
                "('f.csv', 'v1', 1, 1, :at), ('g.csv', 'v1', 9, 1, :at)"
            ).bindparams(at=at)
        )
        connection.execute(
            sa.text(
                "INSERT INTO datasets (name, version, content_hash, uri, counts_json, state, "
                "created_at) VALUES ('training', 1, 'h', '/d', "
                """'{"human": 1, "model": 2, "certified": 0}', 'released', :at)"""
            ).bindparams(at=at)
        )
    yield engine
    engine.dispose()


def where_rows_lie(engine: sa.Engine, table: str) -> object:
    """What changes when PostgreSQL writes a table anew."""
    with engine.connect() as connection:
        return connection.execute(
            sa.text("SELECT relfilenode FROM pg_class WHERE relname = :name").bindparams(name=table)
        ).scalar_one()


def test_a_ledger_of_the_first_version_goes_on(first: sa.Engine, empty: str) -> None:
    on_postgresql = first.dialect.name == "postgresql"
    before = where_rows_lie(first, "draws") if on_postgresql else None
    ledger = Ledger.open(empty)
    with ledger.read() as tx:
        [task] = tasks.of_samples(tx, ["a.png"])
        [version] = datasets.every(tx)
        assert tombstones.every(tx).hashes == frozenset()
    assert (task.state, task.uri, task.forgotten) == (TaskState.DRAWN, "s3://b/a.png", False)
    assert (version.n_human, version.n_model, version.redacted_from) == (1, 2, None)
    assert ledger.identity() is not None
    with ledger.read() as tx:
        hidden = {r.uri: r.rows for r in rejects.every(tx)}
        read = source_files.every(tx)
    assert hidden == {"f.csv": RowRange(1, None), "g.csv#2": RowRange(1, 1)}
    assert list(read) == ["g.csv"], "a file that hides rows is read again, and says how many"
    ledger.close()
    with first.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == newest()
        counted = sa.text("SELECT queue, purpose, state, n FROM task_counts")
        assert connection.execute(counted).all() == [("accuracy", "evaluation", "drawn", 1)]
    if on_postgresql:
        assert where_rows_lie(first, "draws") == before, "no draw was written anew"


def test_an_index_that_was_killed_half_way_is_made_again(first: sa.Engine, empty: str) -> None:
    if first.dialect.name != "postgresql":
        pytest.skip("SQLite makes indexes within the migration's transaction")
    with first.begin() as connection:
        connection.exec_driver_sql(
            "CREATE INDEX tasks_asked ON tasks (state) WHERE ls_task_id IS NOT NULL"
        )
        connection.exec_driver_sql(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('tasks_asked')"
        )
    Ledger.open(empty).close()
    large = {name for names in LARGE_INDEXES.values() for name in names}
    with first.connect() as connection:
        made = connection.exec_driver_sql(
            "SELECT indexdef FROM pg_indexes JOIN pg_index ON indexrelid = to_regclass(indexname) "
            "WHERE indisvalid"
        ).scalars()
        found = {name: text for text in made for name in large if f" {name} " in text}
    assert set(found) == large
    assert "people_asked IS DISTINCT FROM answers_wanted" in found["tasks_asked"]


def test_processes_that_start_together_all_go_on(first: sa.Engine, empty: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        for ledger in pool.map(Ledger.open, [empty] * 3):
            ledger.close()
    with first.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == newest()
        if connection.dialect.name == "postgresql":
            invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
            assert connection.exec_driver_sql(invalid).scalar_one() == 0
