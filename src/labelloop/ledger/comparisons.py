"""The candidates that each set of labels has judged: repeated testing inflates the best result."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def record(tx: Transaction, candidate_hash: str, labels_hash: str, at: datetime) -> None:
    """Record a comparison, unless it was recorded before."""
    made = tx.execute(
        sa.select(t.comparisons.c.at).where(
            t.comparisons.c.candidate_hash == candidate_hash,
            t.comparisons.c.labels_hash == labels_hash,
        )
    ).first()
    if made is not None:
        return
    tx.execute(
        t.comparisons.insert().values(candidate_hash=candidate_hash, labels_hash=labels_hash, at=at)
    )


def count_candidates(tx: Transaction, labels_hashes: Sequence[str]) -> int:
    """The number of different candidates that any of these label sets has judged."""
    return int(
        tx.execute(
            sa.select(sa.func.count(sa.distinct(t.comparisons.c.candidate_hash))).where(
                t.comparisons.c.labels_hash.in_(labels_hashes)
            )
        ).scalar_one()
    )
