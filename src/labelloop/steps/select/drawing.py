"""How one queue draws from what a frame has left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labelloop.core.draw import Draw
from labelloop.core.line import LINE_END
from labelloop.core.queue import Queue
from labelloop.core.round import Candidate, Cell, Count
from labelloop.core.sample import RISK_BINS
from labelloop.core.token import task_key
from labelloop.measuring.learned_risk import LearnedRisk
from labelloop.ports.log import PredictionLog
from labelloop.sampling.blind import UNEVEN, BlindDesign, BlindDraw
from labelloop.sampling.remaining import Drawing, Remaining, likely_cut
from labelloop.steps.select.frame import Framed


@dataclass(frozen=True, slots=True)
class Blind:
    """A blind draw of unequal probability, with the design it came from."""

    design: BlindDesign
    counts: tuple[Count, ...]
    drawn: BlindDraw


def draw_framed(
    left: Remaining,
    queue: Queue,
    traffic: Framed,
    bit: int | None,
    *,
    allowed: Callable[[Sequence[Candidate]], Sequence[Candidate]] | None,
) -> Drawing:
    """Draw the smallest places of the rows that match bit `bit` of the pattern; None: all rows match.

    `allowed`: those of some rows that the budget may be spent on; the others are passed by.
    """

    def matches(pattern: int) -> bool:
        return bit is None or bool(pattern >> bit & 1)

    n_left = left.n(matches)
    budget = n_left if queue.budget is None else min(queue.budget, n_left)
    cut = likely_cut(queue.budget, n_left)
    rows: Sequence[Candidate] = ()
    n_reached = 0
    while budget:
        rows = traffic.rows(left.spans(matches, cut))
        n_reached = _reach(left.in_order(rows), budget, allowed)
        if n_reached or cut == LINE_END - 1:
            break
        cut = min(2 * cut + 1, LINE_END - 1)
    drawing = left.draw(matches, rows, n_reached or None)
    return drawing if allowed is None else replace(drawing, rows=tuple(allowed(drawing.rows)))


def _reach(
    ordered: Sequence[Candidate],
    budget: int,
    allowed: Callable[[Sequence[Candidate]], Sequence[Candidate]] | None,
) -> int:
    """How many of the first rows hold `budget` that are allowed; 0: all of them hold fewer."""
    if allowed is None:
        return budget if len(ordered) >= budget else 0
    fit = {row.sample_id for row in allowed(ordered)}
    places = [i for i, row in enumerate(ordered, start=1) if row.sample_id in fit]
    return places[budget - 1] if len(places) >= budget else 0


def with_fewer(queue: Queue, n: int) -> Queue:
    """The queue with `n` labels less to draw."""
    return queue if queue.budget is None else replace(queue, budget=max(1, queue.budget - n))


def is_uneven(queue: Queue, risk: LearnedRisk | None) -> bool:
    """True if the queue's rule draws with unequal chances; "auto" does once a risk is learned."""
    return queue.draw in UNEVEN and (queue.draw != "auto" or risk is not None)


def draw_blind(left: Remaining, queue: Queue, traffic: Framed) -> Blind:
    """Draw with unequal probabilities: first compute these, then read the rows below their cuts."""
    assert queue.budget is not None  # noqa: S101  the settings ask for one
    counts = left.eligible(lambda _pattern: True)
    design = BlindDesign(counts, queue.budget, UNEVEN[queue.draw])
    if design.n == 0:
        return Blind(design, counts, BlindDraw((), 0, {}))
    likely = likely_cut(design.n_uniform, design.n)
    while True:
        spans = design.spans(sorted(left.patterns), likely)
        drawn = design.draw(traffic.rows(spans), likely)
        if drawn is not None:
            left.take(drawn.rows, drawn.cuts)
            return Blind(design, counts, drawn)
        likely = min(2 * likely + 1, LINE_END - 1)


def total(counts: Sequence[Count]) -> int:
    """How many rows there are."""
    return sum(c.n for c in counts)


def blind_cells(queue: Queue, blind: Blind) -> list[Cell]:
    """The histogram of an uneven blind draw."""
    return [
        cell_of(
            *(queue, c),
            cut=blind.drawn.cuts[c.predicted_class, c.risk_bin],
            inclusion=blind.design.inclusion((c.predicted_class, c.risk_bin)),
        )
        for c in blind.counts
    ]


def cell_of(queue: Queue, c: Count, *, cut: int | None, inclusion: float) -> Cell:
    """A cell of the histogram that is kept with the round."""
    return Cell(
        queue=queue.name,
        predicted_class=c.predicted_class,
        risk_bin=c.risk_bin,
        n=c.n,
        cut=cut,
        risk=(c.risk_bin + 0.5) / RISK_BINS if queue.evaluates else None,
        inclusion=inclusion if queue.evaluates else None,
    )


def new_draw(
    log: PredictionLog,
    queue: Queue,
    row: Candidate,
    number: int,
    *,
    inclusion: float | None,
    uniform: bool,
    position: int,
    reason: str,
) -> Draw:
    """A row as a draw of a queue in the round, or top-up, of this number."""
    return Draw(
        round=number,
        sample_id=row.sample_id,
        uri=row.uri,
        model=row.model,
        queue=queue.name,
        predicted_at=row.predicted_at,
        predicted_class=row.predicted_class,
        confidence=row.confidence,
        corrected_class=row.corrected_class,
        flagged=row.flagged,
        margin=row.margin if queue.evaluates else None,
        attributes=row.attributes if queue.evaluates else {},
        sampling_rate=row.sampling_rate,
        risk=(row.risk_bin + 0.5) / RISK_BINS if queue.evaluates else None,
        line=row.line,
        inclusion=inclusion,
        uniform=uniform,
        position=position,
        reason=reason,
        content_hash=row.content_hash,
        answers_wanted=queue.answers_wanted(row.line),
        task_key=task_key(log.ledger_id, queue.purpose.value, row.sample_id, salt=log.salt),
    )
