"""Samples can be forgotten, and dataset versions redacted"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.tables import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tombstones",
        sa.Column("sample_hash", sa.Text(), nullable=False),
        sa.Column("forgotten_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sample_hash"),
    )
    op.create_table(
        "erasures",
        sa.Column(
            "erasure",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("begun_at", Instant(timezone=True), nullable=False),
        sa.Column("work_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("erasure"),
    )
    # columns that may be empty: neither database rewrites a row for them
    op.add_column("tasks", sa.Column("forgotten_at", Instant(timezone=True), nullable=True))
    op.add_column("datasets", sa.Column("redacted_from", sa.Text(), nullable=True))
