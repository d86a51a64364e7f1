"""status: open tasks, what blocks them, and what was rejected."""

from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.screen import print_tables, wrapped
from labelloop.core.row_range import ONE
from labelloop.views.tables.status import of_status
from labelloop.views.wording import day_and_time, moment, plain, row_count

if TYPE_CHECKING:
    from labelloop.loop import Loop
    from labelloop.views.status import AnswerToMend, Status, Tie, Wait


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
        timezone = loop.settings.project.timezone
        if waiting or skipped:
            _print_waits(loop, as_json, skipped)
            return
        if ties:
            _print_ties(loop, as_json)
            return
        if rejected:
            rows = loop.rejected()
            if as_json:
                print_json("rejected", rows)
            elif not rows:
                click.echo("nothing is rejected")
            for row in rows if not as_json else ():
                value = f" = {row.value}" if row.value else ""
                value += "" if row.rows == ONE else f" (hides {row_count(row.rows)} rows)"
                when = f"{row.first_seen_at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
                text = plain(f"{when}  {row.uri}  {row.reason}{value}")
                click.echo(wrapped(text, len(when) + 2))
            return
        status = loop.status()
        if as_json:
            print_json("status", status)
            return
        if not status.indexed:
            click.echo(
                "nothing indexed yet: `labelloop run` reads the inputs and draws the first round"
            )
        elif status.due_at is None:
            click.echo("no round yet: the first `labelloop run` draws one")
        else:
            due = "due now" if status.due else f"due {moment(status.due_at, timezone)}"
            click.echo(f"round {status.last_round} is the newest; the next is {due}")
        print_tables(of_status(status, timezone))
        for fewer in status.not_sent:
            click.echo(wrapped(plain(f"round {status.last_round}: {fewer.says}"), 2))
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


def _print_waits(loop: "Loop", as_json: bool, skipped: bool) -> None:
    """Each task that waits for a person, or was skipped, with the page where it can be answered."""
    found = loop.waits(skipped=skipped)
    if as_json:
        print_json("skipped" if skipped else "waiting", found)
    elif not found:
        click.echo("nothing was skipped" if skipped else "nothing waits for a person")
    timezone = loop.settings.project.timezone
    for wait in found if not as_json else ():
        page = _page(loop, wait)
        since = day_and_time(wait.since, timezone) if wait.since else "-"
        text = f"{since}  {wait.queue}  {wait.sample_id}  {wait.state}  {page}"
        click.echo(wrapped(plain(text), len(since) + 2))


def _print_ties(loop: "Loop", as_json: bool) -> None:
    """Each tie with its votes and the page where one more answer, or an edit, settles it."""
    found = loop.ties()
    if as_json:
        print_json("ties", found)
    elif not found:
        click.echo("nothing is tied")
    for tie in found if not as_json else ():
        votes = ", ".join(f"{answer} {n}" for answer, n in sorted(tie.votes.items()))
        page = _page(loop, tie)
        click.echo(wrapped(plain(f"{tie.queue}  {tie.sample_id}  {votes}  {page}"), 4))


def _page(loop: "Loop", task: "Wait | Tie | AnswerToMend") -> str:
    """Where a task is answered, as far as labelloop.toml says where."""
    page = loop.project.task_page(task.project_ref, task.remote_id)
    return page or f"task {task.remote_id}"
