"""What waits for whom, as tables."""

from typing import TYPE_CHECKING

from labelloop.core.row_range import RowRange
from labelloop.views.table import NONE, Table, names, numbers
from labelloop.views.wording import day_and_time, row_count

if TYPE_CHECKING:
    from labelloop.views.status import Status


def of_status(status: "Status", timezone: str) -> list[Table]:
    """What waits by queue and for how long, and what was rejected; those that have a row."""
    found = (_tasks(status, timezone), _ages(status), _rejected(status))
    return [table for table in found if table.rows]


def _tasks(status: "Status", timezone: str) -> Table:
    return Table(
        title="Tasks",
        columns=(
            *names("queue", ""),
            *numbers("to send", "with people", "skipped", "labelled"),
            *numbers("lost", if_any=True),
            *numbers("oldest since"),
        ),
        rows=tuple(
            (
                q.queue,
                q.purpose.value,
                *(f"{n:,}" for n in (q.n_to_send, q.n_open, q.n_skipped, q.n_resolved, q.n_lost)),
                day_and_time(q.oldest_at, timezone) if q.oldest_at else NONE,
            )
            for q in status.queues
        ),
    )


def _ages(status: "Status") -> Table:
    """How long tasks have waited for people."""
    ages = list(dict.fromkeys(age for q in status.queues for age in q.by_age))
    return Table(
        title="With people, by how long (labelloop status --waiting lists them)",
        columns=(*names("queue"), *numbers(*ages)),
        rows=tuple(
            (q.queue, *(f"{n:,}" if (n := q.by_age.get(age, 0)) else NONE for age in ages))
            for q in status.queues
            if q.n_open
        ),
    )


def _rejected(status: "Status") -> Table:
    fresh = status.n_rejected_last_day
    return Table(
        title="Rejected (labelloop status --rejected lists them)",
        columns=(*names("reason"), *numbers("rows", "last 24 hours")),
        rows=tuple(
            (
                reason,
                row_count(RowRange(n, status.n_rejected_most.get(reason, n))),
                f"{fresh[reason]:,}" if fresh.get(reason) else NONE,
            )
            for reason, n in status.n_rejected.items()
        ),
    )
