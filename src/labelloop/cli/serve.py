"""serve: the loop on a schedule, and what it answers over HTTP."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import opened, with_config_alone
from labelloop.errors import ConfigError

if TYPE_CHECKING:
    from socket import socket

    from labelloop.service.journal import Journal


@click.command(name="serve")
@click.argument(
    "folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--host", help="The address to listen at, in place of [service] host.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port, in place of [service] port.")
@with_config_alone
def command(config: Path, folder: Path | None, host: str | None, port: int | None) -> None:
    """Do the six steps whenever they are due, and answer over HTTP.

    FOLDER holds several projects, each in a folder of its own: each is served at /p/FOLDERNAME/.
    Without it the project of --config is served.

    Stop it with Ctrl-C or SIGTERM: it finishes the transaction that is open. On SIGHUP it reads the
    settings again.
    """
    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise ConfigError(
            "labelloop serve needs starlette and uvicorn, which aren't installed",
            remedy="pip install 'labelloop[serve]'",
        )
    from labelloop.web.server import listening, serve, serve_folder

    if folder is not None:
        with listening(host or "127.0.0.1", 8500 if port is None else port) as at:
            serve_folder(folder, at, _journal(at, as_json=False))
        return
    with opened(config, quiet=True) as loop:
        own = loop.settings.service
        with listening(host or own.host, own.port if port is None else port) as at:
            serve(config, at, _journal(at, as_json=own.log == "json"))


def _journal(at: "socket", *, as_json: bool) -> "Journal":
    from labelloop.service.journal import Journal

    where = at.getsockname()
    journal = Journal(as_json=as_json)
    journal.line("listening", at=f"http://{where[0]}:{where[1]}/")
    return journal
