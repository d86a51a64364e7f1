"""What remains of a frame after each queue has drawn from it.

Every queue takes the smallest places among what matches and is left. A row that survived a cut has a
place that is uniform above it, so its place is stretched back to the whole line before the next queue
compares it: within each queue all that is left has the same chance (sequential simple random sampling
with permanent random numbers; Ohlsson 1995).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labelloop.core.line import LINE_END, lowered, remaining
from labelloop.core.round import Candidate, Count, Span

Matches = Callable[[int], bool]
"""Whether rows of a pattern match a queue."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a queue drew.

    rows
        the rows, in the order of their stretched places
    cut
        the largest stretched place drawn, inclusive; None where nothing was drawn
    inclusion
        the probability of each row that matched and was left, given what was left; 0 where none was
    eligible
        the rows that matched and were left, by class and risk bin (pattern 0)
    """

    rows: tuple[Candidate, ...]
    cut: int | None
    inclusion: float
    eligible: tuple[Count, ...]


def likely_cut(budget: int | None, n_left: int) -> int:
    """A cut below which at least `budget` of `n_left` rows lie, except once in a billion times.

    >>> likely_cut(None, 10) == likely_cut(10, 10) == LINE_END - 1
    True
    """
    if budget is None or budget >= n_left:
        return LINE_END - 1
    wanted = budget + 6 * math.sqrt(budget) + 18
    return LINE_END - 1 if wanted >= n_left else int(wanted / n_left * LINE_END)


Cell = tuple[str | None, int | None, int]
"""Rows with one floor: class, risk bin and pattern; the first two None where they don't matter."""


class Remaining:
    """The rows of a frame that no queue has drawn yet, as counts."""

    def __init__(self, counts: Sequence[Count]) -> None:
        self._counts = {(c.predicted_class, c.risk_bin, c.pattern): c.n for c in counts}
        self._by_cell = False
        self._floors: dict[Cell, int] = {(None, None, c.pattern): 0 for c in counts}
        self._chosen: set[str] = set()

    @property
    def patterns(self) -> frozenset[int]:
        """The patterns that any row has."""
        return frozenset(pattern for _, _, pattern in self._counts)

    def n(self, matches: Matches) -> int:
        """The number of rows that match and were not drawn yet."""
        return sum(n for (_, _, pattern), n in self._counts.items() if matches(pattern))

    def spans(self, matches: Matches, cut: int) -> list[Span]:
        """The spans of the matching rows whose stretched place is at most `cut`."""
        return [
            Span(
                pattern=cell[2],
                above=floor - 1,
                up_to=lowered(cut, floor),
                predicted_class=cell[0],
                risk_bin=cell[1],
            )
            for cell, floor in self._floors.items()
            if matches(cell[2]) and floor < LINE_END
        ]

    def draw(self, matches: Matches, rows: Sequence[Candidate], budget: int | None) -> Drawing:
        """Draw `budget` rows, or all if it is None, and take them out of what remains.

        `rows` hold at least `budget` of the rows that match and are left, or all of them.
        """
        eligible = self.eligible(matches)
        n_left = sum(c.n for c in eligible)
        ordered = self.in_order(rows)
        everything = budget is None or budget >= n_left
        drawn = ordered if everything else ordered[:budget]
        cut = None
        if everything:
            cut = LINE_END - 1
        elif drawn:
            cut = self._stretched(drawn[-1])
        self._forget(drawn)
        if cut is not None:
            for span in self.spans(matches, cut):
                self._floors[span.predicted_class, span.risk_bin, span.pattern] = span.up_to + 1
        inclusion = len(drawn) / n_left if n_left else 0.0
        return Drawing(tuple(drawn), cut if drawn else None, inclusion, eligible)

    def in_order(self, rows: Sequence[Candidate]) -> list[Candidate]:
        """The rows in the order in which they are drawn, without those that were chosen."""
        left = [row for row in rows if row.sample_id not in self._chosen]
        return sorted(left, key=lambda r: (self._stretched(r), r.line, r.sample_id))

    def choose(self, rows: Sequence[Candidate]) -> None:
        """Take out `rows`, wherever they lie on the line."""
        self._chosen |= {row.sample_id for row in rows}
        self._forget(rows)

    def take(self, rows: Sequence[Candidate], cuts: Mapping[tuple[str, int], int]) -> None:
        """Take out `rows`: all rows of each (class, risk bin) up to its cut, inclusive.

        Call it before any other queue draws.
        """
        self._by_cell = True
        self._floors = {
            (name, bin_number, pattern): cuts[name, bin_number] + 1
            for name, bin_number, pattern in self._counts
        }
        self._forget(rows)

    def eligible(self, matches: Matches) -> tuple[Count, ...]:
        """The number of rows that match and are left, by class and risk bin."""
        summed: dict[tuple[str, int], int] = {}
        for (name, bin_number, pattern), n in self._counts.items():
            if matches(pattern) and n:
                summed[name, bin_number] = summed.get((name, bin_number), 0) + n
        return tuple(
            Count(predicted_class=name, risk_bin=bin_number, pattern=0, n=n)
            for (name, bin_number), n in sorted(summed.items())
        )

    def _stretched(self, row: Candidate) -> int:
        cell: Cell = (None, None, row.pattern)
        if self._by_cell:
            cell = (row.predicted_class, row.risk_bin, row.pattern)
        return remaining(row.line, self._floors[cell])

    def _forget(self, rows: Sequence[Candidate]) -> None:
        for row in rows:
            self._counts[row.predicted_class, row.risk_bin, row.pattern] -= 1
