"""/activity: what the service did, what happened, and which rows were rejected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.core.row_range import RowRange
from labelloop.core.sample import RejectReason
from labelloop.ledger import events, rejects, seen
from labelloop.ledger.events import Group
from labelloop.ledger.rejects import RejectedRow
from labelloop.views.wording import counted, row_count
from labelloop.web.access import needs
from labelloop.web.answers import Refused
from labelloop.web.html import page
from labelloop.web.pages_overview import hidden_from
from labelloop.web.pages_rounds import number_in
from labelloop.web.site import Site
from labelloop.web.who import Who

if TYPE_CHECKING:
    from labelloop.steps.notify.notify import Unheard

_EXAMPLES, _PER_PAGE = 3, 50
_STATES = {
    "drawn": "drawn",
    "sending": "on the way to people",
    "sent": "with people",
    "annotated": "answered",
    "resolved": "labelled",
    "tied": "tied",
    "skipped": "skipped",
    "unavailable": "without their input",
    "abandoned": "given up",
}
"""What the events of tasks say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Events alike, as a line; `path` leads to what it is about, where that has a page."""

    at: datetime
    who: str
    what: str
    detail: str
    path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByReason:
    """The rows rejected for a reason, with examples, the newest first."""

    reason: RejectReason
    n: str
    n_last_day: int
    examples: Sequence[RejectedRow]


def routes(site: Site) -> list[Route]:
    """The paths of what happened."""

    async def activity(request: Request) -> Response:
        who = needs(request, "read")
        return await run_in_threadpool(_activity, site, request, who)

    async def rejected(request: Request) -> Response:
        who = needs(request, "read")
        return await run_in_threadpool(_rejected, site, request, "operate" in who.scopes)

    async def one_reason(request: Request) -> Response:
        needs(request, "operate")
        return await run_in_threadpool(_one_reason, site, request)

    return [
        Route("/activity", activity),
        Route("/activity/rejected", rejected),
        Route("/activity/rejected/{reason}", one_reason),
    ]


def _activity(site: Site, request: Request, who: Who) -> Response:
    before, hidden = number_in(request, "before"), hidden_from(site, who)
    with site.loop().project.ledger_to_read.read() as tx:
        found = events.newest(tx, before=before, hidden=hidden)
    waiting = site.lately("status", lambda loop: loop.status())
    unheard: Sequence[Unheard] = ()
    if "operate" in who.scopes:
        known = site.kept("unheard", lambda loop: loop.unheard())
        unheard = sorted(known, key=lambda e: e.state == "waiting")
    return page(
        request,
        "activity.html",
        service=site.service_state(),
        happened=[_line(g) for g in found.groups],
        running=waiting.running,
        unheard=unheard[:_PER_PAGE],
        n_unheard=len(unheard),
        told=site.kept("events", lambda loop: loop.events())[:20],
        newer="/activity" if before is not None else None,
        older=f"/activity?before={found.before}" if found.before is not None else None,
        before=before,
    )


def _line(g: Group) -> Happening:
    path = None
    if g.verb in _STATES:
        what = f"{counted(g.n, 'task')} {_STATES[g.verb]}"
    elif g.verb == seen.LOOKED:
        what = "looked at what the model said of a sample that waits for a blind answer"
    elif g.verb == "settle":
        what = "settled a tie" if g.n == 1 else f"settled {g.n:,} ties"
    elif g.verb == "round":
        what, path = f"round {g.subject} drawn", f"/rounds/{g.subject}"
    else:
        what = f"{g.verb} {g.subject}"
        path = "/datasets" if g.verb == "release" else None
    return Happening(at=g.at, who=g.actor, what=what, detail=g.detail, path=path)


def _rejected(site: Site, request: Request, may_operate: bool) -> Response:
    status = site.lately("status", lambda loop: loop.status())
    found: list[ByReason] = []
    with site.loop().project.ledger_to_read.read() as tx:
        for name, n in status.n_rejected.items():
            reason = RejectReason(name)
            examples = (
                rejects.newest_with_reason(tx, reason, after=None, most=_EXAMPLES)
                if may_operate
                else ()
            )
            found.append(
                ByReason(
                    reason=reason,
                    n=row_count(RowRange(n, status.n_rejected_most.get(name, n))),
                    n_last_day=status.n_rejected_last_day.get(name, 0),
                    examples=examples,
                )
            )
    return page(request, "rejected.html", reasons=found)


def _one_reason(site: Site, request: Request) -> Response:
    said = request.path_params["reason"]
    if said not in {r.value for r in RejectReason}:
        raise Refused(404, f"no row is rejected for {said[:100]!r}", "/activity/rejected lists why")
    reason, after = RejectReason(said), _after(request)
    with site.loop().project.ledger_to_read.read() as tx:
        rows = rejects.newest_with_reason(tx, reason, after=after, most=_PER_PAGE)
    own = f"/activity/rejected/{reason.value}"
    older = None
    if len(rows) == _PER_PAGE:
        last = {"after": f"{rows[-1].first_seen_at.isoformat()} {rows[-1].uri}"}
        older = f"{own}?{urlencode(last)}"
    return page(
        request,
        "rejected_rows.html",
        reason=reason,
        rows=rows,
        older=older,
        newer=own if after is not None else None,
    )


def _after(request: Request) -> tuple[datetime, str] | None:
    said = request.query_params.get("after")
    if not said:
        return None
    at, _, uri = said.partition(" ")
    try:
        return datetime.fromisoformat(at).astimezone(), uri
    except (ValueError, OverflowError):
        raise Refused(400, f"after = {said[:100]!r} is no place in this list") from None
