"""compare: shall we ship it?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import name_and_version, opened, print_json, with_config
from labelloop.cli.gate import conclude, junit_option, show
from labelloop.cli.screen import print_tables, wrapped
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import DatasetError
from labelloop.statistics.compare import Verdict
from labelloop.views.gate import answer_of, question_of, to_settle
from labelloop.views.people import judged_by
from labelloop.views.tables.comparison import by_class
from labelloop.views.wording import dearer, gained, interval, plain

if TYPE_CHECKING:
    from labelloop.steps.compare.compare import Compared


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesWritten:
    """The file with the samples that a candidate must answer, and how many it holds."""

    n: int
    target: Path


@click.command(name="compare")
@click.argument("candidate", type=click.Path(path_type=Path), required=False)
@click.option(
    "--shadow",
    metavar="MODEL",
    help="Compare a shadow model, whose predictions are in the log, instead of a file.",
)
@click.option(
    "--min-gain",
    type=float,
    default=0.0,
    show_default=True,
    help="The gain that the candidate must prove; 0.01 is 1 point.",
)
@click.option(
    "--trained-on",
    "trained_on",
    multiple=True,
    metavar="NAME@N",
    help="A dataset version that the candidate was trained on; repeat it for several.",
)
@click.option(
    "--write-samples",
    type=click.Path(path_type=Path),
    help="Only write the list of samples that the candidate must predict.",
)
@click.option("--gate", is_flag=True, help="Exit with 0 for PASS, 3 for FAIL, 4 for NOT YET.")
@click.option(
    "--promote",
    metavar="MODEL@VERSION",
    help="With --gate: on PASS, give this MLflow model version the alias set in [mlflow].",
)
@junit_option
@with_config
def command(
    config: Path,
    as_json: bool,
    candidate: Path | None,
    shadow: str | None,
    min_gain: float,
    trained_on: tuple[str, ...],
    write_samples: Path | None,
    gate: bool,
    promote: str | None,
    junit: Path | None,
) -> None:
    """Compare a candidate with the model that serves, on the same blind labels.

    CANDIDATE is a Parquet or CSV file with the columns sample_id and predicted_class. --write-samples
    writes the sample_ids: add predicted_class to that file.

    You may run --gate as often as you like: its verdict stays valid.
    """
    if junit is not None and not gate:
        raise click.UsageError("--junit is for --gate")
    if promote is not None and not gate:
        raise click.UsageError("--promote is for --gate")
    promoted = None if promote is None else _registered(promote)
    with opened(config, quiet=as_json) as loop:
        if write_samples is not None:
            written = SamplesWritten(n=loop.write_judges(write_samples), target=write_samples)
            if as_json:
                print_json("samples", written)
            else:
                click.echo(f"{written.n:,} labelled samples in {written.target}")
            return
        learned = [_version(text) for text in trained_on]
        if shadow is not None and candidate is None:
            compared = loop.compare_shadow(shadow, min_gain=min_gain, trained_on=learned, gate=gate)
        elif candidate is not None and shadow is None:
            compared = loop.compare(candidate, min_gain=min_gain, trained_on=learned, gate=gate)
        else:
            raise click.UsageError(
                "give one of these: CANDIDATE, --shadow MODEL, --write-samples PATH"
            )
        passed = promoted is not None and loop.promote(compared, *promoted)
    if as_json:
        print_json("compare", compared)
    else:
        _show(compared)
        if passed:
            click.echo(f"promoted: {promote} passed, and MLflow hears of it")
    if gate:
        verdict = compared.verdict or Verdict.NOT_YET
        conclude(verdict, question_of(compared), answer_of(compared), junit=junit)


def _registered(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("@")
    if not name or not number.isdecimal():
        raise click.UsageError(
            f"--promote {text!r} isn't a version of a registered model: write food@3"
        )
    return name, int(number)


def _version(text: str) -> tuple[str, int]:
    name, number = name_and_version(text)
    if number is None:
        raise DatasetError(
            f"{text!r} isn't a dataset version", remedy=f"write {name}@3 for version 3"
        )
    return name, number


def _show(r: "Compared") -> None:
    if isinstance(r.difference, Undefined):
        click.echo(f"no comparison: {r.difference.reason}")
    else:
        serving, candidate = f"serving ({r.serving_model})", f"candidate ({r.candidate_name})"
        width = max(27, len(serving), len(candidate))
        for name, estimate in ((serving, r.serving), (candidate, r.candidate)):
            if isinstance(estimate, Estimate):
                click.echo(f"{plain(name):<{width}} {interval(estimate)}")
        click.echo(f"{'difference':<{width}} {gained(r.difference)}")
        if r.cost is not None and not isinstance(r.cost, Undefined):
            click.echo(f"{'difference in mean cost':<{width}} {dearer(r.cost)}")
        rounds = f"{len(r.rounds)} round{'s' if len(r.rounds) != 1 else ''}"
        click.echo(
            f"{r.difference.n:,} blind labels of {rounds}"
            f"{', drawn where the two differ' if r.drawn_for_it else ''}, read for fresh traffic of "
            "this kind"
        )
        if r.rests_on is not None:
            click.echo(wrapped(judged_by(r.rests_on), 0))
        says = f"is the gain above {100 * r.min_gain:g} points? {_advice(r)}"
        show(
            r.verdict or Verdict.NOT_YET,
            says if r.gate is None else f"{question_of(r)} {answer_of(r)}",
        )
    for out in r.left_out:
        click.echo(
            f"round {out.round} doesn't judge: {r.candidate_name} answered {out.n_answered:,} of its "
            f"{out.n_labelled:,} labelled samples"
        )
    if r.n_candidates > 1:
        click.echo(
            f"these labels have judged {r.n_candidates} candidates; the interval allows for that"
        )
    if r.many_candidates:
        click.secho(
            "warning: the best of so many looks better than it is; go by the interval, not by the value",
            fg="yellow",
        )
    if not r.trained_on:
        click.secho(
            "warning: what the candidate learned from wasn't named, so it wasn't checked: "
            "--trained-on training@3",
            fg="yellow",
        )
    for name, n in r.unchecked:
        click.secho(
            f"warning: {name} holds {n:,} of these samples; if the candidate learned from it, say so: "
            f"--trained-on {name}",
            fg="yellow",
        )
    if r.by_class:
        print_tables([by_class(r)])


def _advice(r: "Compared") -> str:
    return to_settle(r.more_labels, r.top_up) if r.more_labels != 0 else "settled"
