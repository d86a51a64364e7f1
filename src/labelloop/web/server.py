"""The process that answers over HTTP, with the worker beside it, until it is told to end."""

import asyncio
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from labelloop.core.loopback import is_loopback
from labelloop.errors import ConfigError
from labelloop.loop import open_loop
from labelloop.service.journal import Journal
from labelloop.service.supervisor import Supervisor
from labelloop.web.access import is_alone
from labelloop.web.app import application
from labelloop.web.connections import Connection
from labelloop.web.site import Site

GRACE_S = 5
"""How long requests may take to end once the process is told to."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: the port is in use, or the address isn't this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=512)
    except OSError as exc:
        raise ConfigError(
            f"can't listen at {host}:{port}: {exc.strerror or exc}",
            remedy="choose another [service] host or port, or end the process that uses it",
        ) from exc
    # connections inherit it; without it an answer of two writes waits 40 ms for the client
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def serve(config_file: Path, at: socket.socket, journal: Journal) -> None:
    """Answer at a socket, and let a worker do what is due, until SIGTERM or SIGINT.

    Raises:
        ConfigError: others could reach the service, and nobody has an account.
    """
    own = open_loop(config_file).settings.service
    supervisor = Supervisor(config_file, journal, own_url=own.public_url or _here(at))
    site = Site(lambda: open_loop(config_file), tell=supervisor.tell, journal=journal)
    with closing(site):
        _refuse_open_doors(site, at)
        supervisor.start()
        signal.signal(
            signal.SIGHUP, lambda *_: threading.Thread(target=site.reload, daemon=True).start()
        )
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: None)  # uvicorn raises them again once it has ended
        try:
            _answer(application(site, worker_is_alive=lambda: supervisor.is_alive), at)
        finally:
            supervisor.stop()


def _here(at: socket.socket) -> str | None:
    """Where this machine reaches the service, if it listens for this machine alone."""
    address, port = at.getsockname()[:2]
    url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    return url if is_loopback(url) else None


def _refuse_open_doors(site: Site, at: socket.socket) -> None:
    own = site.settings.service
    if not is_alone(own, site.accounts()):
        return
    what = ""
    if _here(at) is None:
        what = f"{at.getsockname()[0]} can be reached by others"
    elif own.public_url:
        what = f"public_url = {own.public_url!r} lets others in"
    if what:
        raise ConfigError(
            f"{what}, and nobody has an account",
            remedy="run `labelloop people add NAME --scopes read,operate` first, or name a proxy in "
            "[service.auth] trusted_proxies",
        )


def _answer(app: Starlette, at: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who is believed says [service.auth]
        timeout_graceful_shutdown=GRACE_S,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[at]))
