"""datasets: list, show and export versions."""

import json
from collections import Counter
from pathlib import Path

import click

from labelloop.cli import render
from labelloop.cli.common import name_and_version, opened, print_json, with_config


@click.group(name="datasets")
def command() -> None:
    """List, show and export dataset versions. NAME is `training`, or `training@3` for version 3."""


@command.command("list")
@with_config
def list_versions(config: Path, as_json: bool) -> None:
    """Every released version."""
    with opened(config, quiet=as_json) as loop:
        versions = loop.datasets()
        if as_json:
            print_json(versions)
            return
        if not versions:
            click.echo("no version yet: `labelloop build` releases one when there are labels")
            return
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD)
        for name in ("dataset", "version", "human", "model", "made", "content hash"):
            table.add_column(name, justify="right" if name in {"human", "model"} else "left")
        for v in versions:
            made = render.moment(v.created_at, loop.settings.project.timezone)
            counts = (f"{v.n_human:,}", f"{v.n_model:,}")
            table.add_row(v.name, f"v{v.version}", *counts, made, v.content_hash[:12])
        render.print_tables([table])


@command.command("show")
@click.argument("name")
@with_config
def show(config: Path, as_json: bool, name: str) -> None:
    """One version: where it lies, what it holds, what is promised."""
    from labelloop.exports import manifest

    with opened(config, quiet=as_json) as loop:
        version = loop.dataset(*name_and_version(name))
        described = json.loads((Path(version.uri) / "dataset.json").read_text(encoding="utf-8"))
        by_label = Counter(row.label for row in manifest.rows(version))
        if as_json:
            print_json({**described, "uri": version.uri, "by_label": dict(by_label)})
            return
        click.echo(f"{version.name} v{version.version} in {version.uri}")
        click.echo(f"content hash {version.content_hash}")
        click.echo(
            f"{version.n_human:,} labels by people, {version.n_model:,} by the model "
            f"({version.n_certified:,} certified)"
        )
        if "guarantee" in described:
            click.echo(f"model labels: {described['guarantee']}")
        for label, n in sorted(by_label.items()):
            click.echo(f"  {n:>9,}  {label}")


@command.command("export")
@click.argument("name")
@click.option(
    "--to", "to", type=click.Choice(["imagefolder", "csv"]), required=True, help="The format."
)
@click.option(
    "--target",
    type=click.Path(path_type=Path),
    help="The folder or file to write; NAME-vN here where left out.",
)
@with_config
def export(config: Path, as_json: bool, name: str, to: str, target: Path | None) -> None:
    """Write a version as a folder of images by class, or as a CSV file."""
    with opened(config, quiet=as_json) as loop:
        version = loop.dataset(*name_and_version(name))
        place = target or Path(
            f"{version.name}-v{version.version}" + (".csv" if to == "csv" else "")
        )
        done = loop.export(version, to, place)
        if as_json:
            print_json({"target": str(place), "exported": done})
        elif isinstance(done, int):
            click.echo(f"{done:,} rows in {place}")
        else:
            click.echo(
                f"{done.n_written:,} images written to {place}, {done.n_there:,} there already"
            )
            if done.n_gone:
                click.echo(f"{done.n_gone:,} samples have no object in the store any more")
