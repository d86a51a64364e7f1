"""The accuracy over rounds, or over a part of their traffic, with the counts shown beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.outcome import outcome
from labelloop.core.row_range import RowRange
from labelloop.core.task import WITHOUT_ANSWER
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.blind_frame import BlindFrame, looks_of
from labelloop.statistics.accuracy import edges_of_risk, pooled
from labelloop.statistics.blind_uniform import Stratum, uniform_accuracy
from labelloop.statistics.part import PartRound, part_accuracy
from labelloop.statistics.people import Missed

Keep = Callable[[DrawWithLabel], bool]

LEAST_FOR_REGRESSION = 100
"""Labels of uniform draws from which regressing on the risk pays; with fewer, Wilson's is as narrow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """An accuracy with the counts that are shown beside it.

    n_drawn, n_labelled, n_skipped, n_waiting
        blind draws: all; with a label; skipped or unavailable; open, or not sent yet
    n_set_aside, n_set_aside_most
        predictions of its rounds that could not be read: at least so many, and at most; None where
        nobody can tell how many a file hides
    n_traffic
        serving predictions it speaks for; for a part of the traffic, as estimated from the draws
    n_logged
        how many of these the application logged
    """

    name: str
    estimate: Estimate | Undefined
    n_drawn: int
    n_labelled: int
    n_skipped: int
    n_waiting: int
    n_set_aside: int
    n_traffic: int
    n_set_aside_most: int | None
    n_logged: int | None = None

    @property
    def set_aside(self) -> RowRange:
        """The predictions that could not be read."""
        return RowRange(self.n_set_aside, self.n_set_aside_most)


def part_of(name: str, frames: Sequence[BlindFrame], keep: Keep, level: float) -> Accuracy:
    """The accuracy of the part that `keep` names, over the frames that hold some of it."""
    return accuracy_of(name, [f for f in frames if any(keep(d) for d in f.draws)], keep, level)


def named(predicted_class: str | None) -> str:
    """The predicted class, as reports name it."""
    return predicted_class or "no class"


def accuracy_of(
    name: str, frames: Sequence[BlindFrame], keep: Keep | None, level: float
) -> Accuracy:
    """The accuracy over the pooled traffic of frames, or of the part of it that `keep` names."""
    of_all = [d for f in frames for d in f.draws if keep is None or keep(d)]
    estimate = _estimate(frames, keep, level)
    n_traffic = sum(n_traffic_of(f, keep) for f in frames)
    n_labelled = sum(d.label is not None for d in of_all)
    set_aside = RowRange.total(f.set_aside for f in frames)
    n_skipped = sum(d.state in WITHOUT_ANSWER for d in of_all)
    return Accuracy(
        name=name,
        estimate=estimate,
        n_drawn=len(of_all),
        n_labelled=n_labelled,
        n_skipped=n_skipped,
        n_waiting=len(of_all) - n_labelled - n_skipped,
        n_set_aside=set_aside.least,
        n_set_aside_most=set_aside.most,
        n_logged=sum(n_logged_of(f, keep) for f in frames),
        n_traffic=n_traffic,
    )


def _estimate(
    frames: Sequence[BlindFrame], keep: Keep | None, level: float
) -> Estimate | Undefined:
    """Of whole rounds by regression on the risk, whose histogram is known; of a part of them without.

    Few uniform draws, and a part whose draws had the same inclusion probability, are Wilson's, unless
    answers came back unevenly. Of rounds with second looks, less the errors that people overlooked.
    """
    parts = [f for f in frames if any(keep is None or keep(d) for d in f.draws)]
    reached = [f for f in parts if f.n_reached]
    counted = all(f.uniform for f in parts) and not any(_needs_weights(f) for f in reached)
    whole = keep is None or all(keep(d) for f in parts for d in f.draws)
    missed = missed_of(reached, keep)
    if whole and (not counted or _n_labelled(parts) >= LEAST_FOR_REGRESSION):
        rounds = [f.blind_round(corrected=True) for f in reached]
        return pooled(rounds, level=level, missed=missed)
    if counted or keep is None:
        return uniform_accuracy([_stratum(f, keep) for f in parts], level=level)
    return part_accuracy([of_part(f, keep) for f in reached], level=level, missed=missed)


def for_fresh_traffic(frames: Sequence[BlindFrame], level: float) -> Estimate | Undefined:
    """The accuracy on more traffic of the kind of these frames: what holds of a model, not of its past.

    Of rounds with second looks, less the errors that people overlooked.
    """
    reached = [f for f in frames if f.n_reached]
    rounds = [f.blind_round(corrected=True) for f in reached]
    return pooled(rounds, level=level, fresh=True, missed=missed_of(reached, None))


def missed_of(reached: Sequence[BlindFrame], keep: Keep | None) -> Missed | None:
    """What looks at agreeing draws say of errors that people overlooked; None without second looks."""
    if not any(f.round.second_look for f in reached):
        return None
    drawn = [d for f in reached for d in f.reached if keep is None or keep(d)]
    return reached[-1].checks.missed(drawn)


def _needs_weights(frame: BlindFrame) -> bool:
    """Whether a uniform round isn't told by its counts alone: it has second looks, or answers are missing
    and there are enough of them to see where.
    """
    if not frame.cells:
        return False
    risk, answered = frame.columns.risk, frame.columns.labelled
    n = frame.n_reached
    return frame.round.second_look or bool(edges_of_risk(risk[:n], answered[:n]))


def _n_labelled(frames: Sequence[BlindFrame]) -> int:
    return sum(f.n_labelled for f in frames)


def _stratum(frame: BlindFrame, keep: Keep | None) -> Stratum:
    reached = [d for d in frame.draws[: frame.n_reached] if keep is None or keep(d)]
    labelled = [d for d in reached if d.label is not None]
    return Stratum(
        n_correct=sum(outcome(d.label, d.predicted_class) for d in labelled),
        n_labelled=len(labelled),
        n_missing=len(reached) - len(labelled),
        population=max(n_traffic_of(frame, keep), len(reached)),
        n_set_aside=frame.n_unread,
    )


def of_part(frame: BlindFrame, keep: Keep) -> PartRound:
    """The draws reached of the part of a frame that `keep` names."""
    chances = frame.chances_of(frame.draws[: frame.n_reached])
    kept = [
        (d, chance)
        for d, chance in zip(frame.draws[: frame.n_reached], chances, strict=True)
        if keep(d)
    ]
    of_looks = looks_of([d for d, _ in kept]) if frame.round.second_look else None
    return PartRound(
        correct=[outcome(d.label, d.predicted_class) for d, _ in kept]
        if of_looks is None
        else of_looks.score,
        answered=[d.label is not None for d, _ in kept],
        inclusion=[chance for _, chance in kept],
        n_set_aside=frame.n_unread,
        risk=[d.risk or 0.0 for d, _ in kept],
        agreed=None if of_looks is None else of_looks.agreed,
        recapture=None if of_looks is None else of_looks.recapture,
    )


def n_traffic_of(frame: BlindFrame, keep: Keep | None) -> int:
    """Predictions of the frame, or of the part that some of its draws stand for."""
    kept = [d for d in frame.draws if keep is None or keep(d)]
    if keep is None or len(kept) == len(frame.draws):
        return round(frame.traffic)
    if frame.uniform:
        return round(frame.traffic * len(kept) / len(frame.draws))
    return round(sum(1 / (frame.by_now(d.inclusion or 1.0) * d.sampling_rate) for d in kept))


def n_logged_of(frame: BlindFrame, keep: Keep | None) -> int:
    """The same of the predictions that were logged, where the application logged a share of them."""
    kept = [d for d in frame.draws if keep is None or keep(d)]
    if keep is None or len(kept) == len(frame.draws):
        return frame.round.n_frame
    if frame.columns.uniform.all():
        return round(frame.round.n_frame * len(kept) / len(frame.draws))
    return round(sum(1 / frame.by_now(d.inclusion or 1.0) for d in kept))
