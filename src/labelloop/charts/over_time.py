"""Accuracy over time, by day and by round, with the model versions that served."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from labelloop.charts.axes import (
    Scale,
    accuracy_domain,
    bottom_axis,
    left_axis,
    thinned,
    ticks,
)
from labelloop.charts.picture import Picture
from labelloop.charts.svg import Drawing, fitted, group, line, path, rect, tag, words
from labelloop.charts.theme import WIDTH
from labelloop.core.estimate import Estimate, Undefined
from labelloop.measuring.trend import Trend
from labelloop.views.quality import Period, Quality
from labelloop.views.wording import counted, day, estimated, models, percent, points

_DIRECT = 8
"""Periods up to which each point carries its number; with more, the last one does."""
_COUNTED = 16
"""Periods up to which the count of labels stands below each."""
_CROWDED = 31
"""Periods beyond which points and bars are drawn fainter."""
_LONGEST_GAP, _CUT_TO = 14, 4
"""Days without traffic that a gap shows; of a longer one, so many are left and the axis is broken."""
_LEFT, _RIGHT, _TOP, _HEIGHT = 54, 52, 30, 230


@dataclass(frozen=True, slots=True)
class _Place:
    """A period on the axis; `cut`: the axis is broken before it."""

    at: int
    name: str
    period: Period
    cut: bool = False


@dataclass(frozen=True, slots=True)
class _Point:
    """A period with its number."""

    place: _Place
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class _Week:
    """The mean of a model's weeks so far, over the rounds of one week."""

    at: float
    to: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Fall:
    """Where a sure fall began, and how far it reaches at least."""

    at: float
    says: str


def by_day(q: Quality) -> Picture:
    """Accuracy day by day; a day without traffic leaves a gap."""
    return _picture("accuracy-by-day", "Accuracy by day", "day", _days(q.days))


def by_round(q: Quality) -> Picture:
    """Accuracy round by round."""
    places = [_Place(i, f"{p.number}", p) for i, p in enumerate(q.rounds)]
    trend = q.measured.trend
    return _picture(
        "accuracy-by-round",
        "Accuracy by round",
        "round",
        places,
        weeks=_weeks(trend, places),
        fall=_fall(trend, places),
    )


def _days(periods: Sequence[Period]) -> list[_Place]:
    """Each day in its distance from the one before, so long as that isn't years."""
    found: list[_Place] = []
    days = [(p, p.day) for p in periods if p.day is not None]
    years = len({each.year for _, each in days}) > 1
    before, at = None, 0
    for p, each in days:
        gap = 0 if before is None else (each - before).days
        cut = gap > _LONGEST_GAP
        at += _CUT_TO if cut else gap
        name = f"{day(each)} {each.year}" if years else day(each)
        found.append(_Place(at, name, p, cut))
        before = each
    return found


def _weeks(trend: Trend, places: Sequence[_Place]) -> list[_Week]:
    at = {p.period.number: p.at for p in places}
    found: list[_Week] = []
    for m in trend.means:
        own = [at[number] for number in m.rounds if number in at]
        if own:
            found.append(_Week(min(own) - 0.5, max(own) + 0.5, m.mean, m.low, m.high))
    return found


def _fall(trend: Trend, places: Sequence[_Place]) -> _Fall | None:
    if trend.alarm is None:
        return None
    since = [p.at for p in places if p.period.number in trend.alarm.rounds]
    if not since:
        return None
    return _Fall(min(since) - 0.5, f"fallen by more than {points(trend.alarm.drop.bound)}")


def _picture(
    name: str,
    title: str,
    unit: str,
    places: Sequence[_Place],
    *,
    weeks: Sequence[_Week] = (),
    fall: _Fall | None = None,
) -> Picture:
    of_all = [(p, p.period.accuracy.estimate) for p in places]
    known = [_Point(p, e) for p, e in of_all if isinstance(e, Estimate)]
    if not known:
        reasons = {e.reason for _, e in of_all if isinstance(e, Undefined)}
        why = ", ".join(sorted(reasons)) or "no round has been drawn yet"
        return Picture(name=name, title=title, says=f"Nothing to show: {why}.", drawing=None)
    last = known[-1]
    says = (
        "The points are the share of predictions that were right, the bars and the band their "
        f"{last.estimate.level:.0%} intervals: a change smaller than the band may be chance. "
        f"Last: {_named(unit, last.place.name)}, {estimated(last.estimate)}."
    )
    counts = [k.estimate.n for k in known]
    if len(places) > _COUNTED:
        says += f" Each {unit} has {min(counts):,} to {counted(max(counts), 'label')}."
    if len(known) < len(places):
        says += f" A gap is a {unit} without a blind label."
    if any(p.cut for p in places):
        says += " Where the axis is broken, weeks without traffic are left out."
    if weeks:
        says += (
            " Grey boxes, a week each: the mean of the model's weeks so far, in bounds that hold at every "
            "look, where a single interval does not."
        )
    if fall:
        says += " From the dashed line on, the accuracy has surely fallen."
    return Picture(
        name=name, title=title, says=says, drawing=_drawing(unit, places, known, weeks, fall)
    )


def _named(unit: str, name: str) -> str:
    return f"round {name}" if unit == "round" else name


def _drawing(
    unit: str,
    places: Sequence[_Place],
    known: Sequence[_Point],
    weeks: Sequence[_Week],
    fall: _Fall | None,
) -> Drawing:
    room = 0.5 if len(places) > 1 else 1.0
    x = Scale(places[0].at - room, places[-1].at + room, _LEFT, WIDTH - _RIGHT)
    low, high = accuracy_domain(
        [*(k.estimate.low for k in known), *(w.low for w in weeks)],
        [*(k.estimate.high for k in known), *(w.high for w in weeks)],
    )
    y = Scale(low, high, _TOP + _HEIGHT, _TOP)
    below = y.start
    names = thinned({p.at: p.name for p in places}, x)
    strip = below + (48 if unit == "round" else 30)
    inside = [
        *left_axis(
            y,
            {at: f"{at:.0%}" for at in ticks(low, high)},
            x=x.start,
            to=x.end,
            title="share right",
        ),
        *bottom_axis(x, names, y=below, title=unit if unit == "round" else ""),
        *_breaks(places, x, below),
        *_boxes(weeks, x, y),
        *_line(known, x, y, crowded=len(places) > _CROWDED),
        *_said(known, x, y, direct=len(places) <= _DIRECT),
        *(_fallen(fall, x) if fall else ()),
        *_strip(places, x, strip),
    ]
    height = strip + 22
    if len(places) <= _COUNTED:
        inside.append(_beside(x.start, height, "labels"))
        for p in places:
            n = f"{p.period.accuracy.n_labelled:,}"
            inside.append(words(x(p.at), height + 15, n, text_anchor="middle", fill="var(--muted)"))
        height += 22
    inside += _hovered(unit, places, x)
    return Drawing(width=WIDTH, height=height, inside=tuple(inside))


def _beside(x: float, top: float, said: str) -> Markup:
    """What a strip shows, to the left of it."""
    return words(x - 8, top + 15, said, text_anchor="end", fill="var(--muted)")


def _segments(known: Sequence[_Point]) -> Iterator[list[_Point]]:
    """Runs without a gap."""
    run: list[_Point] = []
    for k in known:
        if run and (k.place.cut or k.place.at != run[-1].place.at + 1):
            yield run
            run = []
        run.append(k)
    yield run


def _line(known: Sequence[_Point], x: Scale, y: Scale, *, crowded: bool) -> Iterator[Markup]:
    for run in _segments(known):
        upper = [(x(k.place.at), y(k.estimate.high)) for k in run]
        lower = [(x(k.place.at), y(k.estimate.low)) for k in run]
        if len(run) > 1:
            yield path([*upper, *lower[::-1]], fill="var(--right)", fill_opacity=0.16)
        for k in run:
            yield line(
                x(k.place.at),
                y(k.estimate.low),
                x(k.place.at),
                y(k.estimate.high),
                "right",
                stroke_width=1 if crowded else 1.5,
                stroke_opacity=0.45 if crowded else 0.8,
            )
        middle = [(x(k.place.at), y(k.estimate.value)) for k in run]
        yield path(middle, fill="none", stroke="var(--right)", stroke_width=2)
        for cx, cy in middle:
            yield tag("circle", cx=cx, cy=cy, r=2.6 if crowded else 4, fill="var(--right)")


def _said(known: Sequence[_Point], x: Scale, y: Scale, *, direct: bool) -> Iterator[Markup]:
    """Numbers beside points, on the side that the line leaves free."""
    for k, after in zip(known, [*known[1:], None], strict=True):
        if after is None or direct:
            rises = after is not None and after.estimate.value > k.estimate.value
            aside = 4 if after is None else 17 if rises else -8
            yield words(
                x(k.place.at) + 8,
                y(k.estimate.value) + aside,
                percent(k.estimate.value),
                halo=True,
                font_weight="bold",
            )


def _boxes(weeks: Sequence[_Week], x: Scale, y: Scale) -> Iterator[Markup]:
    """The mean so far in its bounds, a box a week."""
    for w in weeks:
        left, width = x(w.at), x(w.to) - x(w.at)
        yield rect(left, y(w.high), width, y(w.low) - y(w.high), "var(--muted)", fill_opacity=0.2)
        yield line(left, y(w.mean), left + width, y(w.mean), "muted", stroke_width=2)


def _fallen(fall: _Fall, x: Scale) -> Iterator[Markup]:
    """A line where a sure fall began."""
    at = x(fall.at)
    on_left = at > (x.start + x.end) / 2
    yield line(at, _TOP, at, _TOP + _HEIGHT, "wrong", stroke_width=1.5, stroke_dasharray="5 4")
    yield words(
        at + (-6 if on_left else 6),
        _TOP + 14,
        fall.says,
        halo=True,
        fill="var(--wrong)",
        font_weight="bold",
        text_anchor="end" if on_left else "start",
    )


def _breaks(places: Sequence[_Place], x: Scale, y: float) -> Iterator[Markup]:
    """Two strokes through the axis where weeks are left out."""
    for p in places:
        if p.cut:
            at = x(p.at - _CUT_TO / 2)
            yield rect(at - 4, y - 6, 8, 12, "var(--surface)")
            for side in (-4, 4):
                yield line(at + side - 3, y + 6, at + side + 3, y - 6, "muted", stroke_width=1.5)


def _strip(places: Sequence[_Place], x: Scale, top: float) -> Iterator[Markup]:
    """Boxes that change colour where the models change, with their names where they fit."""
    yield _beside(x.start, top, "model")
    runs: list[tuple[int, int, str, int]] = []
    for p in places:
        served = " + ".join(sorted(s.model for s in p.period.models)) or "-"
        start, end, before, colour = runs[-1] if runs else (p.at, p.at, served, 1)
        if runs and before == served and end + 1 == p.at:
            runs[-1] = (start, p.at, served, colour)
        else:
            runs.append((p.at, p.at, served, colour if before == served else 3 - colour))
    for start, end, served, colour in runs:
        left, width = x(start - 0.5), x(end + 0.5) - x(start - 0.5)
        box = rect(left, top, width, 21, f"var(--strip{colour})", stroke="var(--surface)")
        name = words(left + width / 2, top + 15, fitted(served, width - 8), text_anchor="middle")
        yield group(box, name, title=served)


def _hovered(unit: str, places: Sequence[_Place], x: Scale) -> Iterator[Markup]:
    """A column a period that nobody sees, with what it says under the pointer."""
    width = x(1) - x(0)
    for p in places:
        said = f"{_named(unit, p.name)}: {estimated(p.period.accuracy.estimate)}"
        served = models(p.period.models)
        yield group(
            rect(x(p.at) - width / 2, _TOP, width, _HEIGHT, "transparent"),
            title=f"{said}; {served}",
        )
