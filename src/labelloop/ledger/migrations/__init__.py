"""Brings a ledger to the present version. Each version's step stands in versions/."""

from pathlib import Path

import sqlalchemy as sa

from labelloop.errors import LedgerError


def revision(engine: sa.Engine) -> str | None:
    """The version that a database is at; None where it is no ledger yet."""
    from alembic.migration import MigrationContext

    with engine.connect().execution_options(labelloop_read=True) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that the ledger hasn't seen, in one transaction.

    Raises:
        LedgerError: the ledger was written by a newer labelloop.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    current = revision(engine)
    if current == scripts.get_current_head():
        return
    if current not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise LedgerError(
            f"the ledger is at version {current}, which this labelloop doesn't know",
            remedy="install the labelloop that wrote it, or a newer one",
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
