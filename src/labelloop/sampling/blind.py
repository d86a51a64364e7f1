"""The blind draw of a round with unequal chances, from counts.

What `draw` does with arrays, for frames of any size: rows are counted by class and risk bin, a rule
makes the probabilities of them, and the rows below their cell's cut are drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.core.arrays import BIN_RISKS, Ints
from labelloop.core.line import LINE_END
from labelloop.core.round import Candidate, Count, Span
from labelloop.core.sample import RISK_BINS
from labelloop.sampling.auto import auto
from labelloop.sampling.drawing import bin_cuts
from labelloop.sampling.rule import Chances
from labelloop.sampling.uncertainty import uncertainty

Rule = Callable[[Ints, int], Chances]
"""The chances of a frame from its counts by risk bin and the budget."""

UNEVEN: dict[str, Rule] = {"auto": auto, "uncertainty": uncertainty}
"""The rules that draw with unequal chances, by the name that `draw` gives them."""

Cell = tuple[str, int]
"""Predicted class and risk bin."""


@dataclass(frozen=True, slots=True)
class BlindDraw:
    """The rows drawn, in the order of sending; the first `n_uniform` are the random part.

    cuts
        the largest place drawn in each cell, inclusive
    """

    rows: tuple[Candidate, ...]
    n_uniform: int
    cuts: dict[Cell, int]


class BlindDesign:
    """The inclusion probabilities of a frame's cells, computed before any row is read."""

    def __init__(self, counts: Sequence[Count], budget: int, rule: Rule) -> None:
        self._cells = {(c.predicted_class, c.risk_bin): c.n for c in counts}
        self.n = sum(self._cells.values())
        self.budget = budget
        sizes: Ints = np.zeros(RISK_BINS, dtype=np.int64)
        for (_, bin_number), n in self._cells.items():
            sizes[bin_number] += n
        chances = rule(sizes, budget)
        self._by_bin, self.n_uniform = chances.by_bin, chances.n_uniform

    def inclusion(self, cell: Cell) -> float:
        """The probability with which each row of a cell is drawn."""
        return float(self._by_bin[cell[1]])

    def spans(self, patterns: Sequence[int], likely: int) -> list[Span]:
        """The spans that hold every row drawn, if the random part ends at or before `likely`."""
        cuts = self._cuts(likely if self.n_uniform else None)
        return [
            Span(
                pattern=pattern,
                above=-1,
                up_to=cuts[cell],
                predicted_class=cell[0],
                risk_bin=cell[1],
            )
            for cell in self._cells
            for pattern in patterns
            if cuts[cell] >= 0
        ]

    def draw(self, rows: Sequence[Candidate], likely: int) -> BlindDraw | None:
        """The draw from the rows in `spans`; None if the random part ends after `likely`."""
        if self.n <= self.budget:
            ordered = sorted(rows, key=lambda r: (r.line, r.sample_id))
            return BlindDraw(tuple(ordered), len(ordered), dict.fromkeys(self._cells, LINE_END - 1))
        places = sorted(r.line for r in rows)
        if sum(place <= likely for place in places) < self.n_uniform:
            return None
        cut = places[self.n_uniform - 1] if self.n_uniform else None
        cuts = self._cuts(cut)
        drawn = [r for r in rows if r.line <= cuts[_cell(r)]]
        first = [r for r in drawn if cut is not None and r.line <= cut]
        rest = [r for r in drawn if cut is None or r.line > cut]
        first.sort(key=lambda r: (r.line, r.sample_id))
        rest.sort(key=lambda r: (self._order(r, cut or 0), r.line, r.sample_id))
        return BlindDraw((*first, *rest), len(first), cuts)

    def _cuts(self, cut: int | None) -> dict[Cell, int]:
        if self.n <= self.budget:
            return dict.fromkeys(self._cells, LINE_END - 1)
        by_bin = bin_cuts(self._by_bin.tolist(), n=self.n, n_uniform=self.n_uniform, cut=cut)
        return {cell: by_bin[cell[1]] for cell in self._cells}

    def _order(self, row: Candidate, cut: int) -> float:
        """v / p: uniform, given that the row was drawn.

        So wherever people stop, what they have done is a random part of the draw (two-phase sampling;
        Sarndal, Swensson, Wretman 1992, chapter 9).
        """
        share = self.n_uniform / self.n
        p = (self.inclusion(_cell(row)) - share) / (1 - share)
        return (row.line - cut) / (LINE_END - cut) / p


def _cell(row: Candidate) -> Cell:
    return row.predicted_class, row.risk_bin


def by_confidence(cells: Sequence[Cell]) -> list[float]:
    """The risk of cells before any is learned: 1 - confidence, or 0.5 if the confidence is missing."""
    return [float(BIN_RISKS[bin_number]) for _, bin_number in cells]
