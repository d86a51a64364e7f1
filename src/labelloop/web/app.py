"""The paths of the service, and what answers each."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from labelloop.errors import LabelloopError
from labelloop.web import (
    api,
    candidates,
    errors,
    join,
    labelling,
    login,
    media,
    metrics,
    pages_actions,
    pages_activity,
    pages_datasets,
    pages_doctor,
    pages_models,
    pages_overview,
    pages_people,
    pages_queues,
    pages_rounds,
    pages_samples,
    pages_snapshots,
    static,
    webhooks,
)
from labelloop.web.access import Access, needs
from labelloop.web.answers import ALWAYS, Refused
from labelloop.web.openapi import description
from labelloop.web.site import Site


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
        found = await run_in_threadpool(metrics_of, site)
        return Response(
            metrics.exposition({"": found}), headers=ALWAYS, media_type=metrics.MEDIA_TYPE
        )

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", ready),
            Route("/metrics", measure),
            *static.routes(),
            *login.routes(site),
            *join.routes(site),
            *pages_overview.routes(site),
            *pages_actions.routes(site),
            *pages_queues.routes(site),
            *pages_rounds.routes(site),
            *pages_models.routes(site),
            *pages_datasets.routes(site),
            *pages_people.routes(site),
            *pages_activity.routes(site),
            *pages_doctor.routes(site),
            *pages_samples.routes(site),
            *pages_snapshots.routes(site),
            *api.routes(site),
            *candidates.routes(site),
            *webhooks.routes(site),
            *media.routes(site),
            *labelling.routes(site),
            Route(f"{api.PREFIX}/openapi.json", _describe),
        ],
        middleware=[Middleware(Access, site=site, refused=errors.answer)],
        exception_handlers={
            Refused: _refused,
            LabelloopError: _refused,
            HTTPException: _refused,
            Exception: _unexpected(site),
        },
    )


def metrics_of(site: Site) -> Sequence[metrics.Family]:
    """The metrics of a project, made once for all who ask within two seconds."""
    return site.kept("metrics", lambda loop: list(metrics.families(loop, site.service_state())))


async def healthz(_request: Request) -> Response:
    """Say that the process answers."""
    return PlainTextResponse("ok\n", headers=ALWAYS)


async def _describe(request: Request) -> Response:
    needs(request, "read")
    return JSONResponse(description(), headers=ALWAYS)


async def _refused(request: Request, exc: Exception) -> Response:
    return errors.answer(request, exc)


def _unexpected(site: Site) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, exc: Exception) -> Response:
        site.journal.line("failed", level="error", path=request.url.path, error=type(exc).__name__)
        return errors.answer(
            request, Refused(500, "this is a fault of labelloop", "the log names it")
        )

    return answer
