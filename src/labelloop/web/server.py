"""The process that answers over HTTP, with the worker beside it, until it is told to end."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from labelloop.core.loopback import is_loopback
from labelloop.errors import ConfigError, LabelloopError
from labelloop.loop import open_loop
from labelloop.service.journal import Journal
from labelloop.service.supervisor import Supervised, Supervisor
from labelloop.web.access import is_alone
from labelloop.web.app import application
from labelloop.web.connections import Connection
from labelloop.web.projects import PATH, Projects, Served, found_in
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
        LedgerError: the ledger can't be read, or an older labelloop is still changing it.
    """
    public_url = _begun(config_file)
    supervisor = Supervisor([Supervised("", config_file, public_url or _here(at))], journal)
    ending = threading.Event()
    site = Site(
        lambda: open_loop(config_file),
        tell=supervisor.tell,
        journal=journal,
        work=supervisor.work,
        ending=ending,
    )
    with closing(site):
        _refuse_open_doors(site, at)
        app = application(site, worker_is_alive=lambda: supervisor.is_alive)
        _work(app, supervisor, at, ending, reload=site.reload)


def serve_folder(folder: Path, at: socket.socket, journal: Journal) -> None:
    """Serve every project in a folder, each below /p/ and its name. One that fails doesn't stop others.

    Raises:
        ConfigError: there is no project.
    """
    supervisor, here, ending = Supervisor((), journal), _here(at), threading.Event()

    def open_site(name: str, config: Path) -> Site:
        _begun(config)
        site = Site(
            lambda: open_loop(config),
            tell=lambda command: supervisor.tell(command, name),
            journal=Journal(as_json=journal.as_json, project=name),
            below=PATH + name,
            work=lambda: supervisor.work(name),
            ending=ending,
        )
        try:
            _refuse_open_doors(site, at)
        except BaseException:
            site.close()
            raise
        return site

    def opened(name: str, config: Path, site: Site) -> None:
        own = site.settings.service
        supervisor.add(Supervised(name, config, own.public_url or (here and here + site.prefix)))

    projects = [
        Served(n, partial(open_site, n, config), partial(opened, n, config))
        for n, config in found_in(folder).items()
    ]
    with ExitStack() as held:
        for each in projects:
            held.callback(each.close)
            try:
                each.site()
            except LabelloopError as exc:
                said = {"error": str(exc.args[0]), "remedy": exc.remedy or None}
                journal.line("not served", level="error", project=each.name, **said)

        def reload() -> None:
            for each in projects:
                each.reload()

        app = Projects(projects, lambda: supervisor.is_alive)
        _work(app, supervisor, at, ending, reload=reload)


def _work(
    app: ASGIApp,
    supervisor: Supervisor,
    at: socket.socket,
    ending: threading.Event,
    *,
    reload: Callable[[], object],
) -> None:
    supervisor.start()
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload, daemon=True).start())
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)  # uvicorn raises them again once it has ended
    try:
        _answer(app, at, ending)
    finally:
        supervisor.stop()


def _begun(config_file: Path) -> str | None:
    """Bring the project's ledger to this version, if there is one; returns its public URL.

    Raises:
        LabelloopError: the settings or the ledger can't be read, or an older labelloop still works.
    """
    with open_loop(config_file) as loop:
        loop.project.existing_ledger()
        return loop.settings.service.public_url


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
    elif own.public_url and not is_loopback(own.public_url):
        what = f"public_url = {own.public_url!r} lets others in"
    if what:
        raise ConfigError(
            f"{what}, and nobody has an account",
            remedy="run `labelloop people add NAME --scopes read,operate` first, or name a proxy in "
            "[service.auth] trusted_proxies",
        )


class _Server(uvicorn.Server):
    """Says that it ends, so that streams end by themselves: it waits for every answer."""

    def __init__(self, config: uvicorn.Config, ending: threading.Event) -> None:
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Hear a signal."""
        self._ending.set()
        super().handle_exit(sig, frame)


def _answer(app: ASGIApp, at: socket.socket, ending: threading.Event) -> None:
    config = uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who is believed says [service.auth]
        timeout_graceful_shutdown=GRACE_S,
    )
    asyncio.run(_Server(config, ending).serve(sockets=[at]))
