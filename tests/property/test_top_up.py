"""A draw topped up is the draw that would have been made at once, and its chances are as stated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.core.arrays import BIN_RISKS
from labelloop.core.estimate import Estimate
from labelloop.core.line import LINE_END
from labelloop.core.round import Candidate
from labelloop.core.top_up import raised
from labelloop.errors import ArgumentError
from labelloop.sampling import auto_inclusion, bin_inclusion
from labelloop.sampling.blind import UNEVEN, BlindDesign
from labelloop.sampling.remaining import Remaining
from labelloop.sampling.top_up import RaisedDraw, scale_for
from labelloop.statistics.accuracy import accuracy
from labelloop.statistics.frame import Frame
from tests.property.coverage import least
from tests.property.test_blind_draw import candidate, counted, drawn_from, within

SIZES = np.array([900, 60, 30, 10])
BINS = [20, 200, 400, 512]


def population(rng: np.random.Generator, n: int = 300) -> list[Candidate]:
    """Rows of four levels of confidence at random places."""
    levels = [0.98, 0.8, 0.6, 0.5]
    return [
        candidate(i, levels[min(3, i * 5 // n)], int(rng.integers(LINE_END)), pattern=0)
        for i in range(n)
    ]


def topped_up(
    design: BlindDesign, first: list[Candidate], rows: list[Candidate], more: list[int]
) -> tuple[RaisedDraw, list[Candidate]]:
    """Top-ups one after the other; the last one's design, and all rows that they added."""
    names = {(c.predicted_class, c.risk_bin): c.n for c in counted(rows)}
    cells = {name: (n, design.inclusion(name)) for name, n in names.items()}
    cut = max((r.line for r in first), default=None)
    scale, added = 1.0, []
    for n in more:
        at_random = len(first) / len(rows)
        after = scale_for(
            [p for _, p in cells.values()],
            [n for n, _ in cells.values()],
            n,
            scale=scale,
            at_random=at_random,
        )
        found = RaisedDraw(cells, len(first), cut, scale, after)
        added += found.in_order(within(rows, found.spans()))
        scale = after
    return found, added


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    budget=st.integers(5, 80),
    more=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    rule=st.sampled_from(sorted(UNEVEN)),
)
def test_whoever_was_drawn_stays_drawn_and_chances_add_up(
    seed: int, budget: int, more: list[int], rule: str
) -> None:
    rows = population(np.random.default_rng(seed))
    design, found = drawn_from(Remaining(counted(rows)), rows, budget, rule)
    last, added = topped_up(design, list(found.rows[: found.n_uniform]), rows, more)
    first = {r.sample_id for r in found.rows}
    assert first.isdisjoint(r.sample_id for r in added)
    assert len({r.sample_id for r in added}) == len(added)
    total = sum(n * last.inclusion(cell) for cell, (n, _) in last.cells.items())
    assert total == pytest.approx(min(budget + sum(more), len(rows)), abs=0.6)
    for cell in last.cells:
        assert design.inclusion(cell) <= last.inclusion(cell) <= 1
    if rule == "auto":  # one larger budget gives the same chances, and so the same samples
        sizes = np.zeros(1024, dtype=int)
        for c in counted(rows):
            sizes[c.risk_bin] += c.n
        at_once, both = drawn_from(Remaining(counted(rows)), rows, budget + sum(more), rule)
        for cell in last.cells:
            assert at_once.inclusion(cell) == pytest.approx(last.inclusion(cell), rel=1e-9)
        assert {r.sample_id for r in both.rows} == first | {r.sample_id for r in added}


@pytest.mark.parametrize("rule", sorted(UNEVEN))
def test_each_sample_is_drawn_as_often_as_its_chance_says(rule: str) -> None:
    rng = np.random.default_rng(5)
    rows, runs = population(rng), 400
    seen, stated = np.zeros(len(rows)), np.zeros(len(rows))
    for _ in range(runs):
        fresh = [
            candidate(i, r.confidence, int(rng.integers(LINE_END)), pattern=0)
            for i, r in enumerate(rows)
        ]
        design, found = drawn_from(Remaining(counted(fresh)), fresh, 30, rule)
        last, added = topped_up(design, list(found.rows[: found.n_uniform]), fresh, [20, 15])
        for r in (*found.rows, *added):
            seen[int(r.sample_id)] += 1
        stated += [last.inclusion((r.predicted_class, r.risk_bin)) for r in fresh]
    off = np.abs(seen - stated)
    spread = np.sqrt(np.maximum(stated * (1 - stated / runs), 1e-9))
    assert (off <= 4.5 * spread + 1e-9).all()
    assert ((off / spread) ** 2).mean() < 1 + 4 * np.sqrt(2 / len(rows))


@given(
    budget=st.integers(1, 400),
    more=st.integers(1, 900),
    scale=st.floats(1, 3),
    at_random=st.sampled_from([0.0, 0.05, 0.2]),
)
def test_the_scale_adds_as_many_as_asked_for(
    budget: int, more: int, scale: float, at_random: float
) -> None:
    counts = np.zeros(1024, dtype=int)
    counts[BINS] = SIZES
    first = at_random + (1 - at_random) * auto_inclusion(counts, budget=budget)[BINS]
    before = float(SIZES @ [raised(q, scale, at_random=at_random) for q in first])
    if before + more > SIZES.sum() + 0.5:
        with pytest.raises(ArgumentError, match="all that is left"):
            scale_for(first, SIZES, more, scale=scale, at_random=at_random)
        return
    after = scale_for(first, SIZES, more, scale=scale, at_random=at_random)
    assert after >= scale
    total = float(SIZES @ [raised(q, after, at_random=at_random) for q in first])
    assert total == pytest.approx(min(before + more, SIZES.sum()), abs=0.51)


def test_a_larger_uncertain_budget_is_not_the_same_draw() -> None:
    """Its random part would grow: a top-up keeps that part, and states the chances that follow."""
    counts = np.zeros(1024, dtype=int)
    counts[BINS] = SIZES
    small, large = (bin_inclusion(counts, budget=b, n_uniform=round(0.3 * b)) for b in (50, 100))
    at_random = 15 / SIZES.sum()
    scale = scale_for(small[BINS], SIZES, 50, at_random=at_random)
    found = np.array([raised(q, scale, at_random=at_random) for q in small[BINS]])
    assert float(SIZES @ found) == pytest.approx(100)
    assert not np.allclose(found, large[BINS])


@pytest.mark.parametrize(
    "labelled", [1.0, 0.5], ids=["all labelled", "half of the top-up labelled"]
)
def test_intervals_cover_as_they_say_after_a_top_up(labelled: float) -> None:
    """Through the probabilities that the frame of a topped-up round gives, as `BlindFrame.chances` does."""
    rng = np.random.default_rng(11)
    hits, runs = 0, 500
    for _ in range(runs):
        bins = rng.choice(BINS, size=4_000, p=SIZES / SIZES.sum())
        wrong = rng.random(bins.size) < 0.02 + 0.8 * BIN_RISKS[bins] ** 1.5
        counts = np.bincount(bins, minlength=1024)
        first = auto_inclusion(counts, budget=120)
        some = np.flatnonzero(counts)
        scale = scale_for(first[some], counts[some], 120)
        after = np.array([raised(q, scale) for q in first])
        place = rng.random(bins.size)
        added = np.flatnonzero((place >= first[bins]) & (place < after[bins]))
        order = (place - first[bins]) / (after[bins] - first[bins])
        reached = added[np.argsort(order[added])][: round(labelled * added.size)]
        chance = first + (after - first) * reached.size / added.size
        drawn = np.concatenate([np.flatnonzero(place < first[bins]), reached])
        frame = Frame.from_counts(counts, chance)
        own = bins[drawn]
        found = accuracy(~wrong[drawn], BIN_RISKS[own], chance[own], frame)
        assert isinstance(found, Estimate)
        hits += found.low <= 1 - wrong.mean() <= found.high
    assert hits / runs >= least(0.95, runs)
