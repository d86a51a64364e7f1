"""The paths of the service, and what answers each."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from labelloop.errors import LabelloopError
from labelloop.pages import report
from labelloop.web import api, candidates, media, metrics, webhooks
from labelloop.web.access import Access, needs
from labelloop.web.answers import ALWAYS, Refused, failed, refusal
from labelloop.web.openapi import description
from labelloop.web.site import Site

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may do: it runs no script, and asks nobody for anything."""


def application(site: Site, *, worker_is_alive: Callable[[], bool]) -> Starlette:
    """The service as an ASGI application."""

    async def ready(_request: Request) -> Response:
        await run_in_threadpool(site.loop)
        if not worker_is_alive():
            raise Refused(
                503, "the worker is down", "it is started again; the log says why it ended"
            )
        return PlainTextResponse("ready\n", headers=ALWAYS)

    async def measure(request: Request) -> Response:
        needs(request, "read")
        text = await run_in_threadpool(
            site.kept, "metrics", lambda loop: metrics.exposition(loop, site.service_state())
        )
        return Response(text, headers=ALWAYS, media_type=metrics.MEDIA_TYPE)

    async def home(request: Request) -> Response:
        needs(request, "read")
        html = await run_in_threadpool(site.kept, "page", lambda loop: report.page(loop.report()))
        return HTMLResponse(html, headers={**ALWAYS, "Content-Security-Policy": PAGE_POLICY})

    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/readyz", ready),
            Route("/metrics", measure),
            Route("/", home),
            *api.routes(site),
            *candidates.routes(site),
            *webhooks.routes(site),
            *media.routes(site),
            Route(f"{api.PREFIX}/openapi.json", _describe),
        ],
        middleware=[Middleware(Access, site=site)],
        exception_handlers={
            Refused: _refused,
            LabelloopError: _failed,
            HTTPException: _http,
            Exception: _unexpected(site),
        },
    )


async def _healthz(_request: Request) -> Response:
    """Say that the process answers."""
    return PlainTextResponse("ok\n", headers=ALWAYS)


async def _describe(request: Request) -> Response:
    needs(request, "read")
    return JSONResponse(description(), headers=ALWAYS)


async def _refused(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)  # noqa: S101  by which it is registered
    return refusal(exc)


async def _failed(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, LabelloopError)  # noqa: S101  by which it is registered
    return failed(exc)


async def _http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101  by which it is registered
    said = {
        404: f"there is nothing at {request.url.path[:100]!r}",
        405: f"{request.method} isn't for {request.url.path[:100]!r}",
    }
    return refusal(
        Refused(exc.status_code, said.get(exc.status_code, exc.detail), "", exc.headers or {})
    )


def _unexpected(site: Site) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, exc: Exception) -> Response:
        site.journal.line("failed", level="error", path=request.url.path, error=type(exc).__name__)
        return refusal(Refused(500, "this is a fault of labelloop", "the log names it"))

    return answer
