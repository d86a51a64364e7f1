"""status: what waits for whom."""

from pathlib import Path

import click

from labelloop.cli import render
from labelloop.cli.common import opened, print_json, with_config


@click.command(name="status")
@click.option("--rejected", is_flag=True, help="List the rows that were set aside, and why.")
@with_config
def command(config: Path, as_json: bool, rejected: bool) -> None:
    """What waits for whom, and what was set aside."""
    with opened(config, quiet=as_json) as loop:
        if rejected:
            rows = loop.rejected()
            if as_json:
                print_json(rows)
            elif not rows:
                click.echo("nothing is set aside")
            for row in rows if not as_json else ():
                value = f" = {row.value}" if row.value else ""
                when = f"{row.first_seen_at:%Y-%m-%d %H:%M}"
                click.echo(render.plain(f"{when}  {row.uri}  {row.reason}{value}"))
            return
        status = loop.status()
        if as_json:
            print_json(status)
            return
        timezone = loop.settings.project.timezone
        if status.due_at is None:
            click.echo("no round yet: the first `labelloop run` draws one")
        else:
            due = "due now" if status.due else f"due {render.moment(status.due_at, timezone)}"
            click.echo(f"round {status.last_round} is the newest; the next is {due}")
        if status.queues or status.n_rejected:
            render.print_tables(render.status_tables(status, timezone))
        for stray in status.strays:
            click.echo(f"answer that is no class: {stray.value!r} by {stray.annotator}")
