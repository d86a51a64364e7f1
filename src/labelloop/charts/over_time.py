"""Accuracy over time, by day and by round, with the model versions that served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from labelloop.charts.picture import (
    Chart,
    Picture,
    Row,
    accuracy_domain,
    data,
    layered,
    stacked,
    words_axis,
)
from labelloop.charts.theme import WIDTH, Theme
from labelloop.core.estimate import Estimate, Undefined
from labelloop.measuring.trend import Trend
from labelloop.views.quality import Period, Quality
from labelloop.views.wording import counted, day, estimated, percent, points

_LETTER = 6.3
"""Pixels a letter takes, about, at the size of the strip."""
_DIRECT = 8
"""Periods up to which each point carries its number; with more, the last one does."""
_COUNTED = 16
"""Periods up to which the count of labels stands below each."""


_SIDES: dict[bool, tuple[Literal["left", "right"], int]] = {
    True: ("right", -6),
    False: ("left", 6),
}
"""Where words stand beside a line, by whether they are to its left."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A period on the axis."""

    at: int
    name: str
    period: Period


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the weekly looks add: the mean so far, a box a week, and where a fall began."""

    means: tuple[Row, ...] = ()
    fell: Row | None = None


_NOT_LOOKED = _Looked()


def by_day(q: Quality, theme: Theme) -> Picture:
    """Accuracy day by day; a day without traffic leaves a gap."""
    first = q.days[0].day.toordinal() if q.days and q.days[0].day else 0
    places = [_Place(p.day.toordinal() - first, day(p.day), p) for p in q.days if p.day]
    return _picture("accuracy-by-day", "Accuracy by day", "day", places, theme)


def by_round(q: Quality, theme: Theme) -> Picture:
    """Accuracy round by round."""
    places = [_Place(i, f"{p.number}", p) for i, p in enumerate(q.rounds)]
    looked = _looked(q.measured.trend, places)
    return _picture("accuracy-by-round", "Accuracy by round", "round", places, theme, looked)


def _looked(trend: Trend, places: Sequence[_Place]) -> _Looked:
    at = {p.period.number: p.at for p in places}
    boxes: list[Row] = []
    for m in trend.means:
        own = [at[number] for number in m.rounds if number in at]
        if own:
            ends = {"at": min(own) - 0.5, "to": max(own) + 0.5}
            boxes.append({**ends, "mean": m.mean, "low": m.low, "high": m.high})
    fell: Row | None = None
    if trend.alarm is not None:
        since = [at[number] for number in trend.alarm.rounds if number in at]
        bound = points(trend.alarm.drop.bound)
        if since:
            right = min(since) > (places[0].at + places[-1].at) / 2
            fell = {"at": min(since) - 0.5, "text": f"fallen by more than {bound}", "left": right}
    return _Looked(tuple(boxes), fell)


def _picture(
    name: str,
    title: str,
    unit: str,
    places: Sequence[_Place],
    theme: Theme,
    looked: _Looked = _NOT_LOOKED,
) -> Picture:
    known = [(p, p.period.accuracy.estimate) for p in places]
    estimates = [(p, e) for p, e in known if isinstance(e, Estimate)]
    if not estimates:
        reasons = {e.reason for _, e in known if isinstance(e, Undefined)}
        why = ", ".join(sorted(reasons)) or "no round has been drawn yet"
        return Picture(name=name, title=title, says=f"Nothing to show: {why}.", chart=None)
    last_place, last = estimates[-1]
    says = (
        "The points are the share of predictions that were right, the bars and the band their "
        f"{last.level:.0%} intervals: a change smaller than the band may be chance. "
        f"Last: {_named(unit, last_place.name)}, {estimated(last)}."
    )
    counts = [e.n for _, e in estimates]
    if len(places) > _COUNTED:
        says += f" Each {unit} has {min(counts):,} to {counted(max(counts), 'label')}."
    if len(estimates) < len(places):
        says += f" A gap is a {unit} without a blind label."
    if looked.means:
        says += (
            " Grey boxes, a week each: the mean of the model's weeks so far, in bounds that hold at every "
            "look, where a single interval does not."
        )
    if looked.fell:
        says += " From the dashed line on, the accuracy has surely fallen."
    return Picture(name=name, title=title, says=says, chart=_chart(unit, places, theme, looked))


def _named(unit: str, name: str) -> str:
    return f"round {name}" if unit == "round" else name


def _chart(unit: str, places: Sequence[_Place], theme: Theme, looked: _Looked) -> Chart:
    low, high = places[0].at - 0.5, places[-1].at + 0.5
    if len(places) == 1:
        low, high = low - 0.5, high + 0.5
    x_scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    axis = words_axis(
        {p.at: p.name for p in places}, most=13, title=unit if unit == "round" else None
    )
    rows = _rows(places)
    x = alt.X("at:Q", scale=x_scale, axis=axis)
    main = _main(rows, x, theme, crowded=len(places) > 31, looked=looked)
    strips = [_models(places, x_scale, WIDTH / (high - low), theme)]
    if len(places) <= _COUNTED:
        strips.append(_counts(places, x_scale, theme))
    return stacked(main, *strips, spacing=8)


def _rows(places: Sequence[_Place]) -> list[Row]:
    found: list[Row] = []
    segment, before = 0, None
    for p in places:
        e = p.period.accuracy.estimate
        if isinstance(e, Undefined):
            segment += 1
            continue
        if before is not None and p.at != before + 1:
            segment += 1
        before = p.at
        row: Row = {"at": p.at, "value": e.value, "low": e.low, "high": e.high, "segment": segment}
        found.append({**row, "text": percent(e.value), "said": ""})
    # a number stands on the side that the line leaves free
    for row, after in zip(found, [*found[1:], None], strict=True):
        rises = after is not None and float(after["value"]) > float(row["value"])
        if after is None or len(places) <= _DIRECT:
            row["said"] = "below" if rises else "above"
    return found


def _main(
    rows: list[Row],
    x: alt.X,
    theme: Theme,
    *,
    crowded: bool,
    looked: _Looked,
) -> alt.LayerChart:
    lows = [float(r["low"]) for r in (*rows, *looked.means)]
    highs = [float(r["high"]) for r in (*rows, *looked.means)]
    scale = alt.Scale(domain=list(accuracy_domain(lows, highs)), nice=False, zero=False)
    axis = alt.Axis(title="share right", format=".0%", tickCount=6)
    base = alt.Chart(data(rows)).encode(x=x, y=alt.Y("value:Q", scale=scale, axis=axis))
    bounds = {"y": alt.Y("low:Q", scale=scale, axis=axis), "y2": alt.Y2("high:Q")}
    band = base.mark_area(color=theme.right, opacity=0.16).encode(detail="segment:N", **bounds)
    bars = base.mark_rule(
        color=theme.right, strokeWidth=1 if crowded else 1.5, opacity=0.45 if crowded else 0.8
    ).encode(**bounds)
    line = base.mark_line(color=theme.right, strokeWidth=2).encode(detail="segment:N")
    dots = base.mark_point(color=theme.right, filled=True, size=22 if crowded else 50, opacity=1)
    numbers: list[alt.Chart] = []
    for side, dy in (("above", -10), ("below", 12)):
        said = base.transform_filter(f"datum.said == '{side}'").encode(text="text:N")
        numbers += [  # the first is a halo that keeps lines off the letters
            said.mark_text(
                align="left", dx=7, dy=dy, fontWeight="bold", stroke=theme.surface, strokeWidth=4
            ),
            said.mark_text(align="left", dx=7, dy=dy, fontWeight="bold", color=theme.ink),
        ]
    below = _means(looked.means, x, scale, axis, theme)
    above = _fall(looked.fell, x, theme)
    return layered(*below, band, bars, line, dots, *numbers, *above, width=WIDTH, height=230)


def _means(
    boxes: Sequence[Row], x: alt.X, scale: alt.Scale, axis: alt.Axis, theme: Theme
) -> list[alt.Chart]:
    """The mean so far in its bounds, a box a week."""
    if not boxes:
        return []
    base = alt.Chart(data(boxes)).encode(x=x, x2="to:Q")
    return [
        base.mark_rect(color=theme.muted, opacity=0.22).encode(
            y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q"
        ),
        base.mark_rule(color=theme.muted, strokeWidth=2).encode(
            y=alt.Y("mean:Q", scale=scale, axis=axis)
        ),
    ]


def _fall(fell: Row | None, x: alt.X, theme: Theme) -> list[alt.Chart]:
    """A line where a sure fall began."""
    if fell is None:
        return []
    base = alt.Chart(data([fell])).encode(x=x)
    said = base.encode(y=alt.value(10), text="text:N")
    align, dx = _SIDES[bool(fell["left"])]
    return [
        base.mark_rule(color=theme.wrong, strokeDash=[5, 4], strokeWidth=1.5),
        said.mark_text(align=align, dx=dx, fontWeight="bold", stroke=theme.surface, strokeWidth=4),
        said.mark_text(align=align, dx=dx, fontWeight="bold", color=theme.wrong),
    ]


def _models(
    places: Sequence[_Place], scale: alt.Scale, step: float, theme: Theme
) -> alt.LayerChart:
    """A strip that changes colour where the model versions change, with their names where they fit."""
    runs: list[tuple[int, int, str]] = []
    for p in places:
        served = " + ".join(sorted(s.model for s in p.period.models)) or "-"
        if runs and runs[-1][2] == served and runs[-1][1] + 1 == p.at:
            runs[-1] = (runs[-1][0], p.at, served)
        else:
            runs.append((p.at, p.at, served))
    rows: list[Row] = [
        {
            "from": start - 0.5,
            "to": end + 0.5,
            "middle": (start + end) / 2,
            "odd": i % 2 == 1,
            "text": _fitted(served, (end - start + 1) * step),
        }
        for i, (start, end, served) in enumerate(runs)
    ]
    base = alt.Chart(data(rows))
    fill = alt.when("datum.odd").then(alt.value(theme.strip[1]))
    boxes = base.mark_rect(stroke=theme.surface, strokeWidth=1).encode(
        x=alt.X("from:Q", scale=scale, axis=None),
        x2="to:Q",
        color=fill.otherwise(alt.value(theme.strip[0])),
    )
    names = base.mark_text(color=theme.ink, fontSize=11).encode(
        x=alt.X("middle:Q", scale=scale, axis=None), text="text:N"
    )
    return layered(boxes, names, _title("model", theme), width=WIDTH, height=22)


def _fitted(text: str, width: float) -> str:
    room = int((width - 8) / _LETTER)
    if len(text) <= room:
        return text
    return f"{text[: room - 1]}…" if room >= 5 else ""  # four letters say nothing


def _counts(places: Sequence[_Place], scale: alt.Scale, theme: Theme) -> alt.LayerChart:
    rows: list[Row] = [{"at": p.at, "text": f"{p.period.accuracy.n_labelled:,}"} for p in places]
    counts = (
        alt.Chart(data(rows))
        .mark_text(color=theme.muted, fontSize=11)
        .encode(x=alt.X("at:Q", scale=scale, axis=None), text="text:N")
    )
    return layered(counts, _title("labels", theme), width=WIDTH, height=14)


def _title(text: str, theme: Theme) -> alt.Chart:
    """What a strip shows, to the left of it."""
    title: alt.Chart = (
        alt.Chart(data([{"text": text}]))
        .mark_text(align="right", dx=-8, fontSize=11, color=theme.muted)
        .encode(x=alt.value(0), text="text:N")
    )
    return title
