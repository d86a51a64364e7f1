"""Precision, recall, F1 and true share of every class hold the truth."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from labelloop.errors import ArgumentError
from labelloop.sampling import inclusion_probabilities
from labelloop.statistics import Estimate, Undefined, Unheard, by_class
from tests.property.coverage import least
from tests.property.populations import population

CLASSES = [f"class {i}" for i in range(10)]
NUMBERS = ("precision", "recall", "f1", "share")


@dataclass(frozen=True)
class Traffic:
    """People's answers and the model's, over ten classes, and what is known of them beforehand."""

    true: npt.NDArray[np.str_]
    said: npt.NDArray[np.str_]
    risk: npt.NDArray[np.float64]

    @classmethod
    def made(cls, error: float, skew: float, size: int = 20_000) -> "Traffic":
        """Class i is as frequent as 1 / (i + 1) ** skew."""
        rng = np.random.default_rng(1)
        of = population("calibrated", error, size=size, seed=2)
        weights = 1 / np.arange(1, 11) ** skew
        code = rng.choice(10, size, p=weights / weights.sum())
        said = np.where(of.wrong, (code + rng.choice([1, 1, 2, 5], size)) % 10, code)
        names = np.array(CLASSES)
        return cls(names[code], names[said], of.risk)

    @property
    def totals(self) -> dict[str, int]:
        return {name: int((self.said == name).sum()) for name in CLASSES}

    def inclusion(self, n: int, *, even: bool) -> npt.NDArray[np.float64]:
        if even:
            return np.full(self.risk.size, n / self.risk.size)
        return inclusion_probabilities(self.risk, budget=n, n_uniform=round(0.3 * n))


@pytest.mark.parametrize(
    ("n", "error", "skew", "even", "of_part"),
    [
        (700, 0.1, 0.0, True, False),
        (700, 0.1, 0.0, False, False),
        (200, 0.25, 1.2, True, False),
        (200, 0.25, 1.2, False, False),
        (700, 0.03, 1.2, True, True),
        (700, 0.1, 0.0, False, True),
    ],
)
def test_every_number_is_shown_and_holds_the_truth(
    n: int, error: float, skew: float, even: bool, of_part: bool
) -> None:
    runs, rng = 60, np.random.default_rng(3)
    traffic = Traffic.made(error, skew)
    inclusion, totals = traffic.inclusion(n, even=even), traffic.totals
    part = rng.random(inclusion.size) < (0.4 if of_part else 1.0)
    whole = by_class(traffic.true, traffic.said, np.ones(part.size), totals, inside=part)
    truths = {row.name: row for row in whole.rows}
    held: dict[tuple[str, str], list[bool]] = {}
    macro: list[bool] = []
    n_shown = 0
    for _ in range(runs):
        picked = rng.random(part.size) < inclusion
        table = by_class(
            traffic.true[picked],
            traffic.said[picked],
            inclusion[picked],
            totals,
            inside=part[picked],
        )
        for row in table.rows:
            for number in NUMBERS:
                found, real = getattr(row, number), getattr(truths[row.name], number)
                if isinstance(found, Estimate):
                    covers = found.low <= real.value <= found.high
                    held.setdefault((row.name, number), []).append(covers)
                    n_shown += 1
        if isinstance(table.macro_f1, Estimate):
            assert isinstance(whole.macro_f1, Estimate)
            found = table.macro_f1
            macro.append(found.low <= whole.macro_f1.value <= found.high)
    if n == 700:
        assert n_shown >= 0.9 * len(CLASSES) * len(NUMBERS) * runs
    shares = [float(np.mean(covers)) for covers in held.values()]
    assert np.mean(shares) >= 0.95 - math.sqrt(0.95 * 0.05 / runs)
    assert min(shares) >= least(0.95, runs)
    assert not macro or np.mean(macro) >= least(0.95, len(macro))


@pytest.mark.parametrize("even", [True, False])
def test_with_200_labels_the_precision_of_each_of_ten_classes_is_known(even: bool) -> None:
    traffic, rng = Traffic.made(0.1, 0.0), np.random.default_rng(4)
    inclusion = traffic.inclusion(200, even=even)
    for _ in range(50):
        picked = rng.random(inclusion.size) < inclusion
        table = by_class(
            traffic.true[picked], traffic.said[picked], inclusion[picked], traffic.totals
        )
        assert all(isinstance(row.precision, Estimate) for row in table.rows)


def test_a_census_is_exact() -> None:
    table = by_class(["a"] * 6 + ["b"] * 6, ["a"] * 5 + ["b"] * 7, [1.0] * 12, {"a": 5, "b": 7})
    recall = table.rows[0].recall
    assert isinstance(recall, Estimate)
    assert recall.value == recall.low == recall.high == pytest.approx(5 / 6)


def test_each_interval_holds_its_number_whatever_was_drawn() -> None:
    rng = np.random.default_rng(7)
    for _ in range(500):
        n, names = int(rng.integers(0, 30)), CLASSES[: rng.integers(1, 5)]
        true = rng.choice(names, n)
        said = rng.choice(names, n) if rng.random() < 0.7 else true
        inclusion = rng.uniform(0.01, 1, n) if rng.random() < 0.7 else np.ones(n)
        more = rng.integers(0, 3, len(names)) * rng.integers(0, 100, len(names))
        totals = {
            name: int((said == name).sum() + left) for name, left in zip(names, more, strict=True)
        }
        inside = rng.random(n) < rng.random() if rng.random() < 0.5 else None
        table = by_class(true, said, inclusion, totals, inside=inside)
        found = [getattr(row, number) for row in table.rows for number in NUMBERS]
        for e in (*found, table.macro_f1):
            if isinstance(e, Estimate):
                assert 0 <= e.worst_low <= e.low <= e.value <= e.high <= e.worst_high <= 1


def test_a_model_that_is_always_wrong_has_numbers_too() -> None:
    labels, said = ["a"] * 20 + ["b"] * 20, ["b"] * 20 + ["a"] * 20
    table = by_class(labels, said, [0.1] * 40, {"a": 200, "b": 200})
    assert isinstance(table.macro_f1, Estimate)
    assert (table.macro_f1.value, table.macro_f1.low) == (0.0, 0.0)
    assert 0.0 < table.macro_f1.high < 0.5
    for row in table.rows:
        assert isinstance(row.precision, Estimate)
        assert row.precision.value == row.precision.low == 0.0


def test_a_class_that_the_model_never_says_has_a_row() -> None:
    table = by_class(["a"] * 10 + ["new"] * 10, ["a"] * 20, [0.5] * 20, {"a": 40})
    new = next(row for row in table.rows if row.name == "new")
    assert isinstance(new.share, Estimate)
    assert new.share.value == pytest.approx(0.5)
    assert new.share_predicted == 0.0
    assert isinstance(new.precision, Undefined)


def test_few_labels_have_wide_intervals_and_make_no_mean() -> None:
    table = by_class(["a"] * 8 + ["b"], ["a"] * 8 + ["b"], [0.1] * 9, {"a": 80, "b": 10})
    recall = table.rows[1].recall
    assert isinstance(recall, Estimate)
    assert (recall.value, recall.n) == (1.0, 1)
    assert recall.low < 0.1
    assert table.macro_f1 == Undefined(
        "labels of 'b': 1, called so by people or the model; expected 5 or more of each class"
    )


def test_a_class_without_a_label_may_still_be_there() -> None:
    table = by_class(["a"] * 50, ["a"] * 50, [0.1] * 50, {"a": 490, "b": 10})
    unseen = table.rows[1]
    assert unseen.precision == Undefined("no label the model called so")
    assert isinstance(unseen.share, Estimate)
    assert (unseen.share.value, unseen.share.low) == (0.0, 0.0)
    assert 0.05 < unseen.share.high < 0.1


def test_what_was_not_heard_widens_the_worst_case() -> None:
    labels, said = ["a"] * 40 + ["b"] * 10, ["a"] * 50
    sure = by_class(labels, said, [0.5] * 50, {"a": 100}).rows[0].precision
    unheard = Unheard(by_predicted={"a": 20.0}, n_set_aside=100)
    unsure = by_class(labels, said, [0.5] * 50, {"a": 100}, unheard=unheard).rows[0].precision
    assert isinstance(sure, Estimate)
    assert isinstance(unsure, Estimate)
    assert (sure.low, sure.high) == (unsure.low, unsure.high) == (sure.worst_low, sure.worst_high)
    assert unsure.worst_low == pytest.approx(sure.low * 80 / 200)
    assert unsure.worst_high == pytest.approx((sure.high * 80 + 120) / 200)
    lost = by_class(labels, said, [0.5] * 50, {"a": 100}, unheard=Unheard(n_set_aside=math.inf))
    share = lost.rows[0].share
    assert isinstance(share, Estimate)
    assert (share.worst_low, share.worst_high) == (0.0, 1.0)


def test_numbers_of_a_part_speak_of_it_alone() -> None:
    labels, said = ["a"] * 60 + ["b"] * 40, ["a"] * 100
    inside = [True] * 60 + [False] * 40
    table = by_class(labels, said, [0.1] * 100, {"a": 1000}, inside=inside)
    (only,) = table.rows
    assert isinstance(only.precision, Estimate)
    assert (only.precision.value, only.precision.n) == (1.0, 60)
    assert (only.share_predicted, only.n_labels, only.n_predicted) == (1.0, 60, 60)


def test_more_draws_than_traffic_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"totals\['a'\] = 1"):
        by_class(["a"] * 2, ["a"] * 2, [0.5] * 2, {"a": 1})
