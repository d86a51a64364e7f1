"""A picture before it is drawn: its chart, and the words that stand with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import altair as alt

Chart = alt.Chart | alt.LayerChart | alt.VConcatChart
Row = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture.

    name
        its file's name without the ending
    says
        what to read from it, in a sentence or two
    chart
        None where there is nothing to draw; `says` is then why
    """

    name: str
    title: str
    says: str
    chart: Chart | None


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Rows as the chart's own data; nothing is fetched."""
    return alt.InlineData(values=list(rows))


def layered(*layers: alt.Chart, width: float, height: float) -> alt.LayerChart:
    """Charts on top of each other, the first one lowest."""
    return alt.LayerChart(layer=list(layers), width=width, height=height)


def stacked(*charts: alt.LayerChart, spacing: float) -> alt.VConcatChart:
    """Charts below each other; each has a scale of its own for colours."""
    found: alt.VConcatChart = alt.VConcatChart(vconcat=list(charts), spacing=spacing).resolve_scale(
        color="independent"
    )
    return found


def words_axis(at: Mapping[int, str], *, most: int, **more: object) -> alt.Axis:
    """An axis over numbers that shows words instead, at no more than `most` places.

    The last one is always shown.
    """
    places = sorted(at)
    step = max(1, ceil(len(places) / most))
    shown = places[::-1][::step]
    names = json.dumps({str(i): at[i] for i in shown}, ensure_ascii=False)
    return alt.Axis(
        values=shown,
        labelExpr=f"({names})[datum.value]",
        grid=False,
        ticks=True,
        **more,  # type: ignore[arg-type]  # what Axis takes; it checks by itself
    )


def whole_ticks(most: float, *, count: int) -> list[int]:
    """Whole numbers from 0 to `most`, about `count` steps of 1, 2 or 5 times a power of ten.

    >>> whole_ticks(1, count=4), whole_ticks(730, count=4)
    ([0, 1], [0, 200, 400, 600])
    """
    step = 1
    while step * count < most:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, int(most) + 1, step))


def accuracy_domain(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """The part of [0, 1] that a scale shows: whole tenths around the intervals, 20 points at least."""
    low = int(10 * min(lows, default=0.0)) / 10
    high = min(1.0, ceil(10 * max(highs, default=1.0) - 1e-9) / 10)
    while high - low < 0.2 - 1e-9:
        high, low = (high + 0.1, low) if high < 1 else (high, low - 0.1)
    return max(0.0, round(low, 1)), min(1.0, round(high, 1))
