"""How good the model is, and what its labels went into: the read model of `labelloop report`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from labelloop.core.costs import Costs
from labelloop.core.queue import Purpose, Queue
from labelloop.core.round import Round
from labelloop.core.task import WITHOUT_ANSWER
from labelloop.ledger import Ledger, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.accuracy import Accuracy
from labelloop.measuring.blind_frame import BlindFrame, blind_frames
from labelloop.measuring.calibration import Calibrated, calibrated
from labelloop.measuring.kept_results import KeptResults
from labelloop.measuring.measured import RELEASED, Measured, measured
from labelloop.measuring.missing import WINDOW
from labelloop.measuring.people import Person, everybody
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
class QueueLabels:
    """What became of one queue's draws in one round. A draw is answered once its task has a label."""

    queue: str
    purpose: Purpose
    n_asked: int
    n_answered: int
    n_skipped: int
    n_open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLabels:
    """The labels that one round asked for, queue by queue."""

    round: int
    extra: bool
    queues: tuple[QueueLabels, ...]


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
    zone = ZoneInfo(timezone)
    now = clock.now()
    with ledger.read() as tx:
        every, placed = rounds.every(tx), list(rounds.draws_with_labels(tx))
        frames = blind_frames(tx, placed)
        kept = KeptResults(tx, timezone=timezone, level=level, frames=frames)
        found = measured(tx, kept, now=now, level=level, timezone=timezone, costs=costs)
        people = everybody(tx, now=now, level=level)
        planned = plan(tx, found, frames, queues=queues, level=level)
        regular = [f for f in frames if not f.round.extra]
        sure = calibrated(tx, regular, since=now - WINDOW, level=level)
    by_round: dict[int, list[DrawWithLabel]] = {r.round: [] for r in every}
    for d in placed:
        by_round[d.round].append(d)
    return Quality(
        project=project,
        timezone=timezone,
        made_at=now,
        measured=found,
        rounds=_rounds(found.rounds, regular),
        days=_days(found.days, regular, zone),
        calibrated=sure,
        plan=planned,
        labels=tuple(_labels(r, by_round[r.round]) for r in every),
        training=training_versions(ledger),
        people=people,
    )


def _rounds(found: Sequence[Accuracy], regular: Sequence[BlindFrame]) -> tuple[Period, ...]:
    by_name = {f"round {f.round.round}": f for f in regular}
    named = [(a, by_name.get(a.name.removesuffix(RELEASED))) for a in found]
    return tuple(
        _period(a, frame.draws, number=frame.round.round) for a, frame in named if frame is not None
    )


def _days(
    found: Sequence[Accuracy], regular: Sequence[BlindFrame], zone: ZoneInfo
) -> tuple[Period, ...]:
    by_name: dict[str, list[DrawWithLabel]] = {}
    for d in (d for f in regular for d in f.draws):
        by_name.setdefault(d.predicted_at.astimezone(zone).date().isoformat(), []).append(d)
    return tuple(_period(a, by_name.get(a.name, ()), day=date.fromisoformat(a.name)) for a in found)


def _period(
    accuracy: Accuracy,
    draws: Sequence[DrawWithLabel],
    *,
    number: int | None = None,
    day: date | None = None,
) -> Period:
    by_model = Counter(d.model for d in draws)
    return Period(
        accuracy=accuracy,
        number=number,
        day=day,
        first_at=min((d.predicted_at for d in draws), default=None),
        last_at=max((d.predicted_at for d in draws), default=None),
        models=tuple(ModelShare(model=m, n_drawn=n) for m, n in by_model.most_common()),
    )


def _labels(made: Round, draws: Sequence[DrawWithLabel]) -> RoundLabels:
    queues: list[QueueLabels] = []
    for name in dict.fromkeys(d.queue for d in draws):
        own = [d for d in draws if d.queue == name]
        n_answered = sum(d.label is not None for d in own)
        n_skipped = sum(d.label is None and d.state in WITHOUT_ANSWER for d in own)
        queues.append(
            QueueLabels(
                queue=name,
                purpose=own[0].purpose,
                n_asked=len(own),
                n_answered=n_answered,
                n_skipped=n_skipped,
                n_open=len(own) - n_answered - n_skipped,
            )
        )
    return RoundLabels(round=made.round, extra=made.extra, queues=tuple(queues))
