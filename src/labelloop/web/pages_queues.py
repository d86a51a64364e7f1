"""/queues: what waits for people, for how long, and where to open it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.core.task import TaskState
from labelloop.ledger import pauses, tasks, waiting
from labelloop.ledger.waiting import After, WaitingTask
from labelloop.views.status import WITH_PEOPLE, QueueStatus, Tie
from labelloop.views.tables.status import of_status
from labelloop.web import links
from labelloop.web.access import needs
from labelloop.web.answers import Refused
from labelloop.web.html import page
from labelloop.web.images import Found, StoreImages
from labelloop.web.pages_overview import hidden_samples, report_of
from labelloop.web.pages_rounds import STATES
from labelloop.web.site import Site

_PER_PAGE = 50
_SHOWS = {
    "waiting": ("With people, the longest first", WITH_PEOPLE),
    "tied": ("People disagree", (TaskState.TIED,)),
    "skipped": ("Skipped by everybody who saw them", (TaskState.SKIPPED,)),
}
"""What `?show=` lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedQueue:
    """A queue of the settings, or an old one whose tasks are still collected."""

    name: str
    rule: str
    status: QueueStatus | None
    paused_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """A task and where a person opens it.

    blind
        what shows it tells nothing of the sample but its input: it waits for a blind answer
    votes, text
        of a tie: the answers with how many gave each, and the input where it is a text
    """

    task: WaitingTask
    address: str | None
    blind: bool
    votes: Mapping[str, int]
    text: str | None


def routes(site: Site) -> list[Route]:
    """The paths of the queues, and of the images of ties."""
    images = StoreImages(site)

    async def queues(request: Request) -> Response:
        who = needs(request, "read")
        return await run_in_threadpool(_queues, site, request, "operate" in who.scopes)

    async def tie(request: Request) -> Response:
        needs(request, "operate")
        task = request.path_params["task"]
        return await images.answer(lambda: _tied_input(site, task), small=True)

    return [Route("/queues", queues), Route("/queues/ties/{task}", tie)]


def _tied_input(site: Site, task_key: str) -> Found:
    """Where the input of a tie lies: who settles it sees that, and nothing that the model said."""
    with site.loop().project.ledger_to_read.read() as tx:
        task = tasks.by_key(tx, [task_key]).get(task_key)
    if task is None or task.state is not TaskState.TIED or task.forgotten:
        raise Refused(404, "this is no tie any more", "/queues?show=tied lists the ties")
    return Found(task.uri)


def _queues(site: Site, request: Request, may_operate: bool) -> Response:
    found = site.lately("status", lambda loop: loop.status())
    show = request.query_params.get("show", "waiting")
    if show not in _SHOWS:
        raise Refused(400, f"show = {show[:100]!r}", f"expected one of {', '.join(_SHOWS)}")
    listed: Sequence[ListedTask] = ()
    older = None
    if may_operate:
        listed, older = _tasks(site, request, show)
    _, ages, *_ = [*of_status(found, site.settings.project.timezone), None, None]
    return page(
        request,
        "queues.html",
        queues=_listed(site, found.queues),
        ages=ages if found.queues and any(q.n_open for q in found.queues) else None,
        by_round=report_of(site).labels[-5:],
        show=show,
        only=request.query_params.get("queue", "")[:100],
        shows={name: title for name, (title, _) in _SHOWS.items()},
        counts={
            "waiting": sum(q.n_open for q in found.queues),
            "tied": sum(q.n_tied for q in found.queues),
            "skipped": sum(q.n_skipped for q in found.queues),
        },
        tasks=listed,
        older=older,
        newer=f"/queues?show={show}" if request.query_params.get("after") else None,
        states=STATES,
        links=links,
        is_text=site.settings.input.kind == "text",
        answers=list(site.settings.answers().kinds),
    )


def _listed(site: Site, known: Sequence[QueueStatus]) -> list[ListedQueue]:
    by_name = {q.queue: q for q in known}
    with site.loop().project.ledger_to_read.read() as tx:
        paused = {p.queue: p.paused_by for p in pauses.every(tx)}
    own = {q.name: q.rule for q in site.loop().project.queues}
    return [
        ListedQueue(
            name=name,
            rule=own.get(name, "not in the settings any more; its tasks are still collected"),
            status=by_name.get(name),
            paused_by=paused.get(name, ""),
        )
        for name in (*own, *(n for n in by_name if n not in own))
    ]


def _tasks(site: Site, request: Request, show: str) -> tuple[list[ListedTask], str | None]:
    """A page of tasks, and where the next one begins."""
    queue = request.query_params.get("queue") or None
    _, states = _SHOWS[show]
    loop = site.loop()
    with loop.project.ledger_to_read.read() as tx:
        found = waiting.page(tx, states, queue=queue, after=_after(request), most=_PER_PAGE)
    ties: dict[str, Tie] = {}
    texts: Mapping[str, str] = {}
    if show == "tied" and found:
        ties = {t.task_key: t for t in site.kept("ties", lambda loop: loop.ties())}
        log = loop.project.log_to_read
        if site.settings.input.kind == "text" and log is not None:
            texts = log.texts([w.sample_id for w in found])
    unseen = hidden_samples(site).sample_ids
    listed = [
        ListedTask(
            task=w,
            address=loop.project.task_page(w.project_ref, w.remote_id) if w.remote_id else None,
            blind=w.sample_id in unseen,
            votes=ties[w.task_key].votes if w.task_key in ties else {},
            text=texts.get(w.sample_id),
        )
        for w in found
    ]
    if len(found) < _PER_PAGE:
        return listed, None
    last = found[-1]
    place: dict[str, Any] = {"show": show, "after": f"{last.sent_at.isoformat()} {last.task_key}"}
    return listed, f"/queues?{urlencode(place | ({'queue': queue} if queue else {}))}"


def _after(request: Request) -> After | None:
    said = request.query_params.get("after")
    if not said:
        return None
    at, _, key = said.partition(" ")
    try:
        return After(datetime.fromisoformat(at).astimezone(), key)
    except (ValueError, OverflowError):
        raise Refused(400, f"after = {said[:100]!r} is no place in this list") from None
