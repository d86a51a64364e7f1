"""What results say in sentences: the same on a terminal, on a page and below a picture."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.views.headline import headline, numbers
from labelloop.views.wording import (
    amount,
    counted,
    day,
    estimated,
    logged_share,
    percent,
    points,
    row_count,
    span,
    top_up_command,
    within,
)

if TYPE_CHECKING:
    from labelloop.measuring.harder import Harder
    from labelloop.measuring.measured import Measured
    from labelloop.measuring.slices import WorstSlices
    from labelloop.measuring.trend import Look, Trend
    from labelloop.views.plan import Plan
    from labelloop.views.quality import Quality


MOST_NAMED = 3
"""So many slices are named in a sentence."""


def summary(q: "Quality") -> str:
    """The accuracy of the last seven days in sentences, with all that it rests on."""
    recent = q.measured.last_seven_days
    warning = headline(recent, q.measured.missing).warning
    return (f"Beware: {warning}. " if warning else "") + _summary(q)


def _summary(q: "Quality") -> str:
    e = q.measured.last_seven_days.estimate
    if isinstance(e, Undefined):
        known = [p for p in q.rounds if isinstance(p.accuracy.estimate, Estimate)]
        says = f"No accuracy for the last 7 days: {e.reason}."
        extra = newest_extra(q.measured)
        if extra is not None and not known:
            return f"{says} Of a period of its own: {extra}."
        if known:
            newest = known[-1].accuracy
            says += f" Newest: {newest.name}, {estimated(newest.estimate)}."
        return says
    recent = q.measured.last_seven_days
    share = logged_share(recent.n_traffic, recent.n_logged)
    return (
        f"The model was right on {percent(e.value)} of the last 7 days' traffic; the {e.level:.0%} "
        f"interval is {span(e.low, e.high)}, from {counted(e.n, 'label')} given without seeing the "
        f"prediction{f', {share}' if share else ''}."
    )


def newest_extra(m: "Measured") -> str | None:
    """What the newest extra round says; None: there is none."""
    if not m.extra_rounds:
        return None
    newest = m.extra_rounds[-1]
    if isinstance(newest.estimate, Undefined):
        return f"{newest.name}: {newest.estimate.reason}"
    waiting = f", {newest.n_waiting:,} more waiting" if newest.n_waiting else ""
    n = counted(newest.estimate.n, "blind label")
    return f"{newest.name}: {numbers(newest.estimate)}, {n}{waiting}"


def worst_case(q: "Quality") -> str:
    """What the headline's interval would be if all that is missing went the worst way."""
    recent = q.measured.last_seven_days
    e = recent.estimate
    if isinstance(e, Undefined):
        return ""
    if (e.worst_low, e.worst_high) == (e.low, e.high):
        return "No answer is missing that could change it, and no row was rejected."
    return (
        f"At worst {span(e.worst_low, e.worst_high)}: if each answer that is missing up to the furthest "
        "one given, and each row that could not be read "
        f"({row_count(recent.set_aside)}), were wrong, or were right."
    )


def mean_cost(m: "Measured") -> str:
    """What a prediction costs on average; empty where the settings have no [costs]."""
    c = m.cost
    if c is None:
        return ""
    of = m.period.name if m.period else "last 7 days"
    if isinstance(c, Undefined):
        return f"No mean cost, {of}: {c.reason}."
    worst = ""
    if (c.worst_low, c.worst_high) != (c.low, c.high):
        worst = f", at worst {amount(c.worst_low)} to {amount(c.worst_high)}"
    return (
        f"Mean cost of a prediction, {of}: {amount(c.value)} ({c.level:.0%} interval {amount(c.low)} to "
        f"{amount(c.high)}{worst})."
    )


def calibration_error(q: "Quality") -> str:
    """How far the model's confidences are off; empty where none came in."""
    found = q.calibrated.calibration
    if not found.parts:
        return ""
    e = found.error
    if isinstance(e, Undefined):
        return f"No calibration error: {e.reason}."
    of = (
        f"({e.level:.0%}; {counted(e.n, 'label')}, {counted(len(found.parts), 'part')} of the traffic by "
        "confidence)"
    )
    if e.value is None:
        return (
            f"Calibration error: at most {points(e.high)} {of}. These labels don't rule out perfect "
            "calibration."
        )
    return (
        f"Calibration error: {points(e.value)}, interval {100 * e.low:.1f} to {100 * e.high:.1f} {of}. That "
        "is how far the model's claims are from how often it is right, on average over the parts."
    )


def fallen(look: "Look") -> str:
    """An alarm, in a few words.

    >>> from datetime import UTC, date
    >>> from labelloop.measuring.trend import Look
    >>> from labelloop.statistics import Drop
    >>> found = Drop(alarm=True, value=0.081, bound=0.012, before=0.921, now=0.84, n_before=900,
    ...              n_now=200, n_windows=1, spent=0.001)
    >>> at = datetime(2026, 10, 12, tzinfo=UTC)
    >>> fallen(Look("v2", 9, at, "week", date(2026, 10, 5), rounds=(61,), drop=found))
    'the accuracy of v2 has fallen since the week of 5 Oct: by 8.1 points, surely more than 1.2'
    """
    since = "the week of " if look.by == "week" else ""
    return (
        f"the accuracy of {look.model} has fallen since {since}{day(look.since)}: by "
        f"{points(look.drop.value)}, surely more than {100 * look.drop.bound:.1f}"
    )


def worse_slices(w: "WorstSlices") -> str:
    """Which slices are surely worse than the rest; empty where none could be tested.

    >>> from labelloop.measuring.slices import WorstSlices
    >>> worse_slices(WorstSlices(n_tested=12, n_attributes=2, found=()))
    'No slice is surely worse than the rest (12 slices of 2 attributes tested).'
    """
    if not w.n_tested:
        return ""
    tested = f"{counted(w.n_tested, 'slice')} of {counted(w.n_attributes, 'attribute')} tested"
    if not w.found:
        return f"No slice is surely worse than the rest ({tested})."
    told = "; ".join(
        f"{s.attribute} = {s.name} with {percent(s.accuracy.value)} against {percent(s.rest.value)}"
        for s in w.found[:MOST_NAMED]
    )
    more = f"; {len(w.found) - MOST_NAMED:,} more" if len(w.found) > MOST_NAMED else ""
    return f"Worse than the rest: {told}{more} ({tested}; at most 5% false findings expected)."


def over_time(trend: "Trend", timezone: str) -> Iterator[str]:
    """What is known over time of the model that serves, in sentences."""
    zone = ZoneInfo(timezone)
    yield _looked(trend, zone)
    if trend.delays:
        shown = ", of ".join(
            f"{points(d.fall)} "
            + (f"after about {_days(d.days)}" if d.days else "not within ten years")
            for d in trend.delays
        )
        n = counted(round(trend.labels_a_week), "label")
        yield f"At {n} a week, a fall shows with even odds: of {shown}."
    means = [m for m in trend.means if m.model == trend.model]
    if means:
        last = means[-1]
        yield (
            f"Mean of {last.model} over {counted(last.n_weeks, 'week')}, up to that of {day(last.week)}: "
            f"{percent(last.mean)}; {span(last.low, last.high)} holds at every look ({trend.level:.0%})."
        )


def looks_harder(found: "Harder | Undefined") -> Iterator[str]:
    """The hint that the traffic looks harder, with what it is worth; nothing where there is none."""
    if isinstance(found, Undefined) or not found.alarm:
        return
    d = found.days
    yield (
        f"A hint from confidences alone: the traffic looks harder. On {d.n_low} of the {d.n_now} days up to "
        f"{day(found.on)} the mean confidence of {found.model} was lower than on each of the {d.n_before} "
        f"days before; on average {percent(d.now)}, against {percent(d.before)} before."
    )
    yield HINT


HINT = (
    "This is no accuracy: it shows within about a week that the inputs changed, and never that the right "
    "answers to the same inputs changed."
)
"""What a hint from confidences is worth."""


def harder_or_not(found: "Harder | Undefined") -> Iterator[str]:
    """The same, and where there is no hint that the look found none, or why there was none."""
    if isinstance(found, Undefined):
        yield f"Does the traffic look harder? No look: {found.reason}."
        return
    d = found.days
    if found.alarm:
        yield from looks_harder(found)
    else:
        yield (
            f"The traffic doesn't look harder: on {d.n_low} of the {d.n_now} days up to {day(found.on)} the "
            f"mean confidence of {found.model} was lower than on each of the {d.n_before} days before, and "
            f"{d.n_needed} would be a hint; on average {percent(d.now)}, against {percent(d.before)} before. "
            f"{HINT}"
        )
    yield (
        f"False hints a year: {d.false_alarms_a_year:.2g} at most, if days vary by chance around one mean."
    )


def _looked(trend: "Trend", zone: ZoneInfo) -> str:
    alarm, latest = trend.alarm, trend.latest
    after = (
        f"The next look is on {_on(trend.next_at, zone)}; false alarms a year: "
        f"{trend.false_alarms_a_year:.2g} at most."
    )
    if latest is None:
        why = "this needs two full days of one model with blind labels"
        if trend.model is None and trend.n_mixed:
            why += ", and each round so far was served by several"
        return f"Has the accuracy fallen? Not tested yet: {why}. {after}"
    d = latest.drop
    against = (
        f"{percent(d.now)} in the last {_last(latest)}, {percent(d.before)} before "
        f"(n = {d.n_now:,} and {d.n_before:,})"
    )
    if alarm is None:
        return (
            f"No fall of {latest.model} is sure at "
            f"{counted(latest.number, 'look')}. On {_on(latest.at, zone)}: {against}. {after}"
        )
    said = fallen(alarm)
    found = f"{said[0].upper()}{said[1:]} points. It was found on {_on(alarm.at, zone)}"
    if latest.number > alarm.number:
        found += f"; on {_on(latest.at, zone)}: {against}"
    return f"{found}. {after}"


def _on(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y}"


def _last(look: "Look") -> str:
    n = look.drop.n_windows
    return look.by if n == 1 else counted(n, look.by)


def _days(n: int) -> str:
    return counted(n, "day") if n % 7 else counted(n // 7, "week")


def starting_point(r: "Plan") -> list[str]:
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


def assumptions(r: "Plan") -> list[str]:
    """What a budget buys, and what a plan takes for granted."""
    lines = []
    if r.budget is not None:
        b = r.budget
        parts = [f"{within(b.uniform)} uniform"]
        if not isinstance(b.uneven, Undefined):
            parts.append(f"{within(b.uneven)} uneven")
        parts.append(f"{within(b.at_worst)} uneven if the risk tells nothing")
        lines.append(f"the {b.labels:,} labels a round of {b.queue!r} give {', '.join(parts)}")
    if r.round is not None:
        lines.append(
            "assumes that traffic and accuracy stay as they are, and every draw is answered"
        )
    for need in r.needs[:1]:
        if r.risk_rounds:
            n = len(r.risk_rounds)
            lines.append(f"the risk was learned from {n} round{'s' if n > 1 else ''}")
        elif isinstance(need.uneven, Undefined) and r.round is not None:
            lines.append(f"uneven draws: {need.uneven.reason}")
    for need in r.needs:
        if need.top_up and r.round is not None:
            lines.append(
                f"to know round {r.round} within {within(need.half_width)} in 4 of 5 cases: "
                f"`{top_up_command([r.round], need.top_up)}`"
            )
    if r.accuracy is not None and isinstance(r.accuracy.estimate, Estimate):
        lines.append(
            "this is an estimate: in simulations, intervals came out up to a fifth wider or "
            "narrower"
        )
    return lines
