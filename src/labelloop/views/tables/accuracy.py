"""How good the model is, as tables."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Estimate, Undefined
from labelloop.views.people import people
from labelloop.views.table import NONE, Column, Row, Table, names, numbers
from labelloop.views.tables.classes import by_class, weakest
from labelloop.views.tables.confusion import confusion
from labelloop.views.tables.labels import agreement, asked, training
from labelloop.views.tables.plan import needs
from labelloop.views.tables.slices import of_slices, worse
from labelloop.views.wording import bounds, counted, models, percent, row_count

if TYPE_CHECKING:
    from labelloop.measuring.accuracy import Accuracy
    from labelloop.measuring.measured import Measured
    from labelloop.views.quality import Period, Quality

MOST_LOOKS = 12
"""So many looks are shown, the newest."""


def of_measure(m: "Measured", timezone: str) -> list[Table]:
    """Every table of `measure` that has a row."""
    of = m.period.name if m.period else "last 7 days"
    found = (
        accuracies("Accuracy of the period", [m.period] if m.period else ()),
        accuracies("Accuracy by round", m.rounds),
        accuracies("Accuracy by day", m.days),
        looks(m, timezone),
        accuracies("Extra rounds, never pooled with the others", m.extra_rounds),
        by_class(m.by_class, of),
        accuracies(f"Accuracy by model, {of}", m.by_model),
        *of_slices(m, every=True),
        confusion(m.confusion, of),
        agreement(m.agreement),
    )
    return [table for table in found if table.rows]


_NEWEST_ROUNDS = 3
"""What a first look shows: with the lines above, it fits a screen of 24 lines."""


def at_a_glance(m: "Measured") -> list[Table]:
    """The newest rounds, or the period that was asked for, and the classes with the lowest F1."""
    rounds = m.rounds[-_NEWEST_ROUNDS:]
    newest = f"Accuracy by round, the newest {len(rounds)} of {len(m.rounds):,}"
    found = (
        accuracies("Accuracy of the period", [m.period])
        if m.period
        else accuracies(newest, rounds),
        weakest(m.by_class, m.period.name if m.period else "last 7 days"),
    )
    return [table for table in found if table.rows]


def of_report(q: "Quality") -> list[Table]:
    """Every table of a report that has a row, in its order."""
    return [table for table in chain.from_iterable(by_picture(q).values()) if table.rows]


def by_picture(q: "Quality") -> dict[str, tuple[Table, ...]]:
    """The tables of a report, by the picture that each stands below."""
    m, of = q.measured, "last 7 days"
    return {
        "accuracy-by-day": (periods("Accuracy by day", q.days),),
        "accuracy-by-round": (
            periods("Accuracy by round", q.rounds),
            looks(m, q.timezone),
            accuracies("Extra rounds, never pooled with the others", m.extra_rounds),
        ),
        "by-class": (by_class(m.by_class, of),),
        "worst-slices": (worse(m.worst_slices, of),),
        "confusion": (confusion(m.confusion, of),),
        "reliability": (confidence(q),),
        "labels-and-width": (needs(q.plan),),
        "training-set": (training(q.training),),
        "labels": (asked(q.labels), agreement(m.agreement), people(q.people)),
    }


def accuracies(title: str, rows: "Sequence[Accuracy]", of: str = "") -> Table:
    """Accuracies with all that stands beside them; `of` heads their names."""
    return Table(
        title=title,
        columns=(*names(of), *_beside(rows)),
        rows=tuple((a.name, *_accuracy(a)) for a in rows),
    )


def periods(title: str, found: "Sequence[Period]") -> Table:
    """Rounds or days with the models that served them."""
    rows = [p.accuracy for p in found]
    return Table(
        title=title,
        columns=(*names("", "model"), *numbers("traffic", if_wide=True), *_beside(rows)),
        rows=tuple(
            (p.accuracy.name, models(p.models), f"{p.accuracy.n_traffic:,}", *_accuracy(p.accuracy))
            for p in found
        ),
    )


def _beside(rows: "Iterable[Accuracy]") -> tuple[Column, ...]:
    return (
        *numbers("accuracy", _interval(a.estimate for a in rows), "blind labels"),
        *numbers("open", "skipped", "rejected", if_any=True),
        *numbers("at worst"),
    )


def _interval(estimates: Iterable[Estimate | Undefined]) -> str:
    """The heading of a column of intervals."""
    level = next((e.level for e in estimates if isinstance(e, Estimate)), 0.95)
    return f"{level:.0%} interval"


def _accuracy(a: "Accuracy") -> Row:
    value, interval, worst = _numbers(a.estimate)
    counts = (f"{n:,}" for n in (a.n_labelled, a.n_waiting, a.n_skipped))
    return (value, interval, *counts, row_count(a.set_aside), worst)


def _numbers(e: Estimate | Undefined) -> tuple[str, str, str]:
    if isinstance(e, Undefined):
        return NONE, NONE, NONE
    return percent(e.value), bounds(e.low, e.high), bounds(e.worst_low, e.worst_high)


def looks(m: "Measured", timezone: str) -> Table:
    """The newest looks: has the accuracy fallen?"""
    found = m.trend.looks
    zone = ZoneInfo(timezone)
    rows = tuple(
        (
            k.at.astimezone(zone).date().isoformat(),
            k.model,
            k.by if k.drop.n_windows == 1 else counted(k.drop.n_windows, k.by),
            percent(k.drop.before),
            percent(k.drop.now),
            f"{100 * k.drop.value:+.1f}",
            f"{100 * k.drop.bound:+.1f}",
            f"{k.drop.n_now:,}",
            "fallen" if k.drop.alarm else "not sure",
        )
        for k in found[-MOST_LOOKS:]
    )
    of = f", the newest {MOST_LOOKS} of {len(found):,}" if len(found) > MOST_LOOKS else ""
    return Table(
        title=f"Has the accuracy fallen? A look a day{of}",
        columns=(
            *names("on", "model", "the last"),
            *numbers("before", "now", "fall, points", "surely above", "labels now", "verdict"),
        ),
        rows=rows,
    )


_FIT = {-1: "too high", 0: "fits", 1: "too low"}


def confidence(q: "Quality") -> Table:
    """What the model claimed against what it kept."""
    rows: list[Row] = []
    parts = q.calibrated.calibration.parts
    for p in parts:
        value, interval, worst = _numbers(p.estimate)
        n = "0" if isinstance(p.estimate, Undefined) else f"{p.estimate.n:,}"
        rows.append(
            (
                f"{p.low:.3f}–{p.high:.3f}",
                percent(p.share),
                percent(p.mean_confidence),
                *(value, interval, n, worst, _FIT[p.off]),
            )
        )
    between = _interval(p.estimate for p in parts)
    return Table(
        title="Confidence against accuracy, rounds of the last 7 days",
        columns=(
            *names("confidence"),
            *numbers("traffic", "on average", "accuracy", between, "labels", "at worst", "claim"),
        ),
        rows=tuple(rows),
    )
