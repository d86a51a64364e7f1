"""An answer may count as none, or settle a tie"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    vote = sa.text("'vote'")
    op.add_column(
        "annotations", sa.Column("standing", sa.Text(), nullable=False, server_default=vote)
    )
    op.execute("CREATE INDEX annotations_apart ON annotations (task_key) WHERE standing != 'vote'")
