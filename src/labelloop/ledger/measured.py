"""The results that `measure` keeps, and which of them events have made stale."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import looks
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import max_of
from labelloop.ledger.top_ups import TopUps


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since an event.

    rounds
        the rounds that drew a task with a later event, or were topped up since
    labels_since
        the time of the earliest first label among these tasks; None: none ever had a label
    """

    rounds: frozenset[int]
    labels_since: datetime | None


def last_event(tx: Transaction) -> int:
    """The newest event; 0 before the first."""
    return max_of(tx, t.events.c.id)


def changes(tx: Transaction, after: int) -> Changes:
    """What changed after an event. No task changes its state or label without an event."""
    # as subqueries: of a join SQLite would begin with the larger side
    after_it = t.events.c.id > after
    subjects = sa.select(t.events.c.subject).where(after_it)
    changed = sa.union_all(subjects, looks.firsts_of(subjects))
    rounds = sa.select(t.draws.c.round).where(t.draws.c.task_key.in_(changed)).distinct()
    ever = t.events.alias()
    labelled = (ever.c.verb == "resolved") & ever.c.subject.in_(changed)
    first = sa.select(ever.c.at).where(labelled).order_by(ever.c.at).limit(1)
    top_ups = TopUps.read(tx)
    drawn = tx.execute(sa.select(t.events.c.subject).where(after_it, t.events.c.verb == "round"))
    numbers = set(drawn.scalars())
    topped_up = [one.of for one in top_ups.every.values() if str(one.round) in numbers]
    return Changes(
        rounds=frozenset({*map(top_ups.round_of, tx.execute(rounds).scalars()), *topped_up}),
        labels_since=tx.execute(first).scalar_one_or_none(),
    )


def every(tx: Transaction, name: str | None = None) -> dict[str, str]:
    """The kept values by name; with `name`, only that one."""
    query = sa.select(t.measured)
    if name is not None:
        query = query.where(t.measured.c.name == name)
    return {r.name: r.value for r in tx.execute(query)}


def keep(tx: Transaction, values: Mapping[str, str], *, anew: bool = False) -> None:
    """Store values under their names; `anew`: delete all others."""
    gone = t.measured.delete()
    if not anew:
        gone = gone.where(t.measured.c.name == sa.bindparam("gone"))
        tx.execute(gone, [{"gone": name} for name in values])
    else:
        tx.execute(gone)
    tx.execute(t.measured.insert(), [{"name": k, "value": v} for k, v in values.items()])
