"""Each sample is drawn as often as its stated probability says, and the same on any engine."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelloop.core.line import LINE_END, line
from labelloop.sampling import (
    bin_cuts,
    bin_inclusion,
    draw,
    inclusion_probabilities,
    reached_inclusion,
    risk_bins,
    uniform_cut,
)
from tests.property.populations import sending_order

SALTS = 4000


def test_frequencies_on_the_line_match_the_stated_probabilities() -> None:
    n = 200
    risk = np.random.default_rng(1).beta(0.4, 2, n)
    inclusion = inclusion_probabilities(risk, budget=40, n_uniform=12)
    picked, uniform = np.zeros(n), np.zeros(n)
    for salt in range(SALTS):
        key = salt.to_bytes(4, "big")
        places = np.array([line(f"sample-{i}", key) for i in range(n)])
        drawn = draw(inclusion, places, n_uniform=12)
        assert drawn.uniform.sum() == 12
        picked += drawn.picked
        uniform += drawn.uniform
    error = np.sqrt(inclusion * (1 - inclusion) / SALTS)
    assert (np.abs(picked / SALTS - inclusion) <= 4 * error + 1e-12).all()
    assert (np.abs(uniform / SALTS - 12 / n) <= 4 * np.sqrt(0.06 * 0.94 / SALTS)).all()
    # low-risk samples together: where the cut is one place off, they are drawn 5.8% too often
    low = inclusion < np.median(inclusion)
    expected, seen = inclusion[low].sum(), picked[low].sum() / SALTS
    assert abs(seen / expected - 1) < 4 * np.sqrt(1 / (expected * SALTS))


def test_what_was_reached_has_the_inclusion_that_is_said_of_it() -> None:
    n, reached = 200, 25
    risk = np.random.default_rng(2).beta(0.4, 2, n)
    inclusion = inclusion_probabilities(risk, budget=40, n_uniform=12)
    rng = np.random.default_rng(3)
    seen, said = np.zeros(n), np.zeros(n)
    runs = 6000
    for _ in range(runs):
        order = sending_order(inclusion, rng.integers(0, LINE_END, n), n_uniform=12)
        k = min(reached, order.size)
        seen[order[:k]] += 1
        said += reached_inclusion(inclusion, n=n, n_uniform=12, n_drawn=order.size, n_reached=k)
    said /= runs
    assert (np.abs(seen / runs - said) <= 4 * np.sqrt(said / runs)).all()


frames = st.integers(1, 400).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.floats(0, 1)),
        arrays(np.int64, n, elements=st.integers(0, LINE_END - 1)),
        st.integers(1, 450),
        st.floats(0, 1),
    )
)


@settings(deadline=None, max_examples=150)
@given(frames)
def test_counts_of_bins_draw_the_same_samples_as_arrays(
    frame: tuple[np.ndarray, np.ndarray, int, float],
) -> None:
    risk, places, budget, share = frame
    n_uniform = round(share * budget)
    inclusion = inclusion_probabilities(risk, budget=budget, n_uniform=n_uniform)
    assert ((inclusion > 0) & (inclusion <= 1)).all()
    assert np.isclose(inclusion.sum(), min(budget, risk.size))
    drawn = draw(inclusion, places, n_uniform=n_uniform)
    bins = risk_bins(risk)
    per_bin = bin_inclusion(np.bincount(bins, minlength=1024), budget=budget, n_uniform=n_uniform)
    cut = uniform_cut(places, n_uniform=n_uniform)
    cuts = bin_cuts(per_bin, n=risk.size, n_uniform=n_uniform, cut=cut)
    by_cut = np.array([int(p) <= cuts[b] for p, b in zip(places, bins, strict=True)])
    assert np.array_equal(by_cut, drawn.picked)
    assert not (drawn.uniform & ~drawn.picked).any()


@settings(deadline=None, max_examples=100)
@given(frames, st.integers(0, 200))
def test_a_top_up_continues_the_line_and_drops_nobody(
    frame: tuple[np.ndarray, np.ndarray, int, float], more: int
) -> None:
    risk, places, budget, share = frame
    n_uniform = round(share * budget)
    first = draw(
        inclusion_probabilities(risk, budget=budget, n_uniform=n_uniform),
        places,
        n_uniform=n_uniform,
    )
    second = draw(
        inclusion_probabilities(risk, budget=budget + more, n_uniform=n_uniform),
        places,
        n_uniform=n_uniform,
    )
    assert not (first.picked & ~second.picked).any()
