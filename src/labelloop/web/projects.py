"""Several projects in one service: each below /p/ and its name, and a page that lists them."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from labelloop.core.estimate import Estimate
from labelloop.errors import ConfigError, LabelloopError
from labelloop.ledger import events
from labelloop.loop import Loop
from labelloop.settings.file import FILE_NAME
from labelloop.views.wording import percent
from labelloop.web import errors, metrics, static
from labelloop.web.access import from_here, placed, refuse_strangers, who_asks
from labelloop.web.answers import ALWAYS, Refused
from labelloop.web.app import application, healthz, metrics_of
from labelloop.web.html import page
from labelloop.web.pages_overview import report_of
from labelloop.web.site import Site
from labelloop.web.who import Who

PATH = "/p/"
AGAIN_S = 5.0
"""How long a project that can't be opened rests before it is tried again."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A project in the list; `error`: why it isn't served, or its numbers can't be shown."""

    name: str
    path: str
    may_read: bool
    error: str = ""
    remedy: str = ""
    accuracy: str = ""
    low: str = ""
    n_labels: int = 0
    alarm: bool = False
    blocks: Sequence[str] = ()
    newest_label_at: datetime | None = None
    made_at: datetime | None = None


def found_in(folder: Path) -> dict[str, Path]:
    """The settings file of each project in a folder, by the name of its own folder.

    Raises:
        ConfigError: there is none.
    """
    found = {each.parent.name: each for each in sorted(folder.glob(f"*/{FILE_NAME}"))}
    if not found:
        raise ConfigError(
            f"no folder in {str(folder)!r} holds a {FILE_NAME}",
            remedy="put each project into a folder of its own there",
        )
    return found


class Served:
    """One of several projects. One that can't be opened is tried again when somebody asks for it."""

    def __init__(
        self, name: str, open_site: Callable[[], Site], opened: Callable[[Site], None]
    ) -> None:
        """`opened` is told once the project can be served."""
        self.name = name
        self._open_site = open_site
        self._tell_opened = opened
        self._opening = threading.Lock()
        self._tried_at_s = -AGAIN_S
        self._site: Site | None = None
        self._error: LabelloopError | None = None
        self._app: ASGIApp | None = None
        self.worker_is_alive: Callable[[], bool] = lambda: True

    def site(self) -> Site:
        """The project.

        Raises:
            LabelloopError: it can't be opened.
        """
        with self._opening:
            if self._site is None:
                if time.monotonic() - self._tried_at_s >= AGAIN_S:
                    self._tried_at_s = time.monotonic()
                    self._open()
                if self._error is not None:
                    raise self._error
            assert self._site is not None  # noqa: S101  opened, or an error was raised
            return self._site

    @property
    def opened(self) -> Site | None:
        """The project, if it is open."""
        return self._site

    def _open(self) -> None:
        try:
            site = self._open_site()
            try:
                self._check(site)
            except ConfigError:
                site.close()
                raise
        except LabelloopError as exc:
            self._error = exc
        else:
            self._site, self._error = site, None
            self._app = application(site, worker_is_alive=lambda: self.worker_is_alive())
            self._tell_opened(site)

    def _check(self, site: Site) -> None:
        own, below = site.settings, f"{PATH}{self.name}"
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"the folder's name {self.name!r} can't be the name of a project",
                remedy="use letters, digits, dots, dashes and underscores",
            )
        if not site.prefix.endswith(below):
            raise ConfigError(
                f"[service] public_url = {own.service.public_url!r} doesn't end in {below}, where this "
                "project lies among the others",
                remedy="let it end so",
            )
        shows = own.labelling_page is not None or any(q.images == "gateway" for q in own.queue)
        if shows and own.service.public_url is None:
            raise ConfigError(
                "links to the labelling page and to images need to know where this project lies",
                remedy=f'set [service] public_url, such as "http://127.0.0.1:8500{below}"',
            )

    async def answer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a path of the project.

        Raises:
            LabelloopError: it can't be opened.
        """
        site = await run_in_threadpool(self.site)
        assert self._app is not None  # noqa: S101  made with the site
        inner = {**scope, "path": site.prefix + path, "root_path": ""}
        await self._app(inner, receive, send)

    def reload(self) -> None:
        """Read its settings again."""
        try:
            self.site().reload()
        except LabelloopError:
            self._tried_at_s = -AGAIN_S

    def close(self) -> None:
        """Close its connections."""
        if self._site is not None:
            self._site.close()


class Projects:
    """The service of several projects, as an ASGI application."""

    def __init__(self, projects: Sequence[Served], worker_is_alive: Callable[[], bool]) -> None:
        self._projects = {each.name: each for each in projects}
        self._worker_is_alive = worker_is_alive
        for each in projects:
            each.worker_is_alive = worker_is_alive
        self._own = Starlette(
            routes=[
                Route("/", self._listed),
                Route("/metrics", self._measured),
                Route("/healthz", healthz),
                Route("/readyz", self._readyz),
                *static.routes(),
            ],
            exception_handlers={
                Refused: self._refused,
                LabelloopError: self._refused,
                HTTPException: self._refused,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its project, or answer it."""
        if scope["type"] != "http":
            await self._own(scope, receive, send)
            return
        prefix = self._outer_prefix()
        scope = {**scope, **placed(scope, prefix)}
        path = scope["path"].removeprefix(prefix) or "/"
        name, slash, rest = path.removeprefix(PATH).partition("/")
        served = self._projects.get(name) if path.startswith(PATH) else None
        if served is None:
            await self._own(scope, receive, send)
            return
        try:
            await served.answer(slash + rest, scope, receive, send)
        except LabelloopError:
            request = Request(scope, receive)
            refused = Refused(
                503, f"the project {name!r} can't be opened", "the list of projects says why"
            )
            await errors.answer(request, refused)(scope, receive, send)

    def _outer_prefix(self) -> str:
        """Where browsers find the service, by the first project that says so."""
        open_ones = (each.opened for each in self._projects.values())
        prefixes = (s.outer_prefix for s in open_ones if s and s.settings.service.public_url)
        return next(prefixes, "")

    async def _asking(self, request: Request) -> dict[str, Who | LabelloopError | None]:
        """Who asks, as each project knows them; None: it doesn't. An error: it can't tell.

        Raises:
            Refused: no project answers this visitor at all.
        """
        found: dict[str, Who | LabelloopError | None] = {}
        last: Refused | None = None
        for name, each in self._projects.items():
            try:
                found[name] = await who_asks(request, await run_in_threadpool(each.site))
            except LabelloopError as exc:
                found[name] = exc
            except Refused as exc:
                last = exc
                if exc.status == 401:
                    found[name] = None
        if all(isinstance(who, LabelloopError) for who in found.values()):
            if last is not None:
                raise last
            refuse_strangers(request)
        return found

    async def _listed(self, request: Request) -> Response:
        asking = await self._asking(request)
        known = [who for who in asking.values() if not isinstance(who, LabelloopError)]
        operates = any(who is not None and "operate" in who.scopes for who in known)
        if not known:  # none says who operates it: this machine does
            operates = from_here(request)
        rows = await asyncio.gather(
            *(run_in_threadpool(self._row, name, who, operates) for name, who in asking.items())
        )
        return page(request, "projects.html", rows=rows)

    def _row(self, name: str, who: Who | LabelloopError | None, operates: bool) -> Row:
        row = Row(name=name, path=f"{PATH}{quote(name)}/", may_read=False)
        try:
            if isinstance(who, LabelloopError):
                raise who
            may_read = who is not None and "read" in who.scopes
            return _with_numbers(row, self._projects[name].site()) if may_read else row
        except LabelloopError as exc:
            says = str(exc.args[0]) if operates else "it can't be opened"
            remedy = exc.remedy if operates else "who runs labelloop sees why"
            return replace(row, error=says, remedy=remedy)

    async def _measured(self, request: Request) -> Response:
        found: dict[str, Sequence[metrics.Family]] = {}
        for name, who in (await self._asking(request)).items():
            if isinstance(who, Who) and "read" in who.scopes:
                found[name] = await run_in_threadpool(metrics_of, self._projects[name].site())
        if not found:
            raise Refused(
                403,
                "no project lets you read its numbers",
                "send `Authorization: Bearer TOKEN`; each project has tokens of its own",
            )
        return Response(metrics.exposition(found), headers=ALWAYS, media_type=metrics.MEDIA_TYPE)

    async def _readyz(self, _request: Request) -> Response:
        if not self._worker_is_alive():
            raise Refused(503, "the worker is down", "it is started again; the log says why")
        return PlainTextResponse("ready\n", headers=ALWAYS)

    async def _refused(self, request: Request, exc: Exception) -> Response:
        return errors.answer(request, exc)


def _with_numbers(row: Row, site: Site) -> Row:
    quality = report_of(site)
    status = site.lately("status", lambda loop: loop.status())
    e = quality.measured.last_seven_days.estimate
    return replace(
        row,
        may_read=True,
        accuracy=percent(e.value) if isinstance(e, Estimate) else "",
        low=percent(e.low) if isinstance(e, Estimate) else "",
        n_labels=e.n if isinstance(e, Estimate) else 0,
        alarm=quality.measured.trend.alarm is not None,
        blocks=[
            *(f"{v.verb} fails" for v in site.service_state().verbs if v.n_failures),
            *(block.says for block in status.blocks),
        ],
        newest_label_at=site.kept("newest label", _newest_label),
        made_at=quality.made_at,
    )


def _newest_label(loop: Loop) -> datetime | None:
    with loop.project.ledger_to_read.read() as tx:
        return events.newest_at(tx, "resolved")
