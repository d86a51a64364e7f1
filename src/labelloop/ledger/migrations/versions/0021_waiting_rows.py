"""Rows of a log wait for the other half of their request"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.tables import Instant

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "waiting_rows",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("begins", sa.Boolean(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("expected", sa.Boolean(), nullable=False),
        sa.Column("seen_at", Instant(timezone=True), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pair", "begins"),
    )
