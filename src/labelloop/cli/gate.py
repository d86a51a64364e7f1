"""What the gates of `measure` and `compare` share: the JUnit file and the exit code."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from labelloop.errors import ReportError

if TYPE_CHECKING:
    from labelloop.statistics.compare import Verdict

FAILED, NOT_YET = 3, 4
"""The exit codes of a gate that doesn't pass."""

junit_option = click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --gate: also write the verdict to this file, as JUnit XML.",
)


def conclude(verdict: "Verdict", asks: str, says: str, *, junit: Path | None) -> NoReturn:
    """Write the JUnit file if one is wanted, and exit: 0 pass, 3 fail, 4 not yet."""
    from labelloop.statistics.compare import Verdict
    from labelloop.views import gate

    if junit is not None:
        try:
            junit.write_text(gate.junit(asks, verdict, says), encoding="utf-8")
        except OSError as exc:
            raise ReportError(
                f"{junit} can't be written: {exc}", remedy="give --junit another path"
            ) from exc
    codes = {Verdict.PASS: 0, Verdict.FAIL: FAILED, Verdict.NOT_YET: NOT_YET}
    raise click.exceptions.Exit(codes[verdict])


def show(verdict: "Verdict", text: str) -> None:
    """Print a verdict and what it says."""
    colour = {"PASS": "green", "FAIL": "red"}.get(str(verdict), "yellow")
    click.secho(f"{verdict}", fg=colour, bold=True, nl=False)
    click.echo(f": {text}")
