"""/rounds: every round and its labels; /rounds/{n}: its draws, each with its chance and reason."""

from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.core.queue import Purpose
from labelloop.core.round import Round
from labelloop.core.task import TaskState
from labelloop.ledger import draw_pages, rounds
from labelloop.ledger.draw_pages import DrawPage, Place, ShownDraw
from labelloop.measuring.round_labels import QueueLabels
from labelloop.views.quality import Quality
from labelloop.views.wording import estimated, models
from labelloop.web import links
from labelloop.web.access import needs
from labelloop.web.answers import Refused, whole
from labelloop.web.html import page
from labelloop.web.pages_overview import hidden_from, hidden_samples, report_of
from labelloop.web.site import Site
from labelloop.web.who import Who

_PER_PAGE = 50
STATES = {
    TaskState.DRAWN: "to send",
    TaskState.SENDING: "on its way",
    TaskState.SENT: "with people",
    TaskState.ANNOTATED: "answered in part",
    TaskState.RESOLVED: "labelled",
    TaskState.TIED: "people disagree",
    TaskState.SKIPPED: "skipped",
    TaskState.UNAVAILABLE: "input lost",
    TaskState.ABANDONED: "given up",
}
"""The states of a task as screens say them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRound:
    """A round with its accuracy and what became of its labels; nothing is known of what was just drawn."""

    round: Round
    accuracy: str
    served: str
    queues: tuple[QueueLabels, ...]


def routes(site: Site) -> list[Route]:
    """The paths of rounds."""

    async def every(request: Request) -> Response:
        needs(request, "read")
        before = number_in(request, "before")
        return await run_in_threadpool(_every, site, request, before)

    async def one(request: Request) -> Response:
        who = needs(request, "read")
        return await run_in_threadpool(_one, site, request, who)

    return [Route("/rounds", every), Route("/rounds/{number:int}", one)]


def number_in(request: Request, name: str) -> int | None:
    """A whole number of the query; None: it isn't there.

    Raises:
        Refused: it is no number.
    """
    said = request.query_params.get(name)
    if said is None:
        return None
    found = whole(said)
    if found is None:
        raise Refused(400, f"{name} = {said[:100]!r} is no number")
    return found


def _every(site: Site, request: Request, before: int | None) -> Response:
    q = report_of(site)
    with site.loop().project.ledger_to_read.read() as tx:
        made = rounds.every(tx)
    newest_first = [r for r in reversed(made) if before is None or r.round < before]
    shown = newest_first[:_PER_PAGE]
    more = len(newest_first) > len(shown)
    return page(
        request,
        "rounds.html",
        rounds=[_listed(q, r) for r in shown],
        older=f"/rounds?before={shown[-1].round}" if more else None,
        newer="/rounds" if before is not None else None,
        links=links,
        evaluation=Purpose.EVALUATION,
    )


def _listed(q: Quality, made: Round) -> ListedRound:
    own = next((p for p in q.rounds if p.number == made.round), None)
    names = {f"round {made.round} (extra)", f"round {made.round} (extra) (released)"}
    extra = next((a for a in q.measured.extra_rounds if a.name in names), None)
    accuracy = own.accuracy if own else extra
    labels = next((r.queues for r in q.labels if r.round == made.round), ())
    if made.rival is not None:
        says = f"judges {made.rival.name}"
    else:
        says = estimated(accuracy.estimate) if accuracy else "not measured yet"
    return ListedRound(
        round=made, accuracy=says, served=models(own.models) if own else "", queues=labels
    )


def _one(site: Site, request: Request, who: Who) -> Response:
    number = int(request.path_params["number"])
    q = report_of(site)
    at, last = number_in(request, "from"), number_in(request, "after")
    after = None if last is None else Place(number if at is None else at, last)
    hidden = hidden_from(site, who)
    with site.loop().project.ledger_to_read.read() as tx:
        made = rounds.by_number(tx, number) if number < 2**62 else None
        if made is None:
            raise Refused(404, f"there is no round {number}", "/rounds lists them")
        if made.top_up is not None:
            raise Refused(
                404,
                f"{number} is no round but a top-up of round {made.top_up.of}",
                f"its draws are those of /rounds/{made.top_up.of}",
            )
        rules = rounds.rules_of(tx, number)
        queues = draw_pages.queues_of(tx, number) or sorted(rules)
        queue = request.query_params.get("queue") or next(iter(queues), "")
        if queue not in queues and queues:
            raise Refused(
                404,
                f"round {number} drew nothing for a queue {queue[:100]!r}",
                f"its queues: {', '.join(queues)}",
            )
        found = draw_pages.page(tx, number, queue, after=after, most=_PER_PAGE, hidden=hidden)
    return page(
        request,
        "round.html",
        listed=_listed(q, made),
        made=made,
        rules=rules,
        queues=queues,
        queue=queue,
        labels={each.queue: each for each in _listed(q, made).queues},
        draws=found.draws,
        older=_older(number, queue, found),
        newer=links.this_round(number, queue=queue) if after is not None else None,
        states=STATES,
        chance=_chance,
        some_hidden=hidden is not None,
        # an uneven chance tells how sure the model was
        even=len({d.inclusion for d in found.draws}) == 1,
        unseen=hidden_samples(site).sample_ids,
        links=links,
    )


def _older(number: int, queue: str, found: DrawPage) -> str | None:
    if found.after is None:
        return None
    filters: dict[str, Any] = {"queue": queue, "from": found.after.number}
    return links.this_round(number, **filters, after=found.after.position)


def _chance(d: ShownDraw) -> str:
    """The chance of a draw, for people."""
    if d.inclusion is None:
        return "not a random draw"
    return f"{100 * d.inclusion:.3g}%"
