"""/: what is known of the model, and /report: the same as one file to keep."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from labelloop.pages import report
from labelloop.web.access import needs
from labelloop.web.answers import ALWAYS
from labelloop.web.html import page
from labelloop.web.site import Site

_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the report may do: it runs no script, and asks nobody for anything."""


def routes(site: Site) -> list[Route]:
    """The paths of the first page and of the report."""

    async def overview(request: Request) -> Response:
        needs(request, "read")
        return page(request, "overview.html")

    async def whole(request: Request) -> Response:
        needs(request, "read")
        html = await run_in_threadpool(site.kept, "page", lambda loop: report.page(loop.report()))
        return HTMLResponse(html, headers={**ALWAYS, "Content-Security-Policy": _REPORT_POLICY})

    return [Route("/", overview), Route("/report", whole)]
