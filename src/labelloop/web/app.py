"""The paths of the service, and what answers each."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def application() -> Starlette:
    """The service as an ASGI application."""
    return Starlette(routes=[Route("/healthz", _healthz)])


async def _healthz(_request: Request) -> Response:
    """Say that the process answers."""
    return PlainTextResponse("ok\n")
