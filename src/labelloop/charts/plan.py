"""Labels against the width of the interval that they lead to."""

import altair as alt

from labelloop.charts.picture import Chart, Picture, Row, data, layered
from labelloop.charts.theme import WIDTH, Theme
from labelloop.core.estimate import Undefined
from labelloop.views.plan import Plan
from labelloop.views.quality import Quality
from labelloop.views.wording import counted, percent, within

_ENDLESS = "random sample of endless traffic"
_UNIFORM = "uniform draw of a round"
_UNCERTAINTY = "uncertainty draw of a round"
_AT_WORST = "uncertainty draw, if the risk tells nothing"
_TICKS = (30, 50, 100, 200, 500, 1_000, 2_000, 5_000)


def of_report(q: Quality, theme: Theme) -> Picture:
    """The picture of a report's plan."""
    return labels_and_width(q.plan, theme)


def labels_and_width(plan: Plan, theme: Theme) -> Picture:
    """Half the width of the interval by the number of labels, drawn one way and the other."""
    name, title = "labels-and-width", "How many labels for how narrow an interval?"
    if len(plan.expected) < 2:
        says = f"Nothing to show: a round has {plan.n_traffic:,} inputs. Label them all: no doubt is left."
        return Picture(name=name, title=title, says=says, chart=None)
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
    return Picture(
        name=name,
        title=title,
        says=says.strip(),
        chart=_chart(plan, theme),
    )


def _bought(plan: Plan) -> str:
    """What the budget buys, in a sentence."""
    b = plan.budget
    if b is None:
        return ""
    says = f"The {counted(b.labels, 'label')} a round of {b.queue} buy {within(b.uniform)} drawn uniformly"
    if isinstance(b.uncertainty, Undefined):
        return f"{says}. What uncertainty draws would buy isn't known: {b.uncertainty.reason}."
    return (
        f"{says}, and {within(b.uncertainty)} by uncertainty ({within(b.at_worst)} if the risk tells "
        "nothing)."
    )


def _chart(plan: Plan, theme: Theme) -> Chart:
    rows = _rows(plan)
    shown = [
        k for k in (_ENDLESS, _UNIFORM, _UNCERTAINTY, _AT_WORST) if any(r["by"] == k for r in rows)
    ]
    colours = {
        _ENDLESS: theme.muted,
        _UNIFORM: theme.right,
        _UNCERTAINTY: theme.wrong,
        _AT_WORST: theme.wrong,
    }
    dashes = {_ENDLESS: [2, 3], _UNIFORM: [1, 0], _UNCERTAINTY: [1, 0], _AT_WORST: [6, 4]}
    low, high = plan.expected[0].labels, plan.expected[-1].labels
    x = alt.X(
        "labels:Q",
        scale=alt.Scale(type="log", domain=[low, max(high, 2 * low)], nice=False),
        axis=alt.Axis(title="labels", format=",d", values=list(_TICKS), grid=False),
    )
    widest = max(float(r["width"]) for r in rows)
    scale = alt.Scale(domain=[0, widest * 1.05], nice=False)
    y = alt.Y(
        "width:Q",
        scale=scale,
        axis=alt.Axis(title="points on either side", tickCount=6),
    )
    legend = alt.Legend(
        title=None,
        orient="top",
        symbolType="stroke",
        symbolSize=300,
        columns=2,
        labelLimit=0,
    )
    lines = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "by:N",
                scale=alt.Scale(domain=shown, range=[colours[k] for k in shown]),
                legend=legend,
            ),
            strokeDash=alt.StrokeDash(
                "by:N",
                scale=alt.Scale(domain=shown, range=[dashes[k] for k in shown]),
                legend=legend,
            ),
        )
    )
    return layered(lines, *_budget(plan, x, theme), width=WIDTH, height=260)


def _rows(plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for e in plan.expected:
        known = plan.round is not None
        widths = {
            _UNIFORM: e.uniform,
            _UNCERTAINTY: e.uncertainty,
            _AT_WORST: e.at_worst,
        }
        if not known:
            widths = {_ENDLESS: e.random_sample}
        rows += [
            {"labels": e.labels, "by": by, "width": 100 * width}
            for by, width in widths.items()
            if not isinstance(width, Undefined)
        ]
    return rows


def _budget(plan: Plan, x: alt.X, theme: Theme) -> list[alt.Chart]:
    """A line at the budget, where it lies inside the picture."""
    b = plan.budget
    if b is None or not plan.expected[0].labels <= b.labels <= plan.expected[-1].labels:
        return []
    base = alt.Chart(data([{"labels": b.labels, "text": f"budget {b.labels:,}"}])).encode(x=x)
    return [
        base.mark_rule(color=theme.muted, strokeDash=[4, 4]),
        base.mark_text(align="left", dx=6, color=theme.ink).encode(y=alt.value(8), text="text:N"),
    ]
