"""How numbers stand in a report: one way for text, tables and pictures."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.measuring.trend import Look, Trend
from labelloop.views.plan import Plan
from labelloop.views.quality import ModelShare, Quality

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


def fallen(look: Look) -> str:
    """An alarm, in a few words.

    >>> from datetime import UTC
    >>> from labelloop.statistics import Drop
    >>> found = Drop(alarm=True, value=0.081, bound=0.012, before=0.921, now=0.84, n_before=900,
    ...              n_now=200, n_windows=1, spent=0.001)
    >>> fallen(Look(model="v2", number=9, at=datetime(2026, 10, 12, tzinfo=UTC),
    ...             since=date(2026, 10, 5), rounds=(61,), drop=found))
    'the accuracy of v2 has fallen since the week of 5 Oct: by 8.1 points, surely more than 1.2'
    """
    return (
        f"the accuracy of {look.model} has fallen since the week of {day(look.since)}: by "
        f"{points(look.drop.value)}, surely more than {100 * look.drop.bound:.1f}"
    )


def over_time(trend: Trend, timezone: str) -> Iterator[str]:
    """What is known over time of the model that serves, in sentences."""
    zone = ZoneInfo(timezone)
    yield _looked(trend, zone)
    if trend.delays:
        shown = ", of ".join(
            f"{points(d.fall)} "
            + (f"after about {weeks(d.weeks)}" if d.weeks else "not within ten years")
            for d in trend.delays
        )
        n = labels(round(trend.labels_a_week))
        yield f"At {n} a week, a fall shows with even odds: of {shown}."
    means = [m for m in trend.means if m.model == trend.model]
    if means:
        last = means[-1]
        yield (
            f"Mean of {last.model} over {weeks(last.n_weeks)}, up to that of {day(last.week)}: "
            f"{percent(last.mean)}; {span(last.low, last.high)} holds at every look ({trend.level:.0%})."
        )


def _looked(trend: Trend, zone: ZoneInfo) -> str:
    alarm, latest = trend.alarm, trend.latest
    after = (
        f"The next look is on {_on(trend.next_at, zone)}; false alarms a year: "
        f"{trend.false_alarms_a_year:.2g} at most."
    )
    if latest is None:
        why = "two closed weeks with blind labels of one model are needed"
        if trend.model is None and trend.n_mixed:
            why += ", and each round so far was served by several"
        return f"Has the accuracy fallen? No look yet: {why}. {after}"
    d = latest.drop
    against = (
        f"{percent(d.now)} in the last {_last(d.n_windows)}, {percent(d.before)} before "
        f"(n = {d.n_now:,} and {d.n_before:,})"
    )
    if alarm is None:
        return (
            f"No fall of {latest.model} is sure at {latest.number:,} weekly "
            f"look{'' if latest.number == 1 else 's'}. On {_on(latest.at, zone)}: {against}. {after}"
        )
    said = fallen(alarm)
    found = f"{said[0].upper()}{said[1:]} points. It was found on {_on(alarm.at, zone)}"
    if latest.number > alarm.number:
        found += f"; on {_on(latest.at, zone)}: {against}"
    return f"{found}. {after}"


def _on(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y}"


def weeks(n: int) -> str:
    """A count of weeks.

    >>> weeks(1), weeks(4)
    ('1 week', '4 weeks')
    """
    return f"{n:,} week{'' if n == 1 else 's'}"


def _last(n: int) -> str:
    return "week" if n == 1 else weeks(n)


def points(share: float) -> str:
    """A difference of shares.

    >>> points(0.081), points(0.01)
    ('8.1 points', '1 point')
    """
    text = f"{100 * share:.1f}".removesuffix(".0")
    return f"{text} point{'' if text == '1' else 's'}"


def starting_point(r: Plan) -> list[str]:
    """What a plan reckons with."""
    if r.accuracy is None or isinstance(r.accuracy.estimate, Undefined):
        lines = ["no accuracy is known yet: reckoned with 50%, where most labels are needed"]
    else:
        e = r.accuracy.estimate
        interval = f"{percent(e.value)} ({span(e.low, e.high)}, {e.level:.0%})"
        lines = [f"accuracy {interval}, {e.n:,} blind labels, {r.accuracy.name}"]
    if r.round is None:
        lines.append("no round has drawn for evaluation yet: its traffic is unknown")
    else:
        lines.append(f"traffic {r.n_traffic:,} inputs a round, as in round {r.round}")
    return lines


def assumptions(r: Plan) -> list[str]:
    """What a budget buys, and what a plan takes for granted."""
    lines = []
    if r.budget is not None:
        b = r.budget
        parts = [f"{within(b.uniform)} uniform"]
        if not isinstance(b.uncertainty, Undefined):
            parts.append(f"{within(b.uncertainty)} by uncertainty")
        parts.append(f"{within(b.at_worst)} by uncertainty if the risk tells nothing")
        lines.append(f"the {b.labels:,} labels a round of {b.queue!r} give {', '.join(parts)}")
    if r.round is not None:
        lines.append(
            "assumes that traffic and accuracy stay as they are, and every draw is answered"
        )
    for need in r.needs[:1]:
        if r.risk_rounds:
            n = len(r.risk_rounds)
            lines.append(f"the risk was learned from {n} round{'s' if n > 1 else ''}")
        elif isinstance(need.uncertainty, Undefined) and r.round is not None:
            lines.append(f"uncertainty: {need.uncertainty.reason}")
    if r.accuracy is not None and isinstance(r.accuracy.estimate, Estimate):
        lines.append(
            "a plan, no promise: in simulations intervals came out up to a fifth wider or narrower"
        )
    return lines


def within(half_width: float) -> str:
    """Half the width of an interval.

    >>> within(0.021)
    '±2.1 points'
    """
    return f"±{100 * half_width:.3g} points"
