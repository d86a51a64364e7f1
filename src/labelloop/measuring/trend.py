"""The trend: whether the accuracy has fallen, and its mean, tested once a week."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Undefined
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.statistics.accuracy import share_right
from labelloop.statistics.drop import Drop, Window, latest_drop, looks_to_show, side
from labelloop.statistics.rounds_sequence import RoundsSequence

WEEK = timedelta(days=7)
LOOKS_A_YEAR = 52
MOST_WINDOWS = 52
"""Weeks that a look goes back to, at most."""
FALLS = (0.10, 0.05, 0.02)
"""Falls whose delay is told."""
PRESENT = 8
"""Weeks whose labels are the present rate."""
TIGHT_AFTER = 8
"""Weeks after which the band of the mean is narrowest for its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One test of whether a model's accuracy fell, made when a week closed.

    number
        of the looks at this model, from 1
    at
        when the week closed; only answers given before count
    since, rounds
        the Monday of the first of the newest weeks, which are compared with all weeks before, and
        the rounds of the newest weeks
    """

    model: str
    number: int
    at: datetime
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
    """The number of weeks after which a fall is found in half of all cases; None: more than ten years."""

    fall: float
    weeks: int | None


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
        when the present week closes
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
    """The model that was watched when a week closed, and the look that was made then.

    labelled
        the number of labels of each of its weeks, by the week's Monday
    look
        the look that was made, if one was
    rate, delays
        `labels_a_week` and `delays` of that model then
    """

    at: datetime
    watched: str
    labelled: tuple[tuple[date, int], ...]
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

    A look is made of each week that has closed, Monday to Sunday in the time zone, of the model that
    served last, if answers came since the look before. It sees the answers that were there when the
    week closed: asking again, or late, gives the same looks. In any 52 looks, a year, a false alarm has
    at most the chance 1 - level, however many models served. A week enters the means when the week
    after it has closed, with the answers that were there by then.

    Only the draws of weeks that `known` doesn't hold are read.
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
        next_at=_closing(_monday(now, zone), zone),
        labels_a_week=present.rate if present else 0.0,
        delays=present.delays if present else (),
        false_alarms_a_year=1 - level,
        level=level,
    )
    return found, History(closings=tuple(closings), settled=tuple(settled))


def _closing_of(line: "_Line", at: datetime, before: Sequence[Closing], level: float) -> Closing:
    found = line.windows(at)
    windows = [w for _, w in found]
    labelled = tuple((week, w.n) for week, w in found)
    seen = next((c.labelled for c in reversed(before) if c.watched == line.model), None)
    look: Look | None = None
    if seen != labelled:
        said = latest_drop(windows, spent=(1 - level) / LOOKS_A_YEAR)
        if not isinstance(said, Undefined):
            since = found[-said.n_windows][0]
            look = Look(
                model=line.model,
                number=1 + sum(c.look is not None and c.look.model == line.model for c in before),
                at=at,
                since=since,
                rounds=line.numbers(since, at),
                drop=said,
            )
    rate, delays = _delays(windows if len(windows) > 1 else [], level)
    return Closing(
        at=at, watched=line.model, labelled=labelled, look=look, rate=rate, delays=delays
    )


class _Line:
    """The rounds that one model served alone, by week."""

    def __init__(self, model: str, zone: ZoneInfo) -> None:
        self.model = model
        self.zone = zone
        self.rounds: list[MeasuredRound] = []
        self.weeks: dict[date, list[MeasuredRound]] = {}
        self._labelled: dict[date, list[datetime]] = {}
        self._held: dict[date, Window] = {}

    def add(self, served: MeasuredRound) -> None:
        week = _monday(served.round.created_at, self.zone)
        self.rounds.append(served)
        self.weeks.setdefault(week, []).append(served)

    def served_before(self, at: datetime) -> tuple[datetime, int]:
        """When its newest round before `at` was drawn, and the number of that round, which breaks ties."""
        past = [r.round for r in self.rounds if r.round.created_at < at]
        last = max(past, key=lambda r: r.round, default=None)
        return (last.created_at, last.round) if last else (datetime.min.replace(tzinfo=UTC), 0)

    def numbers(self, since: date, at: datetime) -> tuple[int, ...]:
        """The numbers of its rounds in weeks from `since` on that closed by `at`."""
        return tuple(
            r.round.round
            for week, rounds in self.weeks.items()
            if week >= since and _closing(week, self.zone) <= at
            for r in rounds
        )

    def windows(self, at: datetime) -> list[tuple[date, Window]]:
        """Its newest weeks that closed by `at` and had labels before `at`, with these labels."""
        found: list[tuple[date, Window]] = []
        for week in reversed(self.weeks):
            if _closing(week, self.zone) <= at:
                window = self._window(week, at)
                if window.n:
                    found.append((week, window))
                if len(found) == MOST_WINDOWS:
                    break
        return found[::-1]

    def _window(self, week: date, at: datetime) -> Window:
        if week not in self._labelled:
            draws = (d for r in self.weeks[week] for d in r.frame.draws)
            self._labelled[week] = sorted(d.labelled_at for d in draws if d.labelled_at is not None)
        n = bisect_left(self._labelled[week], at)
        if week not in self._held or self._held[week].n != n:
            frames = [r.frame.as_of(at) for r in self.weeks[week]]
            self._held[week] = Window.of([f.blind_round() for f in frames if f.n_reached])
        return self._held[week]


def _lines(rounds: Sequence[MeasuredRound], zone: ZoneInfo) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for served in rounds:
        if len(served.summary.models) == 1:
            (model,) = served.summary.models
            lines.setdefault(model, _Line(model, zone)).add(served)
    return lines


def _monday(at: datetime, zone: ZoneInfo) -> date:
    day = at.astimezone(zone).date()
    return day - timedelta(days=day.weekday())


def _closing(week: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(week + WEEK, time(), zone).astimezone(UTC)


def _closings(
    rounds: Sequence[MeasuredRound], zone: ZoneInfo, now: datetime, after: datetime | None
) -> Iterator[datetime]:
    """When each week closed, from the first round with a single model on, or from `after` on."""
    first = min((r.round.created_at for r in rounds if len(r.summary.models) == 1), default=now)
    week = _monday(first if after is None else after, zone)
    while (at := _closing(week, zone)) <= now:
        yield at
        week += WEEK


def _settled(line: _Line, history: History, now: datetime, level: float) -> Iterator[Settled]:
    known = {k.week: k for k in history.settled if k.model == line.model}
    sequence: RoundsSequence | None = None
    for week, rounds in line.weeks.items():
        at = _closing(week + WEEK, line.zone)
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
                n = sum(d.label is not None for f in answered for d in f.draws)
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
            weeks=looks_to_show(
                fall,
                accuracy=accuracy,
                labels=rate,
                n_before=len(windows),
                spent=(1 - level) / LOOKS_A_YEAR,
            ),
        )
        for fall in FALLS
        if fall <= accuracy
    )
