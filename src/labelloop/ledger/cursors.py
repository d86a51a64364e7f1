"""Cursors: the position of each repeated reading."""

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_VALUE = sa.select(t.cursors.c.value).where(t.cursors.c.name == sa.bindparam("of"))
_NAMED = t.cursors.update().where(t.cursors.c.name == sa.bindparam("of"))


def get(tx: Transaction, name: str) -> str | None:
    """The value of a cursor; None if it isn't set."""
    value: str | None = tx.execute(_VALUE, {"of": name}).scalar_one_or_none()
    return value


def put(tx: Transaction, name: str, value: str) -> None:
    """Set a cursor."""
    if tx.execute(_NAMED, {"of": name, "value": value}).rowcount == 0:
        tx.execute(t.cursors.insert(), {"name": name, "value": value})


def clear(tx: Transaction, name: str) -> None:
    """Remove a cursor."""
    tx.execute(t.cursors.delete().where(t.cursors.c.name == name))
