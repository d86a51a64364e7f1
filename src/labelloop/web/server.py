"""The process that answers over HTTP, with the worker beside it, until it is told to end."""

import asyncio
import signal
import socket
from pathlib import Path

import uvicorn

from labelloop.errors import ConfigError
from labelloop.service.journal import Journal
from labelloop.service.supervisor import Supervisor
from labelloop.web.app import application

GRACE_S = 5
"""How long requests may take to end once the process is told to."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: the port is in use, or the address isn't this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as exc:
        raise ConfigError(
            f"can't listen at {host}:{port}: {exc.strerror or exc}",
            remedy="choose another [service] host or port, or end the process that uses it",
        ) from exc


def serve(config_file: Path, at: socket.socket, journal: Journal) -> None:
    """Answer at a socket, and let a worker do what is due, until SIGTERM or SIGINT."""
    supervisor = Supervisor(config_file, journal)
    supervisor.start()
    signal.signal(signal.SIGHUP, lambda *_: supervisor.tell("reload"))
    try:
        _answer(at)
    finally:
        supervisor.stop()


def _answer(at: socket.socket) -> None:
    config = uvicorn.Config(
        application(),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who is believed says [service.auth]
        timeout_graceful_shutdown=GRACE_S,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[at]))
