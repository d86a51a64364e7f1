"""What the rule "auto" saves, what it costs where risk says nothing, and that its intervals hold."""

import numpy as np
import pytest

from labelloop.sampling import auto_inclusion
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


def test_no_sample_is_drawn_much_less_often_than_at_random() -> None:
    """So no variance is above 1 / 0.83 of a uniform draw's, and no width above 1.10 of it."""
    rng = np.random.default_rng(6)
    for budget in (3, 200, 5000):
        for shape in (0.05, 0.5, 5.0):
            counts = np.bincount((1023 * rng.beta(shape, 1, 20_000)).astype(int), minlength=1024)
            chances = auto_inclusion(counts, budget=budget)
            assert counts @ chances == pytest.approx(budget)
            assert chances.min() >= 0.83 * budget / counts.sum() - 1e-12
            assert chances.max() <= 1


@pytest.mark.parametrize("name", [CIFAR, NEWS, IMAGENET])
def test_a_candidate_that_breaks_what_was_sure_is_compared_nearly_as_well(name: str) -> None:
    """In the exact variance of the difference, against a uniform draw: at most 1.10 of its width."""
    rng = np.random.default_rng(7)
    for _ in range(5):
        design = drawing(served(name, 10_000, rng), N, learned(name, N, rng, size=10_000))
        sure = design.risk <= np.median(design.risk)
        broken = (sure & (rng.random(sure.size) < 0.04)).astype(float)
        variance = [
            float(((1 - p) / p * (broken - broken.mean()) ** 2).sum())
            for p in (design.inclusion, np.full(sure.size, N / sure.size))
        ]
        assert (variance[0] / variance[1]) ** 0.5 <= 1.10
