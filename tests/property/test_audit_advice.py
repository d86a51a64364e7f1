"""The advice how many audits a guarantee needs: whoever follows it gets one."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from labelloop.core.sample import RISK_BINS
from labelloop.statistics.certify_counts import ListCounts, audits_to_close, certify_counts

TERMS = {"max_error": 0.05, "failure_probability": 0.03, "promise": "training-set"}
RUNS = 60


def one_round(
    rng: np.random.Generator, n: int, budget: int, error: float
) -> tuple[ListCounts, int]:
    """A round whose surest half and a bit more is wrong in `error` of cases, the rest in a third."""
    bins = rng.integers(0, RISK_BINS, n)
    wrong = rng.random(n) < np.where(bins < 0.65 * RISK_BINS, error, 1 / 3)
    lines = rng.permutation(n)
    audited = np.argsort(lines)[:budget]
    size = np.bincount(bins, minlength=RISK_BINS)
    kept = size - np.bincount(bins[audited], minlength=RISK_BINS)
    found = ListCounts.checked(
        size, kept, bins=bins[audited], lines=lines[audited], wrong=wrong[audited]
    )
    return found, n


def follow(rng: np.random.Generator, n: int, budget: int, error: float, human: int) -> bool:
    """Draw as many audits as the first round's advice says, in rounds like it; is a guarantee given?"""
    rounds = [one_round(rng, n, budget, error)]
    advised = audits_to_close([(n, budget)], human_labels=human, **TERMS)  # type: ignore[arg-type]
    assert advised.n_needed is not None
    for _ in range(math.ceil(advised.n_needed / budget) - 1):
        rounds.append(one_round(rng, n, budget, error))
    sizes = [(n, budget)] * len(rounds)
    assert audits_to_close(sizes, human_labels=human, **TERMS).enough  # type: ignore[arg-type]
    decided = certify_counts([r for r, _ in rounds], human_labels=human, **TERMS)  # type: ignore[arg-type]
    return decided.n_accepted > 0


@pytest.mark.parametrize("human", [0, 40])
@pytest.mark.parametrize(("n", "budget"), [(5, 1), (40, 30), (300, 60), (2_000, 20), (9_000, 100)])
def test_who_follows_the_advice_gets_a_guarantee(n: int, budget: int, human: int) -> None:
    rng = np.random.default_rng([n, budget, human])
    assert all(follow(rng, n, budget, 0.0, human) for _ in range(RUNS // 6))


def test_a_rare_error_where_the_model_is_surest_rarely_costs_it() -> None:
    rng = np.random.default_rng(7)
    won = sum(follow(rng, 1_000, 100, 0.003, 0) for _ in range(RUNS))
    # about 110 audits are tested first, and without an error among them the test passes
    assert won >= binom.ppf(0.001, RUNS, binom.cdf(0, 110, 0.003))


@pytest.mark.parametrize(("n", "budget"), [(5, 1), (300, 60), (2_000, 20)])
def test_less_than_the_advice_does_not_close_it(n: int, budget: int) -> None:
    advised = audits_to_close([(n, budget)], human_labels=0, **TERMS).n_needed  # type: ignore[arg-type]
    assert advised is not None
    rounds = [(n, budget)] * ((advised - 1) // budget)
    assert not audits_to_close(rounds, human_labels=0, **TERMS).enough  # type: ignore[arg-type]


def test_where_all_is_audited_no_number_helps() -> None:
    assert audits_to_close([(40, 40)], human_labels=0, **TERMS).n_needed is None  # type: ignore[arg-type]
