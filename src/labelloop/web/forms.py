"""Forms: their fields, the proof that the visitor sent them, and where they lead back to."""

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse

from labelloop.web.access import needs
from labelloop.web.answers import ALWAYS, Refused, body_of
from labelloop.web.who import Who, refuse_unproven

LARGEST = 65_536
"""Bytes of a form."""
N_FIELDS = 200


async def form_of(request: Request, scope: str) -> tuple[Who, dict[str, str]]:
    """Who sent a form, and its fields.

    Raises:
        Refused: they lack the scope, the form isn't theirs, or it isn't one.
    """
    who = needs(request, scope)
    fields = await fields_of(request)
    refuse_unproven(request, fields.get("csrf", ""))
    return who, fields


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form that anybody may send.

    Raises:
        Refused: it isn't one, or is too large.
    """
    body = await body_of(request, at_most=LARGEST)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise Refused(415, "the body is no form", "send application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=N_FIELDS, errors="replace"
        )
    except ValueError:
        raise Refused(400, "the form can't be read", "open the page again") from None
    return dict(pairs)


def back_to(request: Request, said: str, *, otherwise: str = "/") -> str:
    """A path of this service that a form names, without its prefix; anything else leads to `otherwise`.

    >>> request = Request({"type": "http", "root_path": "/team"})
    >>> back_to(request, "/team/queues?x=1"), back_to(request, "//evil.example/team/")
    ('/queues?x=1', '/')
    """
    prefix = request.scope.get("root_path", "")
    path = said.removeprefix(prefix)
    is_own = said.startswith(f"{prefix}/") and not path.startswith(("//", "/\\"))
    return path if is_own and path.isprintable() and "\\" not in path else otherwise


def see(request: Request, path: str) -> RedirectResponse:
    """Have the browser read a page of this service after a form."""
    there = f"{request.scope.get('root_path', '')}{path}"
    return RedirectResponse(there, 303, headers=ALWAYS)
