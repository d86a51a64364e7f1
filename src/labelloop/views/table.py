"""A table as data: a terminal and a page lay out the same one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NONE = "-"
"""What a cell holds where there is no number."""


class Mark(StrEnum):
    """What a cell says beside its text."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    is_number
        or a hash: set to the right, and never broken over two lines
    if_any
        left out where each cell holds zero or nothing
    if_wide
        left out where a row has to fit into eighty characters
    """

    name: str
    is_number: bool = True
    if_any: bool = False
    if_wide: bool = False


Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text.

    marks
        the cells that say more than their text, by row and column
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)

    def shown(self, *, wide: bool) -> list[int]:
        """The columns to show, by their places."""
        return [
            i
            for i, column in enumerate(self.columns)
            if (wide or not column.if_wide)
            and not (column.if_any and all(row[i] in {"0", NONE} for row in self.rows))
        ]


def names(*titles: str) -> tuple[Column, ...]:
    """Columns of names."""
    return tuple(Column(name=title, is_number=False) for title in titles)


def numbers(*titles: str, if_any: bool = False, if_wide: bool = False) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(name=title, if_any=if_any, if_wide=if_wide) for title in titles)
