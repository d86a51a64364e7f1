"""The classes people may answer with: added and retired, never deleted."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def declare(tx: Transaction, names: Sequence[str], now: datetime) -> None:
    """Make the classes of the settings the live ones: new ones are added, missing ones retired."""
    rows = {r.name: r.retired_at for r in tx.execute(sa.select(t.classes))}
    for name in names:
        if name not in rows:
            tx.execute(t.classes.insert().values(name=name, kind="class", added_at=now))
        elif rows[name] is not None:
            tx.execute(t.classes.update().where(t.classes.c.name == name).values(retired_at=None))
    for name in rows.keys() - set(names):
        if rows[name] is None:
            tx.execute(t.classes.update().where(t.classes.c.name == name).values(retired_at=now))


def live(tx: Transaction) -> frozenset[str]:
    """The classes that aren't retired."""
    return frozenset(
        tx.execute(sa.select(t.classes.c.name).where(t.classes.c.retired_at.is_(None))).scalars()
    )
