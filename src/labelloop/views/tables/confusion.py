"""What is confused with what: one rule for tables and pictures, however many classes there are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labelloop.views.table import Mark, Row, Table, names, numbers

if TYPE_CHECKING:
    from labelloop.measuring.measured import Confusion

WIDEST_MATRIX = 16
"""Classes up to which the matrix is shown whole; with more, the pairs mixed up most."""
MOST_PAIRS = 20
ROOM = 76
"""Characters that a line of the matrix may take."""
_LONGEST_NAME = 20
"""Longer names on the left are broken into lines."""


def classes_of(found: "Sequence[Confusion]") -> list[str]:
    """Every class that the model or people said."""
    return sorted({name for c in found for name in (c.predicted_class, c.label)})


def is_matrix(found: "Sequence[Confusion]") -> bool:
    """Whether the matrix is shown whole."""
    return len(classes_of(found)) <= WIDEST_MATRIX


def mixed_up(found: "Sequence[Confusion]") -> "list[Confusion]":
    """The pairs that differ, those mixed up most first."""
    wrong = (c for c in found if c.is_wrong)
    return sorted(wrong, key=lambda c: (-c.n, c.predicted_class, c.label))


def confusion(found: "Sequence[Confusion]", of: str) -> Table:
    """The confusion matrix of a period; where it has many classes, the pairs mixed up most."""
    if not is_matrix(found):
        return Table(
            title=f"Mixed up most, {of}",
            columns=(*names("the model said", "people said"), *numbers("labels")),
            rows=tuple(
                (c.predicted_class, c.label, f"{c.n:,}") for c in mixed_up(found)[:MOST_PAIRS]
            ),
        )
    return _matrix(found, of)


def _matrix(found: "Sequence[Confusion]", of: str) -> Table:
    labels = classes_of(found)
    cells = {(c.predicted_class, c.label): c for c in found}
    numbered = not fit_as_headings(labels)
    rows: list[Row] = []
    marks: dict[tuple[int, int], Mark] = {}
    for number, said in enumerate(labels, 1):
        row = [cells.get((said, label)) for label in labels]
        if not numbered and not any(row):
            continue
        for column, cell in enumerate(row, 1):
            if cell is not None:
                marks[len(rows), column] = Mark.WRONG if cell.is_wrong else Mark.RIGHT
        shown = (f"{cell.n:,}" if cell else "·" for cell in row)
        rows.append((f"{number}  {said}" if numbered else said, *shown))
    headings = map(str, range(1, len(labels) + 1)) if numbered else labels
    return Table(
        title=f"Confusion, {of}: the model said (rows), people said (columns)",
        columns=(*names(""), *numbers(*headings)),
        rows=tuple(rows),
        marks=marks,
    )


def fit_as_headings(classes: Sequence[str]) -> bool:
    """Whether a table that has these names on its left can have them above its columns too."""
    longest = max(map(len, classes), default=0)
    return longest + sum(len(name) + 2 for name in classes) <= ROOM
