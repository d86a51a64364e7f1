"""doctor: what works and what doesn't, with the remedy."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.screen import wrapped
from labelloop.errors import ConfigError

if TYPE_CHECKING:
    from labelloop.doctor.finding import Diagnosis, Finding

COLOURS = {"ok": "green", "fixed": "green", "warn": "yellow", "FAIL": "red", "you": "cyan"}
INDENT = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWritten:
    """The URL of a page that tests an annotator's browser."""

    url: str


@click.command(name="doctor")
@click.option(
    "--page", is_flag=True, help="Print the URL of a page that tests an annotator's browser."
)
@click.option(
    "--repair",
    is_flag=True,
    help="Read every file of ledger, log and datasets, and repair what is damaged.",
)
@with_config
def command(config: Path, as_json: bool, page: bool, repair: bool) -> None:
    """Check connections, rights, clocks and addresses, and say what to do.

    Each check prints one line: `ok`; `warn` (it works, but read this); `FAIL` (it doesn't work);
    `you` (only a person can try it). The exit code is 1 if a check failed. The doctor leaves nothing
    behind, except with --page or --repair. --repair prints a line `fixed` for each repair.
    """
    if page:
        with opened(config, quiet=as_json) as loop:
            url = loop.test_page()
        if as_json:
            print_json("page", PageWritten(url=url))
        else:
            click.echo(url)
            click.echo("open it where annotators sit; it works for a day", err=True)
        return
    diagnosis = _diagnosis(config, quiet=as_json, repair=repair)
    if as_json:
        print_json("doctor", diagnosis)
    else:
        for finding in diagnosis.findings:
            _show(finding)
        click.echo(wrapped(_summary(diagnosis), 0))
    if diagnosis.n_failed:
        raise click.exceptions.Exit(1)


def _diagnosis(config: Path, *, quiet: bool, repair: bool) -> "Diagnosis":
    try:
        with opened(config, quiet=quiet) as loop:
            return loop.doctor(repair=repair)
    except ConfigError as exc:
        from labelloop.doctor.examination import unusable

        return unusable(str(exc.args[0]), exc.remedy)


def _show(finding: "Finding") -> None:
    lines = wrapped(f"{finding.outcome:<5} {finding.check:<14} {finding.says}", INDENT)
    mark = len(finding.outcome)
    colour, bold = COLOURS[finding.outcome], finding.outcome != "ok"
    click.echo(click.style(lines[:mark], fg=colour, bold=bold) + lines[mark:])
    if finding.remedy:
        remedy = f"{'':<{INDENT}}remedy: {finding.remedy}"
        click.echo(wrapped(remedy, INDENT + len("remedy: ")))


def _summary(diagnosis: "Diagnosis") -> str:
    n = diagnosis.n_failed
    if not n:
        return "nothing failed"
    parts = [f"{n} check{'s' if n > 1 else ''} failed"]
    if diagnosis.not_made:
        cause = "it" if n == 1 else "them"
        parts.append(f"skipped because of {cause}: {', '.join(diagnosis.not_made)}")
    return "; ".join(parts)
