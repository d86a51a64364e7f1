"""Erasures that `forget` has begun and not finished. Nothing else still names their samples."""

from datetime import datetime

import sqlalchemy as sa

from labelloop.core.erasure import Begun, Erasure
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def begin(tx: Transaction, erasure: Erasure, at: datetime) -> None:
    """Record an erasure before any of it is done."""
    tx.execute(t.erasures.insert().values(begun_at=at, work_json=erasure.to_json()))


def unfinished(tx: Transaction) -> list[Begun]:
    """The erasures that were begun and not finished, oldest first."""
    rows = tx.execute(sa.select(t.erasures).order_by(t.erasures.c.erasure))
    return [
        Begun(r.erasure, r.begun_at, Erasure.from_json(r.work_json) if r.work_json else None)
        for r in rows
    ]


def update(tx: Transaction, number: int, erasure: Erasure | None) -> None:
    """Record the progress of an erasure; None: only the free space of the ledger is left to clean."""
    text = erasure.to_json() if erasure else ""
    tx.execute(t.erasures.update().where(t.erasures.c.erasure == number).values(work_json=text))


def finish(tx: Transaction, number: int) -> None:
    """Remove an erasure that is finished."""
    tx.execute(t.erasures.delete().where(t.erasures.c.erasure == number))
