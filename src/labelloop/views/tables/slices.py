"""The accuracy by attribute, and the slices that are worse than the rest."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate
from labelloop.views.table import NONE, Table, names, numbers
from labelloop.views.tables.classes import by_class
from labelloop.views.wording import bounds, percent

if TYPE_CHECKING:
    from labelloop.measuring.measured import Measured
    from labelloop.measuring.slices import Slice, Sliced, WorstSlices


def of_slices(m: "Measured", *, every: bool) -> list[Table]:
    """The slices of the attribute that was asked about; with `every`, the classes of each too."""
    of = m.period.name if m.period else "last 7 days"
    found = [] if m.by is None else [by_attribute(m.by, of)]
    if every:
        found.append(worse(m.worst_slices, of))
        slices = () if m.by is None else m.by.slices
        found += [
            by_class(s.by_class, f"{m.by.attribute} = {s.accuracy.name}, {of}")  # type: ignore[union-attr]
            for s in slices
        ]
    return [table for table in found if table.rows]


def by_attribute(found: "Sliced", of: str) -> Table:
    """The accuracy of each slice, those with the most traffic first."""
    return Table(
        title=f"By {found.attribute}, {of}",
        columns=(
            *names(found.attribute),
            *numbers("traffic", "accuracy", "interval", "blind labels"),
            *numbers("open", "skipped", if_any=True),
            *numbers("at worst"),
        ),
        rows=tuple(_row(s) for s in found.slices),
    )


def _row(s: "Slice") -> tuple[str, ...]:
    a, e = s.accuracy, s.accuracy.estimate
    return (
        a.name,
        f"{'' if s.counted else 'about '}{percent(s.share)}",
        percent(e.value) if isinstance(e, Estimate) else NONE,
        bounds(e.low, e.high) if isinstance(e, Estimate) else NONE,
        f"{a.n_labelled:,}",
        f"{a.n_waiting:,}",
        f"{a.n_skipped:,}",
        bounds(e.worst_low, e.worst_high) if isinstance(e, Estimate) else NONE,
    )


def worse(found: "WorstSlices", of: str) -> Table:
    """The slices that are surely worse than the rest, with both numbers."""
    return Table(
        title=f"Worse than the rest, {of}",
        columns=(
            *names("slice"),
            *numbers("accuracy", "interval", "blind labels", "the rest", "interval"),
        ),
        rows=tuple(
            (
                f"{s.attribute} = {s.name}",
                percent(s.accuracy.value),
                bounds(s.accuracy.low, s.accuracy.high),
                f"{s.accuracy.n:,}",
                percent(s.rest.value),
                bounds(s.rest.low, s.rest.high),
            )
            for s in found.found
        ),
    )
