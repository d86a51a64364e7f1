"""What is due, by what was done and what time it is. `run`, each verb, `status` and a service ask here.

All of it is pure: whoever asks brings the state and the clock's time.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from labelloop.core.upkeep import LogShape

MANY_SMALL_FILES = 100
"""So many small files of the log make merging them worth its while."""
GRACE = timedelta(days=1)
"""For so long a query may go on reading files that were replaced after it began."""
COPY_KEPT = timedelta(days=7)
"""How long a blind copy is kept after its task was resolved."""
AHEAD = timedelta(minutes=5)
"""A prediction this far in the future was dated by a clock that runs ahead."""
LINK_MARGIN = timedelta(days=2)
"""A link is renewed so long before it lapses, or when half its life is over."""


def next_round_at(last_at: datetime | None, every: timedelta) -> datetime | None:
    """When the next round is due; None: with the first predictions, as there was no round yet.

    >>> from datetime import UTC
    >>> print(next_round_at(datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(days=1)))
    2026-03-02 12:00:00+00:00
    >>> next_round_at(None, timedelta(days=1)) is None
    True
    """
    return None if last_at is None else last_at + every


def round_is_due(last_at: datetime | None, every: timedelta, now: datetime) -> bool:
    """Whether a round is due."""
    at = next_round_at(last_at, every)
    return at is None or at <= now


def listing_is_due(listed_at: datetime | None, every: timedelta, now: datetime) -> bool:
    """Whether a store that notifies of its objects is to be listed all the same."""
    return listed_at is None or listed_at + every <= now


def links_renewed_until(now: datetime, life: timedelta) -> datetime:
    """The links that lapse before this instant are to be renewed; each lasts for `life`.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> print(links_renewed_until(noon, timedelta(days=7)), links_renewed_until(noon, timedelta(days=1)))
    2026-03-03 12:00:00+00:00 2026-03-02 00:00:00+00:00
    """
    return now + min(life / 2, LINK_MARGIN)


def copies_removed_since(now: datetime) -> datetime:
    """The copies of tasks that were resolved before this instant are to be removed."""
    return now - COPY_KEPT


def upkeep_is_due(shape: LogShape) -> bool:
    """Whether tidying the log is worth its while.

    >>> [upkeep_is_due(LogShape(n_small=n)) for n in (99, 100)], upkeep_is_due(LogShape(n_unneeded=1))
    ([False, True], True)
    """
    return shape.n_small >= MANY_SMALL_FILES or shape.n_unneeded > 0


def files_unused_before(now: datetime) -> datetime:
    """No query still reads the files of the log that were replaced before this instant."""
    return now - GRACE


def day_began_at(now: datetime, timezone: str) -> datetime:
    """When the present day began: the days before are closed."""
    return now.astimezone(ZoneInfo(timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
