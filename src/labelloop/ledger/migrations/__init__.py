"""Brings a ledger to the present version. Each version's step stands in versions/."""

from pathlib import Path

import sqlalchemy as sa

from labelloop.errors import LedgerError

VERSIONS = Path(__file__).parent / "versions"


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
        raise LedgerError(
            f"the ledger is at version {current}, which this labelloop doesn't know",
            remedy="install the labelloop that wrote it, or a newer one",
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
