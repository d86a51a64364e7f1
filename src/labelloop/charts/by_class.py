"""What the model confuses, and how good it is by what it said."""

from collections.abc import Sequence

import altair as alt

from labelloop.charts.picture import (
    Chart,
    Picture,
    Row,
    accuracy_domain,
    data,
    layered,
    whole_ticks,
)
from labelloop.charts.theme import WIDTH, Theme
from labelloop.core.estimate import Estimate
from labelloop.measuring.measured import Confusion
from labelloop.views.quality import Quality
from labelloop.views.tables.confusion import MOST_PAIRS, is_matrix
from labelloop.views.wording import DASH, estimated, percent

_MOST_CLASSES = 30
_ROW = 26


def accuracy_by_class(q: Quality, theme: Theme) -> Picture:
    """Accuracy by predicted class, the worst first."""
    name, title = "accuracy-by-class", "Accuracy by predicted class, last 7 days"
    known = [(a.name, a.estimate) for a in q.measured.by_class]
    found = sorted(
        ((c, e) for c, e in known if isinstance(e, Estimate)), key=lambda f: (f[1].value, f[0])
    )
    if not found:
        return Picture(
            name=name,
            title=title,
            says="Nothing to show: no blind label in the last 7 days.",
            chart=None,
        )
    worst, e = found[0]
    says = (
        "When the model says a class, how often is it right? The bars are intervals: classes whose bars "
        f"overlap widely may be equally good. Lowest: {worst}, {estimated(e)}."
    )
    if len(found) > _MOST_CLASSES:
        says += f" Shown are the {_MOST_CLASSES} lowest of {len(found)} classes."
    if len(found) < len(known):
        says += f" {len(known) - len(found)} predicted without a label yet."
    shown = found[:_MOST_CLASSES]
    return Picture(name=name, title=title, says=says, chart=_dots(shown, q, theme))


def _dots(found: list[tuple[str, Estimate]], q: Quality, theme: Theme) -> Chart:
    low, high = accuracy_domain([e.low for _, e in found], [e.high for _, e in found])
    rows: list[Row] = [
        {
            "class": name,
            "value": e.value,
            "low": e.low,
            "high": e.high,
            "text": f"{percent(e.value)}  ({100 * e.low:.0f}{DASH}{100 * e.high:.0f}%, n = {e.n:,})",
        }
        for name, e in found
    ]
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(
            "class:N",
            sort=None,
            axis=alt.Axis(title=None, ticks=False, domain=False, labelPadding=8),
        )
    )
    x = alt.X(
        "value:Q",
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(title="share right", format=".0%", tickCount=6),
    )
    layers: list[alt.Chart] = []
    overall = q.measured.last_seven_days.estimate
    if isinstance(overall, Estimate):
        layers.append(
            alt.Chart(data([{"value": overall.value}]))
            .mark_rule(color=theme.muted, strokeDash=[4, 4])
            .encode(x=x)
        )
    layers += [
        base.mark_rule(color=theme.right, strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(color=theme.right, filled=True, size=60, opacity=1).encode(x=x),
        base.mark_text(align="left", color=theme.ink, fontSize=11).encode(
            x=alt.value(WIDTH - 170 + 12), text="text:N"
        ),
    ]
    return layered(*layers, width=WIDTH - 170, height=_ROW * len(rows))


def confusion(q: Quality, theme: Theme) -> Picture:
    """The confusion matrix; where it has many classes, the pairs that were mixed up most."""
    name, title = "confusion", "What is confused with what, last 7 days"
    found = q.measured.confusion
    if not found:
        return Picture(
            name=name,
            title=title,
            says="Nothing to show: no blind label in the last 7 days.",
            chart=None,
        )
    wrong = sorted(
        (c for c in found if c.is_wrong),
        key=lambda c: (-c.n, c.predicted_class, c.label),
    )
    total = sum(c.n for c in found)
    says = f"Counts of the {total:,} labelled blind draws. "
    if wrong and wrong[0].n > 1:
        of = sum(c.n for c in found if c.predicted_class == wrong[0].predicted_class)
        says += (
            f"Most often the model said {wrong[0].predicted_class} where people said {wrong[0].label}: "
            f"{wrong[0].n:,} of the {of:,} times that it said so. "
        )
    elif wrong:
        says += (
            "One of them was wrong. "
            if len(wrong) == 1
            else f"{len(wrong):,} of them were wrong, no two in the same way. "
        )
    else:
        says += "None of them was wrong. "
    if not q.measured.even:
        says += "Draws had unequal chances, so what the model is unsure of counts for more here. "
    names = sorted({c.label for c in found} | {c.predicted_class for c in found})
    if not is_matrix(found):
        shown = [c for c in wrong if c.n > 1][:MOST_PAIRS]
        if not shown:
            return Picture(name=name, title=title, says=says.strip(), chart=None)
        says += f"With {len(names)} classes, the pairs confused most are shown."
        if len(shown) < len(wrong):
            n = len(wrong) - len(shown)
            says += f" {n:,} more were confused {_times(max(c.n for c in wrong[len(shown) :]))}."
        return Picture(name=name, title=title, says=says, chart=_pairs(q, shown, theme))
    says += "Blue is right, orange is wrong; the darker, the larger a share of the row."
    if theme.name == "dark":
        says = says.replace("darker", "brighter")
    return Picture(name=name, title=title, says=says, chart=_matrix(q, names, theme))


def _matrix(q: Quality, names: list[str], theme: Theme) -> Chart:
    said: dict[str, int] = {}
    for c in q.measured.confusion:
        said[c.predicted_class] = said.get(c.predicted_class, 0) + c.n
    rows: list[Row] = [
        {
            "said": c.predicted_class,
            "label": c.label,
            "n": c.n,
            "right": not c.is_wrong,
            "share": c.n / said[c.predicted_class],
            "full": c.n / said[c.predicted_class] > 0.7,  # where ink stops being readable
        }
        for c in q.measured.confusion
    ]
    cell = max(30, min(64, 560 // len(names)))
    kept = [name for name in names if name in said]
    turned = max(map(len, names)) * 7 > cell
    x = alt.X(
        "label:N",
        sort=names,
        scale=alt.Scale(domain=names),
        axis=alt.Axis(
            title="people said",
            orient="top",
            labelAngle=-40 if turned else 0,
            labelAlign="left" if turned else "center",
            ticks=False,
            domain=False,
            labelPadding=8,
        ),
    )
    y = alt.Y(
        "said:N",
        sort=kept,
        scale=alt.Scale(domain=kept),
        # names are wider in a browser than where the picture is laid out
        axis=alt.Axis(
            title="the model said", titlePadding=24, ticks=False, domain=False, labelPadding=8
        ),
    )
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    every: list[Row] = [{"said": a, "label": b} for a in kept for b in names]
    empty = (
        alt.Chart(data(every))
        .mark_rect(color=theme.grid, opacity=0.35, stroke=theme.surface, strokeWidth=2)
        .encode(x=x, y=y)
    )
    cells = base.mark_rect(stroke=theme.surface, strokeWidth=2).encode(
        color=alt.when("datum.right")
        .then(alt.value(theme.right))
        .otherwise(alt.value(theme.wrong)),
        fillOpacity=alt.FillOpacity(
            "share:Q", scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.08, 1]), legend=None
        ),
    )
    counts = base.mark_text(fontSize=12).encode(
        text=alt.Text("n:Q", format=",d"),
        color=alt.when("datum.full").then(alt.value(theme.surface)).otherwise(alt.value(theme.ink)),
    )
    return layered(empty, cells, counts, width=cell * len(names), height=min(cell, 44) * len(kept))


def _times(most: int) -> str:
    return "once" if most == 1 else f"up to {most:,} times"


def _pairs(q: Quality, shown: Sequence[Confusion], theme: Theme) -> Chart:
    said: dict[str, int] = {}
    for c in q.measured.confusion:
        said[c.predicted_class] = said.get(c.predicted_class, 0) + c.n
    most = max(c.n for c in shown)
    rows: list[Row] = []
    for c in shown:
        pair = f"{c.predicted_class}  →  {c.label}"
        rows.append({"pair": pair, "n": c.n, "text": f"{c.n:,} of {said[c.predicted_class]:,}"})
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("pair:N", sort=None, axis=alt.Axis(title=None, ticks=False, labelPadding=8)),
        x=alt.X(
            "n:Q", axis=alt.Axis(title="labels", format=",d", values=whole_ticks(most, count=5))
        ),
    )
    bars = base.mark_bar(color=theme.wrong, height=14)
    counts = base.mark_text(align="left", dx=6, color=theme.ink, fontSize=11).encode(text="text:N")
    return layered(bars, counts, width=WIDTH - 260, height=_ROW * len(rows))
