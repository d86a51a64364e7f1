"""/join/{token}: whoever has a join link gives a name, and may label the link's queue from then on."""

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.core.verdict import Outcome
from labelloop.pages.texts import texts
from labelloop.web.access import JOIN, client_address, is_alone
from labelloop.web.attempts import Attempts
from labelloop.web.forms import fields_of
from labelloop.web.html import language_for, page
from labelloop.web.login import log_in
from labelloop.web.site import Site

NAME_LENGTH = 80


def routes(site: Site) -> list[Route]:
    """The path of joining."""
    attempts = Attempts("wrong join links")

    async def join(request: Request) -> Response:
        address = client_address(request, site.settings.service)
        attempts.refuse_many(address)
        held = await run_in_threadpool(site.accounts)
        if is_alone(site.settings.service, held):
            return _page(request, trouble="alone", status=403)
        queue = await run_in_threadpool(_queue, site, request.path_params["token"])
        if queue is None:
            attempts.note(address)
            return _page(request, trouble="link_over", status=404)
        if request.method == "GET":
            return _page(request, queue=queue)
        fields = await fields_of(request)
        name = fields.get("name", "").strip()
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
            return _page(
                request, queue=queue, trouble="bad_name", name=name[:NAME_LENGTH], status=400
            )
        return await run_in_threadpool(_join, request, site, queue, name)

    return [Route(f"{JOIN}{{token}}", join, methods=["GET", "POST"])]


def _queue(site: Site, token: str) -> str | None:
    """The queue of a link; None where it opens nothing."""
    desk = site.loop().project.desk
    offered = None if desk is None else desk.link(token)
    return None if offered is None else offered.queue


def _join(request: Request, site: Site, queue: str, name: str) -> Response:
    with site.own_loop() as loop:
        reply, token = loop.join(request.path_params["token"], name)
    if token is None:
        trouble = "name_taken" if reply.outcome is Outcome.NAME_TAKEN else "link_over"
        return _page(request, queue=queue, trouble=trouble, name=name, status=409)
    start = f"/label/{quote(queue, safe='')}"
    answer = _page(request, queue=queue, name=name, token=token, start=start)
    log_in(answer, site, name)
    return answer


def _page(request: Request, *, status: int = 200, **said: str) -> Response:
    context = dict.fromkeys(("queue", "trouble", "name", "token", "start"), "") | said
    return page(request, "join.html", status=status, t=texts(language_for(request)), **context)
