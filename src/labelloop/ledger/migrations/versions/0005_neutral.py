"""Any annotator's ids are text, and a sample may be looked at more than once"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.migrations import create_indexes
from labelloop.ledger.tables import Instant, Said

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_RENAMED = {
    "tasks": {"project_ref": "project_id", "remote_id": "ls_task_id"},
    "annotations": {"remote_id": "ls_annotation_id"},
    "strays": {"remote_id": "ls_annotation_id"},
}
"""By table, the columns that are text now, and what they were called as numbers."""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "sqlite":
        _write_anew_on_sqlite()
    else:
        _alter_on_postgresql()
    for statement in create_indexes(revision, dialect).values():
        op.execute(statement)
    op.execute("UPDATE cursors SET name = 'annotator' WHERE name = 'label studio'")
    op.execute("DELETE FROM cursors WHERE name LIKE 'swept:%'")  # they hold ids that were numbers


def _alter_on_postgresql() -> None:
    for table, columns in _RENAMED.items():
        for now, before in columns.items():
            op.alter_column(table, before, new_column_name=now)
        changes = [f"ALTER COLUMN {name} TYPE text USING {name}::text" for name in columns]
        if table == "tasks":  # one statement, so that the rows are written once
            changes += [
                "ADD COLUMN look integer NOT NULL DEFAULT 0",
                "DROP CONSTRAINT tasks_purpose_sample_id_key",
                "ADD UNIQUE (purpose, sample_id, look)",
            ]
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
    op.alter_column("tasks", "look", server_default=None)


def _write_anew_on_sqlite() -> None:
    """SQLite changes no column's type and no constraint: each table is written anew."""
    _tasks()
    _annotations()
    _strays()


def _tasks() -> None:
    anew = op.create_table(
        "tasks_anew",
        sa.Column("task_key", sa.Text(), nullable=False),
        sa.Column("sample_id", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("project_ref", sa.Text(), nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("media_uri", sa.Text(), nullable=True),
        sa.Column("url_expires_at", Instant(timezone=True), nullable=True),
        sa.Column("answers_wanted", sa.Integer(), nullable=False),
        sa.Column("people_asked", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sent_at", Instant(timezone=True), nullable=True),
        sa.Column("resolved_at", Instant(timezone=True), nullable=True),
        sa.Column("forgotten_at", Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("task_key"),
        sa.UniqueConstraint("purpose", "sample_id", "look"),
    )
    _replace("tasks", anew)
    op.create_index("tasks_project", "tasks", ["project_ref", "remote_id"], unique=False)
    op.create_index("tasks_state", "tasks", ["state"], unique=False)
    for name, what in {
        "tasks_copies": "(state, resolved_at) WHERE media_uri IS NOT NULL",
        "tasks_asked": "(state) WHERE remote_id IS NOT NULL AND people_asked IS NOT answers_wanted",
        "tasks_several": "(queue, state) WHERE answers_wanted > 1",
    }.items():
        op.execute(f"CREATE INDEX {name} ON tasks {what}")


def _annotations() -> None:
    anew = op.create_table(
        "annotations_anew",
        sa.Column("task_key", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("skipped", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("task_key", "remote_id", "updated_at"),
    )
    _replace("annotations", anew)


def _strays() -> None:
    anew = op.create_table(
        "strays_anew",
        sa.Column("task_key", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("value", Said(), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task_key", "remote_id"),
    )
    _replace("strays", anew)


def _replace(table: str, anew: sa.Table) -> None:
    """Copy a table's rows to the new one, which takes its place."""
    numbers = _RENAMED[table]
    values = [
        sa.cast(sa.column(numbers[c.name]), sa.Text)
        if c.name in numbers
        else sa.literal_column("0")
        if c.name == "look"
        else sa.column(c.name)
        for c in anew.columns
    ]
    rows = sa.select(*values).select_from(sa.table(table))
    op.execute(anew.insert().from_select([c.name for c in anew.columns], rows))
    op.drop_table(table)
    op.rename_table(anew.name, table)
