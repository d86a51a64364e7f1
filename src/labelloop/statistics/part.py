"""Accuracy of a part of the traffic, such as a day, whose size is known only from the draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, probabilities, same_length, scores, truths
from labelloop.core.estimate import Estimate, Undefined
from labelloop.statistics.interval import Interval, pooled_note
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
    """

    correct: npt.ArrayLike
    answered: npt.ArrayLike
    inclusion: npt.ArrayLike
    n_set_aside: float = 0


def part_accuracy(rounds: Sequence[PartRound], *, level: float = 0.95) -> Estimate | Undefined:
    """The share of a part's traffic that the model got right, pooled over rounds.

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
    parts = [_checked(r) for r in rounds]
    if not any(heard.any() for _, heard, _ in parts):
        return Undefined("no blind draw of it has an answer")
    used = [(p, r) for p, r in zip(parts, rounds, strict=True) if p[1].any()]
    own = _interval([p for p, _ in used], level)
    n = sum(int(heard.sum()) for (_, heard, _), _ in used)
    weights = np.concatenate([1 / given for (_, _, given), _ in used])
    if own.n_effective < LEAST_EFFECTIVE and weights.max() > 1.01 * weights.min():
        return Undefined(
            f"{n} labels of it count as {own.n_effective:.0f}: too few, drawn unevenly"
        )
    worst = [
        [
            (np.where(heard, score, fill), np.ones_like(heard), given)
            for (score, heard, given), _ in used
        ]
        for fill in (0.0, 1.0)
    ]
    return own.estimate(
        level=level,
        n=n,
        method="Hajek ratio, Wilson at the effective size" + pooled_note(len(used)),
        worst=(_interval(worst[0], level).low, _interval(worst[1], level).high),
        n_read=float(weights.sum()),
        n_unread=sum(r.n_set_aside for _, r in used),
    )


_Checked = tuple[Floats, Bools, Floats]


def _checked(one: PartRound) -> _Checked:
    score, heard = scores("correct", one.correct), truths("answered", one.answered)
    given = probabilities("inclusion", one.inclusion)
    same_length(correct=score, answered=heard, inclusion=given)
    return score, heard, given


def _interval(parts: Sequence[_Checked], level: float) -> Interval:
    """The interval; missing answers lower the inclusion of their round."""
    score = np.concatenate([s[h] for s, h, _ in parts])
    pi = np.concatenate([g[h] * h.mean() for _, h, g in parts])
    w = 1 / pi
    value = float((w * score).sum() / w.sum())
    # 1 - pi: what was sure to be drawn adds nothing
    variance = float(((1 - pi) * (w * (score - value)) ** 2).sum() / w.sum() ** 2)
    alone = float(((1 - pi) * w**2).sum() / w.sum() ** 2)
    n_effective = 1 / alone if alone > 0 else math.inf
    if 0 < value < 1 and variance > 0:
        n_effective = min(n_effective, value * (1 - value) / variance)
    return Interval(value, *score_interval(value, n_effective, level), n_effective)
