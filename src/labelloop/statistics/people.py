"""The true accuracy although people err: from second looks, or as a band of what it could be.

A first blind answer that differs from the prediction gets a second look by a referee; where the referee
agrees with the person, the model's error is confirmed. Errors that both overlooked are estimated in one
of two ways:

- `missed`: a referee also looks at some of the agreeing draws, chosen by chance. Then the accuracy is
  1 - W - A m: W the share of confirmed errors, A the share of agreeing answers, m the share of missed
  errors among those. Bounds are combined as the root of squared distances, source: Zou, Donner 2008,
  "Construction of confidence limits about effect measures" (MOVER).
- recapture: each confirmed error gets one further blind answer; the share g of those that agree with the
  model says how easily an error is overlooked, and the accuracy is 1 - W / (1 - g). Source: Chao 2001,
  "An overview of closed capture-recapture models"; it assumes that all errors are equally easy to
  overlook. If not, the true accuracy is lower.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, probabilities, same_length, truths
from labelloop.core.estimate import Estimate
from labelloop.errors import ArgumentError
from labelloop.statistics.greg import Share, exact_bounds
from labelloop.statistics.quantiles import normal_quantile, student_quantile
from labelloop.statistics.wilson import score_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """The share of agreeing draws whose error the first person overlooked.

    value, n_effective
        the weighted share, and Kish's effective number of looks (Kish 1965, section 11.7)
    n, n_found
        looks, and errors that they found
    """

    value: float
    n_effective: float
    n: int
    n_found: int

    def bounds(self, level: float) -> tuple[float, float]:
        """Clopper and Pearson's interval at the effective size; (0, 1) without any look."""
        if not self.n:
            return 0.0, 1.0
        return exact_bounds(self.value * self.n_effective, self.n_effective, level)


def missed(found: npt.ArrayLike, inclusion: npt.ArrayLike) -> Missed:
    """How often an answer that agrees with the model overlooks its error, from pooled looks.

    found
        (k,) bool: whether the referees' look at an agreeing draw found an error
    inclusion
        (k,) float in (0, 1]: the chance of the draw times that of the look

    Estimand: the share among the traffic whose first answer agrees. Assumes that the looks were chosen
    by chance and that referees find every error; what they overlook too, no number shows.

    Raises:
        ArgumentError: lengths that differ, an inclusion outside (0, 1].

    >>> looks = missed([True] + [False] * 199, [0.1] * 200)
    >>> low, high = looks.bounds(0.95)
    >>> f"{looks.value:.3f} ({low:.4f} .. {high:.4f})"
    '0.005 (0.0001 .. 0.0275)'
    """
    hits, given = truths("found", found), probabilities("inclusion", inclusion)
    same_length(found=hits, inclusion=given)
    value, size = _weighted(hits.astype(np.float64), 1 / given)
    return Missed(value=value, n_effective=size, n=hits.size, n_found=int(hits.sum()))


def assuming_errors(estimate: Estimate, error: float, *, n_classes: int) -> tuple[float, float]:
    """The interval of the accuracy if people are wrong in `error` of cases: (low, high).

    Both bounds of the interval are mapped by p = (q - e r) / (1 - e - e r): a wrong answer agrees with
    a wrong prediction with probability r = 1 / (n_classes - 1). It holds for independent mistakes only,
    not where people fall for what the model falls for.

    Source: Rogan, Gladen 1978, "Estimating prevalence from the results of a screening test".

    Raises:
        ArgumentError: an error outside [0, 0.5), or fewer than two classes.

    >>> from labelloop.statistics import wilson
    >>> low, high = assuming_errors(wilson(180, 200), 0.02, n_classes=10)
    >>> f"{low:.3f} .. {high:.3f}"
    '0.868 .. 0.953'
    """
    if not 0 <= error < 0.5:
        raise ArgumentError(
            f"error = {error}: expected a share of at least 0 and below 0.5",
            remedy="write 0.02 for 2%",
        )
    if n_classes < 2:
        raise ArgumentError(
            f"n_classes = {n_classes}: expected 2 or more", remedy="count the model's classes"
        )
    agree = error / (n_classes - 1)
    low, high = ((q - agree) / (1 - error - agree) for q in (estimate.low, estimate.high))
    return min(1.0, max(0.0, low)), min(1.0, max(0.0, high))


@dataclass(frozen=True, slots=True)
class Corrected:
    """An accuracy with overlooked errors taken off: value, low, high, and how far off it is at worst.

    off_low, off_high
        the least and the most that overlooked errors may take off
    """

    value: float
    low: float
    high: float
    off_low: float
    off_high: float
    basis: str


def by_looks(right: Share, agreeing: float, looks: Missed, level: float) -> Corrected:
    """1 - W - A m, with `right` the share 1 - W and `agreeing` the share A."""
    m_low, m_high = looks.bounds(level)
    off = agreeing * looks.value
    value = right.value - off
    down = math.hypot(right.value - right.low, agreeing * (m_high - looks.value))
    up = math.hypot(right.high - right.value, agreeing * (looks.value - m_low))
    return Corrected(
        value=max(0.0, value),
        low=max(0.0, value - down),
        high=min(1.0, value + up),
        off_low=agreeing * m_low,
        off_high=agreeing * m_high,
        basis=f"confirmed errors and {looks.n} looks at agreeing answers",
    )


def by_recapture(
    right: Share, again: Floats, inclusion: Floats, freedom: int, level: float
) -> Corrected:
    """1 - W / (1 - g), with `right` the share 1 - W.

    again, inclusion
        (w,) of the confirmed errors with a further answer: 1.0 where that agreed with the model, and
        their inclusion
    """
    wrong = 1 - right.value
    g, size = _weighted(again, 1 / inclusion)
    g_low, g_high = exact_bounds(g * size, size, level)
    smooth = (g * size + 0.5) / (size + 1)
    if g == 1:  # a few answers that all overlooked their errors don't say that people always do
        g = smooth
    value = max(0.0, 1 - wrong / max(1 - g, 1e-9))
    if right.few or not 0 < value < 1 or math.isinf(right.n_effective):
        kept = 1 / max(1 - g, 1e-9)
        more = wrong * (1 / max(1 - g_high, 1e-9) - kept)
        fewer = wrong * (kept - 1 / (1 - g_low))
        low = value - math.hypot((right.value - right.low) * kept, more)
        high = value + math.hypot((right.high - right.value) * kept, fewer)
    else:
        scale = (wrong / (1 - smooth)) ** 2
        variance = scale * (right.variance / wrong**2 + smooth / ((1 - smooth) * (size + 1)))
        t = student_quantile(freedom, (1 + level) / 2)
        low, high = score_bounds(value, value * (1 - value) / variance, t)
    return Corrected(
        value=value,
        low=max(0.0, low),
        high=min(1.0, high),
        off_low=wrong * (1 / (1 - g_low) - 1),
        off_high=min(1.0, wrong * (1 / max(1 - g_high, 1e-9) - 1)),
        basis=f"confirmed errors and {again.size} further answers to them",
    )


def less_overlooked(estimate: Estimate, found: Corrected) -> Estimate:
    """The estimate with the errors that people overlooked taken off."""
    half = (found.high - found.low) / 2
    spread = (half / normal_quantile((1 + estimate.level) / 2)) ** 2
    size = found.value * (1 - found.value) / spread if spread else estimate.n_effective
    return replace(
        estimate,
        value=found.value,
        low=found.low,
        high=found.high,
        n_effective=min(size, estimate.n_effective) if size else estimate.n_effective,
        method=f"{estimate.method}, {found.basis}",
        worst_low=max(0.0, min(found.low, estimate.worst_low - found.off_high)),
        worst_high=max(found.high, estimate.worst_high - found.off_low),
    )


def _weighted(values: Floats, weights: Floats) -> tuple[float, float]:
    """The weighted mean, and Kish's effective size of the weights; (0, 0) for none."""
    if not values.size:
        return 0.0, 0.0
    return float(weights @ values / weights.sum()), float(weights.sum() ** 2 / (weights @ weights))
