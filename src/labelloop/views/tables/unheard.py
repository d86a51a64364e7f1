"""The events that receivers haven't heard of, as a table."""

from typing import TYPE_CHECKING

from labelloop.views.table import Table, names, numbers
from labelloop.views.wording import dated, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.steps.notify.notify import Unheard


def unheard(events: "Sequence[Unheard]", timezone: str) -> Table:
    """Each event with its receiver, its tries and why the last of them failed."""
    return Table(
        title="Events that receivers haven't heard of",
        columns=(*names("id", "event", "receiver"), *numbers("tries"), *names("next", "error")),
        rows=tuple(
            (
                e.id,
                e.event,
                e.receiver,
                f"{e.n_attempts}",
                "given up" if e.state == "dead" else dated(e.next_at, timezone),
                plain(e.error),
            )
            for e in events
        ),
    )
