"""Precision, recall, F1 and true share of every class hold the truth."""

import numpy as np
import pytest

from labelloop.errors import ArgumentError
from labelloop.sampling import inclusion_probabilities
from labelloop.statistics import Estimate, Undefined, by_class
from tests.property.coverage import least
from tests.property.populations import population

CLASSES = [f"class {i}" for i in range(10)]
NUMBERS = ("precision", "recall", "f1", "share")


@pytest.mark.parametrize("even", [True, False])
def test_every_number_is_shown_and_holds_the_truth(even: bool) -> None:
    rng, size, n, runs = np.random.default_rng(1), 20_000, 700, 100
    traffic = population("calibrated", 0.1, size=size, seed=2)
    code = rng.integers(0, 10, size)
    said_code = np.where(traffic.wrong, (code + rng.choice([1, 1, 2, 5], size)) % 10, code)
    true, said = np.array(CLASSES)[code], np.array(CLASSES)[said_code]
    totals = {name: int((said == name).sum()) for name in CLASSES}
    inclusion = (
        np.full(size, n / size)
        if even
        else inclusion_probabilities(traffic.risk, budget=n, n_uniform=round(0.3 * n))
    )
    whole = by_class(true, said, np.ones(size), totals)
    held: dict[tuple[str, str], list[bool]] = {}
    macro: list[bool] = []
    for _ in range(runs):
        picked = rng.random(size) < inclusion
        table = by_class(true[picked], said[picked], inclusion[picked], totals)
        for row, truth in zip(table.rows, whole.rows, strict=True):
            for number in NUMBERS:
                found, real = getattr(row, number), getattr(truth, number)
                if isinstance(found, Estimate):
                    covers = found.low <= real.value <= found.high
                    held.setdefault((row.name, number), []).append(covers)
        assert isinstance(table.macro_f1, Estimate)
        assert isinstance(whole.macro_f1, Estimate)
        macro.append(table.macro_f1.low <= whole.macro_f1.value <= table.macro_f1.high)
    shown = sum(map(len, held.values())) / (len(CLASSES) * len(NUMBERS) * runs)
    assert shown >= 0.9
    shares = [float(np.mean(covers)) for covers in held.values()]
    assert np.mean(shares) >= 0.95
    assert min(shares) >= least(0.95, runs)
    assert np.mean(macro) >= least(0.95, runs)


def test_a_census_is_exact() -> None:
    table = by_class(["a"] * 6 + ["b"] * 6, ["a"] * 5 + ["b"] * 7, [1.0] * 12, {"a": 5, "b": 7})
    recall = table.rows[0].recall
    assert isinstance(recall, Estimate)
    assert recall.value == recall.low == recall.high == pytest.approx(5 / 6)


def test_a_class_that_the_model_never_says_has_a_row() -> None:
    table = by_class(["a"] * 10 + ["new"] * 10, ["a"] * 20, [0.5] * 20, {"a": 40})
    new = next(row for row in table.rows if row.name == "new")
    assert isinstance(new.share, Estimate)
    assert new.share.value == pytest.approx(0.5)
    assert new.share_predicted == 0.0
    assert isinstance(new.precision, Undefined)


def test_few_labels_are_said_to_be_few() -> None:
    table = by_class(["a"] * 8 + ["b"], ["a"] * 8 + ["b"], [0.1] * 9, {"a": 80, "b": 10})
    assert table.rows[1].recall == Undefined("1 labelled so: expected 5 or more")
    assert table.macro_f1 == Undefined("F1 of 'b' isn't known: too few labels")


def test_more_draws_than_traffic_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"totals\['a'\] = 1"):
        by_class(["a"] * 2, ["a"] * 2, [0.5] * 2, {"a": 1})
