"""The number that matters, told so that it can't mislead: the same rule on every screen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate, Undefined
from labelloop.views.wording import counted, interval, percent, row_count, span

if TYPE_CHECKING:
    from labelloop.measuring.accuracy import Accuracy

MUCH = 0.05
"""The share of a period's traffic that may be unreadable before a headline begins with it."""
_WIDER = 0.01
"""How much wider than the interval the worst case may be before it is told in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """An accuracy as it is told.

    warning
        what must be said first: much of the traffic couldn't be read; empty where it could
    worst_first
        the worst case is wider by more than a point, so it stands beside the number
    says
        all of it in a line
    """

    warning: str
    worst_first: bool
    says: str


def headline(a: "Accuracy") -> Headline:
    """How an accuracy is told in a line."""
    e, warning = a.estimate, _warning(a)
    if isinstance(e, Undefined):
        says = f"no accuracy yet: {e.reason}"
    else:
        says = f"{numbers(e)}, {counted(e.n, 'blind label')}, {a.name}"
    return Headline(
        warning=warning,
        worst_first=isinstance(e, Estimate) and worst_first(e),
        says=f"{warning}; {says}" if warning else says,
    )


def numbers(e: Estimate) -> str:
    """A share with its interval; with its worst case first, where that is wider by a point."""
    if not worst_first(e):
        return interval(e)
    known = f"{e.level:.0%} interval {span(e.low, e.high)} if nothing were missing"
    return f"{percent(e.value)} (at worst {span(e.worst_low, e.worst_high)}; {known})"


def worst_first(e: Estimate) -> bool:
    """Whether the worst case is wider than the interval by more than a point."""
    return (e.worst_high - e.worst_low) - (e.high - e.low) > _WIDER


def too_much_unread(a: "Accuracy") -> bool:
    """Whether more of the traffic couldn't be read than a number should be given beside."""
    if a.n_set_aside_most is None:
        return True
    return a.n_set_aside_most > MUCH * (a.n_set_aside_most + a.n_traffic)


def _warning(a: "Accuracy") -> str:
    if not too_much_unread(a):
        return ""
    if a.n_set_aside_most is None:
        return f"nobody can tell how many rows were rejected ({row_count(a.set_aside)})"
    every = a.n_set_aside_most + a.n_traffic
    up_to = "" if a.n_set_aside == a.n_set_aside_most else "up to "
    return (
        f"{up_to}{a.n_set_aside_most / every:.0%} of the traffic was rejected "
        f"({row_count(a.set_aside)} of {up_to}{every:,} predictions)"
    )
