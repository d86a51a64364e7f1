"""Wilson's interval against published values, and at the ends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics import wilson
from labelloop.statistics.blind_uniform import needed_by_random_sample


def found(successes: int, n: int, **how: float | int | None) -> Estimate:
    estimate = wilson(successes, n, **how)  # type: ignore[arg-type]
    assert isinstance(estimate, Estimate)
    return estimate


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(k: int, n: int, low: float, high: float) -> None:
    estimate = found(k, n)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
    assert (estimate.worst_low, estimate.worst_high) == (estimate.low, estimate.high)


def test_a_census_has_no_width() -> None:
    estimate = found(7, 9, population=9)
    assert estimate.low == estimate.value == estimate.high == 7 / 9
    assert math.isinf(estimate.n_effective)


def test_a_finite_population_narrows_the_interval_as_its_effective_size_says() -> None:
    estimate = found(90, 100, population=400)
    assert estimate.n_effective == pytest.approx(100 * 399 / 300)
    endless = found(90, 100)
    assert endless.low < estimate.low < estimate.high < endless.high
    assert found(90, 100, population=10**12).low == pytest.approx(endless.low)


def test_no_label_is_undefined() -> None:
    assert wilson(0, 0) == Undefined("no labels")
    assert wilson(0, 0, population=0) == Undefined("no labels")


@pytest.mark.parametrize(
    ("args", "how"),
    [
        ((-1, 3), {}),
        ((4, 3), {}),
        ((0, -1), {}),
        ((1, 3), {"level": 0.0}),
        ((1, 3), {"level": 1.0}),
        ((1, 3), {"level": 95.0}),
        ((1, 3), {"level": math.nan}),
        ((1, 3), {"population": 2}),
    ],
)
def test_impossible_arguments_are_named(args: tuple[int, int], how: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match="="):
        wilson(*args, **how)  # type: ignore[arg-type]


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share_and_stays_in_0_to_1(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    population = data.draw(st.none() | st.integers(n, 10 * n))
    estimate = found(k, n, population=population)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    mirrored = found(n - k, n, population=population)
    assert mirrored.low == pytest.approx(1 - estimate.high, abs=1e-12)


@pytest.mark.parametrize(("share", "half_width"), [(0.9, 0.02), (0.5, 0.05), (1.0, 0.01)])
def test_the_needed_sample_is_the_smallest_that_is_narrow_enough(
    share: float, half_width: float
) -> None:
    from labelloop.statistics.wilson import score_interval

    n = needed_by_random_sample(share, half_width)
    low, high = score_interval(share, n, 0.95)
    assert (high - low) / 2 <= half_width
    low, high = score_interval(share, n - 1, 0.95)
    assert (high - low) / 2 > half_width
