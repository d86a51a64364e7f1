"""What a `forget` has begun and not finished: the only place that still names the samples meanwhile."""

from datetime import datetime

import sqlalchemy as sa

from labelloop.core.erasure import Begun, Erasure
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def begin(tx: Transaction, erasure: Erasure, at: datetime) -> None:
    """Note what has to be done, before any of it is."""
    tx.execute(t.erasures.insert().values(begun_at=at, work_json=erasure.to_json()))


def unfinished(tx: Transaction) -> list[Begun]:
    """What was begun and not finished, oldest first."""
    rows = tx.execute(sa.select(t.erasures).order_by(t.erasures.c.erasure))
    return [
        Begun(r.erasure, r.begun_at, Erasure.from_json(r.work_json) if r.work_json else None)
        for r in rows
    ]


def update(tx: Transaction, number: int, erasure: Erasure | None) -> None:
    """Note how far an erasure is; None: nothing is left but the ledger's own free space."""
    text = erasure.to_json() if erasure else ""
    tx.execute(t.erasures.update().where(t.erasures.c.erasure == number).values(work_json=text))


def finish(tx: Transaction, number: int) -> None:
    """Take an erasure off the list."""
    tx.execute(t.erasures.delete().where(t.erasures.c.erasure == number))
