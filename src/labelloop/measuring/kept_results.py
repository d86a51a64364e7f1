"""The results that `measure` keeps in the ledger: of each round and its labels, each day, and the trend.

Only what is new is computed. A round whose tasks had no event since its result was kept is not read
again: no task moves and no label changes without an event.
"""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from functools import cache, partial
from hashlib import sha256
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from labelloop.core.round import Round
from labelloop.ledger import Ledger, Transaction, classes, measured, rounds
from labelloop.measuring.accuracy import Accuracy, part_of
from labelloop.measuring.blind_frame import BlindFrame, blind_frames
from labelloop.measuring.checks import Checks
from labelloop.measuring.measured_round import MeasuredRound, RoundSummary
from labelloop.measuring.round_labels import QueueLabels, RoundLabels
from labelloop.measuring.trend import DAY, History, Trend, midnight, trend

METHOD_VERSION = 11
"""Raise it with every change to what an estimate comes out as: results of another version aren't used."""

_HEAD, _TREND = "head", "trend"
"""The names under which the ledger keeps what all results depend on, and the trend's history."""

_TOGETHER = 50
"""How many new rounds are read at once: a statement takes longer to prepare than a round to read."""

T = TypeVar("T", Accuracy, RoundSummary, RoundLabels, History)


class KeptResults:
    """The results that one reading of the ledger gives; `keep` writes the new ones afterwards.

    `frames` are the rounds' where they were read already; others are read where they are needed.
    """

    def __init__(
        self,
        tx: Transaction,
        *,
        timezone: str,
        level: float,
        frames: Sequence[BlindFrame] = (),
    ) -> None:
        self._tx = tx
        self._timezone = timezone
        self._level = level
        kept = measured.every(tx)
        self._head_before = kept.get(_HEAD)
        inputs = [timezone, level, sorted(classes.renamed(tx).items()), METHOD_VERSION]
        digest = sha256(repr(inputs).encode()).hexdigest()
        event = measured.last_event(tx)
        self._head = json.dumps([event, digest])
        event_before, digest_before = json.loads(self._head_before or "[0, null]")
        self._discard = digest != digest_before or event < event_before
        if self._discard:
            kept, event_before = {}, event
        changes = measured.changes(tx, event_before)
        checks = Checks.read(tx)
        changed = checks.with_those_that_pool(changes.rounds)
        self._changed = changes.rounds
        every = [
            r for r in rounds.every(tx) if r.rival is None
        ]  # others say nothing of an accuracy
        read = {f.round.round: f for f in frames}
        new = [r for r in every if r.round in changed or _of_round(r.round) not in kept]

        def load(made: Round) -> BlindFrame:
            if made.round not in read:
                at = bisect_left(new, made.round, key=lambda r: r.round)
                together = new[at : at + _TOGETHER] if made in new[at : at + 1] else [made]
                among = [r for r in together if r.round not in read]
                found = blind_frames(tx, among=among, checks=checks)
                read.update({f.round.round: f for f in found})
            return read[made.round]

        self.rounds = [
            MeasuredRound(
                made,
                partial(load, made),
                timezone=timezone,
                level=level,
                kept=_read(RoundSummary, kept.get(_of_round(made.round)))
                if made.round not in changed
                else None,
            )
            for made in every
        ]
        self._regular = [r for r in self.rounds if not r.round.extra]
        self._kept = kept
        self._history_before = _read(History, kept.get(_TREND)) or History()
        self._history = self._history_before.before(changes.labels_since)
        self._new: dict[str, str] = {}

    def days(self) -> tuple[Accuracy, ...]:
        """The accuracy of each day of predictions, oldest first."""
        zone = ZoneInfo(self._timezone)
        changed = {day for r in self._regular if r.is_new for day in r.summary.days}
        found: list[Accuracy] = []
        rounds_of: dict[date, list[MeasuredRound]] = {}
        for r in self._regular:
            for day in r.summary.days:
                rounds_of.setdefault(day, []).append(r)
        for day, own in sorted(rounds_of.items()):
            name = day.isoformat()
            accuracy = _read(Accuracy, self._kept.get(_of_day(name)))
            if accuracy is None or day in changed:
                begin, end = midnight(day, zone), midnight(day + DAY, zone)
                accuracy = part_of(
                    name,
                    [r.frame for r in own],
                    lambda d, begin=begin, end=end: begin <= d.predicted_at < end,  # type: ignore[misc]
                    self._level,
                )
                self._new[_of_day(name)] = _text(accuracy)
            found.append(accuracy)
        return tuple(found)

    def labels(self) -> tuple[RoundLabels, ...]:
        """What became of the labels of each round, those that judge a candidate included."""
        found: list[RoundLabels] = []
        for made in rounds.every(self._tx):
            name = _of_labels(made.round)
            own = None
            if made.round not in self._changed:
                own = _read(RoundLabels, self._kept.get(name))
            if own is None:
                own = _labels(self._tx, made)
                self._new[name] = _text(own)
            found.append(own)
        return tuple(found)

    def trend(self, now: datetime) -> Trend:
        """Whether the accuracy has fallen, and its mean so far."""
        found, self._history = trend(
            self._regular, now=now, timezone=self._timezone, level=self._level, known=self._history
        )
        return found

    def keep(self, ledger: Ledger) -> None:
        """Write the new results, unless another process has written some meanwhile."""
        values = {_of_round(r.round.round): _text(r.summary) for r in self.rounds if r.is_new}
        values |= self._new
        if self._history != self._history_before:
            values[_TREND] = _text(self._history)
        if not values and self._head == self._head_before:
            return
        values[_HEAD] = self._head
        with ledger.write_at_once() as tx:
            if measured.every(tx, _HEAD).get(_HEAD) == self._head_before:
                measured.keep(tx, values, anew=self._discard)


def _of_round(number: int) -> str:
    return f"round {number}"


def _of_labels(number: int) -> str:
    return f"labels {number}"


def _labels(tx: Transaction, made: Round) -> RoundLabels:
    queues = tuple(
        QueueLabels(
            queue=a.queue,
            purpose=a.purpose,
            n_asked=a.n_drawn,
            n_answered=a.n_labelled,
            n_skipped=a.n_without,
            n_open=a.n_drawn - a.n_labelled - a.n_without,
        )
        for a in rounds.answered(tx, made.round)
    )
    return RoundLabels(round=made.round, extra=made.extra, queues=queues)


def _of_day(name: str) -> str:
    return f"day {name}"


def _text(value: Accuracy | RoundSummary | RoundLabels | History) -> str:
    """The JSON of a result; every number comes back to the last digit."""
    return json.dumps(asdict(value), default=_plain, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(value)


def _read(kind: type[T], text: str | None) -> T | None:
    """The result that `_text` wrote; None if there is no text."""
    if text is None:
        return None
    found: T = _adapters()[kind].validate_python(json.loads(text))
    return found


@cache
def _adapters() -> dict[type, "TypeAdapter[Any]"]:
    return {kind: TypeAdapter(kind) for kind in (Accuracy, RoundSummary, RoundLabels, History)}
