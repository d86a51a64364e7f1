"""Who saw what the model said of samples that wait for a blind answer."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.sighting import Sighting
from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement

LOOKED = "looked"
"""The verb of the event that an operator looked at a sample whose blind answer is still to come."""


def record_look(
    tx: Transaction, task_keys: Sequence[str], *, by: str, annotator: str, at: datetime
) -> None:
    """Note that somebody saw what the model said of samples that wait for a blind answer.

    annotator
        the id that their answers carry; empty where they say that they give none, or their name tells
    """
    events.record(tx, [events.Event(at, by, LOOKED, key, annotator) for key in task_keys])


def sightings(tx: Transaction, task_keys: Sequence[str]) -> dict[str, list[Sighting]]:
    """Who saw what the model said of the samples of these blind tasks, by task, the first first.

    It counts for every look at the sample, whichever of them waited then.
    """
    found: dict[str, list[Sighting]] = {}
    waited = t.tasks.alias()
    same_sample = (waited.c.purpose == t.tasks.c.purpose) & (
        waited.c.sample_id == t.tasks.c.sample_id
    )
    query = (
        sa.select(t.tasks.c.task_key, t.events.c.actor, t.events.c.detail, t.events.c.at)
        .join(waited, same_sample)
        .join(t.events, t.events.c.subject == waited.c.task_key)
        .where(t.blind, t.events.c.verb == LOOKED)
        .order_by(t.events.c.id)
    )
    for chunk in per_statement(task_keys):
        for r in tx.execute(query.where(t.tasks.c.task_key.in_(chunk))):
            found.setdefault(r.task_key, []).append(Sighting(r.actor, r.detail, r.at))
    return found


def has_looked(tx: Transaction, task_keys: Sequence[str], account: str) -> bool:
    """Whether an account has looked at the sample of each of these blind tasks."""
    found = sightings(tx, task_keys)
    return all(any(s.account == account for s in found.get(key, ())) for key in task_keys)
