"""What is answered where a request fails: a page to a browser's visitor, a document to a program."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from labelloop.errors import LabelloopError
from labelloop.web.answers import Refused, failed, refusal
from labelloop.web.api import PREFIX
from labelloop.web.html import page, wants_html
from labelloop.web.login import form

_TITLES = {
    400: "This can't be done",
    401: "Who are you?",
    403: "You may not do this",
    404: "There is nothing here",
    405: "This can't be done here",
    409: "Somebody was faster",
    500: "A fault of labelloop",
    503: "Not possible just now",
}


def answer(request: Request, exc: Exception) -> Response:
    """What is wrong, and what to do.

    Raises:
        Exception: it is neither a refusal nor an error of labelloop's own.
    """
    if isinstance(exc, HTTPException):
        exc = _refused(request, exc)
    if isinstance(exc, Refused):
        made = _page(request, exc) if wants_html(request) else refusal(exc)
        made.headers.update(exc.headers)
        return made
    if not isinstance(exc, LabelloopError):
        raise exc
    if not wants_html(request):
        return failed(exc)
    status = 400 if isinstance(exc, ValueError) else 503
    return _page(request, Refused(status, str(exc.args[0]), exc.remedy))


def _page(request: Request, exc: Refused) -> Response:
    if exc.status == 401:
        return form(request, status=401)
    return page(
        request,
        "error.html",
        status=exc.status,
        title=_TITLES.get(exc.status, _TITLES[400]),
        error=exc.error,
        remedy=exc.remedy,
    )


def _refused(request: Request, exc: HTTPException) -> Refused:
    said = {
        404: f"there is nothing at {request.url.path[:100]!r}",
        405: f"{request.method} isn't for {request.url.path[:100]!r}",
    }
    root = request.scope.get("root_path", "")
    of_api = request.url.path.startswith(f"{root}{PREFIX}/")
    remedies = {
        404: f"{root}{PREFIX}/openapi.json lists the API's paths"
        if of_api
        else f"correct the path; {root}/ leads to every page",
        405: f"send {(exc.headers or {}).get('Allow', 'another method')}",
    }
    return Refused(
        exc.status_code,
        said.get(exc.status_code, exc.detail),
        remedies.get(exc.status_code, ""),
        exc.headers or {},
    )
