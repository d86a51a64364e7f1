"""status: open tasks, what blocks them, and what was rejected."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.screen import print_tables, wrapped
from labelloop.core.row_range import ONE
from labelloop.views.sentences import looks_harder
from labelloop.views.tables.status import of_status
from labelloop.views.wording import day_and_time, moment, plain, row_count

if TYPE_CHECKING:
    from labelloop.ledger.rejects import RejectedRow
    from labelloop.loop import Loop
    from labelloop.views.status import AnswerToMend, Status, Tie, Wait

T = TypeVar("T")


@click.command(name="status")
@click.option("--rejected", is_flag=True, help="List the rejected rows, and why each was rejected.")
@click.option("--ties", is_flag=True, help="List the tasks on which people disagree.")
@click.option("--waiting", is_flag=True, help="List the tasks that wait for people, oldest first.")
@click.option(
    "--skipped", is_flag=True, help="List the tasks that everybody skipped, oldest first."
)
@with_config
def command(
    config: Path, as_json: bool, rejected: bool, ties: bool, waiting: bool, skipped: bool
) -> None:
    """Show how many tasks wait and how long, what blocks them, and what was rejected."""
    with opened(config, quiet=as_json, parse_conditions=False) as loop:
        if waiting or skipped:
            found = loop.waits(skipped=skipped)
            _list("skipped" if skipped else "waiting", found, as_json, partial(_wait_line, loop))
        elif ties:
            _list("ties", loop.ties(), as_json, partial(_tie_line, loop))
        elif rejected:
            _list("rejected", loop.rejected(), as_json, partial(_rejected_line, loop))
        elif as_json:
            print_json("status", loop.status())
        else:
            _print_status(loop, loop.status())


def _print_status(loop: "Loop", status: "Status") -> None:
    timezone = loop.settings.project.timezone
    if not status.indexed:
        click.echo(
            "nothing indexed yet: `labelloop run` reads the inputs and draws the first round"
        )
    elif status.due_at is None:
        extra = f"only extra rounds yet ({status.n_extra_rounds})"
        none = extra if status.n_extra_rounds else "no round yet"
        click.echo(f"{none}: the first `labelloop run` draws one")
    else:
        due = "due now" if status.due else f"due {moment(status.due_at, timezone)}"
        click.echo(f"round {status.last_round} is the newest; the next is {due}")
    print_tables(of_status(status, timezone))
    for fewer in status.not_sent:
        click.echo(wrapped(plain(f"round {status.last_round}: {fewer.says}"), 2))
    for account, n in status.n_wasted.items():
        given = "answer counts as none" if n == 1 else "answers count as none"
        text = f"{n} {given}, by account {account}: who looked first can't look again, and a referee must"
        click.echo(wrapped(plain(f"{text}; these looks are asked again"), 2))
    for account, n in status.n_void.items():
        given = "blind answer counts as none" if n == 1 else "blind answers count as none"
        text = f"{n} {given}, by account {account}: they had looked at what the model said"
        click.echo(wrapped(plain(f"{text}; others are asked"), 2))
    for text in looks_harder(status.harder):
        click.echo(wrapped(plain(text), 0))
    _print_blocks(loop, status)


def _print_blocks(loop: "Loop", status: "Status") -> None:
    """What runs now, and what stands in the way, each with its remedy."""
    timezone = loop.settings.project.timezone
    for step, process in status.running.items():
        click.echo(f"{step} is running: {process}")
    lines = []
    for block in status.blocks:
        since = f", since {day_and_time(block.since, timezone)}" if block.since else ""
        lines.append(f"{block.says}{since}. {block.remedy[:1].upper()}{block.remedy[1:]}.")
    for stray in status.strays:
        lines.append(
            f"An answer that is no class: {stray.value!r} by account {stray.annotator}, in "
            f"{stray.queue}: {_page(loop, stray)}"
        )
    if lines:
        click.secho("\nWhat blocks", bold=True)
    for line in lines:
        click.echo(wrapped(plain(f"- {line}"), 2))


_NOTHING = {
    "skipped": "nothing was skipped",
    "waiting": "nothing waits for a person",
    "ties": "nothing is tied",
    "rejected": "nothing is rejected",
}


def _list(
    kind: str, found: Sequence[T], as_json: bool, line_of: Callable[[T], tuple[str, int]]
) -> None:
    """Print what was found, a line each; `line_of` says too below which indent it continues."""
    if as_json:
        print_json(kind, found)
        return
    if not found:
        click.echo(_NOTHING[kind])
    for each in found:
        line, indent = line_of(each)
        click.echo(wrapped(plain(line), indent))


def _wait_line(loop: "Loop", wait: "Wait") -> tuple[str, int]:
    """A task that waits for a person, or was skipped, with the page where it can be answered."""
    since = day_and_time(wait.since, loop.settings.project.timezone) if wait.since else "-"
    line = f"{since}  {wait.queue}  {wait.sample_id}  {wait.state}  {_page(loop, wait)}"
    return line, len(since) + 2


def _tie_line(loop: "Loop", tie: "Tie") -> tuple[str, int]:
    """A tie with its votes and the page where one more answer, or an edit, settles it."""
    votes = ", ".join(f"{answer} {n}" for answer, n in sorted(tie.votes.items()))
    return f"{tie.queue}  {tie.sample_id}  {votes}  {_page(loop, tie)}", 4


def _rejected_line(loop: "Loop", row: "RejectedRow") -> tuple[str, int]:
    """A rejected row, since when, and why."""
    zone = ZoneInfo(loop.settings.project.timezone)
    value = f" = {row.value}" if row.value else ""
    value += "" if row.rows == ONE else f" (hides {row_count(row.rows)} rows)"
    when = f"{row.first_seen_at.astimezone(zone):%Y-%m-%d %H:%M}"
    return f"{when}  {row.uri}  {row.reason}{value}", len(when) + 2


def _page(loop: "Loop", task: "Wait | Tie | AnswerToMend") -> str:
    """Where a task is answered, as far as labelloop.toml says where."""
    page = loop.project.task_page(task.project_ref, task.remote_id)
    return page or f"task {task.remote_id}"
