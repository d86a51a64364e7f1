"""The interval holds the true accuracy although people err, and although they skip what is hard."""

import numpy as np
import pytest

from labelloop.errors import ArgumentError
from labelloop.sampling import inclusion_probabilities
from labelloop.statistics import Estimate, Frame, Undefined, accuracy, missed, wilson
from labelloop.statistics.people import assuming_errors
from tests.property.coverage import least
from tests.property.populations import population

RUNS, N_CLASSES, LEVEL = 300, 10, 0.95
REFEREE_ERRS = 0.02


class Crowd:
    """Traffic and people: each answers wrongly in `errs` of cases, by chance or where the model does."""

    def __init__(self, errs: float, *, falls_for_the_model: bool, n: int, even: bool) -> None:
        self.rng = np.random.default_rng(7)
        self.traffic = population("calibrated", 0.1, size=20_000, seed=3)
        self.errs, self.falls = errs, falls_for_the_model
        size = self.traffic.risk.size
        self.inclusion = (
            np.full(size, n / size)
            if even
            else inclusion_probabilities(self.traffic.risk, budget=n, n_uniform=round(0.3 * n))
        )
        self.frame = Frame.from_arrays(self.traffic.risk, self.inclusion)

    def agrees(self, wrong: np.ndarray) -> np.ndarray:
        """Whether a person's answer equals the prediction."""
        slip = self.rng.random(wrong.size) < self.errs
        lucky = self.rng.random(wrong.size) < 1 / (N_CLASSES - 1)
        return np.where(wrong, slip if self.falls else slip & lucky, ~slip)

    def draw(self) -> np.ndarray:
        return np.flatnonzero(self.rng.random(self.inclusion.size) < self.inclusion)

    def confirms(self, wrong: np.ndarray) -> np.ndarray:
        """Whether a referee's answer differs from the prediction too."""
        slip = self.rng.random(wrong.size) < REFEREE_ERRS
        lucky = self.rng.random(wrong.size) < 1 / (N_CLASSES - 1)
        return np.where(wrong, ~(slip & lucky), slip & lucky)

    def by_recapture(self) -> Estimate | Undefined:
        picked = self.draw()
        wrong = self.traffic.wrong[picked]
        agreed = self.agrees(wrong)
        confirmed = ~agreed & self.confirms(wrong)
        again = np.where(confirmed, self.agrees(wrong).astype(float), np.nan)
        return accuracy(
            ~confirmed,
            self.traffic.risk[picked],
            self.inclusion[picked],
            self.frame,
            agreed=agreed,
            recapture=again,
        )

    def by_looks(self) -> Estimate | Undefined:
        """With looks pooled over ten rounds, at a tenth of the agreeing draws."""
        picked = self.draw()
        wrong = self.traffic.wrong[picked]
        agreed = self.agrees(wrong)
        confirmed = ~agreed & self.confirms(wrong)
        looked = np.concatenate(
            [d[self.rng.random(d.size) < 0.1] for d in map(_again, [self] * 10)]
        )
        looked = looked[self.agrees(self.traffic.wrong[looked])]
        found = self.confirms(self.traffic.wrong[looked])
        return accuracy(
            ~confirmed,
            self.traffic.risk[picked],
            self.inclusion[picked],
            self.frame,
            agreed=agreed,
            missed=missed(found, 0.1 * self.inclusion[looked]),
        )


def _again(crowd: Crowd) -> np.ndarray:
    return crowd.draw()


def covers(crowd: Crowd, estimate: object) -> bool:
    assert isinstance(estimate, Estimate)
    return estimate.low <= crowd.traffic.accuracy <= estimate.high


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("falls", [True, False])
def test_confirmed_errors_hold_the_truth_where_single_answers_do_not(
    even: bool, falls: bool
) -> None:
    crowd = Crowd(0.05, falls_for_the_model=falls, n=700, even=even)
    for ask in (crowd.by_recapture, crowd.by_looks):
        share = np.mean([covers(crowd, ask()) for _ in range(RUNS)])
        assert share >= least(LEVEL, RUNS), ask.__name__

    def single() -> Estimate | Undefined:
        picked = crowd.draw()
        return accuracy(
            crowd.agrees(crowd.traffic.wrong[picked]),
            crowd.traffic.risk[picked],
            crowd.inclusion[picked],
            crowd.frame,
        )

    if not falls:
        assert np.mean([covers(crowd, single()) for _ in range(RUNS)]) < 0.5


def test_a_few_recaptures_widen_no_interval() -> None:
    wrong = np.arange(40) < 8
    few = np.where(np.arange(40) < 4, 0.0, np.nan)
    risk, chance = np.full(40, 0.2), np.full(40, 0.01)
    frame = Frame.from_arrays(np.full(4000, 0.2), np.full(4000, 0.01))
    without = accuracy(~wrong, risk, chance, frame)
    assert accuracy(~wrong, risk, chance, frame, agreed=~wrong, recapture=few) == without
    enough = np.where(np.arange(40) < 5, 0.0, np.nan)
    told = accuracy(~wrong, risk, chance, frame, agreed=~wrong, recapture=enough)
    assert isinstance(told, Estimate)
    assert isinstance(without, Estimate)
    assert told.low < without.low


@pytest.mark.parametrize("even", [True, False])
def test_skips_of_what_looks_hard_lead_nobody_astray(even: bool) -> None:
    crowd = Crowd(0.0, falls_for_the_model=False, n=700, even=even)
    median = np.median(crowd.traffic.risk)

    def once() -> bool:
        picked = crowd.draw()
        risk = crowd.traffic.risk[picked]
        skips = crowd.rng.random(picked.size) < np.where(risk > median, 0.25, 0.02)
        return covers(
            crowd,
            accuracy(
                ~crowd.traffic.wrong[picked],
                risk,
                crowd.inclusion[picked],
                crowd.frame,
                answered=~skips,
            ),
        )

    assert np.mean([once() for _ in range(RUNS)]) >= least(LEVEL, RUNS)


def test_the_band_holds_the_truth_for_independent_mistakes() -> None:
    rng = np.random.default_rng(5)
    truth, errs, n = 0.9, 0.03, 400
    agree = truth * (1 - errs) + (1 - truth) * errs / (N_CLASSES - 1)
    held = 0
    for successes in rng.binomial(n, agree, RUNS):
        estimate = wilson(int(successes), n)
        assert isinstance(estimate, Estimate)
        low, high = assuming_errors(estimate, errs, n_classes=N_CLASSES)
        held += low <= truth <= high
    assert held / RUNS >= least(LEVEL, RUNS)


def test_without_mistakes_the_band_is_the_interval() -> None:
    estimate = wilson(180, 200)
    assert isinstance(estimate, Estimate)
    assert assuming_errors(estimate, 0.0, n_classes=3) == (estimate.low, estimate.high)


def test_without_any_look_nothing_is_said_of_missed_errors() -> None:
    assert missed([], []).bounds(LEVEL) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("error", "n_classes", "named"), [(0.5, 10, "error = 0.5"), (0.1, 1, "n_classes = 1")]
)
def test_a_band_that_cant_be_is_refused(error: float, n_classes: int, named: str) -> None:
    estimate = wilson(180, 200)
    assert isinstance(estimate, Estimate)
    with pytest.raises(ArgumentError, match=named):
        assuming_errors(estimate, error, n_classes=n_classes)


def test_looks_need_the_first_answers() -> None:
    frame = Frame.from_arrays([0.1] * 10, [0.5] * 10)
    with pytest.raises(ArgumentError, match="missed without agreed"):
        accuracy([True] * 5, [0.1] * 5, [0.5] * 5, frame, missed=missed([False], [0.5]))


def test_recapture_is_one_nought_or_nan() -> None:
    frame = Frame.from_arrays([0.1] * 10, [0.5] * 10)
    with pytest.raises(ArgumentError, match="recapture"):
        accuracy([True], [0.1], [0.5], frame, agreed=[True], recapture=[0.5])
