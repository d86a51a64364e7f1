"""How numbers stand in a report: one way for text, tables and pictures."""

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.reports.quality import ModelShare, Quality

DASH = "–"


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.9034)
    '90.3%'
    """
    return f"{share:.1%}"


def span(low: float, high: float) -> str:
    """An interval of shares, in percent.

    >>> span(0.869, 0.9291)
    '86.9–92.9%'
    """
    return f"{100 * low:.1f}{DASH}{100 * high:.1f}%"


def estimated(estimate: Estimate | Undefined) -> str:
    """A number with its interval and its count of labels; or why there is none."""
    if isinstance(estimate, Undefined):
        return estimate.reason
    return f"{percent(estimate.value)} ({span(estimate.low, estimate.high)}, n = {estimate.n:,})"


def day(of: date) -> str:
    """A day as a label under a picture."""
    return f"{of.day} {of:%b}"


def models(shares: Sequence[ModelShare]) -> str:
    """The model versions of a period; with their shares where there are several."""
    if len(shares) == 1:
        return shares[0].model
    total = sum(s.n_drawn for s in shares)
    return ", ".join(f"{s.model} {s.n_drawn / total:.0%}" for s in shares) or "-"


def moment(at: datetime, timezone: str) -> str:
    """An instant in the project's time zone, with its year."""
    return at.astimezone(ZoneInfo(timezone)).strftime("%d %b %Y, %H:%M")


def headline(q: Quality) -> str:
    """The accuracy of the last seven days in one sentence, with all that it rests on."""
    recent = q.measured.last_seven_days
    e = recent.estimate
    if isinstance(e, Undefined):
        known = [p for p in q.rounds if isinstance(p.accuracy.estimate, Estimate)]
        says = f"No accuracy for the last 7 days: {e.reason}."
        if known:
            newest = known[-1].accuracy
            says += f" Newest: {newest.name}, {estimated(newest.estimate)}."
        return says
    return (
        f"The model was right on {percent(e.value)} of the last 7 days' traffic; the {e.level:.0%} "
        f"interval is {span(e.low, e.high)}, from {labels(e.n)} given without seeing the prediction."
    )


def worst_case(q: Quality) -> str:
    """What the headline's interval would be if all that is missing went the worst way."""
    recent = q.measured.last_seven_days
    e = recent.estimate
    if isinstance(e, Undefined):
        return ""
    if (e.worst_low, e.worst_high) == (e.low, e.high):
        return "No answer is missing that could change it, and no row was set aside."
    return (
        f"At worst {span(e.worst_low, e.worst_high)}: if each answer that is missing up to the furthest "
        "one given, and each row that could not be read "
        f"({recent.n_set_aside:,}), were wrong, or were right."
    )


def labels(n: int) -> str:
    """A count of labels.

    >>> labels(1)
    '1 label'
    """
    return f"{n:,} label{'' if n == 1 else 's'}"
