"""The number that matters, told so that it can't mislead: the same rule on every screen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate, Undefined
from labelloop.views.wording import counted, interval, percent, row_count, span

if TYPE_CHECKING:
    from labelloop.measuring.accuracy import Accuracy
    from labelloop.measuring.missing import Missing

_WIDER = 0.01
"""How much wider than the interval the worst case may be before it is told in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """An accuracy as it is told.

    warning
        what must be said first: the number doesn't speak for much of the traffic; empty where it does
    worst_first
        the worst case is wider by more than a point, so it stands beside the number
    says
        all of it in a line
    """

    warning: str
    worst_first: bool
    says: str


def headline(a: "Accuracy", missing: "Missing") -> Headline:
    """How an accuracy is told in a line, with what it doesn't speak for."""
    e, warning = a.estimate, _warning(missing)
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


def _warning(m: "Missing") -> str:
    if not m.much:
        return ""
    if m.n_in_all is None or m.n_rejected_most is None:
        return f"nobody can tell how many rows were rejected ({row_count(m.rejected)})"
    up_to = "" if m.n_rejected == m.n_rejected_most else "up to "
    share = f"{up_to}{(m.n_rejected_most + m.n_others) / m.n_in_all:.0%} of the traffic"
    of = f"of {up_to}{m.n_in_all:,} predictions"
    if not m.n_others:
        return f"{share} was rejected ({row_count(m.rejected)} {of})"
    counts = {
        "rejected": row_count(m.rejected),
        "dated in the future": f"{m.n_future:,}",
        "too old": f"{m.n_too_old:,}",
        "with a lost input": f"{m.n_lost:,}",
    }
    parts = [f"{n} {what}" for what, n in counts.items() if n != "0"]
    return f"{share} is missing from this number ({', '.join(parts)}; {of})"
