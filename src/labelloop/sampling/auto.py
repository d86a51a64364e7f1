"""The rule "auto", once a risk is learned: more often where the model is likely to be wrong.

Every sample is drawn with a probability in proportion to sqrt((1 - a) f (1 - f) + a mean), where f is
its risk, mean the average of f (1 - f) over the frame, and a = 0.5. The first term alone is optimal for
an accuracy if the risk is right (Neyman 1934). The second is what a risk that tells nothing leaves: no
sample is drawn much less often than the others, so errors where none were expected, and the changes
that a candidate model makes there, are seen too. There is no part at random.
"""

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import BIN_RISKS, Floats
from labelloop.core.sample import RISK_BINS
from labelloop.sampling.inclusion import check_counts, in_proportion
from labelloop.sampling.rule import Chances

DOUBT = 0.5
"""How much of the deviation is taken to have nothing to do with the risk: a of the rule."""


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
    [0.09, 0.194]
    """
    sizes = np.asarray(counts)
    check_counts(sizes, budget)
    n = int(sizes.sum())
    if n <= budget:
        return np.ones(RISK_BINS)
    spread = BIN_RISKS * (1 - BIN_RISKS)
    mean = float(sizes @ spread) / n
    return in_proportion(np.sqrt((1 - DOUBT) * spread + DOUBT * mean), sizes, float(budget))
