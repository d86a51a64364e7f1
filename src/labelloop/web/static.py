"""/static: the scripts and the stylesheet of the pages. Browsers keep them by the hash of their content."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.pages.rendering import render
from labelloop.web.answers import ALWAYS, Refused

PATH = "/static/"
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}
_STYLESHEET = "labelloop.css"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    digest: str


def routes() -> list[Route]:
    """The path of the files."""
    return [Route(f"{PATH}{{name}}", _answer)]


def address(name: str) -> str:
    """The path of a file, which changes with its content.

    >>> address("htmx.min.js").partition("?")[0]
    '/static/htmx.min.js'
    """
    return f"{PATH}{name}?v={_files()[name].digest}"


async def _answer(request: Request) -> Response:
    name = request.path_params["name"]
    found = _files().get(name)
    if found is None:
        raise Refused(404, f"there is no file {name[:100]!r}")
    is_known = request.query_params.get("v") == found.digest
    headers = {
        **ALWAYS,
        "Cache-Control": "public, max-age=31536000, immutable" if is_known else "no-cache",
    }
    return Response(found.body, headers=headers, media_type=found.media_type)


@cache
def _files() -> dict[str, _File]:
    """Every file, by its name."""
    bodies = {
        each.name: each.read_bytes()
        for each in files("labelloop.web").joinpath("static").iterdir()
        if each.is_file()
    }
    bodies[_STYLESHEET] = render(f"web/{_STYLESHEET}").encode()
    return {name: _file(name, body) for name, body in bodies.items()}


def _file(name: str, body: bytes) -> _File:
    ending = name[name.rindex(".") :]
    return _File(body, _TYPES[ending], sha256(body).hexdigest()[:16])
