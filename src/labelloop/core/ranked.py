"""Rows of a frame by a score: what a training queue chooses the most useful ones from."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labelloop.core.arrays import Floats, Ints

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 200_000
_STEP = 2.0**32
"""Entropies are multiples of 1 / _STEP: libraries differ in the last bits of a logarithm."""


class Score(StrEnum):
    """What a log can rank rows by; a higher score comes first.

    PLACE
        0 for all, so the place on the line decides
    LEAST_CONFIDENT
        1 - confidence
    MARGIN
        1 - (the largest probability less the second largest)
    ENTROPY
        the entropy of the probabilities, scaled to sum to 1, in nats
    DISAGREEMENT
        1 - the share of the models, the serving one included, that gave the most frequent class
    RISK
        the middle of the bin of 1 - confidence; 0.5 where the confidence is missing
    """

    PLACE = "place"
    LEAST_CONFIDENT = "least-confident"
    MARGIN = "margin"
    ENTROPY = "entropy"
    DISAGREEMENT = "disagreement"
    RISK = "risk"


class Ranked(NamedTuple):
    """A row with its score, and its value in each column that was asked for; None where it has none."""

    sample_id: str
    line: int
    score: float
    groups: tuple[str | None, ...] = ()


class Best:
    """The n rows of each group with the highest scores, kept from batches as they come.

    Ties go by line, then by sample_id. Memory holds what is kept, and one page more.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._held: list[pa.Table] = []
        self._size = 0

    def add(self, page: "pa.Table") -> None:
        """Consider rows: sample_id, line, score (null: none), and any further columns of text to group by."""
        import pyarrow.compute as pc

        page = page.filter(pc.is_valid(page.column("score")))
        self._held.append(page)
        self._size += page.num_rows
        if self._size > max(_AT_ONCE, 4 * self._n):
            self._reduce()

    def rows(self) -> list[Ranked]:
        """The rows kept, in order of their score."""
        if not self._held:
            return []
        self._reduce()
        columns = [column.to_pylist() for column in self._held[0].itercolumns()]
        return [
            Ranked(i, place, score, tuple(g)) for i, place, score, *g in zip(*columns, strict=True)
        ]

    def _reduce(self) -> None:
        import pyarrow as pa

        table = pa.concat_tables(self._held, promote_options="permissive")
        table = table.sort_by(
            [("score", "descending"), ("line", "ascending"), ("sample_id", "ascending")]
        )
        codes: Ints = np.zeros(table.num_rows, dtype=np.int64)
        for name in table.column_names[3:]:
            column = table.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
            codes = codes * (len(column.dictionary) + 1) + column.indices.to_numpy()
            codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
        table = table.filter(pa.array(_places_in_group(codes) < self._n))
        self._held, self._size = [table], table.num_rows


def _places_in_group(codes: Ints) -> Ints:
    """How many rows of the same code precede each.

    >>> _places_in_group(np.array([3, 1, 3, 3, 1])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if codes.size else codes
    places: Ints = np.empty(codes.size, dtype=np.int64)
    lengths = np.diff(np.r_[starts, codes.size])
    places[order] = np.arange(codes.size) - np.repeat(starts, lengths)
    return places


def margins(probabilities: "pa.Array") -> Floats:
    """(N,) float64: the largest number of each list less the second largest, as `sample.margin`; NaN: none.

    >>> import pyarrow as pa
    >>> margins(pa.array([[0.25, 0.625, 0.125], [1.0], None], pa.list_(pa.float32()))).tolist()
    [0.375, nan, nan]
    """
    import pyarrow.compute as pc

    kept = pc.is_valid(probabilities.flatten())
    parents = pc.list_parent_indices(probabilities).filter(kept).to_numpy()
    p = probabilities.flatten().filter(kept).to_numpy().astype(np.float64)
    lengths = np.bincount(parents, minlength=len(probabilities))
    found: Floats = np.full(len(probabilities), np.nan)
    for length in np.unique(lengths[lengths >= 2]).tolist():
        own = lengths == length
        rows = p[own[parents]].reshape(-1, length)
        two = np.partition(rows, length - 2, axis=1)[:, -2:]
        with np.errstate(invalid="ignore"):
            found[own] = two[:, 1] - two[:, 0]
    found[~np.isfinite(found)] = np.nan
    return found


def entropies(probabilities: "pa.Array") -> Floats:
    """(N,) float64: the entropy of each list of numbers, in nats; NaN for one that isn't a distribution.

    A list is scaled to sum to 1. Fewer than two numbers, a negative or missing one, or a sum of 0
    is no distribution.

    >>> import pyarrow as pa
    >>> entropies(pa.array([[0.5, 0.5], [1.0, 0.0], [1.0], None])).round(3).tolist()
    [0.693, 0.0, nan, nan]
    """
    import pyarrow.compute as pc

    n = len(probabilities)
    lengths = pc.fill_null(pc.list_value_length(probabilities), 0).to_numpy().astype(np.int64)
    p = probabilities.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    bounds = np.r_[0, np.cumsum(lengths)]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p), np.where(p == 0, 0.0, np.nan))
    found: Floats = np.full(n, np.nan)
    some = lengths >= 2
    if some.any():
        starts = bounds[:-1][lengths > 0]
        held = some[lengths > 0]
        total = np.add.reduceat(p, starts)[held]
        inner = np.add.reduceat(terms, starts)[held]
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = np.log(total) - inner / total
        found[some] = np.where(np.isfinite(exact), np.rint(exact * _STEP) / _STEP, np.nan)
    return found + 0.0


OF_PROBABILITIES: dict[Score, Callable[["pa.Array"], Floats]] = {
    Score.MARGIN: lambda probabilities: 1 - margins(probabilities),
    Score.ENTROPY: entropies,
}
"""The scores that NumPy computes from lists of probabilities; NaN: none."""
