"""How often the values of attributes occurred in each round's traffic, counted when it was drawn."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from labelloop.core.slice_count import SliceCount
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def insert(tx: Transaction, round_number: int, counts: Sequence[SliceCount]) -> None:
    """Write the counts of a round."""
    if counts:
        tx.execute(
            t.slices.insert(),
            [
                {"round": round_number, "attribute": c.attribute, "value": c.value, "n": c.n}
                for c in counts
            ],
        )


def of_rounds(tx: Transaction, numbers: Collection[int]) -> dict[int, list[SliceCount]]:
    """The counts of these rounds; those that have none are left out."""
    c = t.slices.c
    rows = (
        sa.select(c.round, c.attribute, c.value, c.n)
        .where(c.round.in_(numbers))
        .order_by(c.round, c.attribute, c.value)
    )
    found: dict[int, list[SliceCount]] = {}
    for number, attribute, value, n in tx.execute(rows):
        one = SliceCount(attribute=attribute, value=value, n=n)
        found.setdefault(number, []).append(one)
    return found


def attributes(tx: Transaction) -> set[str]:
    """Every attribute that was counted in any round."""
    return set(tx.execute(sa.select(t.slices.c.attribute).distinct()).scalars())
