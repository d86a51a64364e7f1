"""Predictions that are dated in the future, as by a clock that runs ahead."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.ledger import cursors
from labelloop.ledger.database import Transaction

_CURSOR = "index:dated ahead"


@dataclass(frozen=True, slots=True)
class DatedAhead:
    """How many predictions came in with a date in the future, and the latest of these dates."""

    n: int
    until: datetime


def note(tx: Transaction, moments: Sequence[datetime]) -> None:
    """Add predictions that are dated ahead to those whose time hasn't come."""
    if not moments:
        return
    before = known(tx, min(moments))
    until = max([*moments, *([before.until] if before else [])])
    n = len(moments) + (before.n if before else 0)
    cursors.put(tx, _CURSOR, json.dumps([n, until.isoformat()]))


def known(tx: Transaction, now: datetime) -> DatedAhead | None:
    """Those noted, as long as the time of one of them hasn't come."""
    text = cursors.get(tx, _CURSOR)
    if text is None:
        return None
    n, until = json.loads(text)
    found = DatedAhead(n, datetime.fromisoformat(until))
    return found if found.until > now else None
