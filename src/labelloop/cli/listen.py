"""listen: take a bucket's webhooks."""

from pathlib import Path

import click

from labelloop.cli.common import opened, with_config_alone


@click.command(name="listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=9321, show_default=True)
@with_config_alone
def command(config: Path, host: str, port: int) -> None:
    """Receive the bucket's notifications as webhooks, and append them to [store] notifications.

    It answers a notification after writing it to disk. End it with Ctrl-C. While it is down, senders
    retry, and the next listing of the bucket finds what they gave up on.
    """
    with opened(config) as loop, loop.listener(host=host, port=port) as listener:
        where = f"http://{host}:{listener.server_address[1]}/"
        click.echo(f"listening at {where}; appending to {loop.settings.store.notifications}")
        try:
            listener.serve_forever()
        finally:
            click.echo(f"{listener.n_taken:,} taken")
