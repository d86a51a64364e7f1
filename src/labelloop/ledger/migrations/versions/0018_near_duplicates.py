"""A label may stand for near-duplicates"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("draws", sa.Column("represents", sa.Integer(), nullable=True))
