"""The report as `run` keeps it in the ledger, so that a page shows it without reading a draw."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from labelloop.ledger import Ledger, datasets, measured
from labelloop.ports.clock import Clock
from labelloop.views.quality import Quality

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_NAME = "report"
_WORTH = 10
"""A report that took a second to make is made anew after ten at the soonest."""
_LASTS = timedelta(minutes=15)
"""After this time one is made anew though nothing happened: the last seven days are others by then."""


def keep_if_due(
    ledger: Ledger, make: Callable[[], Quality], *, inputs: str, clock: Clock
) -> Quality | None:
    """Make a report and keep it, if a new one is worth its while; None if it isn't.

    inputs
        a digest of the settings that it depends on
    """
    began_at = clock.now()
    with ledger.read() as tx:
        text = measured.every(tx, _NAME).get(_NAME)
        state = [measured.last_event(tx), len(datasets.every(tx))]
    if text is not None and not _is_due(json.loads(text), inputs, state, began_at):
        return None
    found = make()
    held = {
        "inputs": inputs,
        "state": state,
        "made_at": began_at.isoformat(),
        "took_s": (clock.now() - began_at).total_seconds(),
        "report": asdict(found),
    }
    with ledger.write_at_once() as tx:
        measured.keep(tx, {_NAME: json.dumps(held, default=_plain, ensure_ascii=False)})
    return found


def _is_due(held: Mapping[str, Any], inputs: str, state: list[int], now: datetime) -> bool:
    age = now - datetime.fromisoformat(held["made_at"])
    if held["inputs"] != inputs or age < timedelta(0):
        return True
    rest = _LASTS if held["state"] == state else _WORTH * timedelta(seconds=held["took_s"])
    return age >= rest


def kept(ledger: Ledger, *, inputs: str | None) -> Quality | None:
    """The report that was kept under these settings, or under any; None: there is none."""
    with ledger.read() as tx:
        text = measured.every(tx, _NAME).get(_NAME)
    if text is None:
        return None
    held = json.loads(text)
    if inputs is not None and held["inputs"] != inputs:
        return None
    return _adapter().validate_python(held["report"])


def _plain(value: object) -> object:
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(value)


@cache
def _adapter() -> "TypeAdapter[Quality]":
    from pydantic import TypeAdapter

    return TypeAdapter(Quality)
