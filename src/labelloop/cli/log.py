"""log: the prediction log as it lies on the disk or in a bucket."""

from pathlib import Path

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.screen import wrapped


@click.group(name="log")
def command() -> None:
    """Tidy the prediction log, so that reading it stays fast."""


@command.command("maintain")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and write nothing.")
@with_config
def maintain(config: Path, as_json: bool, dry_run: bool) -> None:
    """Merge small files of past days, and delete unused files.

    It deletes the log's old snapshots too. The content stays the same, and other processes can read
    meanwhile. `labelloop run` does this by itself when it is due.
    """
    with opened(config, quiet=as_json) as loop:
        done = loop.maintain(dry_run=dry_run)
    if as_json:
        print_json("maintain", done)
    else:
        from labelloop.views.verbs import upkeep_line

        click.echo(wrapped(upkeep_line(done), 0))
