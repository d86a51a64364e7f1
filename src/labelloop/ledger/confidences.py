"""The confidences of each round's traffic, counted when it was drawn: for calibration and hints."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.sample import RISK_BINS
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


@dataclass(frozen=True, slots=True)
class Claimed:
    """The mean confidence of a round's traffic, and how much of it came with one."""

    round: int
    created_at: datetime
    n: int
    mean: float


def claimed(tx: Transaction, since: datetime) -> list[Claimed]:
    """The mean confidence of each regular round made at `since` or later, oldest first."""
    r, c = t.rounds.c, t.confidences.c
    n, twice = sa.func.sum(c.n), sa.func.sum(c.n * (2 * c.bin + 1))
    regular = sa.and_(~r.extra, r.tops_up.is_(None), r.rival.is_(None), r.created_at >= since)
    rows = (
        sa.select(r.round, r.created_at, n, twice)
        .join_from(t.rounds, t.confidences, c.round == r.round)
        .where(regular)
        .group_by(r.round, r.created_at)
        .order_by(r.round)
    )
    return [
        Claimed(number, at, int(size), 1 - float(total) / (2 * RISK_BINS * float(size)))
        for number, at, size, total in tx.execute(rows)
    ]


def models(tx: Transaction, numbers: Collection[int]) -> dict[int, set[str]]:
    """The models that made the predictions drawn in these rounds."""
    d = t.draws.c
    found: dict[int, set[str]] = {}
    rows = sa.select(d.round, d.model).where(d.round.in_(numbers)).distinct()
    for number, model in tx.execute(rows):
        found.setdefault(number, set()).add(model)
    return found
