"""How many rows a file hides that can't be read."""

import math

from labelloop.core.row_range import RowRange
from labelloop.ports.source import SourceFile

ROOM = 2
"""How many times as dense as the densest readable file one that can't be read may be."""


class Density:
    """How many rows the files of a table have for their size."""

    def __init__(self) -> None:
        self._read: list[tuple[int, float]] = []

    def note(self, file: SourceFile, n_rows: int) -> None:
        """Take in a file that was read: at least so many rows are in it."""
        if n_rows and file.size_bytes:
            self._read.append((file.size_bytes, n_rows / file.size_bytes))

    def at_most(self, size_bytes: int) -> int | None:
        """How many rows a file of a size may have; None where no file like it was read.

        Half its size is like it: much smaller ones look emptier than they are, by what every file
        holds beside its rows.

        >>> density = Density()
        >>> density.note(SourceFile(uri="a", version="", size_bytes=600), 10)
        >>> density.at_most(900), density.at_most(1201)
        (30, None)
        """
        like = [rows for size, rows in self._read if 2 * size >= size_bytes]
        return math.ceil(ROOM * max(like) * size_bytes) if like else None


def hidden_rows(told: RowRange, file: SourceFile, n_read: int, density: Density) -> RowRange:
    """The rows of a file without the `n_read` first ones: as it says itself, else by its size."""
    if told.most is None:
        told = RowRange(told.least, density.at_most(file.size_bytes))
    most = None if told.most is None else max(1, told.most - n_read)
    return RowRange(max(1, told.least - n_read), most)
