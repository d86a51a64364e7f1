"""The mean cost of a prediction, and the difference of two models in it: intervals hold the truth."""

import numpy as np
import numpy.typing as npt
import pytest

from labelloop.errors import ArgumentError
from labelloop.sampling import auto_inclusion, risk_bins
from labelloop.statistics import (
    BlindRound,
    CostDifference,
    Estimate,
    Frame,
    MeanCost,
    Undefined,
    accuracy,
    compare,
    cost_difference,
    mean_cost,
    pooled_cost,
)
from labelloop.statistics.cost import cost_where_they_differ, part_cost
from labelloop.statistics.part import PartRound
from tests.property.coverage import least
from tests.property.sets import CIFAR, IMAGENET, Served, served

N, RUNS = 10_000, 80
Floats = npt.NDArray[np.float64]

KINDS: dict[str, dict[float, float]] = {
    "two costs": {1.0: 0.8, 5.0: 0.2},
    "a rare one": {1.0: 0.99, 20.0: 0.01},
    "several": {0.5: 0.4, 1.0: 0.4, 2.0: 0.15, 10.0: 0.05},
}
"""Costs of errors, and how often each is met."""


def _costs(traffic: Served, kind: str, rng: np.random.Generator) -> Floats:
    costs = np.zeros(N)
    costs[traffic.wrong] = rng.choice(
        list(KINDS[kind]), traffic.wrong.sum(), p=list(KINDS[kind].values())
    )
    return costs


@pytest.mark.parametrize("draw", ["uniform", "uneven"])
@pytest.mark.parametrize("n", [70, 500])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [CIFAR, IMAGENET])
def test_the_intervals_hold_the_truth(name: str, kind: str, n: int, draw: str) -> None:
    rng = np.random.default_rng(11)
    traffic = served(name, N, rng)
    ours = _costs(traffic, kind, rng)
    theirs = np.where(rng.random(N) < 0.3, 0.0, ours)
    broken = (ours == 0) & (rng.random(N) < 0.01)
    theirs[broken] = rng.choice(list(KINDS[kind]), broken.sum())
    risk, possible = 1 - traffic.confidence, list(KINDS[kind])
    bins = risk_bins(risk)
    chance = np.full(N, n / N)
    if draw == "uneven":
        chance = auto_inclusion(np.bincount(bins, minlength=1024), budget=n)[bins]
    frame = Frame.from_arrays(risk, chance)
    covered = differences = 0
    for _ in range(RUNS):
        k = np.flatnonzero(rng.random(N) < chance)
        found = mean_cost(ours[k], risk[k], chance[k], frame, possible=possible)
        assert isinstance(found, MeanCost)
        covered += found.low <= ours.mean() <= found.high
        one = BlindRound.checked(ours[k] == 0, risk[k], chance[k], frame)
        gap = cost_difference([one], [ours[k]], [theirs[k]], possible=possible)
        assert isinstance(gap, CostDifference)
        differences += gap.low <= (theirs - ours).mean() <= gap.high
    assert covered / RUNS >= least(0.95, RUNS)
    assert differences / RUNS >= least(0.95, RUNS)


def _labelled(n: int = 300) -> tuple[Floats, Floats, Floats, Frame]:
    rng = np.random.default_rng(12)
    traffic = served(CIFAR, N, rng)
    risk = 1 - traffic.confidence
    k = rng.choice(N, n, replace=False)
    chance = np.full(n, n / N)
    return (
        traffic.wrong[k].astype(float),
        risk[k],
        chance,
        Frame.from_arrays(risk, np.full(N, n / N)),
    )


def test_one_cost_for_all_errors_is_the_share_of_errors_times_it() -> None:
    wrong, risk, chance, frame = _labelled()
    share = accuracy(wrong == 0, risk, chance, frame)
    found = mean_cost(3 * wrong, risk, chance, frame, possible=[3.0])
    assert isinstance(share, Estimate)
    assert isinstance(found, MeanCost)
    assert found.value == pytest.approx(3 * (1 - share.value))
    assert (found.low, found.high) == pytest.approx((3 * (1 - share.high), 3 * (1 - share.low)))
    one = BlindRound.checked(wrong == 0, risk, chance, frame)
    better = np.where(np.arange(300) % 3, wrong, 0.0)
    gain = compare([one], [better == 0])
    cheaper = cost_difference([one], [wrong], [better], possible=[1.0])
    assert not isinstance(gain, Undefined)
    assert isinstance(cheaper, CostDifference)
    assert (cheaper.low, cheaper.value, cheaper.high) == pytest.approx(
        (-gain.high, -gain.value, -gain.low)
    )


def test_a_costly_error_that_no_label_shows_widens_the_interval_upwards_only() -> None:
    wrong, risk, chance, frame = _labelled()
    plain = mean_cost(wrong, risk, chance, frame, possible=[1.0])
    feared = mean_cost(wrong, risk, chance, frame, possible=[1.0, 50.0])
    assert isinstance(plain, MeanCost)
    assert isinstance(feared, MeanCost)
    assert feared.value == pytest.approx(plain.value)
    assert feared.low == pytest.approx(plain.low)
    assert feared.high > plain.high + 0.3


def test_missing_answers_and_rejected_rows_widen_the_worst_case() -> None:
    wrong, risk, chance, frame = _labelled()
    answered = np.arange(300) % 10 > 0
    found = mean_cost(
        5 * wrong, risk, chance, frame, possible=[5.0], answered=answered, n_set_aside=N
    )
    assert isinstance(found, MeanCost)
    assert found.n == 270
    assert found.worst_low < found.low / 1.9
    assert found.worst_high > 2.5 + found.high / 2
    hopeless = mean_cost(wrong, risk, chance, frame, possible=[5.0, 1.0], n_set_aside=np.inf)
    assert isinstance(hopeless, MeanCost)
    assert (hopeless.worst_low, hopeless.worst_high) == (0.0, 5.0)


def test_a_part_of_the_traffic_has_a_mean_cost_too() -> None:
    wrong, risk, chance, frame = _labelled(1000)
    part = PartRound(correct=wrong == 0, answered=[True] * 1000, inclusion=chance, risk=risk)
    found = part_cost([part], [5 * wrong], possible=[5.0])
    whole = mean_cost(5 * wrong, risk, chance, frame, possible=[5.0])
    assert isinstance(found, MeanCost)
    assert isinstance(whole, MeanCost)
    assert found.value == pytest.approx(5 * wrong.mean())
    assert found.low < whole.value < found.high
    uneven = PartRound(correct=[True] * 4, answered=[True] * 4, inclusion=[0.1, 0.5, 0.9, 0.1])
    assert isinstance(part_cost([uneven], [[0.0] * 4], possible=[1.0]), Undefined)
    nobody = PartRound(correct=[True], answered=[False], inclusion=[0.1])
    assert isinstance(part_cost([nobody], [[0.0]], possible=[1.0]), Undefined)


def test_labels_where_two_models_differ_speak_of_all_traffic() -> None:
    there = CostDifference(value=-2.0, low=-3.0, high=-1.0, level=0.95, n=100, method="paired")
    found = cost_where_they_differ(there, n_differ=100, n_both=1000)
    assert found.value == pytest.approx(-0.2)
    assert found.low < -0.3
    assert found.high > -0.1


def test_what_costs_can_not_be_is_named() -> None:
    wrong, risk, chance, frame = _labelled()
    for possible in ([], [0.0], [-1.0], [float("nan")], [float("inf")]):
        with pytest.raises(ArgumentError, match="possible"):
            mean_cost(wrong, risk, chance, frame, possible=possible)
    with pytest.raises(ArgumentError, match=r"cost 1\.0: expected 0 or one of \[2\.0\]"):
        mean_cost(wrong, risk, chance, frame, possible=[2.0])
    with pytest.raises(ArgumentError, match="different length"):
        mean_cost(wrong[1:], risk, chance, frame, possible=[1.0])
    one = BlindRound.checked(wrong == 0, risk, chance, frame)
    with pytest.raises(ArgumentError, match="expected one a round"):
        pooled_cost([one], [], possible=[1.0])
    assert pooled_cost([], [], possible=[1.0]) == Undefined("no rounds")


def _looked_again(name: str, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Served]:
    """What each error costs, whether the first answer agreed, what a further answer says; the traffic."""
    traffic = served(name, N, rng)
    costs = _costs(traffic, "two costs", rng)
    overlooked = traffic.wrong & (rng.random(N) < 0.2)
    agreed = ~traffic.wrong | overlooked
    again = np.where(agreed, np.nan, (rng.random(N) < 0.2).astype(float))
    return costs, agreed.astype(float), again, traffic


@pytest.mark.parametrize("name", [CIFAR, IMAGENET])
def test_overlooked_errors_cost_too(name: str) -> None:
    """A fifth of the errors is overlooked: with second looks the interval still holds the true mean cost."""
    rng = np.random.default_rng(15)
    covered = parts = single = 0
    for _ in range(RUNS):
        costs, agreed, again, traffic = _looked_again(name, rng)
        risk, chance = 1 - traffic.confidence, np.full(N, 400 / N)
        frame = Frame.from_arrays(risk, chance)
        k = np.flatnonzero(rng.random(N) < chance)
        confirmed = np.where(agreed[k] == 1, 0.0, costs[k])
        one = BlindRound.checked(
            confirmed == 0, risk[k], chance[k], frame, agreed=agreed[k], recapture=again[k]
        )
        found = pooled_cost([one], [confirmed], possible=[1.0, 5.0])
        part = part_cost(
            [
                PartRound(
                    correct=confirmed == 0,
                    answered=[True] * k.size,
                    inclusion=chance[k],
                    risk=risk[k],
                    agreed=agreed[k],
                    recapture=again[k],
                )
            ],
            [confirmed],
            possible=[1.0, 5.0],
        )
        alone = mean_cost(confirmed, risk[k], chance[k], frame, possible=[1.0, 5.0])
        for each in (found, part, alone):
            assert isinstance(each, MeanCost)
        assert isinstance(found, MeanCost)
        assert isinstance(part, MeanCost)
        assert isinstance(alone, MeanCost)
        assert "further answers" in found.method
        assert found.value >= alone.value
        covered += found.low <= costs.mean() <= found.high
        parts += part.low <= costs.mean() <= part.high
        single += alone.value < costs.mean()
    assert covered / RUNS >= least(0.95, RUNS)
    assert parts / RUNS >= least(0.95, RUNS)
    assert single / RUNS > 0.7
