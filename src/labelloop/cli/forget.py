"""forget: erase samples that a person asked to be erased."""

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.errors import ArgumentError
from labelloop.views.wording import counted, dated, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.steps.forget.forget import Forgotten

_SHOWN = 20
"""How many names of a kind a screen shows; --json shows all."""


@click.command(name="forget")
@click.argument("samples", nargs=-1, metavar="[SAMPLE]...")
@click.option(
    "--from",
    "file",
    type=click.File("rb"),
    help="A file with one sample_id on each line; - is standard input.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and erase nothing.")
@click.option(
    "--unknown-too",
    is_flag=True,
    help="Accept a SAMPLE that labelloop doesn't know yet, and never index it later.",
)
@click.option("-y", "--yes", is_flag=True, help="Erase without asking.")
@with_config
def command(
    config: Path,
    as_json: bool,
    samples: tuple[str, ...],
    file: IO[bytes] | None,
    dry_run: bool,
    unknown_too: bool,
    yes: bool,
) -> None:
    """Erase samples for good from everything that labelloop keeps.

    Use it when a person asks for erasure. Accuracies stay as they are. labelloop doesn't touch your
    own objects and tables: delete them yourself.
    Without SAMPLE, it finishes an erasure that was interrupted.
    """
    names = [*samples, *(_lines(file.read(), file.name) if file else ())]
    if file is not None and not names:
        raise ArgumentError(
            f"{file.name} contains no sample_id", remedy="write one sample_id on each line"
        )
    with opened(config, quiet=as_json) as loop:
        if names and not dry_run and not yes:
            if as_json or not sys.stdin.isatty():
                raise ArgumentError(
                    "labelloop asks before it erases for good, and this isn't a terminal",
                    remedy="check with --dry-run, then add --yes",
                )
            _show(
                loop.forget(names, unknown_too=unknown_too, dry_run=True),
                loop.settings.project.timezone,
            )
            if not click.confirm("Erase this for good?", err=True):
                click.echo("nothing was erased")
                raise click.exceptions.Exit(1)
        done = loop.forget(names, unknown_too=unknown_too, dry_run=dry_run)
        if as_json:
            print_json("forget", done)
        else:
            _show(done, loop.settings.project.timezone)


def _lines(data: bytes, name: str) -> list[str]:
    r"""The sample_ids of a file: a line each, as it stands; empty lines are none.

    >>> _lines(b"\xef\xbb\xbfa b.png\r\n\n#1.png", "list")
    ['a b.png', '#1.png']
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ArgumentError(
            f"{name} isn't UTF-8: byte {exc.start:,} can't be read", remedy="save it as UTF-8"
        ) from exc
    return [line for line in (each.removesuffix("\r") for each in text.split("\n")) if line]


def _show(r: "Forgotten", timezone: str) -> None:
    """What went, or would go, and what is left for the reader to do."""
    if r.n_again and r.n_again == r.n_samples:
        click.echo(f"{counted(r.n_samples, 'sample')}, forgotten before")
    else:
        again = f", {r.n_again:,} of them forgotten before" if r.n_again else ""
        what = "would be forgotten" if r.dry_run else "forgotten"
        click.echo(f"{counted(r.n_samples, 'sample')} {what}{again}")
    rows = {
        "prediction log": (
            (r.n_predictions, "prediction"),
            (r.n_feedback, "flag or correction", "flags and corrections"),
        ),
        "Label Studio": ((r.n_tasks, "task"),),
        "answers": ((r.n_answers, "answer"),),
        "blind copies": ((r.n_copies, "copy", "copies"),),
        "rejected": ((r.n_set_aside, "row"),),
        "ledger": ((r.n_draws, "draw"),),
    }
    for name, counts in rows.items():
        said = ", ".join(counted(*count) for count in counts if count[0])
        kept = " kept without the sample, for the accuracies" if name == "ledger" else ""
        if said:
            click.echo(f"  {name:<15} {said}{kept}")
    for v in r.redacted:
        new = f"; content hash {v.old_hash[:12]} is now {v.new_hash[:12]}" if v.new_hash else ""
        click.echo(f"  {f'{v.name} v{v.version}':<15} {counted(v.n_rows, 'row')}{new}")
    if r.exports:
        click.echo("Exports taken before hold the samples still; delete them yourself:")
    for e in r.exports:
        when = dated(e.at, timezone)
        click.echo(plain(f"  {e.dataset} v{e.version} as {e.format}, {when}: {e.target}"))
    _list("Your own objects are there still; labelloop never deletes them:", r.inputs)
    _list("Other samples have the same content, and stay unless you name them too:", r.twins)


def _list(title: str, names: "Sequence[str]") -> None:
    """Some names below a title; nothing where there are none."""
    if names:
        click.echo(title)
    for name in names[:_SHOWN]:
        click.echo(plain(f"  {name}"))
    if len(names) > _SHOWN:
        click.echo(f"  and {len(names) - _SHOWN:,} more, which --json lists")
