"""Of the parts of the traffic that are called worse than the rest, few are not."""

import numpy as np
import pytest

from labelloop.statistics.slices import benjamini_yekutieli, worse_than_rest
from tests.property.coverage import most


@pytest.mark.parametrize("uneven", [False, True])
def test_where_no_part_is_worse_one_is_found_in_five_of_a_hundred_runs(uneven: bool) -> None:
    rng, runs, n, n_sites = np.random.default_rng(1), 200, 700, 30
    found = 0
    for _ in range(runs):
        risk = rng.beta(0.3, 3, n)
        inclusion = np.clip(0.02 + 0.3 * np.sqrt(risk), 0, 1) if uneven else np.full(n, 0.05)
        kept = rng.random(n) < inclusion / inclusion.max()
        correct = rng.random(n) >= risk
        site = rng.choice(n_sites, n, p=rng.dirichlet(np.ones(n_sites)))
        p_values = [
            worse_than_rest(correct[kept], inclusion[kept], site[kept] == s) for s in range(n_sites)
        ]
        found += bool(benjamini_yekutieli(p_values).any())
    assert found / runs <= most(0.05, runs)


def test_a_part_that_is_much_worse_is_found() -> None:
    rng, runs, n = np.random.default_rng(2), 100, 700
    found = others = 0
    for _ in range(runs):
        site = rng.integers(0, 10, n)
        correct = rng.random(n) < np.where(site == 3, 0.70, 0.92)
        p_values = [worse_than_rest(correct, np.full(n, 0.01), site == s) for s in range(10)]
        worse = benjamini_yekutieli(p_values)
        found += bool(worse[3])
        others += int(worse.sum() - worse[3])
    assert found >= 0.9 * runs
    assert others <= 0.05 * (found + others) + 3


def test_nothing_is_said_of_all_traffic_or_of_nothing() -> None:
    assert worse_than_rest([False] * 5, [0.1] * 5, [True] * 5) == 1.0
    assert worse_than_rest([False] * 5, [0.1] * 5, [False] * 5) == 1.0
    assert benjamini_yekutieli([]).tolist() == []


def test_a_few_errors_in_a_small_part_prove_nothing() -> None:
    correct = np.ones(400, dtype=bool)
    correct[[0, 1, *range(30, 50)]] = False
    part = np.arange(400) < 8
    assert worse_than_rest(correct, np.full(400, 0.1), part) > 0.02
