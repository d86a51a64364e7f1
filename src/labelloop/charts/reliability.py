"""The reliability diagram: the model's confidence against how often it was right."""

from collections.abc import Sequence

from markupsafe import Markup

from labelloop.charts.axes import Scale, bottom_axis, left_axis, ticks
from labelloop.charts.picture import Picture
from labelloop.charts.svg import Drawing, group, line, path, rect, tag, words
from labelloop.core.estimate import Estimate
from labelloop.statistics.calibration import ConfidencePart
from labelloop.views.quality import Quality
from labelloop.views.sentences import calibration_error
from labelloop.views.wording import estimated, percent

_SIDE, _LEFT, _TOP = 400, 54, 30

_Shown = tuple[ConfidencePart, Estimate]


def reliability(q: Quality) -> Picture:
    """Parts by confidence with their intervals, beside the line where confidence keeps its word."""
    name, title = "reliability", "Can its confidence be believed? Rounds of the last 7 days"
    parts = q.calibrated.calibration.parts
    found = [(p, p.estimate) for p in parts if isinstance(p.estimate, Estimate)]
    if not found:
        why = "no labelled prediction of the last 7 days came with a confidence"
        return Picture(name=name, title=title, says=f"Nothing to show: {why}.", drawing=None)
    much = sum(b.off < 0 for b, _ in found)
    little = sum(b.off > 0 for b, _ in found)
    says = (
        f"{calibration_error(q)} Predictions are grouped by the confidence that the model gave, into parts "
        "of equal traffic where it differs enough. On the dashed line it is right as often as it claims; "
        f"below, it claims too much. Bars are {found[0][1].level:.0%} intervals. "
    )
    if much or little:
        claims = [f"too much in {much}"] if much else []
        claims += [f"too little in {little}"] if little else []
        says += (
            f"It claims {' and '.join(claims)} of {len(found)} parts, further off than their intervals "
            "reach; by chance alone 1 part in 20 is."
        )
    else:
        says += "In no part is it further off than the interval reaches."
    if q.calibrated.n_without:
        says += f" {q.calibrated.n_without:,} labelled predictions came without a confidence."
    return Picture(name=name, title=title, says=says, drawing=_drawing(found))


def _drawing(found: Sequence[_Shown]) -> Drawing:
    least = min(min(b.low, e.low) for b, e in found)
    start = min(0.8, int(10 * least) / 10)
    x = Scale(start, 1, _LEFT, _LEFT + _SIDE)
    y = Scale(start, 1, _TOP + _SIDE, _TOP)
    counts = [e.n for _, e in found]
    n = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    each = f"each point: {n} labels" if len(found) > 1 else f"{n} labels"
    shares = {at: f"{at:.0%}" for at in ticks(start, 1)}
    inside = [
        *left_axis(y, shares, x=x.start, to=x.end, title="share right"),
        *bottom_axis(x, shares, y=y.start, title=f"confidence ({each})"),
        _corner(x.start + 14, _TOP + 20, "claims too little", "start"),
        _corner(x.end - 14, y.start - 14, "claims too much", "end"),
        line(x.start, y.start, x.end, y.end, "muted", stroke_width=1.5, stroke_dasharray="5 4"),
    ]
    for b, e in found:
        colour = "wrong" if b.off else "right"
        at, right = x(b.mean_confidence), y(e.value)
        inside.append(
            group(
                rect(at - 12, y(e.high), 24, y(e.low) - y(e.high), "transparent"),
                line(
                    x(b.low), right, x(b.high), right, colour, stroke_width=5, stroke_opacity=0.25
                ),
                line(at, y(e.low), at, y(e.high), colour, stroke_width=1.5),
                _point(at, right, off=bool(b.off)),
                title=f"confidence {percent(b.mean_confidence)} on average: {estimated(e)} right",
            )
        )
    return Drawing(width=_LEFT + _SIDE + 24, height=_TOP + _SIDE + 44, inside=tuple(inside))


def _corner(x: float, y: float, said: str, anchor: str) -> Markup:
    return words(x, y, said, text_anchor=anchor, font_style="italic", fill="var(--muted)")


def _point(x: float, y: float, *, off: bool) -> Markup:
    """A circle, or where confidence is off a diamond: told apart without colours."""
    if not off:
        return tag("circle", cx=x, cy=y, r=5, fill="var(--right)")
    corners = [(x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y), (x, y - 7)]
    return path(corners, fill="var(--wrong)")
