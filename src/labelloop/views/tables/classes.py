"""How good the model is at each class, and how much of the traffic it truly is."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate, Undefined
from labelloop.views.table import NONE, Table, names, numbers
from labelloop.views.wording import DASH, bounds, estimated, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.statistics.classes import ClassRow, ClassTable

LOWEST = 3
"""How many classes a first look shows."""


def weakest_first(rows: "Sequence[ClassRow]") -> "list[ClassRow]":
    """Classes by their F1, the lowest first; those without one last."""

    def value(row: "ClassRow") -> float:
        return row.f1.value if isinstance(row.f1, Estimate) else 2.0

    return sorted(rows, key=lambda row: (value(row), row.name))


def by_class(found: "ClassTable", of: str) -> Table:
    """Every class of a period."""
    return _table(f"By class, {of}", found.rows, found.macro_f1)


def weakest(found: "ClassTable", of: str) -> Table:
    """The classes with the lowest F1."""
    rows = weakest_first([r for r in found.rows if isinstance(r.f1, Estimate)])[:LOWEST]
    many = f"the lowest {len(rows)} of {len(found.rows):,} by F1"
    return _table(f"By class, {of}, {many}", rows)


def in_truth(row: "ClassRow") -> str:
    """What the model said of a class's share of the traffic, and what it truly is.

    >>> from labelloop.statistics import by_class
    >>> judged = by_class(["pass"] * 75 + ["fail"] * 25, ["pass"] * 80 + ["fail"] * 20, [0.1] * 100,
    ...                   {"pass": 870, "fail": 130})
    >>> in_truth(judged.rows[1])
    "the model said 'pass' of 87.0% of the traffic; in truth 81.6% (76.6–85.7%, n = 100)"
    """
    return (
        f"the model said {row.name!r} of {percent(row.share_predicted)} of the traffic; in truth "
        f"{estimated(row.share)}"
    )


def _table(
    title: str, rows: "Sequence[ClassRow]", mean: Estimate | Undefined | None = None
) -> Table:
    level = next((r.share.level for r in rows if isinstance(r.share, Estimate)), 0.95)
    last = (("(mean)", *[NONE] * 4, in_short(mean), NONE),) if isinstance(mean, Estimate) else ()
    return Table(
        title=f"{title} ({level:.0%} intervals)" if rows else title,
        columns=(
            *names("class"),
            *numbers("model said", "in truth, %", "precision", "recall", "F1"),
            *numbers("blind labels", if_wide=True),
        ),
        rows=tuple(
            (
                r.name,
                percent(r.share_predicted),
                NONE
                if isinstance(r.share, Undefined)
                else f"{100 * r.share.value:.1f} ({bounds(r.share.low, r.share.high)})",
                *map(in_short, (r.precision, r.recall, r.f1)),
                f"{r.n_labels:,}",
            )
            for r in rows
        )
        + last,
    )


def in_short(e: Estimate | Undefined) -> str:
    """A share in percent; its bounds are whole, so that three of them fit a line."""
    if isinstance(e, Undefined):
        return NONE
    return f"{100 * e.value:.1f} ({100 * e.low:.0f}{DASH}{100 * e.high:.0f})"
