"""plan: how many labels for how narrow an interval."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli import render
from labelloop.cli.common import opened, print_json, with_config
from labelloop.core.estimate import Estimate, Undefined

if TYPE_CHECKING:
    from rich.table import Table

    from labelloop.reports.plan import Plan


@click.command(name="plan")
@click.option(
    "--half-width",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="The interval wanted on either side of the accuracy, 0.02: 2 points. A few where left out.",
)
@with_config
def command(config: Path, as_json: bool, half_width: float | None) -> None:
    """How many blind labels an accuracy of a wanted precision needs.

    Reckons from the newest accuracy and the newest round's traffic. Writes nothing.
    """
    with opened(config, quiet=as_json) as loop:
        plan = loop.plan(half_width)
    if as_json:
        print_json(plan)
        return
    for text in _starting_point(plan):
        click.echo(text)
    render.print_tables([_table(plan)])
    for text in _assumptions(plan):
        click.echo(text)


def _starting_point(r: "Plan") -> list[str]:
    if r.accuracy is None or isinstance(r.accuracy.estimate, Undefined):
        lines = ["no accuracy is known yet: reckoned with 50%, where most labels are needed"]
    else:
        e = r.accuracy.estimate
        lines = [f"accuracy {render.interval(e)}, {e.n:,} blind labels, {r.accuracy.name}"]
    if r.round is None:
        lines.append("no round has drawn for evaluation yet: its traffic is unknown")
    else:
        lines.append(f"traffic {r.n_traffic:,} inputs a round, as in round {r.round}")
    return lines


def _table(r: "Plan") -> "Table":
    table = render.new_table(f"Blind labels needed, for {r.level:.0%} intervals", "at most")
    for name in (
        "random sample,\nendless traffic",
        "uniform,\none round",
        "uncertainty,\none round",
        "the same if the\nrisk tells nothing",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for need in r.needs:
        counts = (need.random_sample, need.uniform, need.uncertainty, need.at_worst)
        shown = ["-" if isinstance(n, Undefined) else f"{n:,}" for n in counts]
        table.add_row(_points(need.half_width), *shown)
    return table


def _assumptions(r: "Plan") -> list[str]:
    lines = []
    if r.budget is not None:
        b = r.budget
        parts = [f"{_points(b.uniform)} uniform"]
        if not isinstance(b.uncertainty, Undefined):
            parts.append(f"{_points(b.uncertainty)} by uncertainty")
        parts.append(f"{_points(b.at_worst)} by uncertainty if the risk tells nothing")
        lines.append(f"the {b.labels:,} labels a round of {b.queue!r} give {', '.join(parts)}")
    if r.round is not None:
        lines.append(
            "assumes that traffic and accuracy stay as they are, and every draw is answered"
        )
    for need in r.needs[:1]:
        if r.risk_rounds:
            n = len(r.risk_rounds)
            lines.append(f"the risk was learned from {n} round{'s' if n > 1 else ''}")
        elif isinstance(need.uncertainty, Undefined) and r.round is not None:
            lines.append(f"uncertainty: {need.uncertainty.reason}")
    if r.accuracy is not None and isinstance(r.accuracy.estimate, Estimate):
        lines.append(
            "a plan, no promise: in simulations intervals came out up to a fifth wider or narrower"
        )
    return lines


def _points(half_width: float) -> str:
    return f"±{100 * half_width:.3g} points"
