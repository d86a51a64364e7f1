"""The reliability diagram: the model's confidence against how often it was right."""

from typing import Literal

import altair as alt

from labelloop.charts.picture import Chart, Picture, Row, data, layered
from labelloop.charts.theme import Theme
from labelloop.core.estimate import Estimate
from labelloop.measuring.calibration import ConfidenceBin
from labelloop.views.quality import Quality

_SIDE = 400


def reliability(q: Quality, theme: Theme) -> Picture:
    """Confidence bins with their intervals, beside the line where confidence keeps its word."""
    name, title = "reliability", "Can its confidence be believed? Last 7 days"
    found = [(b, b.estimate) for b in q.calibration.bins if isinstance(b.estimate, Estimate)]
    if not found:
        why = "no labelled prediction of the last 7 days came with a confidence"
        return Picture(name=name, title=title, says=f"Nothing to show: {why}.", chart=None)
    much = sum(b.off < 0 for b, _ in found)
    little = sum(b.off > 0 for b, _ in found)
    says = (
        "Predictions grouped by the confidence that the model gave. On the dashed line it is right as "
        "often as it claims; below, it claims too much. Bars are "
        f"{found[0][1].level:.0%} intervals. "
    )
    if much or little:
        parts = [f"too much in {much}"] if much else []
        parts += [f"too little in {little}"] if little else []
        says += (
            f"It claims {' and '.join(parts)} of {len(found)} groups, further off than their intervals "
            "reach; by chance alone 1 group in 20 is."
        )
    else:
        says += "In no group is it further off than the interval reaches."
    if q.calibration.n_without:
        says += f" {q.calibration.n_without:,} labelled predictions came without a confidence."
    return Picture(name=name, title=title, says=says, chart=_chart(found, theme))


def _chart(found: list[tuple[ConfidenceBin, Estimate]], theme: Theme) -> Chart:
    rows: list[Row] = [
        {
            "claimed": b.mean_confidence,
            "from": b.low,
            "to": b.high,
            "right": e.value,
            "low": e.low,
            "high": e.high,
            "off": b.off != 0,
            "n": e.n,
        }
        for b, e in found
    ]
    least = min(min(b.low, e.low) for b, e in found)
    start = min(0.8, int(10 * least) / 10)
    counts = [e.n for _, e in found]
    n = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    each = f"each point: {n} labels" if len(rows) > 1 else f"{n} labels"
    scale = alt.Scale(domain=[start, 1], nice=False)
    x = alt.X(
        "claimed:Q",
        scale=scale,
        axis=alt.Axis(title=f"confidence ({each})", format=".0%", tickCount=6),
    )
    y = alt.Y("right:Q", scale=scale, axis=alt.Axis(title="share right", format=".0%", tickCount=6))
    ends: list[Row] = [{"claimed": start, "right": start}, {"claimed": 1, "right": 1}]
    ideal = (
        alt.Chart(data(ends)).mark_line(color=theme.muted, strokeDash=[5, 4], strokeWidth=1.5)
    ).encode(x=x, y=y)
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    colour = alt.when("datum.off").then(alt.value(theme.wrong)).otherwise(alt.value(theme.right))
    widths = base.mark_rule(strokeWidth=5, opacity=0.22).encode(
        x=alt.X("from:Q"), x2="to:Q", color=colour
    )
    bars = base.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=colour
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=colour,
        shape=alt.when("datum.off").then(alt.value("diamond")).otherwise(alt.value("circle")),
    )
    corners = (
        _corner("claims too little", theme, align="left", x=14, y=18),
        _corner("claims too much", theme, align="right", x=_SIDE - 14, y=_SIDE - 16),
    )
    return layered(*corners, ideal, widths, bars, points, width=_SIDE, height=_SIDE)


def _corner(
    text: str, theme: Theme, *, align: Literal["left", "right"], x: int, y: int
) -> alt.Chart:
    found: alt.Chart = (
        alt.Chart(data([{"text": text}]))
        .mark_text(align=align, fontSize=12, fontStyle="italic", color=theme.muted)
        .encode(x=alt.value(x), y=alt.value(y), text="text:N")
    )
    return found
