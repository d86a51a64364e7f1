"""Inclusion probabilities and draws: what they guarantee, and what they refuse."""

import numpy as np
import pytest

from labelloop.core.line import LINE_END
from labelloop.errors import ArgumentError
from labelloop.sampling import (
    bin_cuts,
    bin_inclusion,
    draw,
    inclusion_probabilities,
    reached_inclusion,
    risk_bins,
    uniform_cut,
)


def test_a_budget_of_the_frame_or_more_draws_everything() -> None:
    assert inclusion_probabilities([0.1, 0.2], budget=2, n_uniform=1).tolist() == [1.0, 1.0]
    assert inclusion_probabilities([0.1, 0.2], budget=9, n_uniform=3).tolist() == [1.0, 1.0]
    assert draw([1.0, 1.0], [7, 3], n_uniform=3).picked.all()


def test_a_uniform_budget_gives_everyone_the_same_chance_and_the_smallest_places() -> None:
    inclusion = inclusion_probabilities([0.0, 0.5, 1.0, 0.2], budget=2, n_uniform=2)
    assert inclusion.tolist() == [0.5] * 4
    drawn = draw(inclusion, [9, 1, 5, 7], n_uniform=2)
    assert drawn.picked.tolist() == drawn.uniform.tolist() == [False, True, True, False]


def test_a_capped_probability_leaves_its_share_to_the_others() -> None:
    risk = np.array([0.5] * 5 + [0.001] * 995)
    inclusion = inclusion_probabilities(risk, budget=300, n_uniform=90)
    assert inclusion[:5].tolist() == [1.0] * 5
    assert inclusion.sum() == pytest.approx(300)


def test_the_cut_is_inclusive_and_ties_at_it_are_all_drawn() -> None:
    drawn = draw([0.5] * 4, [3, 3, 3, 8], n_uniform=2)
    assert drawn.uniform.tolist() == [True, True, True, False]


def test_places_are_compared_exactly_where_doubles_cannot_tell_them_apart() -> None:
    # p = 1/2 above no uniform part: places up to half the line, which doubles round to even
    half = LINE_END // 2
    drawn = draw([0.5, 0.5, 0.5], [half - 1, half, half + 1], n_uniform=0)
    assert drawn.picked.tolist() == [True, False, False]


def test_without_a_uniform_part_nothing_is_uniform() -> None:
    drawn = draw([0.5, 1.0], [0, LINE_END - 1], n_uniform=0)
    assert drawn.picked.tolist() == [True, True]
    assert not drawn.uniform.any()
    assert bin_cuts([1e-30], n=5, n_uniform=0, cut=None) == [0]


def test_cuts_that_are_surely_large_enough_hold_the_whole_draw() -> None:
    inclusion = bin_inclusion(np.full(1024, 50), budget=100, n_uniform=30)
    small = bin_cuts(inclusion, n=51200, n_uniform=30, cut=10**12)
    large = bin_cuts(inclusion, n=51200, n_uniform=30, cut=10**15)
    assert all(a <= b for a, b in zip(small, large, strict=True))


def test_reaching_everything_restores_the_inclusion_of_the_draw() -> None:
    inclusion = inclusion_probabilities(np.linspace(0, 1, 500), budget=100, n_uniform=30)
    whole = reached_inclusion(inclusion, n=500, n_uniform=30, n_drawn=98, n_reached=98)
    assert np.allclose(whole, inclusion)
    part = reached_inclusion(inclusion, n=500, n_uniform=30, n_drawn=98, n_reached=20)
    assert np.allclose(part, 20 / 500)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: inclusion_probabilities([0.1, 1.2], budget=1, n_uniform=0), r"risk\[1\] = 1.2"),
        (lambda: inclusion_probabilities([0.1, float("nan")], budget=1, n_uniform=0), "nan"),
        (lambda: inclusion_probabilities([], budget=1, n_uniform=0), "risk"),
        (lambda: inclusion_probabilities([[0.1]], budget=1, n_uniform=0), "risk"),
        (lambda: inclusion_probabilities([0.1], budget=0, n_uniform=0), "budget = 0"),
        (lambda: inclusion_probabilities([0.1] * 9, budget=2, n_uniform=3), "n_uniform = 3"),
        (lambda: inclusion_probabilities([0.1] * 9, budget=2, n_uniform=-1), "n_uniform = -1"),
        (lambda: bin_inclusion([1, 2], budget=1, n_uniform=0), "1024"),
        (lambda: bin_inclusion([-1] * 1024, budget=1, n_uniform=0), "counts"),
        (lambda: draw([0.5, 0.5], [1], n_uniform=0), "shape"),
        (lambda: draw([0.0, 0.5], [1, 2], n_uniform=0), r"inclusion\[0\] = 0.0"),
        (lambda: draw([0.5, 1.5], [1, 2], n_uniform=0), r"inclusion\[1\] = 1.5"),
        (lambda: draw([0.1, 0.5], [1, 2], n_uniform=1), r"inclusion\[0\] = 0.1"),
        (lambda: draw([0.5, 0.5], [1, 2**62], n_uniform=0), r"line\[1\]"),
        (lambda: draw([0.5, 0.5], [-1, 2], n_uniform=0), r"line\[0\] = -1"),
        (lambda: draw([0.5, 0.5], [0.1, 0.2], n_uniform=0), "float64"),
        (
            lambda: reached_inclusion([0.5], n=9, n_uniform=1, n_drawn=3, n_reached=4),
            "n_reached = 4",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(call: object, named: str) -> None:
    assert callable(call)
    with pytest.raises(ArgumentError, match=named):
        call()


def test_a_frame_of_one_is_drawn() -> None:
    inclusion = inclusion_probabilities([0.0], budget=1, n_uniform=0)
    assert draw(inclusion, [LINE_END - 1], n_uniform=0).picked.tolist() == [True]
    assert uniform_cut([4], n_uniform=1) == 4
    assert risk_bins([1.0]).tolist() == [1023]
