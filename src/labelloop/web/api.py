"""/api/v1: the JSON of --json, and what people may let the service do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.core.dataset import DatasetVersion
from labelloop.core.where import instant
from labelloop.errors import ArgumentError, LedgerError
from labelloop.ledger import Transaction, events, outbox, pauses, snapshots
from labelloop.ledger.rejects import RejectedRow
from labelloop.ledger.snapshots import Snapshot
from labelloop.loop import Loop
from labelloop.measuring.measured import Measured
from labelloop.steps.collect.settling import settle
from labelloop.steps.notify.notify import Happened, Unheard
from labelloop.views.plan import Plan
from labelloop.views.quality import Quality
from labelloop.views.status import Status, Tie, Wait
from labelloop.web.access import needs
from labelloop.web.answers import Refused, body_of, json_answer, whole
from labelloop.web.live import Live, wants_stream
from labelloop.web.site import Site

if TYPE_CHECKING:
    from labelloop.views.service import ServiceState

PREFIX = "/api/v1"
LIVE = "/events"
PATIENCE_S = 0.1
"""How long an action waits for the ledger before it is answered with 202: it is done all the same."""
BODY_BYTES = 65_536
"""Actions need no body; one that comes is read to its end, within limits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, and whether it is done already or will be."""

    action: str
    done: bool


Fields = Mapping[str, str]
"""What a page's form sends, or the query of the API."""
Do = Callable[[Site, Request, str, Fields], Awaitable[Asked]]
"""Does what somebody asked for, whose name is the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A path that reads: its document's kind and type, and who may read it."""

    path: str
    kind: str
    of: Any
    scope: str
    says: str
    make: Callable[[Loop, Request], object]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A path that lets the service do something; its answer is an `Asked`."""

    path: str
    says: str
    do: Do
    parameters: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


def _moment(request: Request, name: str) -> datetime | None:
    said = request.query_params.get(name)
    if said is None:
        return None
    try:
        return instant(said)
    except (ValueError, OverflowError):
        raise Refused(
            400,
            f"{name} = {said[:100]!r} is no date or time",
            "write 2026-03-01 or 2026-03-01T12:00:00Z",
        ) from None


def _measure(loop: Loop, request: Request) -> Measured:
    since, until = _moment(request, "since"), _moment(request, "until")
    if "operate" not in request.scope["who"].scopes and any(
        at is not None and at.time() != time() for at in (since, until)
    ):
        raise Refused(
            403,
            "the numbers of a moment can tell what the model said of one sample that is still to be "
            "answered blind",
            "ask for whole days in UTC (since=2026-03-01&until=2026-03-02), or with scope 'operate'",
        )
    return loop.measure(since=since, until=until)


READINGS = (
    Reading(
        path="/status",
        kind="status",
        of=Status,
        scope="read",
        says="What waits for whom, and what blocks.",
        make=lambda loop, _: loop.status(),
    ),
    Reading(
        path="/measure",
        kind="measure",
        of=Measured,
        scope="read",
        says="The accuracy with its interval; of a period too, if one is given.",
        make=_measure,
        parameters=("since", "until"),
    ),
    Reading(
        path="/report",
        kind="report",
        of=Quality,
        scope="read",
        says="How good the model is, over time and by class.",
        make=lambda loop, _: loop.report(),
    ),
    Reading(
        path="/plan",
        kind="plan",
        of=Plan,
        scope="read",
        says="How many blind labels narrower intervals need.",
        make=lambda loop, _: loop.plan(),
    ),
    Reading(
        path="/datasets",
        kind="datasets",
        of=list[DatasetVersion],
        scope="read",
        says="Every released dataset version.",
        make=lambda loop, _: loop.datasets(),
    ),
    Reading(
        path=LIVE,
        kind="events",
        of=list[Happened],
        scope="read",
        says="The newest events that were recorded for others. With `Accept: text/event-stream` a stream "
        "that tells how far the work is.",
        make=lambda loop, _: loop.events(),
    ),
    Reading(
        path="/unheard",
        kind="unheard",
        of=list[Unheard],
        scope="operate",
        says="The events that receivers haven't heard of.",
        make=lambda loop, _: loop.unheard(),
    ),
    Reading(
        path="/waiting",
        kind="waiting",
        of=list[Wait],
        scope="operate",
        says="The tasks that wait for a person, oldest first.",
        make=lambda loop, _: loop.waits(),
    ),
    Reading(
        path="/skipped",
        kind="skipped",
        of=list[Wait],
        scope="operate",
        says="The tasks that everybody skipped.",
        make=lambda loop, _: loop.waits(skipped=True),
    ),
    Reading(
        path="/ties",
        kind="ties",
        of=list[Tie],
        scope="operate",
        says="The tasks on which people disagree.",
        make=lambda loop, _: loop.ties(),
    ),
    Reading(
        path="/rejected",
        kind="rejected",
        of=list[RejectedRow],
        scope="operate",
        says="The rejected rows, newest first.",
        make=lambda loop, _: loop.rejected(),
    ),
    Reading(
        path="/snapshots",
        kind="snapshots",
        of=list[Snapshot],
        scope="operate",
        says="The links to snapshots of the report, newest first.",
        make=lambda loop, _: loop.snapshots(),
    ),
)
"""What names samples needs `operate`: a key may hold the prediction, and its task may be blind."""


def _tell(command: str) -> Do:
    async def do(site: Site, _request: Request, by: str, _fields: Fields) -> Asked:
        site.ask(command, by=by)
        await _note(site, command, by)
        return Asked(command, done=False)

    return do


async def _reload(site: Site, _request: Request, by: str, _fields: Fields) -> Asked:
    site.journal.line("asked", command="reload", by=by)
    await _note(site, "reload", by)
    return Asked("reload", done=await run_in_threadpool(site.reload))


def _pausing(action: str) -> Do:
    change = pauses.pause if action == "pause" else pauses.resume

    async def do(site: Site, request: Request, by: str, _fields: Fields) -> Asked:
        name = request.path_params["queue"]
        known = [q.name for q in site.settings.queue]
        if name not in known:
            raise Refused(404, f"there is no queue {name[:100]!r}", f"queues: {', '.join(known)}")
        site.journal.line("asked", command=action, queue=name, by=by)
        done = await _write(site, action, lambda tx, at: change(tx, name, by=by, at=at))
        return Asked(action, done=done)

    return do


async def _write(
    site: Site, action: str, change: Callable[[Transaction, datetime], object]
) -> bool:
    """Change the ledger; False: another writes just now, and it is done after that."""
    writing = asyncio.ensure_future(run_in_threadpool(site.write, change))
    done, _ = await asyncio.wait({writing}, timeout=PATIENCE_S)
    if done:
        writing.result()
    else:
        writing.add_done_callback(lambda ended: _tell_failure(site, action, ended))
    return bool(done)


async def _note(site: Site, action: str, by: str, detail: str = "") -> None:
    """Record who asked for something; without a ledger that can be written the log alone says so."""

    def write(tx: Transaction, at: datetime) -> None:
        events.record(tx, [events.Event(at, by, action, "service", detail)])

    try:
        await _write(site, action, write)
    except LedgerError as exc:
        site.journal.line("not recorded", level="warning", command=action, because=exc.args[0])


async def _resend(site: Site, request: Request, by: str, _fields: Fields) -> Asked:
    event = request.path_params["event"]
    if not await run_in_threadpool(site.write, lambda tx, at: outbox.send_again(tx, event, at) > 0):
        raise Refused(
            404,
            f"no event {event[:100]!r} belongs to a receiver in [[notify]]",
            "GET /api/v1/unheard lists what receivers haven't heard of",
        )
    site.ask("notify", by=by)
    await _note(site, "resend", by, event)
    return Asked("resend", done=False)


async def _revoke(site: Site, request: Request, by: str, _fields: Fields) -> Asked:
    said = request.path_params["snapshot"]
    number = whole(said, digits=9)
    if number is None:
        raise Refused(404, f"there is no snapshot {said[:100]!r}", "/snapshots lists them")
    site.journal.line("asked", command="revoke", snapshot=number, by=by)
    done = await _write(site, "revoke", lambda tx, at: snapshots.revoke(tx, number, by=by, at=at))
    return Asked("revoke", done=done)


async def _settle(site: Site, request: Request, by: str, fields: Fields) -> Asked:
    task, answer = request.path_params["task"], fields.get("answer", "")
    instead_of = fields.get("instead_of", "")
    site.journal.line("asked", command="settle", task=task[:100], by=by)

    def decide(tx: Transaction, at: datetime) -> None:
        settle(tx, task, answer, by=by, at=at, instead_of=instead_of)

    try:
        await run_in_threadpool(site.write, decide)
    except ArgumentError as exc:
        raise Refused(409, str(exc.args[0]), exc.remedy) from exc
    return Asked("settle", done=True)


def _tell_failure(site: Site, action: str, ended: "asyncio.Future[object]") -> None:
    if not ended.cancelled() and (exc := ended.exception()) is not None:
        site.journal.line("failed", level="error", command=action, error=str(exc.args[:1]))


ACTIONS = (
    Action(path="/run", says="Do all steps now, and a round if one is due.", do=_tell("run")),
    Action(path="/rounds", says="Close the round now, and draw it.", do=_tell("round")),
    Action(
        path="/events/{event}/resend",
        says="Deliver an event once more.",
        do=_resend,
        parameters=("event",),
    ),
    Action(
        path="/ties/{task}/settle",
        says="Let an answer hold for a task on which people disagree; `instead_of` is the decision before.",
        do=_settle,
        parameters=("task",),
        fields=("answer", "instead_of"),
    ),
    Action(path="/reload", says="Read the settings again.", do=_reload),
    Action(
        path="/queues/{queue}/pause",
        says="Pause a queue. The evaluation queue holds every round back meanwhile.",
        do=_pausing("pause"),
        parameters=("queue",),
    ),
    Action(
        path="/queues/{queue}/resume",
        says="Let a paused queue go on.",
        do=_pausing("resume"),
        parameters=("queue",),
    ),
    Action(
        path="/snapshots/{snapshot}/revoke",
        says="Let the link to a snapshot open nothing any more.",
        do=_revoke,
        parameters=("snapshot",),
    ),
)


def routes(site: Site) -> list[Route]:
    """The paths of the API."""

    async def service(request: Request) -> Response:
        needs(request, "read")
        found: ServiceState = await run_in_threadpool(site.service_state)
        return json_answer("service", found)

    live = Live(site)
    made = [Route(f"{PREFIX}/service", service)]
    made += [
        Route(PREFIX + each.path, _reader(site, each, live if each.path == LIVE else None))
        for each in READINGS
    ]
    made += [Route(PREFIX + each.path, _actor(site, each), methods=["POST"]) for each in ACTIONS]
    return made


def _reader(
    site: Site, reading: Reading, live: Live | None
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        needs(request, reading.scope)
        if live is not None and wants_stream(request):
            return live.answer()
        asked = [request.query_params.get(name) for name in reading.parameters]
        if any(value is not None for value in asked):
            found = await run_in_threadpool(lambda: reading.make(site.loop(), request))
        else:
            found = await run_in_threadpool(
                site.kept, reading.kind, lambda loop: reading.make(loop, request)
            )
        return await run_in_threadpool(json_answer, reading.kind, found)

    return answer


def _actor(site: Site, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        who = needs(request, "operate")
        await body_of(request, at_most=BODY_BYTES)
        asked = await action.do(site, request, who.name, request.query_params)
        return json_answer("asked", asked, 200 if asked.done else 202)

    return answer
