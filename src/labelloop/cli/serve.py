"""serve: the loop on a schedule, and what it answers over HTTP."""

from importlib.util import find_spec
from pathlib import Path

import click

from labelloop.cli.common import opened, with_config_alone
from labelloop.errors import ConfigError


@click.command(name="serve")
@click.option("--host", help="The address to listen at, in place of [service] host.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port, in place of [service] port.")
@with_config_alone
def command(config: Path, host: str | None, port: int | None) -> None:
    """Do the six steps whenever they are due, and answer over HTTP.

    Stop it with Ctrl-C or SIGTERM: it finishes the transaction that is open. On SIGHUP it reads the
    settings again.
    """
    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise ConfigError(
            "labelloop serve needs starlette and uvicorn, which aren't installed",
            remedy="pip install 'labelloop[serve]'",
        )
    from labelloop.service.journal import Journal
    from labelloop.web.server import listening, serve

    with opened(config, quiet=True) as loop:
        own = loop.settings.service
        with listening(host or own.host, own.port if port is None else port) as at:
            where = at.getsockname()
            journal = Journal(as_json=own.log == "json")
            journal.line("listening", at=f"http://{where[0]}:{where[1]}/")
            serve(config, at, journal)
