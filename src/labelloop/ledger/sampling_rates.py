"""How much of its traffic an application logged: counts of a round's frame by rate.

Only rounds of which not all traffic was logged have any.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from labelloop.core.round import RateCount
from labelloop.ledger import classes
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def insert(tx: Transaction, round_number: int, counts: Sequence[RateCount]) -> None:
    """Write the counts of a round."""
    if counts:
        rows = [
            {
                "round": round_number,
                "predicted_class": c.predicted_class,
                "risk_bin": c.risk_bin,
                "sampling_rate": c.sampling_rate,
                "n": c.n,
            }
            for c in counts
        ]
        tx.execute(t.sampling_rates.insert(), rows)


def by_round(tx: Transaction, numbers: Collection[int] | None = None) -> dict[int, list[RateCount]]:
    """The counts of the rounds that have any, of some or of all; classes have their present names."""
    present = classes.renamed(tx)
    query = sa.select(t.sampling_rates)
    if numbers is not None:
        query = query.where(t.sampling_rates.c.round.in_(numbers))
    summed: Counter[tuple[int, str, int, float]] = Counter()
    for r in tx.execute(query):
        name = present.get(r.predicted_class, r.predicted_class)
        summed[r.round, name, r.risk_bin, r.sampling_rate] += r.n
    found: dict[int, list[RateCount]] = {}
    for (of, name, risk_bin, rate), n in sorted(summed.items()):
        one = RateCount(predicted_class=name, risk_bin=risk_bin, sampling_rate=rate, n=n)
        found.setdefault(of, []).append(one)
    return found
