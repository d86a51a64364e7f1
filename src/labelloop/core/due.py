"""What is due, by what was done and what time it is. `run`, each verb, `status` and a service ask here.

All of it is pure: whoever asks brings the state and the clock's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:  # `status` asks what is due, and needs no shape of a log
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
MEDIA_KEPT = timedelta(days=7)
"""How long the gateway shows an image after its task was resolved."""
VERBS = ("index", "collect", "select", "send", "measure", "build", "log", "notify")
"""What a service does, in this order; `log` tidies the log where that is due, `notify` tells others."""
FIRST_RETRY = timedelta(seconds=15)
"""A verb that failed is tried again after this time, then after twice as long, and so on."""
LAST_RETRY = timedelta(hours=1)
"""A verb that keeps failing is tried again at least so often."""


@dataclass(frozen=True, slots=True)
class VerbState:
    """When a service last did a verb, and how often it has failed since; `error` is the last failure."""

    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    n_failures: int = 0
    error: str = ""


LONGEST_PAUSE = timedelta(hours=6)
"""Between two tries to deliver an event."""
TRIED_FOR, LEAST_ATTEMPTS = timedelta(days=4), 4
"""A delivery is given up after so long and so many tries: a run a day has made four by then."""


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


def image_is_shown(
    *, is_open: bool, resolved_at: datetime | None, forgotten: bool, now: datetime
) -> bool:
    """Whether the gateway shows the image of a task: while it is open, and for a week after.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> [
    ...     image_is_shown(is_open=False, resolved_at=noon, forgotten=False, now=noon + timedelta(days=d))
    ...     for d in (6, 8)
    ... ]
    [True, False]
    """
    if forgotten:
        return False
    return is_open or (resolved_at is not None and now < resolved_at + MEDIA_KEPT)


def upkeep_is_due(shape: "LogShape") -> bool:
    """Whether tidying the log is worth its while.

    >>> from labelloop.core.upkeep import LogShape
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


def is_quiet(now: datetime, hours: tuple[time, time] | None, timezone: str) -> bool:
    """Whether it is a time of day at which nothing new is sent to people.

    >>> from datetime import UTC
    >>> night = time(22), time(6)
    >>> [is_quiet(datetime(2026, 3, 1, h, tzinfo=UTC), night, "UTC") for h in (21, 22, 5, 6)]
    [False, True, True, False]
    """
    if hours is None:
        return False
    begin, end = hours
    at = now.astimezone(ZoneInfo(timezone)).time()
    return begin <= at < end if begin < end else at >= begin or at < end


def next_try_at(state: VerbState, every: timedelta) -> datetime | None:
    """When a verb is due by itself; None: now, as it was never done.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> print(next_try_at(VerbState(succeeded_at=noon), timedelta(minutes=15)))
    2026-03-01 12:15:00+00:00
    >>> print(next_try_at(VerbState(failed_at=noon, n_failures=3), timedelta(minutes=15)))
    2026-03-01 12:01:00+00:00
    """
    if state.n_failures and state.failed_at is not None:
        times: int = 2 ** min(state.n_failures - 1, 16)
        return state.failed_at + min(FIRST_RETRY * times, LAST_RETRY)
    return None if state.succeeded_at is None else state.succeeded_at + every


def may_try(state: VerbState, every: timedelta, now: datetime) -> bool:
    """Whether a verb is due by itself. What lies in the future was written before the clock was set back."""
    at = next_try_at(state, every)
    last = state.failed_at if state.n_failures else state.succeeded_at
    return at is None or last is None or at <= now or last > now


def due_verbs(
    states: Mapping[str, VerbState],
    *,
    every: timedelta,
    now: datetime,
    round_at: datetime | None,
    held: bool = False,
    hinted: bool = False,
) -> tuple[str, ...]:
    """What a service does now, in the order of `VERBS`.

    All verbs are due together; one that failed is tried again by itself, and waits for that alone. A
    round that is due brings `index` first, so that it misses no traffic, and is sent at once.

    round_at
        when the next round is due; None: with the first predictions
    held
        whether no round is drawn for now, because the evaluation queue is paused
    hinted
        whether somebody said that there are new answers
    """
    known = {verb: states.get(verb, VerbState()) for verb in VERBS}
    ready = {verb for verb, state in known.items() if may_try(state, every, now)}
    failing = {verb for verb, state in known.items() if state.n_failures}
    chosen = ready - {"select"}
    if chosen - failing:
        chosen = set(VERBS) - {"select"}
    if hinted:
        chosen.add("collect")
    if "collect" in chosen:
        chosen.add("measure")
    waiting = failing - ready
    round_is_due = not held and "index" not in waiting and (round_at is None or round_at <= now)
    if round_is_due and _select_is_due(known, round_at, ready):
        chosen |= {"index", "select", "send"}
    if chosen & {"select", "measure", "build"}:
        chosen.add("notify")  # what these did is told at once
    return tuple(verb for verb in VERBS if verb in chosen - waiting)


def _select_is_due(
    known: Mapping[str, VerbState], round_at: datetime | None, ready: set[str]
) -> bool:
    """Whether to try a round that is due: one without traffic isn't tried all the time."""
    state = known["select"]
    if "select" in ready:
        return True
    tried_at = state.succeeded_at
    untried = tried_at is None or (round_at is not None and tried_at < round_at)
    return untried and not state.n_failures


def next_attempt_at(now: datetime, n_attempts: int) -> datetime:
    """When a delivery that failed `n_attempts` times is tried again: 1, 4, 16 ... minutes, 6 hours at most.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> [str(next_attempt_at(noon, n) - noon) for n in (1, 3, 9)]
    ['0:01:00', '0:16:00', '6:00:00']
    """
    return now + min(timedelta(minutes=4 ** min(n_attempts - 1, 9)), LONGEST_PAUSE)


def is_given_up(first_at: datetime, n_attempts: int, now: datetime) -> bool:
    """Whether a delivery that failed so often since its first try isn't tried again."""
    return n_attempts >= LEAST_ATTEMPTS and now - first_at >= TRIED_FOR
