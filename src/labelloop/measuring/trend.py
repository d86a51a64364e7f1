"""The trend: whether the accuracy has fallen, tested once a day, and its mean over weeks."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby
from math import sqrt
from typing import Literal
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Undefined
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.statistics.accuracy import share_right
from labelloop.statistics.drop import (
    Drop,
    Window,
    days_to_show,
    latest_drop,
    side,
    sudden_drop,
)
from labelloop.statistics.rounds_sequence import RoundsSequence

DAY, WEEK = timedelta(days=1), timedelta(days=7)
WEEKS_A_YEAR = 52
Windows = Literal["day", "week"]
MOST: dict[Windows, int] = {"day": 56, "week": 52}
"""Windows with labels that a look by day or by week goes back to, at most."""
FALLS = (0.10, 0.05, 0.02)
"""Falls whose delay is told."""
PRESENT = 8
"""Weeks whose labels are the present rate."""
TIGHT_AFTER = 8
"""Weeks after which the band of the mean is narrowest for its data."""


@dataclass(frozen=True, slots=True)
class Look:
    """One test of whether a model's accuracy fell, made when a day closed.

    number
        of the looks at this model, from 1
    at
        when the day closed; only answers given before count
    by
        "day" or "week": what the windows of `drop` are. A look is by day; when a week closes it is
        by day and by week, and this is the surer of the two
    since, rounds
        the first day of the newest windows, which are compared with all before, and the rounds of
        the newest windows
    """

    model: str
    number: int
    at: datetime
    by: Windows
    since: date
    rounds: tuple[int, ...]
    drop: Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSoFar:
    """The mean accuracy of a model's first `n_weeks` weeks, with bounds that are valid at every week.

    week
        the Monday of the last of them; `rounds` are the rounds of that week
    """

    model: str
    week: date
    rounds: tuple[int, ...]
    n_weeks: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """The number of days after which a fall is found in half of all cases; None: more than ten years."""

    fall: float
    days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The looks at the accuracy so far, and its mean.

    model
        the model that is watched: the one that served the newest round with only one model
    alarm, latest
        the first look that found a fall of its accuracy, and the newest look
    looks, means
        of all models, oldest first
    n_mixed
        rounds that several models served; no look uses them
    next_at
        when the present day closes
    labels_a_week
        of the watched model at present, as a number of random labels that would be as precise
    """

    model: str | None
    alarm: Look | None
    latest: Look | None
    looks: tuple[Look, ...]
    means: tuple[MeanSoFar, ...]
    n_mixed: int
    next_at: datetime
    labels_a_week: float
    delays: tuple[Delay, ...]
    false_alarms_a_year: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The model that was watched when a day closed, and the look that was made then.

    seen
        a digest of how many labels the windows had, by "day" and by "week", at the newest look
    look
        the look that was made, if one was
    rate, delays
        `labels_a_week` and `delays` of that model when the last week closed
    """

    at: datetime
    watched: str
    seen: dict[Windows, str]
    look: Look | None
    rate: float
    delays: tuple[Delay, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A week of a model with its answers as of `at`, and the mean up to it; None without answers."""

    model: str
    week: date
    at: datetime
    sequence: RoundsSequence | None
    mean: MeanSoFar | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What `trend` has computed, so that the next call goes on from there. Both are in the order of time."""

    closings: tuple[Closing, ...] = ()
    settled: tuple[Settled, ...] = ()

    def before(self, at: datetime | None) -> "History":
        """The part that labels given or edited since `at` can't change; all of it if `at` is None."""
        if at is None:
            return self
        return History(
            closings=tuple(c for c in self.closings if c.at <= at),
            settled=tuple(k for k in self.settled if k.at <= at),
        )


def trend(
    rounds: Sequence[MeasuredRound],
    *,
    now: datetime,
    timezone: str,
    level: float = 0.95,
    known: History | None = None,
) -> tuple[Trend, History]:
    """The looks and means that the regular rounds support, and the history to pass as `known` next time.

    A look is made of each day that has closed in the time zone, of the model that served last, if
    answers came since the look before: the last days against the days before; when a week has closed,
    Monday to Sunday, the last weeks against the weeks before too. It sees the answers that were there
    when the day closed: asking again, or late, gives the same looks. In a year of looks a false alarm
    has at most the chance 1 - level, however many models served. A week enters the means when the week
    after it has closed, with the answers that were there by then.

    Only draws that what `known` doesn't hold needs are read.
    """
    history = known or History()
    zone = ZoneInfo(timezone)
    regular = [r for r in rounds if r.summary.models and not r.round.extra]
    lines = _lines(regular, zone)
    closings = list(history.closings)
    for at in _closings(regular, zone, now, closings[-1].at if closings else None):
        watched = max(lines.values(), key=lambda line: line.served_before(at)).model
        closings.append(_closing_of(lines[watched], at, closings, level))
    settled = [k for line in lines.values() for k in _settled(line, history, now, level)]
    newest = max(lines.values(), key=lambda line: line.served_before(now), default=None)
    model = newest.model if newest else None
    last = closings[-1] if closings else None
    present = last if last is not None and last.watched == model else None
    looks = tuple(c.look for c in closings if c.look is not None)
    own = [look for look in looks if look.model == model]
    found = Trend(
        model=model,
        alarm=next((look for look in own if look.drop.alarm), None),
        latest=own[-1] if own else None,
        looks=looks,
        means=tuple(k.mean for k in settled if k.mean is not None),
        n_mixed=len(regular) - sum(len(line.rounds) for line in lines.values()),
        next_at=midnight(_day(now, zone) + DAY, zone),
        labels_a_week=present.rate if present else 0.0,
        delays=present.delays if present else (),
        false_alarms_a_year=1 - level,
        level=level,
    )
    return found, History(closings=tuple(closings), settled=tuple(settled))


def _closing_of(line: "_Line", at: datetime, before: Sequence[Closing], level: float) -> Closing:
    last = next((c for c in reversed(before) if c.watched == line.model), None)
    seen = dict(last.seen) if last else {}
    rate, delays = (last.rate, last.delays) if last else (0.0, ())
    looks: list[Look] = []
    steps: tuple[Windows, ...] = ("day", "week") if line.closes_a_week(at) else ("day",)
    for by in steps:
        found = line.windows(at, by)
        windows = [w for _, w in found]
        digest = _digest([(first, w.n) for first, w in found])
        if seen.get(by) == digest:
            continue  # no answer came since
        seen[by] = digest
        if by == "day":
            said = sudden_drop(windows, false_alarms=1 - level)
        else:
            said = latest_drop(windows, spent=(1 - level) / WEEKS_A_YEAR)
            rate, delays = _delays(windows if len(windows) > 1 else [], level)
        if not isinstance(said, Undefined):
            since = found[-said.n_windows][0]
            number = 1 + sum(c.look is not None and c.watched == line.model for c in before)
            rounds = line.numbers(since, at, by)
            looks.append(Look(line.model, number, at, by, since, rounds, said))
    surer = max(looks, key=lambda look: look.drop.bound, default=None)
    return Closing(at=at, watched=line.model, seen=seen, look=surer, rate=rate, delays=delays)


def _digest(labelled: object) -> str:
    return blake2b(repr(labelled).encode(), digest_size=8).hexdigest()


class _Line:
    """The rounds that one model served alone, by day."""

    def __init__(self, model: str, zone: ZoneInfo) -> None:
        self.model = model
        self.zone = zone
        self.rounds: list[MeasuredRound] = []
        self.days: dict[date, list[MeasuredRound]] = {}
        self._labelled: dict[date, list[datetime]] = {}
        self._held: dict[date, Window] = {}

    def add(self, served: MeasuredRound) -> None:
        day = _day(served.round.created_at, self.zone)
        self.rounds.append(served)
        self.days.setdefault(day, []).append(served)

    def served_before(self, at: datetime) -> tuple[datetime, int]:
        """When its newest round before `at` was drawn, and the number of that round, which breaks ties."""
        past = [r.round for r in self.rounds if r.round.created_at < at]
        last = max(past, key=lambda r: r.round, default=None)
        return (last.created_at, last.round) if last else (datetime.min.replace(tzinfo=UTC), 0)

    def closes_a_week(self, at: datetime) -> bool:
        """Whether the day that closed at `at` was a Sunday."""
        return _day(at, self.zone).weekday() == 0

    def numbers(self, since: date, at: datetime, by: Windows) -> tuple[int, ...]:
        """The numbers of its rounds in windows from `since` on that closed by `at`."""
        return tuple(
            r.round.round
            for day, rounds in self.days.items()
            if day >= since and self._closes(day, by) <= at
            for r in rounds
        )

    def windows(self, at: datetime, by: Windows) -> list[tuple[date, Window]]:
        """Its newest windows that closed by `at` and had labels before `at`, with these labels.

        Each with its first day, oldest first.
        """
        closed = (day for day in reversed(self.days) if self._closes(day, by) <= at)
        found: list[tuple[date, Window]] = []
        for first, days in groupby(closed, _monday if by == "week" else None):
            parts = [w for w in (self._window(day, at) for day in days) if w.n]
            if parts:
                found.append((first, Window.joined(parts[::-1]) if len(parts) > 1 else parts[0]))
            if len(found) == MOST[by]:
                break
        return found[::-1]

    def weeks(self) -> Iterator[tuple[date, list[MeasuredRound]]]:
        """Its rounds by week, oldest first, each week with its Monday."""
        for monday, days in groupby(self.days, _monday):
            yield monday, [r for day in days for r in self.days[day]]

    def _closes(self, day: date, by: Windows) -> datetime:
        return midnight(_monday(day) + WEEK if by == "week" else day + DAY, self.zone)

    def _window(self, day: date, at: datetime) -> Window:
        if day not in self._labelled:
            draws = (d for r in self.days[day] for d in r.frame.draws)
            self._labelled[day] = sorted(d.labelled_at for d in draws if d.labelled_at is not None)
        n = bisect_left(self._labelled[day], at)
        if day not in self._held or self._held[day].n != n:
            frames = [r.frame.as_of(at) for r in self.days[day]]
            self._held[day] = Window.of([f.blind_round() for f in frames if f.n_reached])
        return self._held[day]


def _lines(rounds: Sequence[MeasuredRound], zone: ZoneInfo) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for served in rounds:
        if len(served.summary.models) == 1:
            (model,) = served.summary.models
            lines.setdefault(model, _Line(model, zone)).add(served)
    return lines


def _day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


@lru_cache(maxsize=1_000)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _closings(
    rounds: Sequence[MeasuredRound], zone: ZoneInfo, now: datetime, after: datetime | None
) -> Iterator[datetime]:
    """When each day closed, from the first round with a single model on, or from `after` on."""
    first = min((r.round.created_at for r in rounds if len(r.summary.models) == 1), default=now)
    day = _day(first if after is None else after, zone)
    while (at := midnight(day + DAY, zone)) <= now:
        yield at
        day += DAY


def _settled(line: _Line, history: History, now: datetime, level: float) -> Iterator[Settled]:
    known = {k.week: k for k in history.settled if k.model == line.model}
    sequence: RoundsSequence | None = None
    for week, rounds in line.weeks():
        at = midnight(week + 2 * WEEK, line.zone)
        if at > now:
            return
        if week in known:
            sequence = known[week].sequence
            yield known[week]
            continue
        answered = [f for f in (r.frame.as_of(at) for r in rounds) if f.n_reached]
        mean: MeanSoFar | None = None
        if answered:
            found = share_right([f.blind_round() for f in answered], level=level)
            if sequence is None:
                # fixed by how many labels there are, not by what they say; 0.9 is a usual accuracy
                n = sum(f.n_labelled for f in answered)
                sequence = RoundsSequence(rho=sqrt(TIGHT_AFTER * 0.9 * 0.1 / n), level=level)
            sequence = sequence.update(found.value, found.variance)
            low, high = sequence.interval()
            mean = MeanSoFar(
                model=line.model,
                week=week,
                rounds=tuple(r.round.round for r in rounds),
                n_weeks=sequence.n_rounds,
                mean=sequence.total / sequence.n_rounds,
                low=low,
                high=high,
            )
        yield Settled(model=line.model, week=week, at=at, sequence=sequence, mean=mean)


def _delays(windows: Sequence[Window], level: float) -> tuple[float, tuple[Delay, ...]]:
    """The present number of labels a week, and the delay with which falls of some sizes are found."""
    if not windows:
        return 0.0, ()
    # answers to the newest week are still to come
    present = windows[:-1][-PRESENT:]
    rate = side(present).size / len(present)
    accuracy = side(windows).value
    return rate, tuple(
        Delay(
            fall=fall,
            days=days_to_show(
                fall,
                accuracy=accuracy,
                labels_a_week=rate,
                n_weeks=len(windows),
                false_alarms=1 - level,
            ),
        )
        for fall in FALLS
        if fall <= accuracy
    )
