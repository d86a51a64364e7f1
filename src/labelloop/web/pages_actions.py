"""/do/...: what the API lets an operator do, as forms of the pages."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

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
        asked = await action.do(site, request, who.name, fields)
        path, _, query = back_to(request, fields.get("next", "")).partition("?")
        kept = [(name, value) for name, value in parse_qsl(query) if name != "asked"]
        return see(request, f"{path}?{urlencode([*kept, ('asked', asked.action)])}")

    return answer
