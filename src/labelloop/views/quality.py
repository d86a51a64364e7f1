"""How good the model is, and what its labels went into: the read model of `labelloop report`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from labelloop.core.costs import Costs
from labelloop.core.queue import Queue
from labelloop.ledger import Ledger
from labelloop.measuring.accuracy import Accuracy
from labelloop.measuring.calibration import Calibrated, calibrated
from labelloop.measuring.kept_results import KeptResults
from labelloop.measuring.measured import Measured, measured
from labelloop.measuring.measured_round import MeasuredRound, Served
from labelloop.measuring.missing import WINDOW
from labelloop.measuring.people import Person, everybody
from labelloop.measuring.round_labels import RoundLabels
from labelloop.ports.clock import Clock
from labelloop.views.plan import Plan, plan
from labelloop.views.training import TrainingVersion, training_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """A model version and how many of a period's blind draws it predicted."""

    model: str
    n_drawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The accuracy of a round or of a day, and the models that served it, the busiest first.

    number
        the round's; None for a day
    first_at, last_at
        the earliest and the latest prediction among its blind draws; None where it has none
    """

    accuracy: Accuracy
    number: int | None
    day: date | None
    first_at: datetime | None
    last_at: datetime | None
    models: tuple[ModelShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Everything that `labelloop report` shows.

    measured
        what `measure` knows: the headline is its last seven days
    rounds, days
        its regular rounds and its days, with their models, oldest first
    calibrated
        how far the model's confidences are off, over the rounds of the last seven days
    plan
        how many labels make how narrow an interval
    training
        the released versions of the training set, oldest first
    people
        what each person did in the last 30 days, under the ids of their accounts
    """

    project: str
    timezone: str
    made_at: datetime
    measured: Measured
    rounds: tuple[Period, ...]
    days: tuple[Period, ...]
    calibrated: Calibrated
    plan: Plan
    labels: tuple[RoundLabels, ...]
    training: tuple[TrainingVersion, ...]
    people: tuple[Person, ...] = ()


def quality(
    ledger: Ledger,
    *,
    clock: Clock,
    project: str,
    timezone: str,
    queues: Sequence[Queue] = (),
    level: float = 0.95,
    costs: Costs | None = None,
) -> Quality:
    """The report as the ledger supports it now; `queues` are asked for their budget. Writes nothing."""
    now = clock.now()
    with ledger.read() as tx:
        kept = KeptResults(tx, timezone=timezone, level=level)
        found = measured(tx, kept, now=now, level=level, timezone=timezone, costs=costs)
        people = everybody(tx, now=now, level=level)
        planned = plan(tx, found, kept.rounds, queues=queues, level=level)
        regular = [r for r in kept.rounds if not r.round.extra]
        lately = [r.frame for r in regular if r.reaches(now - WINDOW, None)]
        sure = calibrated(tx, lately, since=now - WINDOW, level=level)
        labels = kept.labels()
    return Quality(
        project=project,
        timezone=timezone,
        made_at=now,
        measured=found,
        rounds=_rounds(found.rounds, regular),
        days=_days(found.days, regular),
        calibrated=sure,
        plan=planned,
        labels=labels,
        training=training_versions(ledger),
        people=people,
    )


def _rounds(found: Sequence[Accuracy], regular: Sequence[MeasuredRound]) -> tuple[Period, ...]:
    return tuple(
        _period(a, r.summary.served, number=r.round.round)
        for a, r in zip(found, regular, strict=True)
    )


def _days(found: Sequence[Accuracy], regular: Sequence[MeasuredRound]) -> tuple[Period, ...]:
    by_day: dict[str, list[Served]] = {}
    for s in (s for r in regular for s in r.summary.served):
        by_day.setdefault(s.day.isoformat(), []).append(s)
    return tuple(_period(a, by_day.get(a.name, ()), day=date.fromisoformat(a.name)) for a in found)


def _period(
    accuracy: Accuracy,
    served: Sequence[Served],
    *,
    number: int | None = None,
    day: date | None = None,
) -> Period:
    by_model: Counter[str] = Counter()
    for s in served:
        by_model[s.model] += s.n_drawn
    return Period(
        accuracy=accuracy,
        number=number,
        day=day,
        first_at=min((s.first_at for s in served), default=None),
        last_at=max((s.last_at for s in served), default=None),
        models=tuple(ModelShare(model=m, n_drawn=n) for m, n in by_model.most_common()),
    )
