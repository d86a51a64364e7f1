"""How good the model is at each class, and what it confuses."""

from collections.abc import Iterator, Sequence
from math import cos, radians, sin

from markupsafe import Markup

from labelloop.charts.axes import (
    Scale,
    accuracy_domain,
    bottom_axis,
    legend,
    ticks,
    whole_ticks,
)
from labelloop.charts.picture import Picture
from labelloop.charts.svg import Drawing, fitted, group, line, rect, tag, width_of, words
from labelloop.charts.theme import WIDTH
from labelloop.core.estimate import Estimate, Undefined
from labelloop.measuring.measured import Confusion
from labelloop.statistics.classes import ClassRow
from labelloop.views.quality import Quality
from labelloop.views.tables.classes import in_truth, weakest_first
from labelloop.views.tables.confusion import MOST_PAIRS, classes_of, is_matrix, mixed_up
from labelloop.views.wording import DASH, estimated, percent

_MOST_CLASSES = 30
_ROW = 26
_WIDEST_NAME = 200


def by_class(q: Quality) -> Picture:
    """Precision and recall of each class, and its share of the traffic; the lowest F1 first."""
    name, title = "by-class", "How good is the model at each class? Last 7 days"
    rows = q.measured.by_class.rows
    found = weakest_first([r for r in rows if isinstance(r.share, Estimate)])
    if not found:
        return _nothing(name, title)
    says = (
        "Precision: when the model says a class, how often is it right? Recall: of what truly is of the "
        "class, how much does the model find? On the right is the class's share of the traffic, as the model "
        "said and in truth. The bars are intervals: classes whose bars overlap widely may be equally good."
    )
    if isinstance(q.measured.by_class.macro_f1, Estimate):
        says += f" The mean of F1 over all classes is {estimated(q.measured.by_class.macro_f1)}."
    if len(found) > _MOST_CLASSES:
        says += f" Shown are the {_MOST_CLASSES} with the lowest F1 of {len(found)} classes."
    return Picture(name=name, title=title, says=says, drawing=_dots(found[:_MOST_CLASSES]))


def _nothing(name: str, title: str) -> Picture:
    says = "Nothing to show: no blind label in the last 7 days."
    return Picture(name=name, title=title, says=says, drawing=None)


_SERIES = {"precision": "var(--part1)", "recall": "var(--part2)"}


def _dots(found: Sequence[ClassRow]) -> Drawing:
    """A line of two intervals a class, between its name and its shares."""
    shares = [_shares(row) for row in found]
    left = _name_column([row.name for row in found])
    right = max(map(width_of, (*shares, _SHARES))) + 14
    shown = [e for r in found for e in (r.precision, r.recall) if isinstance(e, Estimate)]
    low, high = accuracy_domain([e.low for e in shown], [e.high for e in shown])
    x = Scale(low, high, left, WIDTH - right)
    squares, height = legend(_SERIES, x=left, to=WIDTH - right, y=2)
    top = height + 8
    bottom = top + _ROW * len(found) + 6
    lines = {at: f"{at:.0%}" for at in ticks(low, high)}
    inside = [*squares, words(WIDTH - 2, 12, _SHARES, text_anchor="end", fill="var(--muted)")]
    inside += [line(x(at), top, x(at), bottom, "grid") for at in lines]
    inside += bottom_axis(x, lines, y=bottom)
    for i, (row, text) in enumerate(zip(found, shares, strict=True)):
        y = top + _ROW * (i + 0.5) + 3
        inside.append(
            group(
                rect(0, y - _ROW / 2, WIDTH, _ROW, "transparent"),
                words(left - 10, y + 4, fitted(row.name, left - 12), text_anchor="end"),
                *_interval(row.precision, x, y - 5, "precision"),
                *_interval(row.recall, x, y + 5, "recall"),
                words(WIDTH - 2, y + 4, text, text_anchor="end"),
                title=_told(row),
            )
        )
    return Drawing(width=WIDTH, height=bottom + 28, inside=tuple(inside))


_SHARES = "model said / in truth"


def _shares(row: ClassRow) -> str:
    truth = DASH if isinstance(row.share, Undefined) else percent(row.share.value)
    return f"{percent(row.share_predicted)} / {truth}"


def _interval(e: Estimate | Undefined, x: Scale, y: float, series: str) -> Iterator[Markup]:
    if isinstance(e, Undefined):
        return
    colour = _SERIES[series]
    yield tag("line", x1=x(e.low), y1=y, x2=x(e.high), y2=y, stroke=colour, stroke_width=2)
    yield tag("circle", cx=x(e.value), cy=y, r=3.5, fill=colour)


def _told(row: ClassRow) -> str:
    """All that is known of a class, for the pointer."""
    numbers = {"precision": row.precision, "recall": row.recall, "F1": row.f1}
    told = "; ".join(f"{name} {estimated(e)}" for name, e in numbers.items())
    return f"{in_truth(row)}; {told}"


def _name_column(names: Sequence[str]) -> float:
    return min(_WIDEST_NAME, max(map(width_of, names))) + 14


def confusion(q: Quality) -> Picture:
    """The confusion matrix; where it has many classes, the pairs that were mixed up most."""
    name, title = "confusion", "What is confused with what, last 7 days"
    found = q.measured.confusion
    if not found:
        return _nothing(name, title)
    wrong = mixed_up(found)
    says = f"Counts of the {sum(c.n for c in found):,} labelled blind draws. {_most(found, wrong)}"
    if not q.measured.even:
        says += "Draws had unequal chances, so what the model is unsure of counts for more here. "
    if is_matrix(found):
        says += "Blue is right, orange is wrong; the stronger, the larger a share of the row."
        return Picture(name=name, title=title, says=says, drawing=_matrix(found))
    shown = [c for c in wrong if c.n > 1][:MOST_PAIRS]
    if not shown:
        return Picture(name=name, title=title, says=says.strip(), drawing=None)
    says += f"With {len(classes_of(found))} classes, the pairs confused most are shown."
    if len(shown) < len(wrong):
        most = max(c.n for c in wrong[len(shown) :])
        times = "once" if most == 1 else f"up to {most:,} times"
        says += f" {len(wrong) - len(shown):,} more were confused {times}."
    return Picture(name=name, title=title, says=says, drawing=_pairs(found, shown))


def _most(found: Sequence[Confusion], wrong: Sequence[Confusion]) -> str:
    """What was confused most, in a sentence."""
    if not wrong:
        return "None of them was wrong. "
    worst = wrong[0]
    if worst.n > 1:
        of = _said(found)[worst.predicted_class]
        return (
            f"Most often the model said {worst.predicted_class} where people said {worst.label}: "
            f"{worst.n:,} of the {of:,} times that it said so. "
        )
    if len(wrong) == 1:
        return "One of them was wrong. "
    return f"{len(wrong):,} of them were wrong, no two in the same way. "


def _said(found: Sequence[Confusion]) -> dict[str, int]:
    """How often the model said each class."""
    counts: dict[str, int] = {}
    for c in found:
        counts[c.predicted_class] = counts.get(c.predicted_class, 0) + c.n
    return counts


_TURN = 40
"""Degrees by which names above columns are turned where they have no room."""


def _matrix(found: Sequence[Confusion]) -> Drawing:
    labels, said = classes_of(found), _said(found)
    rows = [name for name in labels if name in said]
    cells = {(c.predicted_class, c.label): c for c in found}
    left = _name_column(rows)
    cell = max(28.0, min(64.0, (WIDTH - left - 30) / len(labels)))
    tall = min(cell, 40.0)
    longest = max(map(width_of, labels))
    turned = longest > cell - 6
    top = 26 + (min(_WIDEST_NAME, longest) * sin(radians(_TURN)) + 16 if turned else 20)
    caption = "rows: the model said; columns: people said"
    inside = [words(0, 12, caption, fill="var(--muted)")]
    for i, name in enumerate(labels):
        inside.append(_heading(name, left + cell * (i + 0.5), top - 8, turned=turned))
    for j, row in enumerate(rows):
        y = top + tall * j
        name = fitted(row, left - 12)
        inside.append(words(left - 10, y + tall / 2 + 4, name, text_anchor="end"))
        for i, label in enumerate(labels):
            c = cells.get((row, label))
            inside += _cell(c, left + cell * i, y, cell, tall, said[row])
    reach = min(_WIDEST_NAME, width_of(labels[-1])) * cos(radians(_TURN)) if turned else 0
    width = max(left + cell * len(labels), left + cell * (len(labels) - 0.5) + reach + 8)
    return Drawing(width=max(width, 290), height=top + tall * len(rows) + 4, inside=tuple(inside))


def _heading(name: str, x: float, y: float, *, turned: bool) -> Markup:
    short = fitted(name, _WIDEST_NAME)
    if not turned:
        return words(x, y, short, text_anchor="middle")
    return group(words(x, y, short, transform=f"rotate(-{_TURN} {x:.1f} {y:.1f})"), title=name)


def _cell(
    c: Confusion | None, x: float, y: float, width: float, height: float, of: int
) -> Iterator[Markup]:
    box = (x + 1, y + 1, width - 2, height - 2)
    if c is None:
        yield rect(*box, "var(--grid)", fill_opacity=0.35)
        return
    colour = "var(--wrong)" if c.is_wrong else "var(--right)"
    share = c.n / of
    full = share > 0.5  # where ink stops being readable
    strength = 0.08 + 0.92 * share**0.5
    yield group(
        rect(*box, "var(--surface)"),
        rect(*box, colour, fill_opacity=strength),
        words(
            x + width / 2,
            y + height / 2 + 4,
            f"{c.n:,}",
            text_anchor="middle",
            fill="var(--surface)" if full else "var(--ink)",
        ),
        title=f"the model said {c.predicted_class}, people said {c.label}: {c.n:,} of {of:,} ({share:.0%})",
    )


def _pairs(found: Sequence[Confusion], shown: Sequence[Confusion]) -> Drawing:
    said = _said(found)
    names = [f"{c.predicted_class} › {c.label}" for c in shown]
    left = min(2 * _WIDEST_NAME, max(map(width_of, names))) + 14
    most = max(c.n for c in shown)
    x = Scale(0, most, left, WIDTH - 90)
    bottom = _ROW * len(shown) + 22
    inside = [words(0, 12, "the model said › people said", fill="var(--muted)")]
    inside += bottom_axis(x, {at: f"{at:,}" for at in whole_ticks(most)}, y=bottom, title="labels")
    for i, (c, name) in enumerate(zip(shown, names, strict=True)):
        y = 20 + _ROW * (i + 0.5)
        of = f"{c.n:,} of {said[c.predicted_class]:,}"
        inside.append(
            group(
                words(left - 10, y + 4, fitted(name, left - 12), text_anchor="end"),
                rect(left, y - 7, x(c.n) - left, 14, "var(--wrong)"),
                words(x(c.n) + 7, y + 4, of),
                title=f"the model said {c.predicted_class}, people said {c.label}: {of}",
            )
        )
    return Drawing(width=WIDTH, height=bottom + 44, inside=tuple(inside))
