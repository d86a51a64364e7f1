"""people: who may use the service with a token, who labels on the labelling page, and ties settled."""

from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import opened, print_json, with_config, with_config_alone
from labelloop.cli.screen import print_tables
from labelloop.errors import ArgumentError, ConfigError
from labelloop.ledger import accounts, events
from labelloop.settings.values import duration
from labelloop.views.accounts import TokenMade, members, table

if TYPE_CHECKING:
    from labelloop.loop import Loop
    from labelloop.ports.desk import Desk


@click.group(name="people")
def command() -> None:
    """Manage accounts and tokens for `labelloop serve`, and settle ties."""


@command.command(name="add")
@click.argument("name")
@click.option(
    "--scopes",
    required=True,
    help="What it may do, separated by commas: read (see numbers), operate (see samples, start steps "
    "and other actions), label (answer).",
)
@click.option(
    "--queues",
    help="The queues that the person labels on the labelling page, separated by commas. Default: all.",
)
@with_config
def add(config: Path, as_json: bool, name: str, scopes: str, queues: str | None) -> None:
    """Add an account, and print its token. It isn't shown again: only a hash of it is kept."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    from labelloop.settings.service import SCOPES

    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise ArgumentError(
            f"--scopes {scopes!r}: {unknown[0] if unknown else 'nothing'} is no scope",
            remedy=f"name some of {', '.join(SCOPES)}",
        )
    token = accounts.new_token()
    with opened(config, quiet=True) as loop:
        named = None if queues is None else [own(loop, q.strip()) for q in queues.split(",")]
        if named is not None and "label" not in wanted:
            raise ArgumentError(
                "--queues is for people who label", remedy="add label to --scopes, or leave it out"
            )
        with loop.project.ledger.write_at_once() as tx:
            accounts.add(tx, name, wanted, token, at=loop.project.clock.now())
        desk = loop.project.desk
        if desk is not None and "label" in wanted:
            desk.assign(name, named)
            desk.approve(name)
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
    with opened(config, quiet=True) as loop:
        with loop.project.ledger_to_read.read() as tx:
            found = accounts.every(tx)
        timezone = loop.settings.project.timezone
        labelling = [] if loop.project.desk is None or as_json else loop.project.desk.members()
    if as_json:
        print_json("accounts", found)
    elif found or labelling:
        tables = [table(found, timezone)] if found else []
        print_tables([*tables, members(labelling, timezone)] if labelling else tables)
    else:
        click.echo("no accounts: `labelloop people add NAME --scopes read` adds one")


@command.command(name="exclude")
@click.argument("name")
@with_config_alone
def exclude(config: Path, name: str) -> None:
    """Block an account. Its token is refused within two seconds.

    From the next collect on, the person's answers on the labelling page don't count: others are asked
    again, and labels and accuracies change. `labelloop people approve` lets the answers count again.
    """
    with opened(config, quiet=True) as loop:
        desk = loop.project.desk
        labels = desk is not None and name in {m.name for m in desk.members()}
        with loop.project.ledger.write_at_once() as tx:
            if not labels or name in {a.name for a in accounts.every(tx) if not a.excluded_at}:
                accounts.exclude(tx, name, at=loop.project.clock.now())
            n = desk.exclude(name) if desk is not None and labels else 0
            if n:
                at = loop.project.clock.now()
                detail = f"{n} answers count as none"
                events.record(tx, [events.Event(at, "people", "exclude", f"person:{name}", detail)])
    click.echo(f"{name} is excluded")
    if n:
        click.echo(f"{n:,} answers count as none from the next `labelloop collect` on")


@command.command(name="approve")
@click.argument("name")
@with_config_alone
def approve(config: Path, name: str) -> None:
    """Let a newcomer's answers count, or an excluded person's again."""
    with opened(config, quiet=True) as loop:
        n = desk_of(loop).approve(name)
        with loop.project.ledger.write_at_once() as tx:
            at = loop.project.clock.now()
            detail = f"{n} answers count"
            events.record(tx, [events.Event(at, "people", "approve", f"person:{name}", detail)])
    click.echo(f"{n:,} answers of {name} count from the next `labelloop collect` on")


@command.command(name="settle")
@click.argument("sample")
@click.argument("answer")
@click.option("--queue", help="The queue; needed if people disagree on the sample in several.")
@click.option("--by", help="Who decides. Default: the user of this machine.")
@click.option(
    "--instead-of", default="", help="The earlier decision's answer, which this one replaces."
)
@with_config
def settle(
    config: Path,
    as_json: bool,
    sample: str,
    answer: str,
    queue: str | None,
    by: str | None,
    instead_of: str,
) -> None:
    """Let ANSWER hold for a SAMPLE on which people disagree.

    `labelloop status --ties` lists such samples. The decision stands whatever people answer later.
    """
    with opened(config, quiet=True) as loop:
        found = loop.settle(sample, answer, by=by or getuser(), queue=queue, instead_of=instead_of)
    if as_json:
        print_json("settled", found)
    elif found.anew:
        click.echo(f"{sample} in {found.queue} is {found.answer} now, by decision of {found.by}")
    else:
        click.echo(f"{sample} in {found.queue} was settled so already, by {found.by}")


@command.command(name="join-link")
@click.argument("queue")
@click.option(
    "--people",
    default=5,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many may join.",
)
@click.option("--expires", default="2 days", show_default=True, help="After how long it expires.")
@with_config_alone
def join_link(config: Path, queue: str, people: int, expires: str) -> None:
    """Print a link that lets newcomers label one queue.

    They join on the labelling page. Their answers wait until `labelloop people approve`. The link isn't
    shown again.
    """
    try:
        lasts = duration(expires)
    except ValueError as exc:
        raise ArgumentError(f"--expires {expires!r}: {exc}", remedy="write '2 days'") from exc
    with opened(config, quiet=True) as loop:
        expires_at = loop.project.clock.now() + lasts
        token = desk_of(loop).make_link(own(loop, queue), people=people, expires_at=expires_at)
        base = loop.settings.service.base_url or ""
    click.echo(f"{base}/join/{token}")


def desk_of(loop: "Loop") -> "Desk":
    """The labelling page's state.

    Raises:
        ConfigError: the settings name no labelling page.
    """
    desk = loop.project.desk
    if desk is None:
        raise ConfigError(
            "people label in Label Studio only, so nobody joins here",
            remedy="add [labelling_page] to labelloop.toml for a labelling page of labelloop's own",
        )
    return desk


def own(loop: "Loop", queue: str) -> str:
    """The name of a queue that people label on the labelling page.

    Raises:
        ArgumentError: it is none.
    """
    names = sorted(loop.settings.on_page())
    if queue not in names:
        raise ArgumentError(
            f"queue {queue!r} isn't one of the labelling page's",
            remedy=f"the labelling page's queues are: {', '.join(names) or 'none'}",
        )
    return queue
