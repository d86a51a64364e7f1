"""The hint from confidences: how often it is false, and how soon it comes."""

import numpy as np
import numpy.typing as npt
import pytest

from labelloop.core.estimate import Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics import LowDays, low_days
from tests.property.coverage import most

DAYS, RUNS = 28 + 7 + 365, 100
Floats = npt.NDArray[np.float64]

STEADY = ("normal", "heavy tails", "a week's pattern", "two values")
"""Kinds of traffic that stays as it is."""


def first_alarm(values: Floats, *, after: int = 0) -> int | None:
    """The day of the first alarm, looking every day."""
    for day in range(max(35, after + 1), values.size + 1):
        found = low_days(values[day - 35 : day - 7], values[day - 7 : day])
        assert isinstance(found, LowDays)
        if found.alarm:
            return day
    return None


def days(kind: str, rng: np.random.Generator) -> Floats:
    match kind:
        case "normal":
            return rng.normal(0.86, 0.01, DAYS)
        case "heavy tails":
            return 0.86 + 0.01 * rng.standard_t(3, DAYS)
        case "a week's pattern":
            pattern = np.tile([0.02, 0.02, 0.02, 0.02, 0.01, -0.05, -0.04], DAYS // 7 + 1)
            return 0.86 + pattern[:DAYS] + rng.normal(0, 0.01, DAYS)
        case "two values":
            return np.where(rng.random(DAYS) < 0.3, 0.8, 0.9)
    raise ValueError(kind)


def delay(rng: np.random.Generator, *, fall: float) -> int:
    """Days until a fall by so many of its daily deviations is seen; 20 if it isn't."""
    values = rng.normal(0.86, 0.01, 60)
    values[40:] -= 0.01 * fall
    found = first_alarm(values, after=40)
    return 20 if found is None else found - 40


@pytest.mark.parametrize("kind", STEADY)
def test_a_year_of_steady_traffic_seldom_looks_harder(kind: str) -> None:
    rng = np.random.default_rng(13)
    false = sum(first_alarm(days(kind, rng)) is not None for _ in range(RUNS))
    stated = low_days([0.9] * 28, [0.9] * 7)
    assert isinstance(stated, LowDays)
    assert stated.false_alarms_a_year <= 0.05
    assert false / RUNS <= most(stated.false_alarms_a_year, RUNS)


def test_other_inputs_show_within_a_week() -> None:
    rng = np.random.default_rng(14)
    delays = [delay(rng, fall=4.0) for _ in range(RUNS)]
    assert np.median(delays) <= 6
    assert np.mean(np.array(delays) <= 7) >= 0.95


def test_what_is_right_may_change_unseen() -> None:
    """Confidences say nothing of it: values that stay as they are raise no alarm."""
    assert first_alarm(np.tile(np.linspace(0.85, 0.87, 20), 5)) is None


def test_few_days_need_more_low_ones_or_tell_nothing() -> None:
    found = low_days([0.9] * 21, [0.8] * 7)
    assert isinstance(found, LowDays)
    assert (found.n_needed, found.n_low, found.alarm) == (6, 7, True)
    assert low_days([0.9] * 4, [0.8]) == Undefined("1 days against 4 before them: too few to tell")
    assert isinstance(low_days([], [0.8] * 7), Undefined)
    assert isinstance(low_days([0.9] * 28, []), Undefined)
    with pytest.raises(ArgumentError, match="now: expected a list of finite numbers"):
        low_days([0.9], [float("nan")])
