"""The blind draw from counts and cuts is the one that the arrays define, with the chances it states."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.core.line import LINE_END, line
from labelloop.core.round import Candidate, Count, Span
from labelloop.core.sample import RISK_BINS, risk_bin
from labelloop.sampling import auto_inclusion, draw, inclusion_probabilities, risk_bins
from labelloop.sampling.blind import UNEVEN, BlindDesign, BlindDraw
from labelloop.sampling.remaining import Remaining, likely_cut
from tests.property.populations import sending_order

AT = datetime(2026, 3, 1, tzinfo=UTC)


def candidate(
    n: int, confidence: float | None, place: int, *, pattern: int | None = None
) -> Candidate:
    return Candidate(
        sample_id=f"{n:06d}",
        uri="",
        predicted_at=AT,
        model="m",
        predicted_class="cat",
        confidence=confidence,
        risk_bin=risk_bin(confidence),
        line=place,
        content_hash="",
        pattern=n % 2 if pattern is None else pattern,
    )


def counted(rows: list[Candidate]) -> list[Count]:
    cells: dict[tuple[str, int, int], int] = {}
    for r in rows:
        key = (r.predicted_class, r.risk_bin, r.pattern)
        cells[key] = cells.get(key, 0) + 1
    return [Count(predicted_class=c, risk_bin=b, pattern=p, n=n) for (c, b, p), n in cells.items()]


def within(rows: list[Candidate], spans: list[Span]) -> list[Candidate]:
    """The rows in the spans, as an engine finds them."""
    by_cell = {(s.pattern, s.predicted_class, s.risk_bin): s for s in spans}
    found = []
    for r in rows:
        span = by_cell.get((r.pattern, r.predicted_class, r.risk_bin))
        if span is not None and span.above < r.line <= span.up_to:
            found.append(r)
    return found


def drawn_from(
    left: Remaining, rows: list[Candidate], budget: int, rule: str = "uncertainty"
) -> tuple[BlindDesign, BlindDraw]:
    design = BlindDesign(left.eligible(lambda _pattern: True), budget, UNEVEN[rule])
    likely = likely_cut(design.n_uniform, design.n)
    while True:
        found = design.draw(within(rows, design.spans(sorted(left.patterns), likely)), likely)
        if found is not None:
            left.take(found.rows, found.cuts)
            return design, found
        likely = min(2 * likely + 1, LINE_END - 1)


@settings(max_examples=150, deadline=None)
@given(
    confidences=st.lists(
        st.one_of(st.none(), st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.floats(0, 1)),
        min_size=1,
        max_size=60,
    ),
    budget=st.integers(1, 40),
    rule=st.sampled_from(sorted(UNEVEN)),
    data=st.data(),
)
def test_cuts_draw_what_the_arrays_define(
    confidences: list[float | None], budget: int, rule: str, data: st.DataObject
) -> None:
    n = len(confidences)
    places = data.draw(st.lists(st.integers(0, LINE_END - 1), min_size=n, max_size=n, unique=True))
    rows = [candidate(i, c, p) for i, (c, p) in enumerate(zip(confidences, places, strict=True))]
    design, found = drawn_from(Remaining(counted(rows)), rows, budget, rule)
    risk = [(risk_bin(c) + 0.5) / RISK_BINS for c in confidences]
    n_uniform = round(0.3 * budget) if rule == "uncertainty" else 0
    if n <= budget:
        assert len(found.rows) == n
        assert {design.inclusion((r.predicted_class, r.risk_bin)) for r in rows} == {1.0}
        return
    if rule == "uncertainty":
        chances = inclusion_probabilities(risk, budget=budget, n_uniform=n_uniform)
    else:
        bins = risk_bins(risk)
        chances = auto_inclusion(np.bincount(bins, minlength=RISK_BINS), budget=budget)[bins]
        assert chances.sum() == pytest.approx(budget)
    wanted = draw(chances, places, n_uniform=n_uniform)
    order = sending_order(chances, places, n_uniform=n_uniform)
    assert [int(r.sample_id) for r in found.rows] == order.tolist()
    assert {int(r.sample_id) for r in found.rows[: found.n_uniform]} == set(
        np.flatnonzero(wanted.uniform).tolist()
    )
    for r, chance in zip(rows, chances, strict=True):
        assert design.inclusion((r.predicted_class, r.risk_bin)) == chance


@pytest.mark.parametrize("rule", sorted(UNEVEN))
def test_each_sample_is_drawn_as_often_as_stated_also_by_the_queue_behind(rule: str) -> None:
    n, salts, budget, behind = 200, 700, 30, 15
    rng = np.random.default_rng(5)
    confidence = [None if x < 0.05 else round(float(x) ** 0.3, 3) for x in rng.random(n)]
    low = np.array([c is not None and c < 0.8 for c in confidence])
    drawn, stated, variance = (np.zeros((2, n)) for _ in range(3))
    for salt in range(salts):
        key = salt.to_bytes(8, "big")
        rows = [
            candidate(i, c, line(str(i), key), pattern=int(low[i]))
            for i, c in enumerate(confidence)
        ]
        left = Remaining(counted(rows))
        design, blind = drawn_from(left, rows, budget, rule)
        chances = np.array([design.inclusion(("cat", risk_bin(c))) for c in confidence])
        taken = np.array([int(r.sample_id) for r in blind.rows])
        drawn[0, taken] += 1
        stated[0] += chances
        variance[0] += chances * (1 - chances)
        there = low.copy()
        there[taken] = False

        def matches(pattern: int) -> bool:
            return bool(pattern & 1)

        spans = left.spans(matches, LINE_END - 1)
        second = left.draw(matches, within(rows, spans), behind)
        chosen = np.array([int(r.sample_id) for r in second.rows])
        assert there[chosen].all()
        drawn[1, chosen] += 1
        stated[1, there] += second.inclusion
        variance[1, there] += second.inclusion * (1 - second.inclusion)
    assert (np.abs(drawn - stated) <= 4 * np.sqrt(variance) + 1e-9).all()
    # the mean size of the blind draw is its budget
    assert abs(drawn[0].sum() / salts - budget) < 4 * np.sqrt(variance[0].sum()) / salts
