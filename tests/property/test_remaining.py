"""What is drawn through integer cuts is what the plain definition of the draw says."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from labelloop.core.line import LINE_END, lowered, remaining
from labelloop.core.round import Candidate, Count, Span
from labelloop.sampling.remaining import Remaining, likely_cut

places = st.integers(0, LINE_END - 1)
Queues = list[tuple[int, int | None]]
"""Which bit a queue asks for (3: none), and its budget."""


def candidate(number: int, place: int, pattern: int) -> Candidate:
    return Candidate(
        sample_id=f"{number:03d}",
        uri="",
        predicted_at=datetime(2026, 3, 2, tzinfo=UTC),
        model="m",
        predicted_class="cat" if number % 2 else "dog",
        confidence=None,
        risk_bin=(number % 11) * 93,
        line=place,
        content_hash="",
        pattern=pattern,
    )


frames = st.lists(st.tuples(places, st.integers(0, 7)), max_size=40, unique_by=lambda r: r[0]).map(
    lambda rows: [candidate(n, place, pattern) for n, (place, pattern) in enumerate(rows)]
)
queues = st.lists(
    st.tuples(st.integers(0, 3), st.none() | st.integers(1, 12)), min_size=1, max_size=5
)


def counted(rows: Sequence[Candidate]) -> list[Count]:
    cells = Counter((r.predicted_class, r.risk_bin, r.pattern) for r in rows)
    return [Count(predicted_class=c, risk_bin=b, pattern=p, n=n) for (c, b, p), n in cells.items()]


def within(rows: Sequence[Candidate], spans: Sequence[Span]) -> list[Candidate]:
    return [
        r
        for r in rows
        if any(s.pattern == r.pattern and s.above < r.line <= s.up_to for s in spans)
    ]


def matches(bit: int, pattern: int) -> bool:
    return bit == 3 or bool(pattern >> bit & 1)


def by_definition(rows: Sequence[Candidate], asked: Queues) -> list[list[str]]:
    """Each queue takes the smallest stretched places of what matches and is left."""
    left, drawn = list(rows), []
    floors = dict.fromkeys(range(8), 0)
    for bit, budget in asked:
        own = [r for r in left if matches(bit, r.pattern)]
        own.sort(key=lambda r: (remaining(r.line, floors[r.pattern]), r.line))
        taken = own if budget is None else own[:budget]
        drawn.append([r.sample_id for r in taken])
        left = [r for r in left if r not in taken]
        if not taken:
            continue
        whole = len(taken) == len(own)
        last = taken[-1]
        cut = LINE_END - 1 if whole else remaining(last.line, floors[last.pattern])
        for pattern in floors:
            if matches(bit, pattern) and floors[pattern] < LINE_END:
                floors[pattern] = lowered(cut, floors[pattern]) + 1
    return drawn


def through_cuts(
    rows: Sequence[Candidate], asked: Queues, first_cut: int | None
) -> list[list[str]]:
    """As a round does it; `first_cut` forces answers that are too short at first."""
    left, drawn = Remaining(counted(rows)), []
    for bit, budget in asked:

        def asks(pattern: int, bit: int = bit) -> bool:
            return matches(bit, pattern)

        n_left = left.n(asks)
        wanted = n_left if budget is None else min(budget, n_left)
        cut = likely_cut(budget, n_left) if first_cut is None else first_cut
        found: Sequence[Candidate] = ()
        while wanted:
            found = within(rows, left.spans(asks, cut))
            if len(found) >= wanted or cut == LINE_END - 1:
                break
            cut = min(2 * cut + 1, LINE_END - 1)
        drawing = left.draw(asks, found, budget)
        drawn.append([r.sample_id for r in drawing.rows])
        assert sum(c.n for c in drawing.eligible) == n_left
        assert drawing.inclusion == (len(drawing.rows) / n_left if n_left else 0)
    return drawn


@given(frames, queues)
@example([candidate(n, n, 0) for n in range(9)], [(3, 4), (3, None)])
@example([candidate(n, LINE_END - 1 - n, n % 8) for n in range(20)], [(0, 2), (1, 3), (3, None)])
def test_draws_through_cuts_are_those_of_the_definition(
    rows: list[Candidate], asked: Queues
) -> None:
    assert through_cuts(rows, asked, None) == by_definition(rows, asked)


@given(frames, queues)
def test_an_answer_that_is_too_short_is_asked_again(rows: list[Candidate], asked: Queues) -> None:
    assert through_cuts(rows, asked, 0) == by_definition(rows, asked)


@given(frames, queues)
def test_nobody_is_drawn_twice_and_budgets_are_met(rows: list[Candidate], asked: Queues) -> None:
    drawn = through_cuts(rows, asked, None)
    everyone = [s for queue in drawn for s in queue]
    assert len(everyone) == len(set(everyone))
    patterns = {r.sample_id: r.pattern for r in rows}
    taken: set[str] = set()
    for (bit, budget), queue in zip(asked, drawn, strict=True):
        eligible = {s for s, p in patterns.items() if matches(bit, p)} - taken
        assert set(queue) <= eligible
        assert len(queue) == (len(eligible) if budget is None else min(budget, len(eligible)))
        taken |= set(queue)


@given(st.lists(places, min_size=2, max_size=30, unique=True), st.data())
def test_a_cut_is_the_last_place_drawn_and_inclusive(found: list[int], data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, len(found) - 1))
    rows = [candidate(n, place, 0) for n, place in enumerate(found)]
    left = Remaining(counted(rows))
    drawing = left.draw(lambda _pattern: True, rows, budget)
    assert drawing.cut == sorted(found)[budget - 1]
    again = within(rows, [Span(pattern=0, above=-1, up_to=drawing.cut)])
    assert {r.sample_id for r in again} == {r.sample_id for r in drawing.rows}
    rest = within(rows, left.spans(lambda _pattern: True, LINE_END - 1))
    assert {r.sample_id for r in rest} == {r.sample_id for r in rows} - {
        r.sample_id for r in drawing.rows
    }


@given(places, places)
def test_stretching_keeps_order_and_ends_and_is_undone(place: int, floor: int) -> None:
    place, floor = max(place, floor), min(place, floor)
    stretched = remaining(place, floor)
    assert 0 <= stretched < LINE_END
    assert remaining(floor, floor) == 0
    top = lowered(stretched, floor)
    assert floor <= place <= top < LINE_END
    assert remaining(top, floor) <= stretched
    assert top == LINE_END - 1 or remaining(top + 1, floor) > stretched


def test_the_end_of_the_line_belongs_to_it() -> None:
    for floor in (0, 1, LINE_END // 3, LINE_END - 1):
        assert lowered(LINE_END - 1, floor) == LINE_END - 1


@given(st.integers(1, 10**7), st.integers(1, 10**9))
def test_a_likely_cut_leaves_room_for_chance(budget: int, n_left: int) -> None:
    cut = likely_cut(budget, n_left)
    assert 0 < cut < LINE_END
    mean = (cut + 1) / LINE_END * n_left
    assert budget >= n_left or cut == LINE_END - 1 or mean >= budget + 6 * budget**0.5
