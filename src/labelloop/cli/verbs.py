"""run, and the six verbs it is made of."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.common import Watch, opened, print_json, with_config
from labelloop.cli.gate import conclude, junit_option
from labelloop.cli.screen import line, outcome, print_tables, wrapped
from labelloop.core.where import instant
from labelloop.errors import LabelloopError
from labelloop.views.tables.datasets import guarantees
from labelloop.views.tables.plan import queues

if TYPE_CHECKING:
    from labelloop.loop import Ran


_FORM = "2026-03-01 or 2026-03-01T12:00:00Z"
"""How an instant is written."""


class _Instant(click.ParamType[datetime]):
    name = "instant"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """An instant; one without an offset is UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return instant(value)
        except ValueError:
            self.fail(f"{value!r} is no date or time: write {_FORM}", param, ctx)


MUCH_MISSING = 3
"""The exit code of `run --strict` where the accuracy doesn't speak for much of the traffic."""


@click.command()
@click.option("--now", is_flag=True, help="Draw a round now, even if none is due yet.")
@click.option(
    "--since", type=_Instant(), help=f"The first instant of the period to measure (like {_FORM})."
)
@click.option("--until", type=_Instant(), help="The first instant after the period to measure.")
@click.option("--strict", is_flag=True, help="Exit with 3 if over 5% of the traffic is missing.")
@with_config
def run(
    config: Path,
    as_json: bool,
    now: bool,
    since: datetime | None,
    until: datetime | None,
    strict: bool,
) -> None:
    """Do all six steps once: index, collect, select, send, measure, build.

    --since and --until measure a period: the first run draws samples of the period in an extra round.
    Later runs with the same options fetch the answers and print the period's accuracy.

    If a step fails, the steps that don't need it still run, and the exit code is 1. With --strict the
    exit code is 3 if over 5% of the last seven days' predictions don't count in the accuracy: those
    that were rejected, are dated in the future, are too old, or have lost their input.
    """
    with Watch() as watch, opened(config, watch=watch, quiet=as_json) as loop:
        timezone = loop.settings.project.timezone

        def report(verb: str, result: object) -> None:
            watch.clear()
            if not as_json:
                outcome(verb, result, timezone=timezone)
                if verb == "index" and isinstance(result, LabelloopError):
                    line("select", "not run: without index, traffic would be missing")

        ran = loop.run(now=now, since=since, until=until, report=report)
    if as_json:
        print_json("run", ran)
    code = exit_code(ran, strict=strict)
    if code:
        raise click.exceptions.Exit(code)


def exit_code(ran: "Ran", *, strict: bool) -> int:
    """1 where a verb failed; with `strict` 3 where much of the last seven days is missing."""
    if ran.failures:
        return 1
    much = ran.measured is not None and ran.measured.missing.much
    return MUCH_MISSING if strict and much else 0


@click.command()
@click.option(
    "--list",
    "list_store",
    is_flag=True,
    help="List the whole bucket, even if the bucket's own notifications are on.",
)
@with_config
def index(config: Path, as_json: bool, list_store: bool) -> None:
    """List the bucket, read the tags of new objects, and add them to the prediction log.

    Rows that can't be read are rejected; `labelloop status --rejected` lists them.
    """
    with opened(config, quiet=as_json) as loop:
        indexed = loop.index(list_store=list_store)
    _show("index", indexed, as_json)


@click.command()
@click.option(
    "--anew", is_flag=True, help="Send open tasks again if their Label Studio projects are gone."
)
@with_config
def collect(config: Path, as_json: bool, anew: bool) -> None:
    """Fetch new answers, edits, skips and deletions from Label Studio or the labelling page."""
    with opened(config, quiet=as_json) as loop:
        collected = loop.collect(anew=anew)
    _show("collect", collected, as_json)


@click.command()
@click.option("--now", is_flag=True, help="Draw a round now, even if none is due yet.")
@click.option("--dry-run", is_flag=True, help="Show what would be drawn, and write nothing.")
@click.option(
    "--since",
    type=_Instant(),
    help=f"Draw an extra round from a period that begins at this instant (like {_FORM}).",
)
@click.option(
    "--until",
    type=_Instant(),
    help="Draw an extra round from a period that ends just before this instant.",
)
@click.option(
    "--shadow",
    metavar="MODEL",
    help="Draw an extra round for `compare`: samples that this shadow model answers differently.",
)
@click.option(
    "--candidate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Draw an extra round for `compare`: samples that the candidate in this file answers differently.",
)
@click.option(
    "--top-up",
    "top_up",
    type=click.IntRange(min=1),
    metavar="ROUND",
    multiple=True,
    help="Draw more samples from an earlier round; give it several times to split --labels among rounds.",
)
@click.option(
    "--labels",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many samples --shadow or --candidate draws, or --top-up adds.",
)
@click.option(
    "--checks",
    is_flag=True,
    help="With --top-up: draw the samples as checks of the model's own labels, for that round's "
    "unfinished guarantee.",
)
@with_config
def select(
    config: Path,
    as_json: bool,
    now: bool,
    dry_run: bool,
    since: datetime | None,
    until: datetime | None,
    shadow: str | None,
    candidate: Path | None,
    top_up: tuple[int, ...],
    labels: int,
    checks: bool,
) -> None:
    """Draw a round: choose the samples that people label in each queue, and store the probabilities."""
    if shadow and candidate:
        raise click.UsageError("name --shadow MODEL or --candidate FILE, not both")
    if top_up and (now or since or until or shadow):
        raise click.UsageError(
            "--top-up draws from the traffic of its round: use it without --now, --since, --until and "
            "--shadow"
        )
    if checks and len(top_up) != 1:
        raise click.UsageError(
            "--checks goes with one --top-up ROUND: it tops up all rounds of that round's guarantee"
        )
    with opened(config, quiet=as_json) as loop:
        if top_up:
            selected = loop.top_up(
                *top_up, labels=labels, candidate=candidate, checks=checks, dry_run=dry_run
            )
        elif shadow or candidate:
            selected = loop.select_where_they_differ(
                labels=labels,
                shadow=shadow,
                candidate=candidate,
                since=since,
                until=until,
                dry_run=dry_run,
            )
        else:
            selected = loop.select(now=now, dry_run=dry_run, since=since, until=until)
    if as_json:
        print_json("select", selected)
        return
    if dry_run:
        says = f"nothing was written; a round drawn now has {selected.n_frame:,} predictions"
        click.echo(says if selected.n_frame else f"{says}: `labelloop index` brings what is new")
    else:
        outcome("select", selected, timezone=loop.settings.project.timezone)
    if selected.plans:
        print_tables([queues(selected)])


@click.command()
@click.option("--refresh", is_flag=True, help="Renew the image URL of every open task.")
@with_config
def send(config: Path, as_json: bool, refresh: bool) -> None:
    """Send the selected samples to Label Studio or the labelling page, each exactly once."""
    with opened(config, quiet=as_json) as loop:
        sent = loop.send(refresh=refresh)
    _show("send", sent, as_json)


@click.command()
@click.option(
    "--since", type=_Instant(), help=f"The first instant of the period to measure (like {_FORM})."
)
@click.option("--until", type=_Instant(), help="The first instant after the period to measure.")
@click.option("--all", "every", is_flag=True, help="Show every table.")
@click.option("--people", is_flag=True, help="Show what each person did, and how often they err.")
@click.option(
    "--gate",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="ACCURACY",
    help="Exit with 0 if the serving model's accuracy is above this, 3 if it isn't, 4 if that isn't "
    "settled yet.",
)
@click.option(
    "--by",
    metavar="ATTRIBUTE",
    help="Show the accuracy for each value of an attribute (such as site), of `model`, or of "
    "`predicted_class`.",
)
@junit_option
@with_config
def measure(
    config: Path,
    as_json: bool,
    since: datetime | None,
    until: datetime | None,
    every: bool,
    people: bool,
    gate: float | None,
    by: str | None,
    junit: Path | None,
) -> None:
    """Estimate the accuracy by round, day, class and model, and test whether it fell.

    It prints one screen, each number with its interval: the newest rounds, and the classes with the
    lowest F1. --all prints the rest.

    --gate tests the accuracy of the model that made the newest predictions, over the last 7, 28, 91 and
    365 days. Rounds that several models served don't count. The shortest period that gives a verdict
    decides. You may run it every day.
    """
    from labelloop.views.sentences import harder_or_not, looks_harder, over_time, worse_slices
    from labelloop.views.tables.accuracy import at_a_glance, of_measure
    from labelloop.views.tables.slices import of_slices

    if junit is not None and gate is None:
        raise click.UsageError("--junit is for --gate")
    if people:
        _show_people(config, as_json)
        return
    with opened(config, quiet=as_json, parse_conditions=False) as loop:
        measured = loop.measure(since=since, until=until, gate=gate, by=by)
    _show("measure", measured, as_json)
    if measured.gate is not None:
        from labelloop.views.gate import answer, question

        asks, says = question(measured.gate), answer(measured.gate)
        conclude(measured.gate.verdict, asks, says, junit=junit)
    if as_json:
        return
    timezone = loop.settings.project.timezone
    if measured.by is not None and not every:
        if worse := worse_slices(measured.worst_slices):
            click.echo(wrapped(worse, 0))
        print_tables(of_slices(measured, every=False))
        click.echo("\nwith --all: the classes of each, and every other table")
        return
    sentences = list(over_time(measured.trend, timezone))
    hint = harder_or_not if every else looks_harder
    shown = [*(sentences if every else sentences[:1]), *hint(measured.harder)]
    if every and measured.worst_slices.n_tested:
        shown.append(worse_slices(measured.worst_slices))
    for text in shown:
        click.echo(wrapped(text, 0))
    whole = of_measure(measured, timezone)
    print_tables(whole if every else at_a_glance(measured))
    if whole and not every:
        click.echo("\nlabelloop measure --all shows every table")


@click.command()
@with_config
def build(config: Path, as_json: bool) -> None:
    """Release a new version of the evaluation set and of the training set, if they changed."""
    with opened(config, quiet=as_json) as loop:
        built = loop.build()
    _show("build", built, as_json)
    if not as_json and built.certificates:
        print_tables([guarantees(built.certificates)])


def _show_people(config: Path, as_json: bool) -> None:
    from labelloop.views.people import people

    with opened(config, quiet=as_json) as loop:
        found = loop.people()
    if as_json:
        print_json("people", found)
    elif found:
        print_tables([people(found)])
    else:
        click.echo("nobody has answered in the last 30 days")


def _show(verb: str, result: object, as_json: bool) -> None:
    if as_json:
        print_json(verb, result)
    else:
        outcome(verb, result)


commands: dict[str, click.Command] = {
    c.name: c for c in (run, index, collect, select, send, measure, build) if c.name is not None
}
