"""A round may be drawn where a candidate differs from the serving model"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("rival", sa.Text(), nullable=True))
    op.add_column("rounds", sa.Column("rival_digest", sa.Text(), nullable=True))
    op.add_column("rounds", sa.Column("n_both", sa.BigInteger(), nullable=True))
