"""The links to snapshots: reports as they were at a moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from labelloop.views.table import NONE, Table, names, numbers
from labelloop.views.wording import dated, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.ledger.snapshots import Snapshot

LONGEST = timedelta(days=366)
"""How long a link may last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotMade:
    """A new snapshot, and its link, which is shown this once."""

    id: int
    url: str
    expires_at: datetime


def state(found: "Snapshot", *, now: datetime, timezone: str) -> str:
    """Whether a link opens, and since when it doesn't."""
    if found.revoked_at is not None:
        return f"revoked {dated(found.revoked_at, timezone)}"
    says = "expires" if found.opens(now) else "expired"
    return f"{says} {dated(found.expires_at, timezone)}"


def table(found: "Sequence[Snapshot]", *, now: datetime, timezone: str) -> Table:
    """Every link, who made it and for what, and how often it was opened."""
    return Table(
        title="Links to snapshots",
        columns=(*names("id", "for", "made", "by", "link"), *numbers("opened"), *names("last")),
        rows=tuple(
            (
                str(s.id),
                plain(s.note) or NONE,
                dated(s.made_at, timezone),
                plain(s.made_by),
                state(s, now=now, timezone=timezone),
                f"{s.n_opened:,}",
                NONE if s.last_opened_at is None else dated(s.last_opened_at, timezone),
            )
            for s in found
        ),
    )
