"""The service: its verbs, paused queues, accounts, and the links of its gateway"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.migrations import create_indexes
from labelloop.ledger.tables import Instant, Said

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_indexes(revision, op.get_bind().dialect.name).values():
        op.execute(statement)
    op.create_table(
        "verbs",
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("succeeded_at", Instant(timezone=True), nullable=True),
        sa.Column("failed_at", Instant(timezone=True), nullable=True),
        sa.Column("n_failures", sa.Integer(), nullable=False),
        sa.Column("error", Said(), nullable=False),
        sa.PrimaryKeyConstraint("verb"),
    )
    op.create_table(
        "pauses",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("paused_at", Instant(timezone=True), nullable=False),
        sa.Column("paused_by", Said(), nullable=False),
        sa.PrimaryKeyConstraint("queue"),
    )
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("added_at", Instant(timezone=True), nullable=False),
        sa.Column("excluded_at", Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "media_links",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("task_key", sa.Text(), nullable=False),
        sa.Column("made_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("media_links_task", "media_links", ["task_key"])
