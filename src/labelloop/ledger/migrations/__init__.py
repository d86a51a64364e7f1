"""Brings a ledger to the present version. Each version's step stands in versions/."""

import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from labelloop.errors import LeaseHeld, LedgerError
from labelloop.ledger import holder
from labelloop.ledger.engine import seconds
from labelloop.ledger.tables import leases

VERSIONS = Path(__file__).parent / "versions"
LARGE_INDEXES = {
    "0003": {
        "tasks_copies": "tasks (state, resolved_at) WHERE media_uri IS NOT NULL",
        "tasks_asked": "tasks (state) WHERE ls_task_id IS NOT NULL AND "
        "people_asked {differs} answers_wanted",
        "tasks_several": "tasks (queue, state) WHERE answers_wanted > 1",
    },
    "0004": {"draws_round": "draws (round, queue, position)"},
    "0005": {"draws_content": "draws (content_hash)"},
    "0008": {"tasks_looks": "tasks (queue, state) WHERE look > 0"},
    "0011": {"tasks_sent": "tasks (queue, sent_at)"},
}
"""By version: its indexes on tables that may have millions of rows by then."""
_COLUMNS_SINCE = {"0008": "0005"}
"""By version: since which one there are the columns of its indexes; a ledger older than that makes them
within the migration.
"""
_LOOK_AGAIN_S = 1.0
_TRIES = 5


def newest() -> str:
    """The version that this labelloop writes: its migrations are numbered files."""
    return max(path.name for path in VERSIONS.glob("[0-9]*.py")).partition("_")[0]


def revision(engine: sa.Engine) -> str | None:
    """The version that a database is at; None where it is no ledger yet."""
    with engine.connect().execution_options(labelloop_read=True) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        return found.scalar_one_or_none()


def refuse_other_version(engine: sa.Engine) -> bool:
    """Whether there is a ledger, of the version that this labelloop writes.

    Raises:
        LedgerError: there is one of another version.
    """
    current = revision(engine)
    if current is not None and current < newest():
        raise LedgerError(
            f"the ledger has version {current}, and this version of labelloop reads version "
            f"{newest()}",
            remedy="run `labelloop run` or `labelloop index`: they update the ledger, and commands "
            "that only read don't",
        )
    if current is not None and current > newest():
        raise _newer(current)
    return current is not None


def refuse_upgraded(tx: sa.Connection) -> None:
    """Return if the ledger is still of the version that this labelloop writes.

    Raises:
        LedgerError: another version was installed, and brought the ledger there, while this one runs.
    """
    current = str(tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one())
    if current != newest():
        raise _newer(current)


def _refuse_while_running(tx: sa.Connection) -> None:
    """Wait with a migration for the steps of the labelloop that runs: they know the old version alone.

    Raises:
        LeaseHeld: one is running.
    """
    held = tx.execute(sa.select(leases).where(leases.c.expires_at > seconds(tx)))
    for row in held:
        if not holder.is_dead(row.holder):
            raise LeaseHeld(
                f"{holder.named(row.holder)}, of an older labelloop, is running `{row.step}`, and the ledger "
                "is to be brought to a new version",
                remedy="end that process, or wait until it ends; then run again",
            )


def _newer(version: str) -> LedgerError:
    return LedgerError(
        f"the ledger has version {version}, which this version of labelloop doesn't know",
        remedy="install the version of labelloop that wrote the ledger, or a newer one",
    )


def create_indexes(version: str, dialect: str, how: str = "") -> dict[str, str]:
    """By name, the statements that make a version's, unless they are there; `how`: CONCURRENTLY."""
    differs = "IS NOT" if dialect == "sqlite" else "IS DISTINCT FROM"
    return {
        name: f"CREATE INDEX {how} IF NOT EXISTS {name} ON {what.format(differs=differs)}"
        for name, what in LARGE_INDEXES[version].items()
    }


def _beside_writers(engine: sa.Engine, version: str) -> None:
    """Make large indexes on PostgreSQL while others write, which no transaction can.

    One that was killed at it leaves an invalid index, which is made again; one that another process is
    making is waited for. No lock guards it: behind a pooler it might outlive its connection.
    """
    valid = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    making = sa.text(
        "SELECT count(*) FROM pg_stat_progress_create_index WHERE index_relid = to_regclass(:name)"
    )
    with engine.connect().execution_options(
        isolation_level="AUTOCOMMIT", labelloop_read=True
    ) as connection:
        for name, made in create_indexes(version, "postgresql", "CONCURRENTLY").items():
            tries = 0
            while not connection.execute(valid, {"name": name}).scalar_one_or_none():
                if connection.execute(making, {"name": name}).scalar_one():
                    time.sleep(_LOOK_AGAIN_S)
                    continue
                try:
                    connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                    connection.exec_driver_sql(made)
                except DBAPIError:  # two that begin in the same moment are in each other's way
                    tries += 1
                    if tries == _TRIES:
                        raise
                    time.sleep(_LOOK_AGAIN_S)


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that the ledger hasn't seen, in one transaction.

    Alembic, a third of a second to import, is imported only where there is something to do.

    Raises:
        LedgerError: the ledger was written by a newer labelloop.
    """
    current = revision(engine)
    if current == newest():
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    if current not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise _newer(str(current))
    if engine.dialect.name == "postgresql" and current is not None:
        for version in sorted(LARGE_INDEXES):
            if version > current >= _COLUMNS_SINCE.get(version, ""):
                _beside_writers(engine, version)
    with engine.begin() as connection:
        if current is not None:
            _refuse_while_running(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
