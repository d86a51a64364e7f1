"""ledger: where labelloop's memory of its decisions lies."""

import re
from pathlib import Path

import click

from labelloop.cli.common import opened, print_json, with_config


@click.group(name="ledger")
def command() -> None:
    """Copy the ledger, move it to another database, or rebuild a lost one."""


@command.command("migrate")
@click.option(
    "--to",
    required=True,
    metavar="URL",
    help="The URL of an empty database, as in [state] ledger; ${NAME} is an environment variable.",
)
@with_config
def migrate(config: Path, as_json: bool, to: str) -> None:
    """Copy the ledger to another database and verify the copy. After that, labelloop refuses the old ledger.

    First stop what runs labelloop on a schedule: nothing may write to the ledger meanwhile. If a row
    of the copy differs, the copy is deleted and the old ledger stays in use.
    """
    from labelloop.settings.file import ledger_url

    with opened(config, quiet=as_json) as loop:
        moved = loop.move_ledger(ledger_url(to, config))
    if as_json:
        print_json("migrate", moved)
        return
    n_rows = sum(m.n_rows for m in moved)
    click.echo(f"{n_rows:,} rows of {len(moved)} tables: each table's count and checksum agree")
    click.echo(f"now write this into {config}; until then every command refuses the old ledger:")
    click.echo(f'\n[state]\nledger = "{_without_password(to)}"\n')


_ELSEWHERE = {
    "catalog.db": "the log's catalog, which is no SQLite file: copy it as its server does",
    "answers.db": "the labelling page's answers, which are in PostgreSQL: now copy them with "
    "`pg_dump --schema=labelloop_answers`",
}


@command.command("backup", short_help="Copy ledger, catalog and answers into a new folder.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@with_config
def backup(config: Path, as_json: bool, folder: Path) -> None:
    """Copy the ledger, the log's catalog and the labelling page's answers into a new folder below FOLDER.

    Other commands may run at the same time. Each copy is a consistent SQLite file, even if the ledger is
    in PostgreSQL. The labelling page's answers aren't part of the ledger: if they are in PostgreSQL, they
    aren't copied; use pg_dump. Copy the prediction log and the
    datasets afterwards: their files never change.
    """
    with opened(config, quiet=as_json, parse_conditions=False) as loop:
        made = loop.back_up(folder)
        state = loop.settings.state
    if as_json:
        print_json("backup", made)
        return
    for name, size in made.sizes_bytes.items():
        click.echo(f"{made.folder / name}: {size:,} bytes")
    for name in made.elsewhere:
        click.echo(f"not copied: {_ELSEWHERE[name]}")
    click.echo(f"now copy {state.warehouse} and {state.datasets}: their files never change")


@command.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@with_config
def restore(config: Path, as_json: bool, folder: Path) -> None:
    """Put the copies of a backup in their places. FOLDER is what `labelloop ledger backup` made.

    [state] ledger must name an empty database or a new file. If the log has a catalog already, this
    catalog stays as it is. The next `labelloop run` adds to the ledger what happened after the backup.
    """
    with opened(config, quiet=as_json, parse_conditions=False) as loop:
        done = loop.restore(folder)
    if as_json:
        print_json("restore", done)
        return
    click.echo(f"ledger {done.ledger_id} is in its place")
    if "catalog.db" not in done.sizes_bytes:
        click.echo("the log's catalog is as it was")
    if "answers.db" in done.elsewhere:
        click.echo("the labelling page's answers in PostgreSQL are as they were")
    click.echo("`labelloop run` now adds what happened after the backup")


@command.command("rebuild")
@with_config
def rebuild(config: Path, as_json: bool) -> None:
    """Rebuild a lost ledger from what is left elsewhere.

    It reads the log, Label Studio or the labelling page, and the released dataset versions.
    [state] ledger must name an empty database or a new file. Restore a backup if you have one: it holds
    more. The command lists what it couldn't recover.
    """
    with opened(config, quiet=as_json) as loop:
        found = loop.rebuild_ledger()
    if as_json:
        print_json("rebuild", found)
        return
    click.echo(f"ledger {found.ledger_id}, rebuilt from {found.n_batches:,} batches of the log")
    for queue, n in found.n_tasks.items():
        click.echo(f"  {queue}: {n:,} tasks")
    click.echo(f"  {found.n_answers:,} tasks with answers; `labelloop collect` reads them")
    if found.n_from_manifests:
        click.echo(f"  {found.n_from_manifests:,} labels that only a manifest still holds")
    click.echo(f"  dataset versions: {', '.join(found.versions) or 'none'}")
    for says in found.not_read:
        click.echo(f"  not read: {says}")
    if found.n_unknown:
        click.echo(f"  {found.n_unknown:,} tasks whose sample the log doesn't hold are left alone")
    click.echo("lost for good:")
    for says in found.missing:
        click.echo(f"  - {says}")


def _without_password(url: str) -> str:
    """A URL as a file may hold it: the name of a variable in place of a password.

    >>> _without_password("postgresql://me:s3cr@t@db/x"), _without_password("sqlite:///x.db")
    ('postgresql://me:${LEDGER_PASSWORD}@db/x', 'sqlite:///x.db')
    """
    return re.sub(r"://([^:/@]+):(?!\$\{).*@", r"://\1:${LEDGER_PASSWORD}@", url)
