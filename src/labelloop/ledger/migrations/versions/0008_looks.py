"""Second looks: which rounds have them, and who is a referee"""

import sqlalchemy as sa
from alembic import op

from labelloop.ledger.migrations import create_indexes
from labelloop.ledger.tables import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_indexes(revision, op.get_bind().dialect.name).values():
        op.execute(statement)
    op.add_column(
        "rounds", sa.Column("second_look", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "referees",
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("named_at", Instant(timezone=True), nullable=False),
        sa.Column("left_at", Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("annotator"),
    )
