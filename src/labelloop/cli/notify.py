"""notify: what other programs hear."""

from pathlib import Path

import click

from labelloop.cli.common import opened, print_json, with_config
from labelloop.cli.screen import outcome, print_tables


@click.command(name="notify")
@click.option("--deliver", is_flag=True, help="Deliver what is due now.")
@click.option("--test", is_flag=True, help="Send each receiver an event called `test`.")
@click.option("--resend", metavar="ID", help="Deliver an event once more.")
@with_config
def command(config: Path, as_json: bool, deliver: bool, test: bool, resend: str | None) -> None:
    """List the events that weren't delivered to the receivers of [[notify]].

    `labelloop run` delivers events when it ends. An event that fails is tried again for four days, at
    longer and longer intervals. After that, only --resend tries it again.

    With --test the exit code is 1 if a receiver failed.
    """
    from labelloop.views.tables.unheard import unheard

    if deliver + test + (resend is not None) > 1:
        raise click.UsageError("use one of --deliver, --test and --resend")
    with opened(config, quiet=as_json) as loop:
        if test:
            tried = loop.notify_test()
            if as_json:
                print_json("notify-test", tried)
            else:
                for one in tried:
                    said = one.error or "heard"
                    click.echo(said if one.receiver in said else f"{one.receiver}: {said}")
                    if one.remedy:
                        click.echo(f"remedy: {one.remedy}")
                if not tried:
                    click.echo("nothing to test: labelloop.toml has no [[notify]]")
            if any(one.error for one in tried):
                raise click.exceptions.Exit(1)
            return
        if deliver or resend is not None:
            notified = loop.notify() if resend is None else loop.notify_again(resend)
            if as_json:
                print_json("notify", notified)
            else:
                outcome("notify", notified)
            return
        found, timezone = loop.unheard(), loop.settings.project.timezone
    if as_json:
        print_json("unheard", found)
    elif found:
        print_tables([unheard(found, timezone)])
    else:
        click.echo("every receiver has heard of every event")
