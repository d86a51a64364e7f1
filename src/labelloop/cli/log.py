"""log: the prediction log as it lies on the disk or in a bucket."""

from pathlib import Path

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.screen import wrapped


@click.group(name="log")
def command() -> None:
    """Keep the prediction log quick to ask."""


@command.command("maintain")
@click.option("--dry-run", is_flag=True, help="Show what there is to do, and write nothing.")
@with_config
def maintain(config: Path, as_json: bool, dry_run: bool) -> None:
    """Merge small files of closed days, let old versions go, remove files that nothing needs.

    No answer changes, and nobody who reads is disturbed. `labelloop run` does it when it is due.
    """
    with opened(config, quiet=as_json) as loop:
        done = loop.maintain(dry_run=dry_run)
    if as_json:
        print_json(done)
    else:
        from labelloop.views.verbs import upkeep_line

        click.echo(wrapped(upkeep_line(done), 0))
