"""When guarantees on model labels come, and how often they break: one line a demand."""

import numpy as np
from tests.property.sets import CIFAR, IMAGENET, NEWS, PARTS, SHARE_WRONG
from tests.property.test_audited_rounds import ATTACKS, broken, served

from labelloop.statistics import SequentialBound

WITHIN = {CIFAR: 100, NEWS: 130, IMAGENET: 500}
"""The number of checked labels within which a fifth of the traffic is to be kept."""


def guarantees(runs: int) -> list[tuple[str, list[str], list[list[str]]]]:
    """Checked labels until something is kept; and runs in which the promise broke at any look."""
    runs = max(runs, 500)
    rows: list[list[str]] = []
    for name, most in WITHIN.items():
        kept = [_kept(name, most, np.random.default_rng([31, run])) for run in range(runs)]
        share = float(np.mean([k >= 0.2 for k in kept]))
        rows.append(
            [
                f"a fifth kept within {most} checked labels, {name}",
                "in 80% of runs",
                f"{share:.1%} ({np.sqrt(share * (1 - share) / runs):.1%})",
                "yes" if share >= 0.8 else "NO",
            ]
        )
    kept = [_kept(CIFAR, 450, np.random.default_rng([32, run])) for run in range(runs)]
    rows.append(
        [
            f"kept on average with 450 checked labels, {CIFAR}",
            "70%",
            f"{np.mean(kept):.1%} ({np.std(kept) / np.sqrt(runs):.1%})",
            "yes" if np.mean(kept) >= 0.7 else "NO",
        ]
    )
    for what, (errors, late) in ATTACKS.items():
        rng = np.random.default_rng(33)
        share = (
            sum(broken(errors, served(errors, 8, 150, rng, late=late)) for _ in range(runs)) / runs
        )
        error = np.sqrt(0.05 * 0.95 / runs)
        rows.append(
            [
                f"broken at any look: {what}",
                "at most 5%",
                f"{share:.1%} ({np.sqrt(share * (1 - share) / runs):.1%})",
                "yes" if share <= 0.05 + 2.5 * error else "NO",
            ]
        )
    words = (
        f"At 5% and 95%, {runs} runs a line, answers that are right. First: one stream of checks, drawn "
        "where the test asks for them. Then: eight rounds checked in proportion to their traffic, looked "
        "at every day while answers come in. In brackets: standard errors."
    )
    return [(words, ["demand", "asked", "measured", "met"], rows)]


def _kept(name: str, n: int, rng: np.random.Generator) -> float:
    surest_first = np.array(SHARE_WRONG[name][::-1])
    bound = SequentialBound()
    for _ in range(n):
        rank = max(1e-9, rng.random() * bound.next_prefix)
        bound.update([rank], [rng.random() < surest_first[min(PARTS - 1, int(rank * PARTS))]])
    return bound.kept
