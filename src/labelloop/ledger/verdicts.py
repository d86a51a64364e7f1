"""The last verdict on each candidate, so that it can be read again."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import cursors
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_NAMED = "verdict:"
KEPT = 20
"""So many candidates are remembered, those that were compared last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVerdict:
    """What a comparison said of a candidate.

    verdict
        "PASS", "FAIL" or "NOT YET"; None: there is no difference to judge, and `reason` says why
    value, low, high, level, n
        the gain of the candidate, and the labels that it rests on
    every_look
        whether these bounds hold however often one looks
    by_itself
        nobody asked: it is a shadow model whose answers are in the log
    """

    candidate: str
    serving_model: str
    at: datetime
    verdict: str | None
    min_gain: float
    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    every_look: bool
    n_candidates: int
    more_labels: int | None
    reason: str
    by_itself: bool = False


def put(tx: Transaction, digest: str, found: KeptVerdict) -> None:
    """Remember a verdict in place of the one before on the same candidate."""
    held = asdict(found) | {"at": found.at.isoformat()}
    cursors.put(tx, f"{_NAMED}{digest}", json.dumps(held, ensure_ascii=False))
    for old in _every(tx)[KEPT:]:
        cursors.clear(tx, old[0])


def every(tx: Transaction) -> list[KeptVerdict]:
    """The last verdict on each candidate, the newest first."""
    return [found for _, found in _every(tx)]


def _every(tx: Transaction) -> list[tuple[str, KeptVerdict]]:
    c = t.cursors.c
    rows = tx.execute(sa.select(c.name, c.value).where(c.name.startswith(_NAMED, autoescape=True)))
    found = []
    for name, value in rows:
        held = KeptVerdict(**json.loads(value))
        at = datetime.fromisoformat(str(held.at))
        found.append((name, replace(held, at=at)))
    return sorted(found, key=lambda each: each[1].at, reverse=True)
