"""people: who may use the service with a token."""

from pathlib import Path

import click

from labelloop.cli.common import opened, print_json, with_config, with_config_alone
from labelloop.cli.screen import print_tables
from labelloop.errors import ArgumentError
from labelloop.ledger import accounts
from labelloop.views.accounts import TokenMade, table


@click.group(name="people")
def command() -> None:
    """Give people and programs tokens for `labelloop serve`, and take them back."""


@command.command(name="add")
@click.argument("name")
@click.option(
    "--scopes",
    required=True,
    help="What it may do, separated by commas: read (numbers), operate (samples and actions), label.",
)
@with_config
def add(config: Path, as_json: bool, name: str, scopes: str) -> None:
    """Add an account, and print its token once: only a hash of it is kept."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    from labelloop.settings.service import SCOPES

    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise ArgumentError(
            f"--scopes {scopes!r}: {unknown[0] if unknown else 'nothing'} is no scope",
            remedy=f"name some of {', '.join(SCOPES)}",
        )
    token = accounts.new_token()
    with opened(config, quiet=True) as loop, loop.project.ledger.write_at_once() as tx:
        accounts.add(tx, name, wanted, token, at=loop.project.clock.now())
    if as_json:
        print_json("token", TokenMade(name=name, scopes=tuple(wanted), token=token))
    else:
        click.echo(
            f"{name} may {', '.join(wanted)} with this token, which isn't shown again:", err=True
        )
        click.echo(token)


@command.command(name="list")
@with_config
def list_(config: Path, as_json: bool) -> None:
    """List the accounts, and what each may do."""
    with opened(config, quiet=True) as loop, loop.project.ledger_to_read.read() as tx:
        found = accounts.every(tx)
        timezone = loop.settings.project.timezone
    if as_json:
        print_json("accounts", found)
    elif found:
        print_tables([table(found, timezone)])
    else:
        click.echo("no accounts: `labelloop people add NAME --scopes read` adds one")


@command.command(name="exclude")
@click.argument("name")
@with_config_alone
def exclude(config: Path, name: str) -> None:
    """Let an account do nothing any more. Its token is refused within two seconds."""
    with opened(config, quiet=True) as loop, loop.project.ledger.write_at_once() as tx:
        accounts.exclude(tx, name, at=loop.project.clock.now())
    click.echo(f"{name} is excluded")
