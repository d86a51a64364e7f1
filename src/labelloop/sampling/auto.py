"""The rule "auto", once a risk is learned: more often where the model is likely to be wrong.

Every sample is drawn with a probability in proportion to sqrt(f (1 - f)), where f is its risk: optimal
for an accuracy if the risk is right (Neyman 1934). But no sample's probability is below 0.83 of what it
would be if all were drawn alike. So no number is much wider than from a uniform draw, whatever it
counts: errors where none were expected, or what a candidate model changes there. A variance is at most
1 / 0.83 of that of the uniform draw, and a width 1.10 of it. There is no part at random.
"""

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import BIN_RISKS, Floats
from labelloop.core.sample import RISK_BINS
from labelloop.sampling.inclusion import check_counts, in_proportion
from labelloop.sampling.rule import Chances

LEAST = 0.83
"""The smallest chance of a sample, in that of a uniform draw: 1 / 1.1 squared, rounded up."""


def auto(counts: npt.NDArray[np.integer], budget: int) -> Chances:
    """The chances of a frame with so many samples in each of the 1,024 bins of risk."""
    return Chances(auto_inclusion(counts, budget=budget), 0)


def auto_inclusion(counts: npt.ArrayLike, *, budget: int) -> Floats:
    """The probability with which each risk bin's samples are drawn: (1024,) float64 in (0, 1].

    counts
        (1024,) how many samples of the frame lie in each bin of risk
    budget
        labels wanted: the sum over the samples; where it is N or more, everything is drawn

    Raises:
        ArgumentError: counts that are negative or not 1,024, a budget below 1.

    >>> counts = np.zeros(1024, dtype=int)
    >>> counts[[20, 512]] = 900, 100
    >>> auto_inclusion(counts, budget=100)[[20, 512]].round(3).tolist()
    [0.083, 0.253]
    """
    sizes = np.asarray(counts)
    check_counts(sizes, budget)
    n = int(sizes.sum())
    if n <= budget:
        return np.ones(RISK_BINS)
    deviation = np.sqrt(BIN_RISKS * (1 - BIN_RISKS))
    floor = LEAST * budget / n
    low = np.zeros(RISK_BINS, dtype=bool)
    while True:
        # what the floor gives to some samples is missing elsewhere, so more may sink to it
        rest = budget - floor * float(sizes[low].sum())
        found = in_proportion(deviation, np.where(low, 0, sizes), rest)
        sunk = ~low & (found < floor)
        if not sunk.any():
            return np.where(low, floor, found)
        low |= sunk
