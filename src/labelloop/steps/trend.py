"""trend: has the accuracy fallen, and what was it on average? Looked at once a week."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Undefined
from labelloop.statistics.accuracy import share_right
from labelloop.statistics.combine import RoundsSequence
from labelloop.statistics.drop import Drop, Window, latest_drop, looks_to_show, side
from labelloop.steps.blind_frame import BlindFrame

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
    """The question whether a model's accuracy fell, asked when a week closed.

    number
        of the looks at this model, from 1
    at
        when the week closed: the answers that were there by then are what it goes by
    since, rounds
        the Monday on which the weeks begin that stand against those before, and their rounds
    """

    model: str
    number: int
    at: datetime
    since: date
    rounds: tuple[int, ...]
    drop: Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSoFar:
    """The mean accuracy of a model's first `n_weeks` weeks, in bounds that hold at every week.

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
    """After how many weeks a fall shows with even odds; None: not within ten years."""

    fall: float
    weeks: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What is known over time.

    model
        the one that is watched: it served the newest round that had only one
    alarm, latest
        the first look that found its accuracy to have fallen, and the newest look at it
    looks, means
        of all models, oldest first
    n_mixed
        rounds that several models served, which no look goes by
    next_at
        when the week closes that runs now
    labels_a_week
        of the watched model at present: as many random labels would be as precise
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


def trend(
    frames: Sequence[BlindFrame], *, now: datetime, timezone: str, level: float = 0.95
) -> Trend:
    """The looks and means that the regular rounds among `frames` support.

    A look is made of each week that has closed, Monday to Sunday in the time zone, of the model that
    served last, if answers came since the look before. It sees the answers that were there when the
    week closed: asking again, or late, gives the same looks. In any 52 looks, a year, a false alarm has
    at most the chance 1 - level, however many models served. A week enters the means when the week
    after it has closed, with the answers that were there by then.
    """
    zone = ZoneInfo(timezone)
    regular = [f for f in frames if f.draws and not f.round.extra]
    lines = _lines(regular, zone)
    watched = ""
    windows: list[Window] = []
    looks: list[Look] = []
    seen: dict[str, list[tuple[date, int]]] = {}
    for at in _closings(regular, zone, now):
        watched = max(lines.values(), key=lambda line: line.served_before(at)).model
        found = [(week, w) for week, w in lines[watched].windows(at) if w.n][-MOST_WINDOWS:]
        windows = [w for _, w in found]
        labelled = [(week, w.n) for week, w in found]
        if seen.get(watched) == labelled:
            continue
        seen[watched] = labelled
        said = latest_drop(windows, spent=(1 - level) / LOOKS_A_YEAR)
        if isinstance(said, Undefined):
            continue
        since = found[-said.n_windows][0]
        looks.append(
            Look(
                model=watched,
                number=1 + sum(k.model == watched for k in looks),
                at=at,
                since=since,
                rounds=lines[watched].rounds(since, at),
                drop=said,
            )
        )
    newest = max(lines.values(), key=lambda line: line.served_before(now), default=None)
    model = newest.model if newest else None
    known = windows if watched == model and len(windows) > 1 else []
    rate, delays = _delays(known, level)
    own = [k for k in looks if k.model == model]
    return Trend(
        model=model,
        alarm=next((k for k in own if k.drop.alarm), None),
        latest=own[-1] if own else None,
        looks=tuple(looks),
        means=tuple(m for line in lines.values() for m in _means(line, now, level)),
        n_mixed=len(regular) - sum(len(line.frames) for line in lines.values()),
        next_at=_closing(_monday(now, zone), zone),
        labels_a_week=rate,
        delays=delays,
        false_alarms_a_year=1 - level,
        level=level,
    )


class _Line:
    """The rounds that one model served alone, week by week."""

    def __init__(self, model: str, zone: ZoneInfo) -> None:
        self.model = model
        self.zone = zone
        self.frames: list[BlindFrame] = []
        self.weeks: dict[date, list[BlindFrame]] = {}
        self._labelled: dict[date, list[datetime]] = {}
        self._held: dict[date, Window] = {}

    def add(self, frame: BlindFrame) -> None:
        week = _monday(frame.round.created_at, self.zone)
        self.frames.append(frame)
        self.weeks.setdefault(week, []).append(frame)
        labelled = self._labelled.setdefault(week, [])
        labelled.extend(d.labelled_at for d in frame.draws if d.labelled_at is not None)
        labelled.sort()

    def served_before(self, at: datetime) -> tuple[datetime, int]:
        """When its newest round before `at` was drawn; the round breaks ties."""
        past = [f.round for f in self.frames if f.round.created_at < at]
        last = max(past, key=lambda r: r.round, default=None)
        return (last.created_at, last.round) if last else (datetime.min.replace(tzinfo=UTC), 0)

    def rounds(self, since: date, at: datetime) -> tuple[int, ...]:
        """Its rounds of the weeks from `since` on that closed by `at`."""
        return tuple(
            f.round.round
            for week, frames in self.weeks.items()
            if week >= since and _closing(week, self.zone) <= at
            for f in frames
        )

    def windows(self, at: datetime) -> Iterator[tuple[date, Window]]:
        """Its weeks that closed by `at`, with the labels that were there before `at`."""
        for week, frames in self.weeks.items():
            if _closing(week, self.zone) > at:
                continue
            n = bisect_left(self._labelled[week], at)
            if week not in self._held or self._held[week].n != n:
                rounds = [f.as_of(at) for f in frames]
                self._held[week] = Window.of([f.blind_round() for f in rounds if f.n_reached])
            yield week, self._held[week]


def _lines(frames: Sequence[BlindFrame], zone: ZoneInfo) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for frame in frames:
        models = {d.model for d in frame.draws}
        if len(models) == 1:
            (model,) = models
            lines.setdefault(model, _Line(model, zone)).add(frame)
    return lines


def _monday(at: datetime, zone: ZoneInfo) -> date:
    day = at.astimezone(zone).date()
    return day - timedelta(days=day.weekday())


def _closing(week: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(week + WEEK, time(), zone).astimezone(UTC)


def _closings(frames: Sequence[BlindFrame], zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
    """When each week closed, from that of the first round of one model on."""
    first = min(
        (f.round.created_at for f in frames if len({d.model for d in f.draws}) == 1), default=now
    )
    week = _monday(first, zone)
    while (at := _closing(week, zone)) <= now:
        yield at
        week += WEEK


def _means(line: _Line, now: datetime, level: float) -> Iterator[MeanSoFar]:
    sequence: RoundsSequence | None = None
    for week, frames in line.weeks.items():
        settled_at = _closing(week + WEEK, line.zone)
        if settled_at > now:
            return
        known = [f for f in (f.as_of(settled_at) for f in frames) if f.n_reached]
        if not known:
            continue
        found = share_right([f.blind_round() for f in known], level=level)
        if sequence is None:
            # fixed by how many labels there are, not by what they say; 0.9 is a usual accuracy
            n = sum(d.label is not None for f in known for d in f.draws)
            sequence = RoundsSequence(rho=sqrt(TIGHT_AFTER * 0.9 * 0.1 / n), level=level)
        sequence = sequence.update(found.value, found.variance)
        low, high = sequence.interval()
        yield MeanSoFar(
            model=line.model,
            week=week,
            rounds=tuple(f.round.round for f in frames),
            n_weeks=sequence.n_rounds,
            mean=sequence.total / sequence.n_rounds,
            low=low,
            high=high,
        )


def _delays(windows: Sequence[Window], level: float) -> tuple[float, tuple[Delay, ...]]:
    """The present rate of labels, and how long falls of some sizes would stay unseen."""
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
