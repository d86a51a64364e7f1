"""What the training set consists of, and what became of the labels that were asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from labelloop.charts.axes import Scale, bottom_axis, left_axis, legend, thinned, whole_ticks
from labelloop.charts.picture import Picture
from labelloop.charts.svg import Drawing, group, rect, words
from labelloop.charts.theme import N_PARTS, WIDTH, part
from labelloop.core.queue import Purpose
from labelloop.measuring.round_labels import QueueLabels
from labelloop.views.quality import Quality
from labelloop.views.training import TrainingVersion
from labelloop.views.wording import counted

_COUNTED = 14
"""Bars up to which each carries its total."""
_LEFT, _HEIGHT = 54, 170
_OTHER, _UNKNOWN = "other queues", "queue not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bars:
    """Bars with their parts, the lowest first; `colours` in the order of the legend.

    of, counts
        what a bar is, and what it counts, in words
    """

    of: str
    counts: str
    names: Sequence[str]
    parts: Sequence[Mapping[str, int]]
    colours: Mapping[str, str]


def training(q: Quality) -> Picture:
    """People's labels by queue and the model's, over the versions of the training set."""
    name, title = "training-set", "What the training set consists of"
    if not q.training:
        says = "Nothing to show: no version of the training set has been released yet."
        return Picture(name=name, title=title, says=says, drawing=None)
    last = q.training[-1]
    says = (
        f"Each bar is a released version. The newest, v{last.version}, holds {last.n_human:,} labels by "
        f"people and {last.n_model:,} by the model"
    )
    says += f" ({last.guarantee})." if last.guarantee and last.n_model else "."
    parts = [_by_people(q.training)]
    if any(v.n_model for v in q.training):
        says += " The two parts have scales of their own."
        parts.append(_by_model(q.training))
    return Picture(name=name, title=title, says=says, drawing=_stacked(parts))


def _by_people(versions: Sequence[TrainingVersion]) -> _Bars:
    totals: Counter[str] = Counter()
    for v in versions:
        totals.update(v.human_by_queue or {})
    named = [queue for queue, _ in totals.most_common(N_PARTS)]
    if len(totals) > N_PARTS:
        named = named[:-1]
    colours = {queue: part(i) for i, queue in enumerate(named)}
    if len(totals) > len(named):
        colours[_OTHER] = "var(--other)"
    if any(v.human_by_queue is None for v in versions):
        colours[_UNKNOWN] = "var(--grid)"
    found: list[Counter[str]] = []
    for v in versions:
        counts: Counter[str] = Counter()
        if v.human_by_queue is None:
            counts[_UNKNOWN] = v.n_human
        for queue, n in (v.human_by_queue or {}).items():
            counts[queue if queue in named else _OTHER] += n
        found.append(counts)
    return _Bars(
        of="version",
        counts="labels by people",
        names=[f"v{v.version}" for v in versions],
        parts=found,
        colours=colours,
    )


def _by_model(versions: Sequence[TrainingVersion]) -> _Bars:
    kept, rest = "the model, guaranteed", "the model, no guarantee"
    return _Bars(
        of="version",
        counts="labels by the model",
        names=[f"v{v.version}" for v in versions],
        parts=[{kept: v.n_certified, rest: v.n_model - v.n_certified} for v in versions],
        colours={kept: part(3), rest: "var(--other)"},
    )


_PARTS = {
    "answered, evaluation": part(0),
    "answered, training": part(2),
    "skipped or lost": part(3),
    "open": "var(--other)",
}


def asked(q: Quality) -> Picture:
    """Labels asked for in each round, by what became of them."""
    name, title = "labels", "Labels asked for, and answered"
    every = [queue for r in q.labels for queue in r.queues]
    if not every:
        says = "Nothing to show: no round has drawn anything yet."
        return Picture(name=name, title=title, says=says, drawing=None)
    n_asked = sum(queue.n_asked for queue in every)
    n_answered = sum(queue.n_answered for queue in every)
    n_open = sum(queue.n_open for queue in every)
    says = (
        f"Of {counted(n_asked, 'label')} asked for, {n_answered:,} are answered "
        f"({n_answered / n_asked:.0%}) and {n_open:,} are open. Evaluation labels measure the model, "
        "training labels teach the next one."
    )
    bars = _Bars(
        of="round",
        counts="labels",
        names=[f"{r.round}" for r in q.labels],
        parts=[_became(r.queues) for r in q.labels],
        colours=_PARTS,
    )
    return Picture(name=name, title=title, says=says, drawing=_stacked([bars]))


def _became(queues: Sequence[QueueLabels]) -> dict[str, int]:
    counts = dict.fromkeys(_PARTS, 0)
    for queue in queues:
        blind = queue.purpose is Purpose.EVALUATION
        counts["answered, evaluation" if blind else "answered, training"] += queue.n_answered
        counts["skipped or lost"] += queue.n_skipped
        counts["open"] += queue.n_open
    return counts


def _stacked(panels: Sequence[_Bars]) -> Drawing:
    """Panels of bars below each other; the lowest says what a bar is."""
    inside: list[Markup] = []
    top = 0.0
    for panel in panels:
        last = panel is panels[-1]
        drawn, height = _panel(panel, top, title=panel.of if last else "")
        inside += drawn
        top += height
    return Drawing(width=WIDTH, height=top, inside=tuple(inside))


def _panel(bars: _Bars, top: float, *, title: str) -> tuple[list[Markup], float]:
    squares, height = legend(bars.colours, x=_LEFT, to=WIDTH, y=top + 2)
    if len(bars.colours) < 2:
        squares, height = [], 0
    top_of_bars = top + height + 28
    n = len(bars.names)
    wide = max(n, 4)
    edge = (wide - n) / 2
    x = Scale(-0.5 - edge, wide - 0.5 - edge, _LEFT, WIDTH - 4)
    totals = [sum(parts.values()) for parts in bars.parts]
    most = max(1, *totals)
    y = Scale(0, most, top_of_bars + _HEIGHT, top_of_bars)
    names = thinned(dict(enumerate(bars.names)), x)
    inside = [
        *squares,
        *left_axis(
            y, {at: f"{at:,}" for at in whole_ticks(most)}, x=x.start, to=x.end, title=bars.counts
        ),
        *bottom_axis(x, names, y=y.start, title=title),
    ]
    width = min(46.0, 0.76 * (x.end - x.start) / wide)
    for i, (parts, total) in enumerate(zip(bars.parts, totals, strict=True)):
        inside += _bar(bars, i, parts, x(i) - width / 2, width, y)
        if n <= _COUNTED:
            inside.append(words(x(i), y(total) - 6, f"{total:,}", text_anchor="middle"))
    return inside, y.start + (46 if title else 34) - top


def _bar(
    bars: _Bars, i: int, parts: Mapping[str, int], left: float, width: float, y: Scale
) -> list[Markup]:
    found: list[Markup] = []
    below = 0
    for name, colour in bars.colours.items():
        n = parts.get(name, 0)
        if n:
            box = rect(left, y(below + n), width, y(below) - y(below + n), colour)
            title = f"{bars.of} {bars.names[i]}, {name}: {counted(n, 'label')}"
            found.append(group(box, title=title))
            below += n
    return found
