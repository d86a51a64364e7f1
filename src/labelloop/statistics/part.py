"""Accuracy of a part of the traffic, such as a day, whose size is known only from the draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, probabilities, same_length, scores, truths
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.looks import LEAST_RECAPTURES
from labelloop.statistics.accuracy import edges_of_risk
from labelloop.statistics.frame import recaptures
from labelloop.statistics.greg import Share
from labelloop.statistics.interval import Interval, pooled_note
from labelloop.statistics.people import (
    Corrected,
    Missed,
    by_looks,
    by_recapture,
    less_overlooked,
)
from labelloop.statistics.wilson import score_interval

LEAST_EFFECTIVE = 30
"""Below this many effective labels an unevenly drawn part says too little to be shown."""


@dataclass(frozen=True, slots=True, eq=False)
class PartRound:
    """The draws of one round that people reached and that belong to the part.

    correct, answered
        (n,) scores in [0, 1] and (n,) bool, as in BlindRound
    inclusion
        (n,) float64 in (0, 1], of the furthest position reached
    n_set_aside
        rows of the round that could not be read, `math.inf` where nobody knows how many; any of
        them may belong to the part
    risk
        (n,) in [0, 1]: answers that are missing are made up for within fifths of it; None: all alike
    agreed, recapture
        of rounds with second looks, as in BlindRound
    """

    correct: npt.ArrayLike
    answered: npt.ArrayLike
    inclusion: npt.ArrayLike
    n_set_aside: float = 0
    risk: npt.ArrayLike | None = None
    agreed: npt.ArrayLike | None = None
    recapture: npt.ArrayLike | None = None


def part_accuracy(
    rounds: Sequence[PartRound], *, level: float = 0.95, missed: Missed | None = None
) -> Estimate | Undefined:
    """The share of a part's traffic that the model got right, pooled over rounds.

    missed
        what looks at agreeing draws say of overlooked errors, as for `accuracy`

    Estimand: the finite population of the part; its size is itself estimated, as sum 1 / inclusion.
    Assumes what `accuracy` assumes.

    Source: Hajek's ratio estimator with its linearised variance (Sarndal, Swensson, Wretman 1992,
    section 5.7 and 10.3); the interval is Wilson's at the smaller of the effective sizes of that
    variance and of the weights alone (Kish 1965), with the finite population. For one round drawn
    uniformly that is Wilson's with the finite population. Undefined below 30 effective labels where
    weights differ.

    Raises:
        ArgumentError: lengths that differ, inclusion outside (0, 1].
    """
    parts = [_Part.checked(r) for r in rounds]
    used = [(p, r) for p, r in zip(parts, rounds, strict=True) if p.heard.any()]
    if not used:
        return Undefined("no blind draw of it has an answer")
    heard = [p for p, _ in used]
    own = _interval(heard, level)
    n = sum(int(p.heard.sum()) for p in heard)
    weights = np.concatenate([1 / p.inclusion for p in heard])
    if own.n_effective < LEAST_EFFECTIVE and weights.max() > 1.01 * weights.min():
        return Undefined(
            f"{n} labels of it count as {own.n_effective:.0f}: too few, drawn unevenly"
        )
    worst = [_interval([p.filled(right) for p in heard], level) for right in (0.0, 1.0)]
    estimate = own.estimate(
        level=level,
        n=n,
        method="Hajek ratio, Wilson at the effective size" + pooled_note(len(used)),
        worst=(worst[0].low, worst[1].high),
        n_read=float(weights.sum()),
        n_unread=sum(r.n_set_aside for _, r in used),
    )
    corrected = _corrected(heard, own, missed, level)
    return estimate if corrected is None else less_overlooked(estimate, corrected)


def part_share(rounds: Sequence[PartRound], *, level: float) -> Interval:
    """The mean score of a part with its interval, of rounds with answers; second looks are left out."""
    return _interval([_Part.checked(r) for r in rounds], level)


def part_overlooked(
    rounds: Sequence[PartRound], *, level: float, missed: Missed | None
) -> tuple[float, Corrected | None]:
    """The share right by confirmed errors, of rounds with answers, and that less overlooked errors."""
    parts = [_Part.checked(r) for r in rounds]
    own = _interval(parts, level)
    return own.value, _corrected(parts, own, missed, level)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The checked draws of a round; `agreed` and `again` are those of `score` and NaN without looks."""

    score: Floats
    heard: Bools
    inclusion: Floats
    risk: Floats
    agreed: Floats
    again: Floats

    @classmethod
    def checked(cls, one: PartRound) -> "_Part":
        score, heard = scores("correct", one.correct), truths("answered", one.answered)
        given = probabilities("inclusion", one.inclusion)
        risk = np.zeros(score.size) if one.risk is None else scores("risk", one.risk)
        agreed = score if one.agreed is None else truths("agreed", one.agreed).astype(np.float64)
        again = np.full(score.size, np.nan) if one.recapture is None else recaptures(one.recapture)
        same_length(
            correct=score,
            answered=heard,
            inclusion=given,
            risk=risk,
            agreed=agreed,
            recapture=again,
        )
        return cls(score, heard, given, risk, agreed, again)

    def filled(self, right: float) -> "_Part":
        """The part as if every missing answer were right (1.0), or wrong (0.0)."""
        return replace(
            self,
            score=np.where(self.heard, self.score, right),
            heard=np.ones_like(self.heard),
        )

    def responding(self) -> Floats:
        """The chance to be drawn and answered, of the draws with an answer: within fifths of risk."""
        part = np.searchsorted(edges_of_risk(self.risk, self.heard), self.risk)
        rate = np.bincount(part, weights=self.heard) / np.maximum(np.bincount(part), 1)
        found: Floats = (self.inclusion * rate[part])[self.heard]
        return found


def _interval(parts: Sequence[_Part], level: float) -> Interval:
    """The interval; missing answers lower the inclusion of those like them."""
    score = np.concatenate([p.score[p.heard] for p in parts])
    pi = np.concatenate([p.responding() for p in parts])
    w = 1 / pi
    value = float((w * score).sum() / w.sum())
    # 1 - pi: what was sure to be drawn adds nothing
    variance = float(((1 - pi) * (w * (score - value)) ** 2).sum() / w.sum() ** 2)
    alone = float(((1 - pi) * w**2).sum() / w.sum() ** 2)
    n_effective = 1 / alone if alone > 0 else math.inf
    if 0 < value < 1 and variance > 0:
        n_effective = min(n_effective, value * (1 - value) / variance)
    return Interval(value, *score_interval(value, n_effective, level), n_effective)


def _corrected(
    parts: Sequence[_Part], own: Interval, missed: Missed | None, level: float
) -> Corrected | None:
    """The accuracy less the errors that people overlooked; None where no look says how many."""
    right = Share(own.value, own.low, own.high, 0.0, own.n_effective, few=True)
    if missed is not None:
        agreeing = _interval([replace(p, score=p.agreed) for p in parts], level)
        return by_looks(right, agreeing.value, missed, level)
    again = np.concatenate([np.where(p.heard & (p.score < 1), p.again, np.nan) for p in parts])
    asked = ~np.isnan(again)
    if asked.sum() < LEAST_RECAPTURES:
        return None
    inclusion = np.concatenate([p.inclusion for p in parts])
    freedom = max(1, int(sum(p.heard.sum() for p in parts)) - 1)
    return by_recapture(right, again[asked], inclusion[asked], freedom, level)
