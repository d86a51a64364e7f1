"""/do/...: what the API lets an operator do, as forms of the pages."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.web.api import ACTIONS, Action
from labelloop.web.forms import back_to, form_of, see
from labelloop.web.site import Site

PATH = "/do"


def routes(site: Site) -> list[Route]:
    """A path for each action; its form says in `next` which page to show then."""
    return [Route(PATH + each.path, _form(site, each), methods=["POST"]) for each in ACTIONS]


def _form(site: Site, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        who, fields = await form_of(request, "operate")
        asked = await action.do(site, request, who.name)
        path = back_to(request, fields.get("next", "")).partition("?")[0]
        return see(request, f"{path}?asked={asked.action}")

    return answer
