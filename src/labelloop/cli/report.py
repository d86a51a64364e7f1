"""report: the numbers as text, JSON, one HTML file, or pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.files import need_png, write_file
from labelloop.cli.screen import print_tables, wrapped

if TYPE_CHECKING:
    from labelloop.views.quality import Quality


@click.command(name="report")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one page with charts and tables, which needs no network to open.",
)
@click.option(
    "--png",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write each chart as a PNG file.",
)
@with_config
def command(config: Path, as_json: bool, html: Path | None, png: Path | None) -> None:
    """Show how good the model is, over time and by class, and the datasets made so far.

    It prints the numbers. --html and --png write charts instead. --png needs the extra `report`:
    pip install 'labelloop[report]'
    """
    if png:
        need_png("report")
    with opened(config, quiet=as_json, parse_conditions=False) as loop:
        quality = loop.report()
    if as_json:
        print_json("report", quality)
    elif not (html or png):
        _print(quality)
    written = [
        *(_write_page(quality, html) if html else ()),
        *(_write_pictures(quality, png) if png else ()),
    ]
    for said in written if not as_json else ():
        click.echo(said)


def _print(quality: "Quality") -> None:
    from labelloop.views.people import rests_on
    from labelloop.views.sentences import (
        calibration_error,
        harder_or_not,
        mean_cost,
        over_time,
        summary,
        worse_slices,
        worst_case,
    )
    from labelloop.views.tables.accuracy import of_report

    said = [
        summary(quality),
        worst_case(quality),
        rests_on(quality.measured),
        mean_cost(quality.measured),
    ]
    more = (
        *over_time(quality.measured.trend, quality.timezone),
        calibration_error(quality),
        *harder_or_not(quality.measured.harder),
        worse_slices(quality.measured.worst_slices),
    )
    for text in (*said, *more):
        if text:
            click.echo(wrapped(text, 0))
    print_tables(of_report(quality))


def _write_page(quality: "Quality", path: Path) -> list[str]:
    from labelloop.pages.report import page

    write_file(path, page(quality).encode("utf-8", "replace"))
    return [f"written: {path}"]


def _write_pictures(quality: "Quality", folder: Path) -> list[str]:
    from labelloop.charts.picture import png
    from labelloop.charts.report import pictures

    said: list[str] = []
    for picture in pictures(quality):
        path = folder / f"{picture.name}.png"
        if picture.drawing is None:
            said.append(f"not drawn: {picture.name}. {picture.says}")
            continue
        write_file(path, png(picture))
        said.append(f"written: {path}")
    return said
