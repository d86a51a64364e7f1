"""An application may log a share of its traffic, and say which"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("draws", sa.Column("sampling_rate", sa.Float(precision=53), nullable=True))
    op.create_table(
        "sampling_rates",
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("predicted_class", sa.Text(), nullable=False),
        sa.Column("risk_bin", sa.Integer(), nullable=False),
        sa.Column("sampling_rate", sa.Float(precision=53), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("round", "predicted_class", "risk_bin", "sampling_rate"),
    )
