"""When guarantees on model labels come, and how often they break: one line a demand."""

import numpy as np
from bench.demands import Demand, mean, share
from tests.property.sets import CIFAR, IMAGENET, NEWS, PARTS, SHARE_WRONG
from tests.property.test_audited_rounds import ATTACKS, broken, served

from labelloop.statistics import SequentialBound

WITHIN = {CIFAR: 100, NEWS: 130, IMAGENET: 500}
"""The number of checked labels within which a fifth of the traffic is to be kept."""


def guarantees(runs: int) -> list[Demand]:
    """Checked labels until something is kept; and runs in which the promise broke at any look.

    At 5% and 95%, answers that are right. First one stream of checks, drawn where the test asks for
    them. Then eight rounds checked in proportion to their traffic, looked at every day while answers
    come in.
    """
    found = []
    for name, most in WITHIN.items():
        kept = [_kept(name, most, np.random.default_rng([31, run])) for run in range(runs)]
        found.append(
            share(f"a fifth kept within {most} checks, {name}", [k >= 0.2 for k in kept], 0.8)
        )
    kept = [_kept(CIFAR, 450, np.random.default_rng([32, run])) for run in range(runs)]
    found.append(mean(f"kept with 450 checks, {CIFAR}", kept, 0.7))
    for what, (errors, late) in ATTACKS.items():
        rng = np.random.default_rng(33)
        broke = [broken(errors, served(errors, 8, 150, rng, late=late)) for _ in range(runs)]
        found.append(share(f"guarantee broken at any look: {what}", broke, 0.05, most=True))
    return found


def _kept(name: str, n: int, rng: np.random.Generator) -> float:
    surest_first = np.array(SHARE_WRONG[name][::-1])
    bound = SequentialBound()
    for _ in range(n):
        rank = max(1e-9, rng.random() * bound.next_prefix)
        bound.update([rank], [rng.random() < surest_first[min(PARTS - 1, int(rank * PARTS))]])
    return bound.kept
