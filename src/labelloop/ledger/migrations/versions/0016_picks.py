"""Training queues may choose what teaches most, and say by which score"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("draws", sa.Column("pick", sa.Text(), nullable=True))
    op.add_column("draws", sa.Column("score", sa.Float(precision=53), nullable=True))
    op.add_column("draws", sa.Column("rank", sa.Integer(), nullable=True))
