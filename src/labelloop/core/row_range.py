"""A number of rows that may be known only as a range."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class RowRange:
    """From `least` to `most` rows; `most` is None where nobody can tell.

    >>> RowRange(1, 40) + RowRange.exactly(2), RowRange(1, None) + RowRange.exactly(2)
    (RowRange(least=3, most=42), RowRange(least=3, most=None))
    """

    least: int
    most: int | None

    @classmethod
    def exactly(cls, n: int) -> "RowRange":
        """A known number of rows."""
        return cls(n, n)

    @classmethod
    def total(cls, parts: "Iterable[RowRange]") -> "RowRange":
        """The rows of all parts together."""
        return sum(parts, NO_ROWS)

    def __add__(self, other: "RowRange") -> "RowRange":
        most = None if self.most is None or other.most is None else self.most + other.most
        return RowRange(self.least + other.least, most)

    @property
    def at_worst(self) -> float:
        """The largest number of rows: infinite where nobody can tell.

        >>> RowRange(1, 40).at_worst, RowRange(1, None).at_worst
        (40, inf)
        """
        return math.inf if self.most is None else self.most


ONE = RowRange(1, 1)
"""The one row that most rejects stand for."""

NO_ROWS = RowRange(0, 0)
