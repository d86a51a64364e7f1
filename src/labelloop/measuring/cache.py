"""What `measure` knew before, of each round, each day and over time, brought up to date.

A round costs what is new: the draws of one that nothing happened to since aren't read again. That an
estimate doesn't change is known from the ledger's events, as no task moves and no label changes without one.
"""

import json
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from zoneinfo import ZoneInfo

from labelloop.core.round import Round
from labelloop.ledger import Ledger, Transaction, classes, measured, rounds
from labelloop.measuring import cache_text as known_text
from labelloop.measuring.accuracy import Accuracy, accuracy_of, part_of
from labelloop.measuring.blind_frame import BlindFrame, blind_frame
from labelloop.measuring.cache_text import RoundFacts
from labelloop.measuring.trend import History, Trend, trend_after

METHOD_VERSION = 2
"""Raised by hand with every change to what an estimate comes out as: kept results of another are left."""

_HEAD, _TREND = "head", "trend"


class Known:
    """What is known within one reading of the ledger; `keep` is for after it."""

    def __init__(self, tx: Transaction, *, timezone: str, level: float) -> None:
        self._timezone = timezone
        self._level = level
        kept = measured.every(tx)
        self._head_before = kept.get(_HEAD)
        terms = [timezone, level, sorted(classes.renamed(tx).items()), METHOD_VERSION]
        event = measured.last_event(tx)
        self._head = json.dumps([event, sha256(repr(terms).encode()).hexdigest()])
        before, digest = json.loads(self._head_before or "[0, null]")
        self._anew = digest != json.loads(self._head)[1] or event < before
        if self._anew:
            kept = {}
        changes = measured.changes(tx, event if self._anew else before)
        set_aside = rounds.set_aside(tx)
        self.rounds = [
            KnownRound(
                *(tx, made, set_aside[made.round], timezone, level),
                None if made.round in changes.rounds else kept.get(_of_round(made.round)),
            )
            for made in rounds.every(tx)
        ]
        self._regular = [r for r in self.rounds if not r.round.extra]
        self._kept = kept
        self._history = known_text.history(kept[_TREND]) if _TREND in kept else History()
        self._kept_history = self._history
        self._history = self._history.before(changes.labels_since)
        self._fresh: dict[str, str] = {}

    def days(self) -> tuple[Accuracy, ...]:
        """The accuracy of each day of predictions, oldest first."""
        zone = ZoneInfo(self._timezone)
        changed = {day for r in self._regular if r.is_fresh for day in r.facts.days}
        found: list[Accuracy] = []
        for day in sorted({day for r in self._regular for day in r.facts.days}):
            name = day.isoformat()
            text = self._kept.get(_of_day(name))
            if text is not None and day not in changed:
                found.append(known_text.accuracy(text))
                continue
            frames = [r.loaded() for r in self._regular if day in r.facts.days]
            found.append(
                part_of(
                    *(name, frames),
                    lambda d, day=day: d.predicted_at.astimezone(zone).date() == day,  # type: ignore[misc]
                    self._level,
                )
            )
            self._fresh[_of_day(name)] = known_text.of(found[-1])
        return tuple(found)

    def trend(self, now: datetime) -> Trend:
        """Whether the accuracy has fallen, and its mean so far."""
        found, self._history = trend_after(
            self._history, self._regular, now=now, timezone=self._timezone, level=self._level
        )
        return found

    def keep(self, ledger: Ledger) -> None:
        """Keep what wasn't known, unless another process has kept something meanwhile."""
        values = {
            _of_round(r.round.round): known_text.of(r.facts) for r in self.rounds if r.is_fresh
        }
        values |= self._fresh
        if self._history != self._kept_history:
            values[_TREND] = known_text.of(self._history)
        if not values and self._head == self._head_before:
            return
        values[_HEAD] = self._head
        with ledger.write_at_once() as tx:
            if measured.every(tx, _HEAD).get(_HEAD) == self._head_before:
                measured.keep(tx, values, anew=self._anew)


class KnownRound:
    """A round and what is known of it; its draws are read when they are asked for."""

    def __init__(
        self,
        tx: Transaction,
        made: Round,
        n_set_aside: int,
        timezone: str,
        level: float,
        kept: str | None,
    ) -> None:
        self.round = made
        self.is_fresh = kept is None
        self._tx = tx
        self._n_set_aside = n_set_aside
        self._zone = ZoneInfo(timezone)
        self._level = level
        self._kept = kept
        self._frame: BlindFrame | None = None

    @cached_property
    def facts(self) -> RoundFacts:
        """What the reports need of it."""
        if self._kept is not None:
            return known_text.round_facts(self._kept)
        frame = self.loaded()
        times = [d.predicted_at for d in frame.draws]
        name = f"round {self.round.round}{' (extra)' if self.round.extra else ''}"
        return RoundFacts(
            accuracy=accuracy_of(name, [frame], None, self._level),
            models=frozenset(d.model for d in frame.draws),
            days=frozenset(at.astimezone(self._zone).date() for at in times),
            first_at=min(times, default=None),
            last_at=max(times, default=None),
        )

    @property
    def models(self) -> frozenset[str]:
        """The models whose predictions were drawn."""
        return self.facts.models

    def reaches(self, since: datetime | None, until: datetime | None) -> bool:
        """Whether it may hold draws of the period since <= predicted_at < until."""
        first, last = self.facts.first_at, self.facts.last_at
        if first is None or last is None:
            return False
        return (since is None or since <= last) and (until is None or first < until)

    def loaded(self) -> BlindFrame:
        """It with its blind draws."""
        if self._frame is None:
            self._frame = blind_frame(self._tx, self.round, self._n_set_aside)
        return self._frame


def _of_round(number: int) -> str:
    return f"round {number}"


def _of_day(name: str) -> str:
    return f"day {name}"
