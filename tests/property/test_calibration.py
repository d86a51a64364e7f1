"""The calibration error: its interval holds the truth, and it says when it can't be told from chance."""

import numpy as np
import numpy.typing as npt
import pytest

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.sampling import auto_inclusion, risk_bins
from labelloop.statistics import CalibrationError, calibration
from tests.property.coverage import least
from tests.property.sets import CIFAR, served

N, RUNS = 10_000, 200

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def traffic(kind: str, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Confidences, and whether the model was right."""
    if kind == CIFAR:
        found = served(CIFAR, N, rng)
        return found.confidence, ~found.wrong
    claimed = rng.beta(4, 1.5, N)
    right = {
        "calibrated": claimed,
        "over-confident": claimed - 0.08,
        "crossing": np.where(claimed > np.median(claimed), claimed - 0.06, claimed + 0.06),
    }[kind]
    return claimed, rng.random(N) < right


def true_error(claimed: Floats, right: Bools, counts: npt.NDArray[np.int64]) -> float:
    """The calibration error over the parts, all labels being known."""
    parts = calibration(right, claimed, np.ones(N), counts).parts
    bins = risk_bins(1 - claimed)
    error = 0.0
    for p in parts:
        inside = (bins >= round(1024 * (1 - p.high))) & (bins < round(1024 * (1 - p.low)))
        assert inside.mean() == pytest.approx(p.share)
        error += p.share * abs(float(right[inside].mean() - claimed[inside].mean()))
    return error


@pytest.mark.parametrize("draw", ["uniform", "uneven"])
@pytest.mark.parametrize("n", [70, 700])
@pytest.mark.parametrize("kind", ["calibrated", "over-confident", "crossing", CIFAR])
def test_the_interval_holds_the_true_error(kind: str, n: int, draw: str) -> None:
    rng = np.random.default_rng(7)
    claimed, right = traffic(kind, rng)
    bins = risk_bins(1 - claimed)
    counts = np.bincount(bins, minlength=1024)
    chance = auto_inclusion(counts, budget=n)[bins] if draw == "uneven" else np.full(N, n / N)
    truth, covered = true_error(claimed, right, counts), 0
    for _ in range(RUNS):
        picked = np.flatnonzero(rng.random(N) < chance)
        found = calibration(right[picked], claimed[picked], chance[picked], counts).error
        assert isinstance(found, CalibrationError)
        assert (found.value is None) <= (found.low == 0)
        covered += found.low <= truth <= found.high
    assert covered / RUNS >= least(0.95, RUNS)


def test_a_calibrated_model_gets_an_upper_bound_and_an_over_confident_one_an_interval() -> None:
    rng = np.random.default_rng(8)
    told = {"calibrated": 0, "over-confident": 0}
    for kind in told:
        claimed, right = traffic(kind, rng)
        counts = np.bincount(risk_bins(1 - claimed), minlength=1024)
        for _ in range(RUNS):
            picked = rng.choice(N, 700, replace=False)
            error = calibration(right[picked], claimed[picked], np.full(700, 0.07), counts).error
            assert isinstance(error, CalibrationError)
            told[kind] += error.low > 0
    assert told["calibrated"] <= 0.025 * RUNS + 2.5 * (0.025 * 0.975 * RUNS) ** 0.5
    assert told["over-confident"] >= 0.95 * RUNS


def test_parts_are_cut_from_the_traffic_and_ties_stay_together() -> None:
    counts = np.zeros(1024, dtype=int)
    counts[[0, 10, 500, 900]] = 700, 100, 150, 50
    found = calibration([True, True], [0.999, 0.5], [0.5, 0.5], counts)
    assert [round(p.share, 2) for p in found.parts] == [0.2, 0.1, 0.7]
    assert found.parts[0].low == pytest.approx(1 - 901 / 1024)
    assert found.parts[-1].high == 1.0
    unseen = found.parts[1].estimate
    assert isinstance(unseen, Undefined)
    nobody = calibration([], [], [], counts)
    assert isinstance(nobody.error, Undefined)
    assert all(isinstance(p.estimate, Undefined) for p in nobody.parts)


def test_missing_answers_and_rejected_rows_widen_the_worst_case_only() -> None:
    counts = np.zeros(1024, dtype=int)
    counts[102] = 1000  # a confidence of 0.9
    whole = calibration([True] * 40 + [False] * 10, [0.9] * 50, [0.05] * 50, counts)
    some = calibration(
        [True] * 40 + [False] * 20,
        [0.9] * 60,
        [0.05] * 60,
        counts,
        answered=[True] * 50 + [False] * 10,
        n_set_aside=100,
    )
    (one,), (other,) = whole.parts, some.parts
    assert isinstance(one.estimate, Estimate)
    assert isinstance(other.estimate, Estimate)
    assert (one.estimate.low, one.estimate.high) == (other.estimate.low, other.estimate.high)
    assert other.estimate.worst_low < one.estimate.worst_low
    assert other.estimate.worst_high > one.estimate.worst_high
    assert one.off == -1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([True], [0.9], [0.1], np.zeros(1024, dtype=int)), "counts"),
        (([True], [0.9], [0.1], np.ones(10, dtype=int)), "counts"),
        (([True], [1.2], [0.1], np.ones(1024, dtype=int)), "confidence"),
        (([True], [float("nan")], [0.1], np.ones(1024, dtype=int)), "confidence"),
        (([True, False], [0.9], [0.1], np.ones(1024, dtype=int)), "different length"),
        (([True], [0.9], [0.0], np.ones(1024, dtype=int)), "inclusion"),
    ],
)
def test_what_it_can_not_be_is_named(given: tuple[npt.ArrayLike, ...], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        calibration(*given)
