"""What the ledger's blind labels say now: accuracies by round, day, class and model, and the trend."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from labelloop.core.costs import Costs
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.outcome import is_wrong, outcome
from labelloop.ledger import Transaction, blindness, looks, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.accuracy import Accuracy, Keep, named, part_of
from labelloop.measuring.agreement import Agreement, agreements
from labelloop.measuring.answers import IfWrong, RestsOn, if_people_err
from labelloop.measuring.classes import class_table
from labelloop.measuring.cost import cost_of
from labelloop.measuring.gate import Gated, gated
from labelloop.measuring.harder import NO_LOOK, Harder, harder
from labelloop.measuring.kept_results import KeptResults
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.measuring.missing import SKEW, WINDOW, Missing, missing
from labelloop.measuring.slices import NOTHING_TESTED, Sliced, WorstSlices, sliced, worst_slices
from labelloop.measuring.trend import Trend
from labelloop.statistics.blind_uniform import needed_by_random_sample
from labelloop.statistics.classes import ClassTable
from labelloop.statistics.cost import MeanCost

RELEASED = " (released)"
"""Behind the name of a round whose evaluation labels may train by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Labelled blind draws of one predicted class and one label."""

    predicted_class: str
    label: str
    n: int

    @property
    def is_wrong(self) -> bool:
        """Whether the label says that the prediction was wrong."""
        return is_wrong(outcome(self.label, self.predicted_class))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All numbers of `measure`.

    period
        the accuracy of the period that was asked about; None: none was
    by_class, by_model
        of that period, or else of the last seven days, without the rounds that were released
    confusion
        of the same, without samples that somebody may still be asked about blind, as in a second look
    even
        whether all blind draws of the last seven days had the same chance within their rounds
    n_random_sample
        labels of a plain random sample, of endless traffic, that would be as precise as the last seven
        days; None: not estimable
    trend
        whether the accuracy has fallen, and its mean so far
    missing
        what the accuracy of the last seven days doesn't speak for
    agreement
        a row for each queue that asks several people
    rests_on, if_wrong
        the answers behind the accuracy of the period, or else of the last seven days; and where nobody
        looked at them again, what its interval would be if people were wrong
    n_referees
        people whose second looks decide
    by
        the slices of the attribute that was asked about, of the same period as `by_class`
    worst_slices
        the slices of any attribute that are surely worse than the rest
    gate
        the verdict on the model that serves; None: no gate was asked
    cost
        the mean cost of a prediction in the period, or else in the last seven days; None where the settings
        have no [costs]
    harder
        a hint from confidences alone, which is no accuracy: whether the traffic looks harder
    """

    last_seven_days: Accuracy
    period: Accuracy | None
    rounds: tuple[Accuracy, ...]
    days: tuple[Accuracy, ...]
    by_class: ClassTable
    by_model: tuple[Accuracy, ...]
    confusion: tuple[Confusion, ...]
    extra_rounds: tuple[Accuracy, ...]
    n_random_sample: int | None
    even: bool
    trend: Trend
    missing: Missing
    agreement: tuple[Agreement, ...] = ()
    rests_on: RestsOn | None = None
    if_wrong: tuple[IfWrong, ...] = ()
    n_referees: int = 0
    by: Sliced | None = None
    worst_slices: WorstSlices = NOTHING_TESTED
    gate: Gated | None = None
    cost: MeanCost | Undefined | None = None
    harder: Harder | Undefined = NO_LOOK


def measured(
    tx: Transaction,
    kept: KeptResults,
    *,
    now: datetime,
    level: float,
    timezone: str,
    since: datetime | None = None,
    until: datetime | None = None,
    gate: float | None = None,
    costs: Costs | None = None,
    by: str | None = None,
) -> Measured:
    """Every number that `measure` shows, from the kept results and what has changed since."""
    asked = since is not None or until is not None
    # what is dated later is counted when its time comes; clocks differ by a little
    week = _within(now - WINDOW, now + SKEW)
    inside = _within(since, until) if asked else week
    regular = [r for r in kept.rounds if not r.round.extra]
    lately = [r.frame for r in regular if r.reaches(now - WINDOW, now + SKEW)]
    last_seven_days = part_of("last 7 days", lately, week, level)
    frames = [r.frame for r in regular if r.reaches(since, until)] if asked else lately
    released = rounds.released(tx)
    judging = [f for f in frames if f.round.round not in released]

    def marked(found: Sequence[MeasuredRound]) -> tuple[Accuracy, ...]:
        return tuple(
            replace(r.summary.accuracy, name=f"{r.summary.accuracy.name}{RELEASED}")
            if r.round.round in released
            else r.summary.accuracy
            for r in found
        )

    def names(of: Callable[[DrawWithLabel], str]) -> list[str]:
        return sorted({of(d) for f in judging for d in f.draws if inside(d)})

    period = part_of(_named(since, until), frames, inside, level) if asked else None
    told = [d for f in frames for d in f.reached if inside(d)]
    rests_on = RestsOn.of(told, frames[-1].checks.of(told) if frames else ())
    unsettled = blindness.hidden(tx)
    lost = missing(tx, regular, last_seven_days, now=now)
    return Measured(
        last_seven_days=last_seven_days,
        period=period,
        rests_on=rests_on,
        if_wrong=if_people_err(tx, (period or last_seven_days).estimate, rests_on),
        n_referees=len(looks.referees(tx).now),
        harder=harder(tx, now=now, timezone=timezone),
        cost=None if costs is None else cost_of(frames, inside, costs, level),
        rounds=marked(regular),
        days=kept.days(),
        by_class=class_table(judging, inside, level),
        by_model=tuple(
            part_of(name, judging, lambda d, name=name: inside(d) and d.model == name, level)  # type: ignore[misc]
            for name in names(lambda d: d.model)
        ),
        confusion=_confusion(
            d
            for f in judging
            for d in f.draws
            if inside(d) and not unsettled.has(d.sample_id, d.content_hash)
        ),
        extra_rounds=marked([r for r in kept.rounds if r.round.extra]),
        n_random_sample=_as_precise(last_seven_days.estimate),
        even=all(f.uniform for f in lately if any(week(d) for d in f.draws)),
        trend=kept.trend(now),
        missing=lost,
        agreement=agreements(tx, level=level),
        by=None if by is None else sliced(tx, by, judging, inside, level),
        worst_slices=worst_slices(judging, inside, level),
        gate=None
        if gate is None
        else gated(regular, gate, now=now, level=level, much_missing=lost.much),
    )


def _within(since: datetime | None, until: datetime | None) -> Keep:
    def inside(d: DrawWithLabel) -> bool:
        late_enough = since is None or since <= d.predicted_at
        return late_enough and (until is None or d.predicted_at < until)

    return inside


def _named(since: datetime | None, until: datetime | None) -> str:
    parts = [f"{word} {at.isoformat()}" for word, at in (("since", since), ("until", until)) if at]
    return " ".join(parts)


def _confusion(draws: Iterable[DrawWithLabel]) -> tuple[Confusion, ...]:
    counts = Counter((_predicted(d), d.label) for d in draws if d.label is not None)
    return tuple(
        Confusion(predicted_class=predicted, label=label, n=n)
        for (predicted, label), n in sorted(counts.items())
    )


def _predicted(draw: DrawWithLabel) -> str:
    return named(draw.predicted_class)


def _as_precise(estimate: Estimate | Undefined) -> int | None:
    """The labels that a plain random sample of endless traffic needs for as narrow an interval."""
    if isinstance(estimate, Undefined) or estimate.high <= estimate.low:
        return None
    half = (estimate.high - estimate.low) / 2
    return needed_by_random_sample(estimate.value, half, level=estimate.level)
