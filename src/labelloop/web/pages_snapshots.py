"""/snapshots: links to the report as it was at a moment; /s/{token}: where such a link leads."""

import re
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from labelloop.errors import LabelloopError
from labelloop.ledger import snapshots
from labelloop.views.snapshots import LONGEST, SnapshotMade, state
from labelloop.web.access import client_address, needs
from labelloop.web.answers import ALWAYS, Refused, whole
from labelloop.web.attempts import Attempts
from labelloop.web.forms import form_of
from labelloop.web.html import page, url_of
from labelloop.web.pages_overview import REPORT_POLICY
from labelloop.web.site import Site

NOINDEX = {"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer"}
_HEADERS = {**ALWAYS, **NOINDEX, "Content-Security-Policy": REPORT_POLICY}
_TOKEN = re.compile(r"[0-9a-f]{32}")
_DAYS = 7
_LONGEST_NOTE = 200


class Openings:
    """Counts how often links are opened, and writes that behind the visitors, in one place at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._counting, self._writing = threading.Lock(), threading.Lock()
        self._unwritten: Counter[int] = Counter()

    def note(self, number: int) -> None:
        """Count an opening; what others count meanwhile is written along."""
        with self._counting:
            self._unwritten[number] += 1
        while self._unwritten and self._writing.acquire(blocking=False):
            try:
                self._write()
            except LabelloopError:
                return  # it is written with the next
            finally:
                self._writing.release()

    def _write(self) -> None:
        with self._counting:
            held, self._unwritten = self._unwritten, Counter()
        try:
            self._site.write(lambda tx, at: snapshots.count(tx, held, at=at), shows=False)
        except LabelloopError:
            with self._counting:
                self._unwritten += held
            raise


def routes(site: Site) -> list[Route]:
    """The paths of the links, of their list, and of the form that makes one."""
    attempts, openings = Attempts("wrong links"), Openings(site)

    async def listed(request: Request) -> Response:
        if request.method == "POST":
            return await _make(site, request)
        needs(request, "operate")
        return await run_in_threadpool(_page, site, request)

    async def opened(request: Request) -> Response:
        address = client_address(request, site.settings.service)
        attempts.refuse_many(address)
        found = await run_in_threadpool(_find, site, request.path_params["token"])
        if found is None:
            attempts.note(address)
            raise Refused(
                404,
                "this link opens nothing: it is wrong, expired, or was revoked",
                "ask the person who sent it to you for a new link",
                NOINDEX,
            )
        number, html = found
        counting = None if request.method == "HEAD" else BackgroundTask(openings.note, number)
        return HTMLResponse(html, headers=_HEADERS, background=counting)

    return [
        Route("/snapshots", listed, methods=["GET", "POST"]),
        Route("/s/{token}", opened),
    ]


def _find(site: Site, token: str) -> tuple[int, str] | None:
    if not _TOKEN.fullmatch(token):
        return None
    with site.loop().project.ledger_to_read.read() as tx:
        return snapshots.find(tx, token, now=site.now())


async def _make(site: Site, request: Request) -> Response:
    who, fields = await form_of(request, "operate")
    said = fields.get("days", "")
    days = whole(said)
    if days is None or not 1 <= days <= LONGEST.days:
        raise Refused(
            400, f"a link can't last {said[:20]!r} days", f"choose from 1 to {LONGEST.days} days"
        )
    note = fields.get("note", "").strip()[:_LONGEST_NOTE]

    def make() -> SnapshotMade:
        with site.own_loop() as loop:
            return loop.make_snapshot(timedelta(days=days), note=note, by=who.name)

    made = await run_in_threadpool(make)
    if site.settings.service.public_url is None:  # then the settings don't know where this is
        path = made.url[made.url.rindex("/s/") :]
        here = f"{request.url.scheme}://{request.url.netloc}{url_of(request, path)}"
        made = replace(made, url=here)
    site.journal.line("asked", command="make snapshot", snapshot=made.id, by=who.name)
    return await run_in_threadpool(_page, site, request, made)


def _page(site: Site, request: Request, made: SnapshotMade | None = None) -> Response:
    loop = site.loop()
    found, zone = loop.snapshots(), loop.settings.project.timezone
    now = site.now()
    return page(
        request,
        "snapshots.html",
        made=made,
        snapshots=found,
        states={s.id: state(s, now=now, timezone=zone) for s in found},
        opens={s.id for s in found if s.opens(now)},
        longest=LONGEST.days,
        days=_DAYS,
        longest_note=_LONGEST_NOTE,
    )
