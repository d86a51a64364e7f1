"""listen: take a bucket's webhooks."""

from pathlib import Path

import click

from labelloop.cli.common import opened, with_config_alone


@click.command(name="listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=9321, show_default=True)
@with_config_alone
def command(config: Path, host: str, port: int) -> None:
    """Take the bucket's notifications as webhooks, and append them to [store] notifications.

    One is answered once it is on the disk. End it with Ctrl-C; while it is down, senders try again or the
    next listing finds what they gave up.
    """
    with opened(config) as loop, loop.listener(host=host, port=port) as listener:
        where = f"http://{host}:{listener.server_address[1]}/"
        click.echo(f"listening at {where}; appending to {loop.settings.store.notifications}")
        try:
            listener.serve_forever()
        finally:
            click.echo(f"{listener.n_taken:,} taken")
