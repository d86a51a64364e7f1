"""A ledger of millions of tasks is asked for what waits, not read"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.migrations import create_indexes

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # on PostgreSQL they are there already, unless the ledger is new
    for statement in create_indexes(revision, op.get_bind().dialect.name).values():
        op.execute(statement)
    op.create_table(
        "task_counts",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "purpose", "state"),
    )
    op.execute(
        "INSERT INTO task_counts (queue, purpose, state, n) "
        "SELECT queue, purpose, state, count(*) FROM tasks GROUP BY queue, purpose, state"
    )
