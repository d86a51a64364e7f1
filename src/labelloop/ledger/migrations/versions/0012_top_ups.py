"""A round may be topped up: a later selection continues its line"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("tops_up", sa.BigInteger(), nullable=True))
    op.add_column("rounds", sa.Column("scale", sa.Float(precision=53), nullable=True))
    op.add_column("rounds", sa.Column("at_random", sa.Float(precision=53), nullable=True))
