"""Scales from numbers to pixels, and the axes and legends beside them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log

from markupsafe import Markup

from labelloop.charts.svg import line, rect, width_of, words


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from `low` to `high` -> pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    by_log: bool = False

    def __call__(self, value: float) -> float:
        """Where a number stands."""
        low, high, at = self.low, self.high, value
        if self.by_log:
            low, high, at = log(low), log(high), log(at)
        return self.start + (self.end - self.start) * (at - low) / (high - low)


def accuracy_domain(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """The part of [0, 1] that a scale shows: whole tenths around the intervals, 20 points at least.

    >>> accuracy_domain([0.87], [0.93])
    (0.8, 1.0)
    """
    low = int(10 * min(lows, default=0.0)) / 10
    high = min(1.0, ceil(10 * max(highs, default=1.0) - 1e-9) / 10)
    while high - low < 0.2 - 1e-9:
        high, low = (high + 0.1, low) if high < 1 else (high, low - 0.1)
    return max(0.0, round(low, 1)), min(1.0, round(high, 1))


def ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round numbers between two, no more than `most` and one.

    >>> ticks(0.7, 1.0), ticks(0, 730), ticks(0, 0.7, most=3)
    ([0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0], [0.0, 200.0, 400.0, 600.0], [0.0, 0.25, 0.5])
    """
    steps = (10.0**power * times for power in range(-4, 9) for times in (1, 2, 2.5, 5))
    step = next(step for step in steps if (high - low) / step <= most + 1e-9)
    first = ceil(low / step - 1e-9)
    count = int((high - first * step) / step + 1e-9) + 1
    return [round((first + i) * step, 10) for i in range(count)]


def whole_ticks(most: float, *, count: int = 5) -> list[int]:
    """Whole numbers from 0 to `most`, about `count` steps of 1, 2 or 5 times a power of ten.

    >>> whole_ticks(1, count=4), whole_ticks(730, count=4)
    ([0, 1], [0, 200, 400, 600])
    """
    step = 1
    while step * count < most:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, int(most) + 1, step))


def left_axis(
    scale: Scale, labels: Mapping[float, str], *, x: float, to: float, title: str
) -> Iterator[Markup]:
    """Lines across the picture, each with its label, and what they count above them."""
    for at, label in labels.items():
        yield line(x, scale(at), to, scale(at), "grid")
        yield words(x - 8, scale(at) + 4, label, text_anchor="end", fill="var(--muted)")
    if title:
        top = min(scale.start, scale.end)
        yield words(0, top - 12, title, fill="var(--muted)")


def bottom_axis(
    scale: Scale, labels: Mapping[float, str], *, y: float, title: str = ""
) -> Iterator[Markup]:
    """A line with labels below it, and what they are, centred."""
    yield line(scale.start, y, scale.end, y, "grid")
    for at, label in labels.items():
        yield line(scale(at), y, scale(at), y + 5, "grid")
        yield words(scale(at), y + 18, label, text_anchor="middle", fill="var(--muted)")
    if title:
        middle = (scale.start + scale.end) / 2
        yield words(middle, y + 36, title, text_anchor="middle", fill="var(--muted)")


def thinned(names: Mapping[float, str], scale: Scale) -> dict[float, str]:
    """As many names as have room side by side, from the last one on, which is always among them."""
    room = max(map(width_of, names.values()), default=0) + 14
    kept: dict[float, str] = {}
    for at in sorted(names, reverse=True):
        if not kept or scale(min(kept)) - scale(at) >= room:
            kept[at] = names[at]
    return kept


def legend(
    colours: Mapping[str, str], *, x: float, to: float, y: float
) -> tuple[list[Markup], float]:
    """Squares of colour with their names, in as many lines as they need; and the height of all."""
    shown: list[Markup] = []
    at, top = x, y
    for name, colour in colours.items():
        width = 18 + width_of(name) + 18
        if at + width > to + 18 and at > x:
            at, top = x, top + 20
        shown += [rect(at, top, 11, 11, colour, rx=2), words(at + 17, top + 10, name)]
        at += width
    return shown, top + 20 - y
