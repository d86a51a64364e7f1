"""When guarantees on model labels come, and how often they break: one line a demand."""

import numpy as np
import numpy.typing as npt
from bench.demands import Demand, mean, share
from tests.property.sets import CIFAR, IMAGENET, NEWS, PARTS, SHARE_WRONG
from tests.property.test_audited_rounds import ATTACKS, broken, just_too_wrong, served

from labelloop.statistics import SequentialBound

Floats = npt.NDArray[np.float64]
WITHIN = {CIFAR: 100, NEWS: 130, IMAGENET: 500}
"""The number of checked labels within which a fifth of the traffic is to be kept."""


ERRS, REFEREE_ERRS, CLASSES = 0.04, 0.03, 10
"""Shares of people's wrong answers, by chance; and the classes among which they are spread."""


def guarantees(runs: int) -> list[Demand]:
    """Checked labels until something is kept; and runs in which the guarantee broke at any look.

    At 5% and 95%, with the public functions. First one stream of checks, drawn where the test asks for
    them, people wrong in 4%, each difference confirmed by another person. Then eight rounds checked in
    proportion to their traffic, looked at every day while answers come in; the answers are right, but
    where people fall for the model's mistakes.
    """
    found = []
    for name, most in WITHIN.items():
        kept = [_kept(name, most, np.random.default_rng([31, run]))[-1] for run in range(runs)]
        found.append(
            share(
                f"a fifth kept within {most} checks, people wrong {ERRS:.0%}, {name}",
                [k >= 0.2 for k in kept],
                0.8,
            )
        )
    paths = [_kept(CIFAR, 450, np.random.default_rng([32, run])) for run in range(runs)]
    kept = [path[-1] for path in paths]
    found.append(mean(f"kept with 450 checks, people wrong {ERRS:.0%}, {CIFAR}", kept, 0.7))
    less = [path != sorted(path) for path in paths]
    found.append(share("runs in which more checks kept less", less, 0.0, most=True))
    attacks = {
        **ATTACKS,
        "people fall for half of the model's mistakes, referees for 3%": (_fallen_for, 0.3),
    }
    for what, (errors, late) in attacks.items():
        rng = np.random.default_rng(33)
        truth = just_too_wrong if errors is _fallen_for else errors
        broke = [broken(truth, served(errors, 8, 150, rng, late=late)) for _ in range(runs)]
        found.append(share(f"guarantee broken at any look: {what}", broke, 0.05, most=True))
    return found


def _fallen_for(r: int, rank: Floats) -> Floats:
    """What checks find of a part that is just too wrong, if referees overlook some of its errors."""
    return just_too_wrong(r, rank) * (1 - REFEREE_ERRS)


def _kept(name: str, n: int, rng: np.random.Generator) -> list[float]:
    """What is kept after each check."""
    surest_first = np.array(SHARE_WRONG[name][::-1])
    # found wrong: a real error, but for a slip that hits the prediction; or two slips in a row
    found = surest_first * (1 - ERRS / (CLASSES - 1)) + (1 - surest_first) * ERRS**2
    bound = SequentialBound()
    kept = []
    for luck in rng.random((n, 2)):
        rank = max(1e-9, luck[0] * bound.next_prefix)
        wrong = luck[1] < found[min(PARTS - 1, int(rank * PARTS))]
        kept.append(bound.update([rank], [wrong]))
    return kept
