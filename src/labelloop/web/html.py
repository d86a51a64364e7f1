"""Pages in HTML: what all of them share, under a policy that lets nothing in from elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from labelloop.pages.rendering import render
from labelloop.pages.texts import language_of, texts
from labelloop.views.wording import dated
from labelloop.web.access import path_of
from labelloop.web.answers import ALWAYS
from labelloop.web.live import says
from labelloop.web.static import address
from labelloop.web.who import Who, csrf_token

if TYPE_CHECKING:
    from labelloop.web.site import Site

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""What a page may do: its scripts, styles, images and requests are this service's own."""

LANGUAGE = "labelloop_language"
"""The cookie of a visitor who chose a language."""

HEADERS = {
    **ALWAYS,
    "Content-Security-Policy": POLICY,
    # with no-referrer, browsers send their forms as of the origin `null`
    "Referrer-Policy": "same-origin",
}
"""What every page carries."""
NAV = (
    ("Overview", "/", "read"),
    ("Queues", "/queues", "read"),
    ("Samples", "/samples", "read"),
    ("Rounds", "/rounds", "read"),
    ("Models", "/models", "read"),
    ("Datasets", "/datasets", "read"),
    ("People", "/people", "operate"),
    ("Activity", "/activity", "read"),
    ("Doctor", "/doctor", "operate"),
    ("Label", "/label", "label"),
)
"""The pages that every page links to: title, path, and the scope that a visitor needs."""


ASKED = {
    "run": "All steps are being done now. This page shows what they did once they have ended.",
    "round": "The round is being closed and drawn now.",
    "reload": "The settings were read again. If the file can't be used, the old ones stay, and the log "
    "says why.",
    "pause": "The queue is paused. Tasks that were sent stay with people.",
    "resume": "The queue goes on.",
    "revoke": "The link opens nothing any more, and its page is deleted.",
    "settle": "The tie is settled. The decision stands whatever people answer later.",
    "resend": "The event is being delivered once more.",
}
"""What the next page says of an action that was asked for."""


@dataclass(frozen=True, slots=True)
class NavEntry:
    """A link in the head of each page; `is_here`: the page is that one, or below it."""

    title: str
    path: str
    is_here: bool


def page(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """A template of pages/templates/web, filled in for who asks.

    Beside `context`, a template knows `project`, `timezone`, `who`, `csrf`, `nav`, `now` and more, and the
    functions `url` (a path of this service -> what a browser asks for), `static` and `when` (an instant as
    an element). A page of no project, such as the list of several, is in UTC. A name in `context` that is
    one of these is an error: the layout would show it.
    """
    site: Site | None = request.scope.get("site")
    who: Who | None = request.scope.get("who")
    timezone = site.settings.project.timezone if site else "UTC"
    given = {
        "project": site.settings.project.name if site else "labelloop",
        "all_projects": f"{site.outer_prefix}/" if site and site.is_one_of_several else None,
        "timezone": timezone,
        "who": who if who is not None and who.name else None,
        "csrf": csrf_token(request) if site else "",
        "nav": _nav(request, who),
        "now": site.now() if site else datetime.now(UTC),
        "here": url_of(request, path_of(request.scope)),
        "acknowledged": ASKED.get(request.query_params.get("asked", "")),
        "may_operate": who is not None and "operate" in who.scopes,
        "work": site.work if site else None,
        "work_says": says,
        "url": lambda path: url_of(request, path),
        "static": lambda name: url_of(request, address(name)),
        "when": _when(timezone),
    }
    html = render(f"web/{template}", **given, **({"t": texts("en")} | context))
    return HTMLResponse(html, status, headers=HEADERS)


def language_for(request: Request) -> str:
    """The code of the language that a visitor of the labelling page chose, or whose browser prefers it."""
    asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE)
    return language_of(request.headers.get("accept-language", ""), asked)


def url_of(request: Request, path: str) -> str:
    """What a browser asks for to reach a path of this service, which may lie below a prefix."""
    return f"{request.scope.get('root_path', '')}{path}"


def wants_html(request: Request) -> bool:
    """Whether a browser's visitor asks, who wants to read a page."""
    return "text/html" in request.headers.get("accept", "") and not path_of(
        request.scope
    ).startswith("/api/")


def _nav(request: Request, who: Who | None) -> Sequence[NavEntry]:
    """The pages that exist and that this visitor may see."""
    if who is None:
        return ()
    here = path_of(request.scope)
    there = {route.path for route in request.app.routes if isinstance(route, Route)}
    return [
        NavEntry(title, path, here == path or (path != "/" and here.startswith(f"{path}/")))
        for title, path, scope in NAV
        if scope in who.scopes and path in there
    ]


def _when(timezone: str) -> Callable[[datetime], Markup]:
    def when(at: datetime) -> Markup:
        return Markup('<time datetime="{}">{}</time>').format(
            at.isoformat(timespec="seconds"), dated(at, timezone)
        )

    return when
