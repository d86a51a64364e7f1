"""snapshot: links by which others see the report as it was at a moment, without an account."""

from pathlib import Path

import click

from labelloop.cli.common import opened, print_json, with_config, with_config_alone
from labelloop.cli.screen import print_tables
from labelloop.errors import ArgumentError
from labelloop.settings.values import duration

BY = "this machine"


@click.group(name="snapshot")
def command() -> None:
    """Let people without an account see the report as it is now, by a link that expires."""


@command.command(name="make")
@click.option("--expires", default="7 days", show_default=True, help="After how long it expires.")
@click.option("--note", default="", help="Whom or what it is for; only the list shows it.")
@with_config
def make(config: Path, as_json: bool, expires: str, note: str) -> None:
    """Print a link to the report as it is now. The link isn't shown again.

    Whoever has the link sees the numbers of this moment, without images, samples, people and slices.
    """
    try:
        lasts = duration(expires)
    except ValueError as exc:
        raise ArgumentError(f"--expires {expires!r}: {exc}", remedy="write '7 days'") from exc
    with opened(config, quiet=True, parse_conditions=False) as loop:
        made = loop.make_snapshot(lasts, note=note, by=BY)
    if as_json:
        print_json("snapshot", made)
    else:
        click.echo(made.url)


@command.command(name="list")
@with_config
def list_(config: Path, as_json: bool) -> None:
    """List the links. It shows who made each, when it expires, and how often it was opened."""
    from labelloop.views.snapshots import table

    with opened(config, quiet=True, parse_conditions=False) as loop:
        found = loop.snapshots()
        now, timezone = loop.project.clock.now(), loop.settings.project.timezone
    if as_json:
        print_json("snapshots", found)
    elif found:
        print_tables([table(found, now=now, timezone=timezone)])
    else:
        click.echo("no snapshots: `labelloop snapshot make` makes one")


@command.command(name="revoke")
@click.argument("id", type=int)
@with_config_alone
def revoke(config: Path, id: int) -> None:  # noqa: A002  click names the argument on the screen so
    """Disable a link, and delete its page. ID is what `list` shows."""
    with opened(config, quiet=True, parse_conditions=False) as loop:
        changed = loop.revoke_snapshot(id, by=BY)
    click.echo(f"snapshot {id} {'is revoked' if changed else 'was revoked before'}")
