"""Labels against the width of the interval that they lead to."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from labelloop.charts.axes import Scale, bottom_axis, left_axis, ticks
from labelloop.charts.picture import Picture
from labelloop.charts.svg import Drawing, group, line, path, tag, width_of, words
from labelloop.charts.theme import WIDTH
from labelloop.core.estimate import Undefined
from labelloop.views.plan import Plan
from labelloop.views.quality import Quality
from labelloop.views.wording import counted, percent, within

_TICKS = (30, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_LEFT, _HEIGHT = 54, 260


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The half widths that one way of drawing leads to, by the number of labels."""

    name: str
    colour: str
    dashes: str | None
    widths: list[tuple[int, float]]


def of_report(q: Quality) -> Picture:
    """The picture of a report's plan."""
    return labels_and_width(q.plan)


def labels_and_width(plan: Plan) -> Picture:
    """Half the width of the interval by the number of labels, drawn one way and the other."""
    name, title = "labels-and-width", "How many labels for how narrow an interval?"
    if len(plan.expected) < 2:
        says = f"Nothing to show: a round has {plan.n_traffic:,} inputs. Label them all: no doubt is left."
        return Picture(name=name, title=title, says=says, drawing=None)
    if plan.accuracy is None:
        says = (
            "No blind label is answered yet, so this reckons with an accuracy of 50%, where most labels "
            "are needed. "
        )
    else:
        says = f"Reckoned from an accuracy of {percent(plan.share)} ({plan.accuracy.name}). "
    says += f"How far the {plan.level:.0%} interval reaches on either side, by the labels given. "
    if plan.round is not None:
        says += f"A round has {plan.n_traffic:,} inputs, as round {plan.round}; label all: no doubt is left. "
    says += _bought(plan)
    return Picture(name=name, title=title, says=says.strip(), drawing=_drawing(plan))


def _bought(plan: Plan) -> str:
    """What the budget buys, in a sentence."""
    b = plan.budget
    if b is None:
        return ""
    says = f"The {counted(b.labels, 'label')} a round of {b.queue} buy {within(b.uniform)} drawn uniformly"
    if isinstance(b.uneven, Undefined):
        return f"{says}. What uneven draws would buy isn't known: {b.uneven.reason}."
    return (
        f"{says}, and {within(b.uneven)} drawn unevenly ({within(b.at_worst)} if the risk tells "
        "nothing)."
    )


def _lines(plan: Plan) -> Iterator[_Line]:
    """The ways of drawing that are known: of a round, or of endless traffic before there is one."""
    ways: tuple[tuple[str, str, str, str | None], ...] = (
        ("uniform", "uniform draw of a round", "right", None),
        ("uneven", "uneven draw of a round", "wrong", None),
        ("at_worst", "uneven draw, if the risk tells nothing", "wrong", "6 4"),
    )
    if plan.round is None:
        ways = (("random_sample", "random sample of endless traffic", "muted", "2 3"),)
    for of, name, colour, dashes in ways:
        known = [(e.labels, getattr(e, of)) for e in plan.expected]
        widths = [(n, 100 * width) for n, width in known if not isinstance(width, Undefined)]
        if widths:
            yield _Line(name=name, colour=colour, dashes=dashes, widths=widths)


def _drawing(plan: Plan) -> Drawing:
    lines = list(_lines(plan))
    low, high = plan.expected[0].labels, plan.expected[-1].labels
    x = Scale(low, max(high, 2 * low), _LEFT, WIDTH - 20, by_log=True)
    widest = max(width for each in lines for _, width in each.widths) * 1.05
    top = 20 * len(lines) + 34
    y = Scale(0, widest, top + _HEIGHT, top)
    counts = {float(n): f"{n:,}" for n in _TICKS if low <= n <= x.high}
    inside = [
        *_legend(lines),
        *left_axis(
            y,
            {at: f"{at:g}" for at in ticks(0, widest)},
            x=x.start,
            to=x.end,
            title="points on either side",
        ),
        *bottom_axis(x, counts, y=y.start, title="labels"),
        *_budget(plan, x, top),
    ]
    for each in lines:
        points = [(x(n), y(width)) for n, width in each.widths]
        inside.append(
            path(
                points,
                fill="none",
                stroke=f"var(--{each.colour})",
                stroke_width=2,
                stroke_dasharray=each.dashes,
            )
        )
        inside += _hovered(each, x, y)
    return Drawing(width=WIDTH, height=y.start + 44, inside=tuple(inside))


def _legend(lines: list[_Line]) -> Iterator[Markup]:
    for i, each in enumerate(lines):
        y = 10 + 20 * i
        yield line(
            _LEFT,
            y,
            _LEFT + 30,
            y,
            each.colour,
            stroke_width=2,
            stroke_dasharray=each.dashes,
        )
        yield words(_LEFT + 38, y + 4, each.name)


def _hovered(each: _Line, x: Scale, y: Scale) -> Iterator[Markup]:
    """Places under the pointer, each with its numbers."""
    for n, width in each.widths:
        yield group(
            tag("circle", cx=x(n), cy=y(width), r=7, fill="transparent"),
            title=f"{each.name}: {counted(n, 'label')}, ±{width:.3g} points",
        )


def _budget(plan: Plan, x: Scale, top: float) -> Iterator[Markup]:
    """A line at the budget, where it lies inside the picture."""
    b = plan.budget
    if b is None or not x.low <= b.labels <= plan.expected[-1].labels:
        return
    at, said = x(b.labels), f"budget {b.labels:,}"
    to_left = at + width_of(said) > x.end
    yield line(at, top, at, top + _HEIGHT, "muted", stroke_dasharray="4 4")
    yield words(
        at + (-6 if to_left else 6), top + 12, said, text_anchor="end" if to_left else "start"
    )
