"""The slices of the traffic that are worse than the rest."""

from markupsafe import Markup

from labelloop.charts.axes import Scale, accuracy_domain, bottom_axis, legend, ticks
from labelloop.charts.picture import Picture
from labelloop.charts.svg import Drawing, fitted, group, line, rect, tag, width_of, words
from labelloop.charts.theme import WIDTH
from labelloop.core.estimate import Estimate
from labelloop.measuring.slices import WorseSlice
from labelloop.views.quality import Quality
from labelloop.views.sentences import worse_slices
from labelloop.views.wording import estimated

_ROW = 26
_WIDEST_NAME = 260
_MOST = 20
_SERIES = {"the slice": "var(--wrong)", "the rest of the traffic": "var(--right)"}


def worst(q: Quality) -> Picture:
    """The accuracy of each slice that is surely worse than the rest, beside the rest's."""
    name, title = "worst-slices", "Where is it worse? Last 7 days"
    found = q.measured.worst_slices
    says = worse_slices(found)
    if not found.found:
        why = "no attribute has a value with enough blind labels in the last 7 days."
        return Picture(name=name, title=title, says=says or f"Nothing to show: {why}", drawing=None)
    shown = found.found[:_MOST]
    if len(found.found) > _MOST:
        says += f" Shown are the {_MOST} surest."
    return Picture(name=name, title=title, says=says, drawing=_dots(shown))


def _dots(found: tuple[WorseSlice, ...]) -> Drawing:
    names = [f"{s.attribute} = {s.name}" for s in found]
    left = min(_WIDEST_NAME, max(map(width_of, names))) + 14
    both = [e for s in found for e in (s.accuracy, s.rest)]
    low, high = accuracy_domain([e.low for e in both], [e.high for e in both])
    x = Scale(low, high, left, WIDTH - 20)
    squares, height = legend(_SERIES, x=left, to=WIDTH, y=2)
    top = height + 8
    bottom = top + _ROW * len(found) + 6
    lines = {at: f"{at:.0%}" for at in ticks(low, high)}
    inside: list[Markup] = [*squares]
    inside += [line(x(at), top, x(at), bottom, "grid") for at in lines]
    inside += bottom_axis(x, lines, y=bottom, title="accuracy")
    for i, (s, name) in enumerate(zip(found, names, strict=True)):
        y = top + _ROW * (i + 0.5) + 3
        told = f"{name}: {estimated(s.accuracy)}; the rest: {estimated(s.rest)}"
        inside.append(
            group(
                rect(0, y - _ROW / 2, WIDTH, _ROW, "transparent"),
                words(left - 10, y + 4, fitted(name, left - 12), text_anchor="end"),
                *_interval(s.accuracy, x, y - 4, "wrong"),
                *_interval(s.rest, x, y + 4, "right"),
                title=told,
            )
        )
    return Drawing(width=WIDTH, height=bottom + 44, inside=tuple(inside))


def _interval(e: Estimate, x: Scale, y: float, role: str) -> tuple[Markup, Markup]:
    return (
        line(x(e.low), y, x(e.high), y, role, stroke_width=2),
        tag("circle", cx=x(e.value), cy=y, r=4, fill=f"var(--{role})"),
    )
