"""The rule "uncertainty": 30% of the budget at random, the rest where the model is likely to be wrong."""

from labelloop.core.arrays import Ints
from labelloop.sampling.inclusion import bin_inclusion
from labelloop.sampling.rule import Chances

UNIFORM_SHARE = 0.3
"""The part of the budget that is a simple random sample of the frame."""


def uncertainty(counts: Ints, budget: int) -> Chances:
    """The chances of a frame with so many samples in each of the 1,024 bins of risk."""
    n_uniform = min(round(UNIFORM_SHARE * budget), int(counts.sum()))
    return Chances(bin_inclusion(counts, budget=budget, n_uniform=n_uniform), n_uniform)
