"""More draws of a frame that was drawn from before: the chances rise, and who was drawn stays drawn.

A sample is drawn if its place on the line lies below its chance. So a draw with larger chances on the same
places holds the smaller one (permanent random numbers: Ohlsson 1995, "Coordination of samples using
permanent random numbers"): all chances are multiplied by one number, and capped at 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.line import LINE_END
from labelloop.core.round import Candidate, Span
from labelloop.core.top_up import raised
from labelloop.errors import ArgumentError
from labelloop.sampling.blind import Cell
from labelloop.sampling.drawing import bin_cuts


def scale_for(
    inclusion: npt.ArrayLike,
    n: npt.ArrayLike,
    more: float,
    *,
    scale: float = 1.0,
    at_random: float = 0.0,
) -> float:
    """The number that raises the chances so that `more` samples than at `scale` are drawn on average.

    inclusion, n
        (C,) the chance of the first draw, and how many samples share it, for each cell of the frame

    Raises:
        ArgumentError: so many aren't left.

    >>> scale_for([0.1, 0.6], [100, 10], 6)
    1.375
    """
    first = np.asarray(inclusion, dtype=np.float64)
    sizes = np.asarray(n, dtype=np.float64)
    above = (first - at_random) / (1 - at_random) if at_random < 1 else np.zeros(0)
    kept = above > 0
    above, weights = above[kept], sizes[kept] * (1 - at_random)
    drawn = float(weights @ np.minimum(1.0, scale * above))
    left = float(weights.sum()) - drawn
    if more > left + 0.5:
        raise ArgumentError(
            f"{more:g} more: expected at most {left:.0f}, which is all that is left",
            remedy="ask for fewer",
        )
    if more >= left - 0.5:
        return float(1 / above.min())
    wanted = drawn + more
    capped = scale * above >= 1
    while True:
        # where nothing more reaches 1 the sum rises in proportion to the scale
        found = (wanted - float(weights[capped].sum())) / float((weights * above)[~capped].sum())
        over = ~capped & (found * above > 1)
        if not over.any():
            return float(found)
        capped |= over


@dataclass(frozen=True, slots=True)
class RaisedDraw:
    """A second draw of unequal chances from a frame, above what the first one took.

    cells
        how many samples each (class, risk bin) of the frame holds, and the chance that each had in the
        first draw
    n_at_random, cut
        how many draws the first one took at random, and the place of the last of them; None without
    before, scale
        what the first chances were multiplied with so far, and from now on
    """

    cells: Mapping[Cell, tuple[int, float]]
    n_at_random: int
    cut: int | None
    before: float
    scale: float

    @property
    def at_random(self) -> float:
        """The share of the frame that was taken at random."""
        return self.n_at_random / self._n

    def inclusion(self, cell: Cell) -> float:
        """The chance of each sample of a cell to be in one of the draws."""
        return self._at(cell, self.scale)

    def spans(self) -> list[Span]:
        """The places that are drawn now and weren't before, by cell; rows of pattern 0."""
        names = list(self.cells)
        below, up_to = (
            bin_cuts(
                [self._at(cell, scale) for cell in names],
                n=self._n,
                n_uniform=self.n_at_random,
                cut=self.cut,
            )
            for scale in (self.before, self.scale)
        )
        return [
            Span(pattern=0, above=low, up_to=high, predicted_class=cell[0], risk_bin=cell[1])
            for cell, low, high in zip(names, below, up_to, strict=True)
            if low < high
        ]

    def in_order(self, rows: Sequence[Candidate]) -> list[Candidate]:
        """The rows in the order of sending: wherever people stop, they did a random part of the draw."""
        return sorted(rows, key=lambda row: (self._order(row), row.line, row.sample_id))

    def _order(self, row: Candidate) -> float:
        """How far the place lies between the chance before and the chance now: uniform in [0, 1]."""
        cell, floor = (row.predicted_class, row.risk_bin), self.cut or 0
        low, high = (self._above(cell, scale) for scale in (self.before, self.scale))
        place = (row.line - floor) / (LINE_END - floor)
        return (place - low) / (high - low) if high > low else 0.0

    def _above(self, cell: Cell, scale: float) -> float:
        return (self._at(cell, scale) - self.at_random) / (1 - self.at_random)

    def _at(self, cell: Cell, scale: float) -> float:
        first = self.cells[cell][1]
        return first if scale == 1 else raised(first, scale, at_random=self.at_random)

    @property
    def _n(self) -> int:
        return sum(n for n, _ in self.cells.values())
