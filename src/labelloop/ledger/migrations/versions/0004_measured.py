"""What was measured of the past is kept"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.migrations import create_indexes

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_indexes(revision, op.get_bind().dialect.name).values():
        op.execute(statement)
    op.create_table(
        "measured",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
