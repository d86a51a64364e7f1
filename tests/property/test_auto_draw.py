"""What the rule "auto" saves, what it costs where risk says nothing, and that its intervals hold."""

import numpy as np
import pytest

from labelloop.statistics import Estimate, accuracy, wilson
from tests.property.sets import (
    CIFAR,
    IMAGENET,
    NEWS,
    Drawing,
    drawing,
    learned,
    limit,
    saved,
    served,
)

N, RUNS = 200, 60


@pytest.mark.parametrize("name", [CIFAR, NEWS, IMAGENET])
def test_after_three_rounds_it_saves_seven_tenths_of_what_is_possible(name: str) -> None:
    rng = np.random.default_rng(4)
    found, covered = [], 0
    for _ in range(RUNS):
        design = drawing(served(name, 10_000, rng), N, learned(name, N, rng, size=10_000))
        found.append(saved(design, N))
        covered += _holds(design.traffic.accuracy, _estimate(design, rng))
    assert np.mean(found) + 2.5 * np.std(found) / RUNS**0.5 >= 0.7 * limit(name)
    assert covered / RUNS >= 0.95 - 0.02 - 2.5 * (0.95 * 0.05 / RUNS) ** 0.5


@pytest.mark.parametrize("name", [CIFAR, IMAGENET])
def test_it_costs_next_to_nothing_where_confidence_says_nothing(name: str) -> None:
    rng = np.random.default_rng(5)
    ours, plain = [], []
    for _ in range(RUNS):
        model = learned(name, N, rng, size=10_000, told=False)
        design = drawing(served(name, 10_000, rng, told=False), N, model)
        found = _estimate(design, rng)
        random = wilson(int(rng.binomial(N, design.traffic.accuracy)), N)
        assert isinstance(random, Estimate)
        ours.append(found.high - found.low)
        plain.append(random.high - random.low)
    error = 2.5 * (np.std(ours) ** 2 + np.std(plain) ** 2) ** 0.5 / RUNS**0.5
    assert np.mean(ours) - error <= 1.05 * np.mean(plain)


def _estimate(design: Drawing, rng: np.random.Generator) -> Estimate:
    picked = design.draw(rng)
    right = ~design.traffic.wrong[picked]
    found = accuracy(right, design.risk[picked], design.inclusion[picked], design.frame)
    assert isinstance(found, Estimate)
    return found


def _holds(truth: float, found: Estimate) -> bool:
    return found.low <= truth <= found.high
