"""What becomes of an answer on the labelling page: one set of rules for every desk."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

PAUSE = timedelta(minutes=2)
"""A longer time between two answers counts as a pause, and not as work."""
LATELY = 50
"""Of so many answers the pace is told."""


class Outcome(StrEnum):
    """What became of an answer, of a change, or of a request to join."""

    SAVED = "saved"
    WAITING = "waiting"
    """Saved; it counts once somebody approves the person."""
    MENDED = "mended"
    UNDONE = "undone"
    GONE = "gone"
    """The item isn't there any more, or never was."""
    LEASED = "leased"
    """Somebody else has the item now."""
    SETTLED = "settled"
    """The item has all answers that it asks for."""
    UNKNOWN_CLASS = "unknown-class"
    CLOSED = "closed"
    """The answer is too old to be changed."""
    NOT_ALLOWED = "not-allowed"
    """The person may not label this queue."""
    NAME_TAKEN = "name-taken"
    LINK_OVER = "link-over"
    """The join link has expired, is used up, or never was."""


ACCEPTED = frozenset({Outcome.SAVED, Outcome.WAITING, Outcome.MENDED, Outcome.UNDONE})
"""The outcomes after which things stand as the person wanted."""

WORDS = {
    Outcome.SAVED: "Your answer is saved.",
    Outcome.WAITING: "Your answer is saved. It counts once somebody has approved you.",
    Outcome.MENDED: "Your answer is changed.",
    Outcome.UNDONE: "Your answer is taken back.",
    Outcome.GONE: "This item was withdrawn, so nobody needs to label it. Your answer doesn't count.",
    Outcome.LEASED: "You had this item for too long, and somebody else has it now. Your answer doesn't "
    "count.",
    Outcome.SETTLED: "Others have answered this item meanwhile. Your answer doesn't count.",
    Outcome.UNKNOWN_CLASS: "This class isn't one of the queue's any more. Please choose again.",
    Outcome.CLOSED: "This answer is more than seven days old, so it can't be changed any more.",
    Outcome.NOT_ALLOWED: "You may not label this queue. Your answer doesn't count.",
    Outcome.NAME_TAKEN: "Somebody has this name already. Please choose another.",
    Outcome.LINK_OVER: "This link has expired, or as many people as it was for have used it.",
}
"""What the person is told, in English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An answer's item as it stands, seen by one person. `choice` None: a skip.

    answered
        the person answered it before, and the answer stands
    closed
        that answer can't be changed any more
    held
        the person holds the item now
    n_missing
        how many answers it still asks for
    n_held
        how many other people hold it now
    """

    allowed: bool
    choice: str | None
    classes: tuple[str, ...]
    answered: bool = False
    closed: bool = False
    held: bool = False
    n_missing: int = 1
    n_held: int = 0
    approved: bool = True


def verdict(at: Situation | None) -> Outcome:
    """What becomes of an answer; None: there is no such item.

    A lease that is over is no obstacle where nobody else has taken the item since.

    >>> verdict(Situation(allowed=True, choice="fig", classes=("fig",)))
    <Outcome.SAVED: 'saved'>
    >>> verdict(Situation(allowed=True, choice="fig", classes=("fig",), n_held=1))
    <Outcome.LEASED: 'leased'>
    """
    if at is None:
        return Outcome.GONE
    if not at.allowed:
        return Outcome.NOT_ALLOWED
    if at.choice is not None and at.choice not in at.classes:
        return Outcome.UNKNOWN_CLASS
    if at.answered:
        return Outcome.CLOSED if at.closed else Outcome.MENDED
    if at.n_missing <= 0:
        return Outcome.SETTLED
    if not at.held and at.n_held >= at.n_missing:
        return Outcome.LEASED
    return Outcome.SAVED if at.approved else Outcome.WAITING


def may_look(
    person: str, *, before: AbstractSet[str], referees: AbstractSet[str], by_referee: bool
) -> bool:
    """Whether a person may give a further look at a sample.

    before
        who has given another look at it: nobody looks twice
    by_referee
        whether a referee gives it, where one is left
    """
    if person in before:
        return False
    return not by_referee or person in referees or not referees - before


def pace(given_at: Sequence[datetime]) -> float | None:
    """Answers an hour of work, of the newest ones; None before the fifth.

    >>> from datetime import UTC
    >>> begin = datetime(2026, 1, 1, tzinfo=UTC)
    >>> pace([begin + timedelta(seconds=3 * i) for i in range(10)])
    1200.0
    """
    moments = sorted(given_at)[-LATELY:]
    gaps = [b - a for a, b in pairwise(moments) if b - a <= PAUSE]
    worked = sum(gaps, timedelta())
    if len(gaps) < 4 or not worked:
        return None
    return len(gaps) / (worked / timedelta(hours=1))
