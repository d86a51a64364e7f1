"""measure: the accuracy of a round, of a day and of the last seven days, from blind draws."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.task import TaskState
from labelloop.errors import ArgumentError
from labelloop.ledger import Ledger
from labelloop.ledger.rounds import Placed
from labelloop.ports import Clock
from labelloop.statistics.blind_uniform import Stratum, needed_by_random_sample, uniform_accuracy
from labelloop.statistics.combine import pooled
from labelloop.statistics.part import PartRound, part_accuracy
from labelloop.steps.agreement import Agreement, agreements
from labelloop.steps.blind_frame import BlindFrame, blind_frames
from labelloop.steps.trend import Trend, trend

WINDOW = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """An accuracy with all that stands beside it.

    n_drawn, n_labelled, n_skipped, n_waiting
        blind draws: all; with a label; skipped or unavailable; open, or not sent yet
    n_set_aside
        predictions of its rounds that could not be read
    n_traffic
        serving predictions it speaks for; for a part of the traffic, as estimated from the draws
    """

    name: str
    estimate: Estimate | Undefined
    n_drawn: int
    n_labelled: int
    n_skipped: int
    n_waiting: int
    n_set_aside: int
    n_traffic: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Labelled blind draws of one predicted class and one label."""

    predicted_class: str
    label: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What `measure` knows. `n_random_sample` labels of endless traffic would be as precise.

    period
        the accuracy of the period that was asked about; None: none was
    by_class, by_model, confusion
        of that period, or else of the last seven days
    trend
        whether the accuracy has fallen, and its mean so far
    agreement
        a row for each queue that asks several people
    """

    last_seven_days: Accuracy
    period: Accuracy | None
    rounds: tuple[Accuracy, ...]
    days: tuple[Accuracy, ...]
    by_class: tuple[Accuracy, ...]
    by_model: tuple[Accuracy, ...]
    confusion: tuple[Confusion, ...]
    extra_rounds: tuple[Accuracy, ...]
    n_random_sample: int | None
    trend: Trend
    agreement: tuple[Agreement, ...] = ()


Keep = Callable[[Placed], bool]


def measure(
    ledger: Ledger,
    *,
    clock: Clock,
    timezone: str,
    level: float = 0.95,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Measured:
    """The accuracies that the ledger's blind labels support now. Writes nothing.

    `since` and `until` name a period of predictions, since <= predicted_at < until.

    Raises:
        ArgumentError: `since` isn't before `until`.
    """
    if since is not None and until is not None and since >= until:
        raise ArgumentError(
            f"since {since.isoformat()} isn't before until {until.isoformat()}",
            remedy="give an earlier --since",
        )
    zone = ZoneInfo(timezone)
    frames = blind_frames(ledger)
    regular = [f for f in frames if not f.round.extra]
    week = _within(clock.now() - WINDOW, None)
    window = _part_of("last 7 days", regular, week, level)
    asked = since is not None or until is not None
    inside = _within(since, until) if asked else week

    def day_of(d: Placed) -> date:
        return d.predicted_at.astimezone(zone).date()

    def split(of: Callable[[Placed], str]) -> tuple[Accuracy, ...]:
        names = sorted({of(d) for f in regular for d in f.draws if inside(d)})
        return tuple(
            _part_of(name, regular, lambda d, name=name: inside(d) and of(d) == name, level)  # type: ignore[misc]
            for name in names
        )

    days = sorted({day_of(d) for f in regular for d in f.draws})
    return Measured(
        last_seven_days=window,
        period=_part_of(_named(since, until), regular, inside, level) if asked else None,
        rounds=tuple(accuracy_of(f"round {f.round.round}", [f], None, level) for f in regular),
        days=tuple(
            _part_of(day.isoformat(), regular, lambda d, day=day: day_of(d) == day, level)  # type: ignore[misc]
            for day in days
        ),
        by_class=split(_answer),
        by_model=split(lambda d: d.model),
        confusion=_confusion(d for f in regular for d in f.draws if inside(d)),
        extra_rounds=tuple(
            accuracy_of(f"round {f.round.round} (extra)", [f], None, level)
            for f in frames
            if f.round.extra
        ),
        n_random_sample=_as_precise(window.estimate),
        trend=trend(regular, now=clock.now(), timezone=timezone, level=level),
        agreement=agreements(ledger, level=level),
    )


def _within(since: datetime | None, until: datetime | None) -> Keep:
    def inside(d: Placed) -> bool:
        late_enough = since is None or since <= d.predicted_at
        return late_enough and (until is None or d.predicted_at < until)

    return inside


def _named(since: datetime | None, until: datetime | None) -> str:
    parts = [f"{word} {at.isoformat()}" for word, at in (("since", since), ("until", until)) if at]
    return " ".join(parts)


def _part_of(name: str, frames: Sequence[BlindFrame], keep: Keep, level: float) -> Accuracy:
    """The accuracy of the part that `keep` names, over the frames that hold some of it."""
    return accuracy_of(name, [f for f in frames if any(keep(d) for d in f.draws)], keep, level)


def accuracy_of(
    name: str, frames: Sequence[BlindFrame], keep: Keep | None, level: float
) -> Accuracy:
    """The accuracy over the pooled traffic of frames, or of the part of it that `keep` names."""
    of_all = [d for f in frames for d in f.draws if keep is None or keep(d)]
    estimate = _estimate(frames, keep, level)
    n_traffic = sum(_n_traffic(f, keep) for f in frames)
    n_labelled = sum(d.label is not None for d in of_all)
    n_skipped = sum(d.state in _UNANSWERABLE for d in of_all)
    return Accuracy(
        name=name,
        estimate=estimate,
        n_drawn=len(of_all),
        n_labelled=n_labelled,
        n_skipped=n_skipped,
        n_waiting=len(of_all) - n_labelled - n_skipped,
        n_set_aside=sum(f.n_set_aside for f in frames),
        n_traffic=n_traffic,
    )


def _estimate(
    frames: Sequence[BlindFrame], keep: Keep | None, level: float
) -> Estimate | Undefined:
    """By Wilson where all draws had one chance; else weighted by the chances."""
    parts = [f for f in frames if any(keep is None or keep(d) for d in f.draws)]
    if all(f.uniform for f in parts):
        return uniform_accuracy([_stratum(f, keep) for f in parts], level=level)
    if keep is None or all(keep(d) for f in parts for d in f.draws):
        return pooled([f.blind_round() for f in parts if f.n_reached], level=level)
    return part_accuracy([_part(f, keep) for f in parts if f.n_reached], level=level)


def _stratum(frame: BlindFrame, keep: Keep | None) -> Stratum:
    reached = [d for d in frame.draws[: frame.n_reached] if keep is None or keep(d)]
    labelled = [d for d in reached if d.label is not None]
    return Stratum(
        n_correct=sum(d.label == d.predicted_class for d in labelled),
        n_labelled=len(labelled),
        n_missing=len(reached) - len(labelled),
        population=max(_n_traffic(frame, keep), len(reached)),
        n_set_aside=frame.n_set_aside,
    )


def _part(frame: BlindFrame, keep: Keep) -> PartRound:
    chances = frame.chances([d.inclusion or 1.0 for d in frame.draws[: frame.n_reached]])
    kept = [
        (d, chance)
        for d, chance in zip(frame.draws[: frame.n_reached], chances, strict=True)
        if keep(d)
    ]
    return PartRound(
        correct=[d.label == d.predicted_class for d, _ in kept],
        answered=[d.label is not None for d, _ in kept],
        inclusion=[chance for _, chance in kept],
        n_set_aside=frame.n_set_aside,
    )


_UNANSWERABLE = frozenset({TaskState.SKIPPED, TaskState.UNAVAILABLE, TaskState.ABANDONED})


def _n_traffic(frame: BlindFrame, keep: Keep | None) -> int:
    """Rows of the frame, or of the part that some of its draws stand for."""
    kept = [d for d in frame.draws if keep is None or keep(d)]
    if keep is None or len(kept) == len(frame.draws):
        return frame.round.n_frame
    if frame.uniform:
        return round(frame.round.n_frame * len(kept) / len(frame.draws))
    return round(sum(1 / (d.inclusion or 1.0) for d in kept))


def _confusion(draws: Iterable[Placed]) -> tuple[Confusion, ...]:
    counts: dict[tuple[str, str], int] = {}
    for d in draws:
        if d.label is not None:
            pair = (_answer(d), d.label)
            counts[pair] = counts.get(pair, 0) + 1
    return tuple(
        Confusion(predicted_class=predicted, label=label, n=n)
        for (predicted, label), n in sorted(counts.items())
    )


def _answer(draw: Placed) -> str:
    """The class that was predicted, as reports name it."""
    return draw.predicted_class or "no class"


def _as_precise(estimate: Estimate | Undefined) -> int | None:
    """How many labels a plain random sample of endless traffic needs for as narrow an interval."""
    if isinstance(estimate, Undefined) or estimate.high <= estimate.low:
        return None
    half = (estimate.high - estimate.low) / 2
    return needed_by_random_sample(estimate.value, half, level=estimate.level)
