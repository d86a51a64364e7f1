"""plan: how many labels for how narrow an interval."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.files import need_png, write_file
from labelloop.cli.screen import print_tables, wrapped

if TYPE_CHECKING:
    from labelloop.views.plan import Plan


@click.command(name="plan")
@click.option(
    "--half-width",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="Half the width of the interval that you want; 0.02 is 2 points. [default: several]",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one page with the chart and the numbers, which needs no network to open.",
)
@click.option(
    "--png",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the picture as a PNG file.",
)
@with_config
def command(
    config: Path, as_json: bool, half_width: float | None, html: Path | None, png: Path | None
) -> None:
    """Say how many blind labels an accuracy estimate of a given precision needs.

    It uses the newest accuracy and the traffic of the newest round. --html and --png write a chart of
    labels against precision instead. --png needs the extra `report`:
    pip install 'labelloop[report]'
    """
    if png:
        need_png("plan")
    with opened(config, quiet=as_json, parse_conditions=False) as loop:
        plan = loop.plan(half_width)
        project = loop.settings.project.name
    if as_json:
        print_json("plan", plan)
    elif not (html or png):
        _print(plan)
    if html:
        from labelloop.pages.plan import plan_page

        write_file(html, plan_page(plan, project).encode("utf-8", "replace"))
    if png:
        from labelloop.charts import picture
        from labelloop.charts.plan import labels_and_width

        write_file(png, picture.png(labels_and_width(plan)))
    for path in (html, png) if not as_json else ():
        if path:
            click.echo(f"written: {path}")


def _print(plan: "Plan") -> None:
    from labelloop.views.sentences import assumptions, starting_point
    from labelloop.views.tables.plan import needs

    for text in starting_point(plan):
        click.echo(wrapped(text, 0))
    print_tables([needs(plan)])
    for text in assumptions(plan):
        click.echo(wrapped(text, 0))
