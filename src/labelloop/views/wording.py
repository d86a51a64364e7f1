"""How numbers and instants are written: one way for lines, tables, pages and pictures."""

import math
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.row_range import RowRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.statistics.compare import Difference
    from labelloop.statistics.cost import CostDifference
    from labelloop.views.quality import ModelShare

DASH = "–"


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.9034)
    '90.3%'
    """
    return f"{share:.1%}"


def bounds(low: float, high: float) -> str:
    """An interval of shares in percent, for a table: the number beside it carries the sign.

    >>> bounds(0.869, 0.9291)
    '86.9–92.9'
    """
    return f"{100 * low:.1f}{DASH}{100 * high:.1f}"


def span(low: float, high: float) -> str:
    """An interval of shares, in percent.

    >>> span(0.869, 0.9291)
    '86.9–92.9%'
    """
    return f"{bounds(low, high)}%"


def interval(estimate: Estimate) -> str:
    """A share with its interval and level.

    >>> from labelloop.statistics import wilson
    >>> interval(wilson(336, 372))
    '90.3% (95% interval 86.9–92.9%)'
    """
    between = span(estimate.low, estimate.high)
    return f"{percent(estimate.value)} ({estimate.level:.0%} interval {between})"


def estimated(estimate: Estimate | Undefined) -> str:
    """A share with its interval and its count of labels; or why there is none."""
    if isinstance(estimate, Undefined):
        return estimate.reason
    return f"{percent(estimate.value)} ({span(estimate.low, estimate.high)}, n = {estimate.n:,})"


def gained(difference: "Difference") -> str:
    """A difference of shares with its interval; a dash between two signs would be misread."""
    d = difference
    between = f"{100 * d.low:+.1f} to {100 * d.high:+.1f}"
    return f"{100 * d.value:+.1f} points ({d.level:.0%} interval {between})"


def amount(cost: float) -> str:
    """A cost in the user's units, to three digits.

    >>> amount(0.1534), amount(12.0), amount(1234.5), amount(0.0)
    ('0.153', '12', '1,230', '0')
    """
    if not cost:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(cost))))
    text = f"{float(f'{cost:.3g}'):,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def dearer(difference: "CostDifference") -> str:
    """A difference of mean costs with its interval: below 0 the candidate costs less."""
    d = difference
    value, low, high = (
        f"{'-' if c < 0 else '+'}{amount(abs(c))}" for c in (d.value, d.low, d.high)
    )
    return f"{value} a prediction ({d.level:.0%} interval {low} to {high})"


def points(share: float) -> str:
    """A difference of shares.

    >>> points(0.081), points(0.01)
    ('8.1 points', '1 point')
    """
    text = f"{100 * share:.1f}".removesuffix(".0")
    return f"{text} point{'' if text == '1' else 's'}"


def within(half_width: float) -> str:
    """Half the width of an interval.

    >>> within(0.021)
    '±2.1 points'
    """
    return f"±{100 * half_width:.3g} points"


def counted(n: int, what: str, several: str = "") -> str:
    """A number of things.

    >>> counted(1, "label"), counted(1200, "label"), counted(2, "copy", "copies")
    ('1 label', '1,200 labels', '2 copies')
    """
    return f"{n:,} {what if n == 1 else several or what + 's'}"


def row_count(found: RowRange) -> str:
    """A number of rows, or the range that it lies in.

    >>> row_count(RowRange(3, 3)), row_count(RowRange(1, 2400)), row_count(RowRange(1, None))
    ('3', '1 to 2,400', '1 or more')
    """
    if found.most is None:
        return f"{found.least:,} or more"
    return f"{found.least:,}" if found.least == found.most else f"{found.least:,} to {found.most:,}"


def models(shares: "Sequence[ModelShare]") -> str:
    """The model versions of a period; with their shares where there are several."""
    if len(shares) == 1:
        return shares[0].model
    total = sum(s.n_drawn for s in shares)
    return ", ".join(f"{s.model} {s.n_drawn / total:.0%}" for s in shares) or "-"


def day(of: date) -> str:
    """A day as a label under a picture.

    >>> day(date(2026, 10, 5))
    '5 Oct'
    """
    return f"{of.day} {of:%b}"


def moment(at: datetime, timezone: str) -> str:
    """An instant of these days, in the project's time zone.

    >>> moment(datetime.fromisoformat("2026-11-24T01:00:00Z"), "Europe/Zurich")
    'Tue 24 Nov 02:00'
    """
    return f"{_local(at, timezone):%a %d %b %H:%M}"


def day_and_time(at: datetime, timezone: str) -> str:
    """The same without its weekday, for tables."""
    return f"{_local(at, timezone):%d %b %H:%M}"


def dated(at: datetime, timezone: str) -> str:
    """An instant of any year, in the project's time zone.

    >>> dated(datetime.fromisoformat("2026-11-24T01:00:00Z"), "UTC")
    '24 Nov 2026, 01:00'
    """
    return f"{_local(at, timezone):%d %b %Y, %H:%M}"


def _local(at: datetime, timezone: str) -> datetime:
    return at.astimezone(ZoneInfo(timezone))


def plain(text: str) -> str:
    r"""A line that stays one, and steers no terminal: keys and tags may hold any character.

    >>> plain("a\tb\x1b[31m é")
    'a\\tb\\x1b[31m é'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def logged_share(n_traffic: int, n_logged: int | None) -> str:
    """How many predictions an accuracy speaks for, if only a share was logged; else nothing.

    >>> logged_share(1_200_000, 120_000)
    'of about 1,200,000 predictions, of which 10% were logged'
    """
    if n_logged is None or n_logged >= n_traffic:
        return ""
    return f"of about {n_traffic:,} predictions, of which {100 * n_logged / n_traffic:.3g}% were logged"


def top_up_command(rounds: "Sequence[int]", labels: int) -> str:
    """The command that draws so many more labels of some rounds.

    >>> top_up_command([12], 140)
    'labelloop select --top-up 12 --labels 140'
    """
    named = " ".join(f"--top-up {number}" for number in rounds)
    return f"labelloop select {named} --labels {labels}"
