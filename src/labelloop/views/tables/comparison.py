"""A candidate against the serving model, as a table."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Undefined
from labelloop.views.table import Table, names, numbers
from labelloop.views.wording import gained

if TYPE_CHECKING:
    from labelloop.steps.compare.compare import Compared


def by_class(compared: "Compared") -> Table:
    """Where the difference comes from, class by class."""
    return Table(
        title="Where the difference comes from, in points of all traffic",
        columns=(*names("people say"), *numbers("labels", "difference")),
        rows=tuple(
            (
                gain.label,
                f"{gain.n:,}",
                gain.difference.reason
                if isinstance(gain.difference, Undefined)
                else gained(gain.difference),
            )
            for gain in compared.by_class
        ),
    )
