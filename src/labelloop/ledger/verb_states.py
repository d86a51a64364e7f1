"""When the service last did each verb, and how it ended."""

from datetime import datetime

import sqlalchemy as sa

from labelloop.core.due import VerbState
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


def every(tx: Transaction) -> dict[str, VerbState]:
    """The state of each verb that a service did."""
    return {
        r.verb: VerbState(r.succeeded_at, r.failed_at, r.n_failures, r.error)
        for r in tx.execute(sa.select(t.verbs))
    }


def put(tx: Transaction, verb: str, state: VerbState) -> None:
    """Record the state of a verb."""
    row = {
        "succeeded_at": state.succeeded_at,
        "failed_at": state.failed_at,
        "n_failures": state.n_failures,
        "error": state.error,
    }
    if tx.execute(t.verbs.update().where(t.verbs.c.verb == verb).values(row)).rowcount == 0:
        tx.execute(t.verbs.insert().values(verb=verb, **row))


def forget_errors(tx: Transaction, at: datetime) -> None:
    """Remove what failures said, which may name samples."""
    failed = t.verbs.c.failed_at.is_not(None) & (t.verbs.c.failed_at <= at)
    tx.execute(t.verbs.update().where(failed).values(error=""))
