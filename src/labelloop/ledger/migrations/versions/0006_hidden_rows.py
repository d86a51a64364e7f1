"""A reject counts as many rows as it hides, or a range of them"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    one = sa.text("1")
    op.add_column(
        "rejects", sa.Column("n_least", sa.BigInteger(), nullable=False, server_default=one)
    )
    op.add_column("rejects", sa.Column("n_most", sa.BigInteger(), nullable=True))
    # how many rows a file hides was not asked before: `index` reads those files again, and says
    op.execute("UPDATE rejects SET n_most = 1 WHERE reason <> 'file can''t be read'")
    op.execute(
        "DELETE FROM source_files WHERE uri IN "
        "(SELECT uri FROM rejects WHERE reason = 'file can''t be read')"
    )
    op.add_column("rounds", sa.Column("n_set_aside_most", sa.BigInteger(), nullable=True))
    op.execute("UPDATE rounds SET n_set_aside_most = n_set_aside")
