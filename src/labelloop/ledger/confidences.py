"""The confidences of each round's traffic, counted when it was drawn: for calibration and hints."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

Confidences = Mapping[int, int]
"""Samples by bin of 1 - confidence, of 1,024; those that came without a confidence are in none."""


def insert(tx: Transaction, round_number: int, counts: Confidences) -> None:
    """Write the counts of a round."""
    if counts:
        tx.execute(
            t.confidences.insert(),
            [{"round": round_number, "bin": number, "n": n} for number, n in counts.items()],
        )


def of_rounds(tx: Transaction, numbers: Collection[int]) -> dict[int, dict[int, int]]:
    """The counts of these rounds; those that have none are left out."""
    c = t.confidences.c
    found: dict[int, dict[int, int]] = {}
    rows = sa.select(c.round, c.bin, c.n).where(c.round.in_(numbers)).order_by(c.round, c.bin)
    for number, of_bin, n in tx.execute(rows):
        found.setdefault(number, {})[of_bin] = n
    return found
