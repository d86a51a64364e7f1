"""Inclusion probabilities that draw the samples with an uncertain risk more often.

Until n_uniform places are passed the draw is a simple random sample; every other sample is drawn
with a probability p in proportion to the expected deviation sqrt(f (1 - f)) of its risk f, capped
at 1. Source: Neyman 1934 (allocation in proportion to the deviation); Hansen, Hurwitz 1943 (unequal
probabilities); Isaki, Fuller 1982, "Survey design under the regression superpopulation model"
(anticipated variance).
"""

import operator

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import BIN_RISKS, Floats, risk_bins
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ArgumentError


def inclusion_probabilities(risk: npt.ArrayLike, *, budget: int, n_uniform: int) -> Floats:
    """The probability with which each sample is drawn: (N,) float64 in (0, 1], sum = budget.

    risk
        (N,) the predicted probability that the model is wrong, in [0, 1]; it counts as the midpoint
        of its bin of 1,024, so that arrays and counts of bins lead to the same draw
    budget
        labels wanted: the sum of the result; where it is N or more, everything is drawn
    n_uniform
        how many of them are a simple random sample of the frame

    Raises:
        ArgumentError: a risk outside [0, 1] or NaN, a budget below 1, n_uniform outside 0..budget.

    >>> inclusion_probabilities([0.02, 0.02, 0.5, 0.5], budget=2, n_uniform=1).round(3).tolist()
    [0.359, 0.359, 0.641, 0.641]
    """
    bins = risk_bins(risk)
    if bins.size == 0:
        raise ArgumentError("risk: the frame has no samples", remedy="pass every sample's risk")
    counts = np.bincount(bins, minlength=RISK_BINS)
    return bin_inclusion(counts, budget=budget, n_uniform=n_uniform)[bins]


def bin_inclusion(counts: npt.ArrayLike, *, budget: int, n_uniform: int) -> Floats:
    """The same from the frame's counts alone: (1024,) float64, the probability of each risk bin.

    counts
        (1024,) how many samples of the frame lie in each bin of risk; an empty bin gets the
        probability that a sample in it would have

    Raises:
        ArgumentError: counts that are negative or not 1,024, and as `inclusion_probabilities`.
    """
    sizes = np.asarray(counts)
    check_counts(sizes, budget)
    wanted, alike = operator.index(budget), operator.index(n_uniform)
    if not 0 <= alike <= wanted:
        raise ArgumentError(
            f"n_uniform = {alike}: expected a number from 0 to the budget, {wanted}",
            remedy="about 0.3 of the budget is a good share",
        )
    n = int(sizes.sum())
    if n <= wanted:
        return np.ones(RISK_BINS)
    share = alike / n
    deviation = np.sqrt(BIN_RISKS * (1 - BIN_RISKS))
    return share + (1 - share) * in_proportion(deviation, sizes, (wanted - alike) / (1 - share))


def check_counts(sizes: npt.NDArray[np.integer], budget: int) -> None:
    """Refuse counts that aren't 1,024 numbers from 0, and a budget below 1."""
    if sizes.shape != (RISK_BINS,) or sizes.dtype.kind not in "iu" or (sizes < 0).any():
        raise ArgumentError(
            f"counts: expected {RISK_BINS} counts of 0 or more, got {_shown(sizes)}",
            remedy="count the frame's samples by min(1023, floor(1024 risk))",
        )
    if operator.index(budget) < 1:
        raise ArgumentError(
            f"budget = {budget}: expected 1 or more",
            remedy="give the number of labels that you want",
        )


def in_proportion(deviation: Floats, sizes: npt.NDArray[np.integer], total: float) -> Floats:
    """p per bin in proportion to its deviation, at most 1, with sum over samples = total."""
    capped = np.zeros(RISK_BINS, dtype=bool)
    while True:
        free = float((sizes * deviation)[~capped].sum())
        # no free sample is left: whatever their scale, it moves nothing
        scale = (total - float(sizes[capped].sum())) / free if free else 0.0
        over = ~capped & (scale * deviation > 1)
        if not over.any():
            return np.where(capped, 1.0, scale * deviation)
        capped |= over


def _shown(array: npt.NDArray[np.generic]) -> str:
    return f"shape {array.shape} of {array.dtype}, least {array.min() if array.size else 'none'}"
