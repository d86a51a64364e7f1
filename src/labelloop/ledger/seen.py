"""Who saw what the model said of samples that wait for a blind answer."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement

LOOKED = "looked"
"""The verb of the event that an operator looked at a sample whose blind answer is still to come."""


def record_look(tx: Transaction, task_keys: Sequence[str], *, by: str, at: datetime) -> None:
    """Note that somebody saw what the model said of samples that wait for a blind answer."""
    events.record(tx, [events.Event(at, by, LOOKED, key, "") for key in task_keys])


def lookers(tx: Transaction, task_keys: Sequence[str]) -> dict[str, dict[str, datetime]]:
    """Who looked while these tasks waited, and when first: by task, by the name of their account."""
    found: dict[str, dict[str, datetime]] = {}
    for chunk in per_statement(task_keys):
        rows = tx.execute(
            sa.select(t.events.c.subject, t.events.c.actor, t.events.c.at)
            .where(t.events.c.subject.in_(chunk), t.events.c.verb == LOOKED)
            .order_by(t.events.c.id)
        )
        for r in rows:
            found.setdefault(r.subject, {}).setdefault(r.actor, r.at)
    return found
