"""What the service answers with: the JSON of --json, errors included, and bodies within limits."""

import asyncio
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from labelloop.errors import LabelloopError
from labelloop.views.json_form import document, failure

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""What every answer carries that doesn't say otherwise."""
BODY_S = 10.0
"""How long a body may take to come."""


class Refused(Exception):
    """A request that isn't carried out: the status, what is wrong with it, and the remedy."""

    def __init__(
        self, status: int, error: str, remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.remedy = remedy
        self.headers = dict(headers or {})


def json_answer(kind: str, result: object, status: int = 200) -> Response:
    """A result as the document that --json prints."""
    return Response(
        document(kind, result) + "\n", status, headers=ALWAYS, media_type="application/json"
    )


def refusal(exc: Refused) -> Response:
    """A refused request as a document."""
    answer = json_answer("error", failure("Refused", exc.error, exc.remedy), exc.status)
    answer.headers.update(exc.headers)
    return answer


def failed(exc: LabelloopError) -> Response:
    """What labelloop itself could not do as a document: a wrong argument is the asker's, the rest isn't."""
    status = 400 if isinstance(exc, ValueError) else 503
    return json_answer("error", exc, status)


def whole(text: str, *, digits: int = 17) -> int | None:
    """The whole number that a visitor wrote; None: it is none, or has too many digits.

    >>> whole("07"), whole("-1"), whole("²"), whole("9" * 18)
    (7, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


async def body_of(request: Request, *, at_most: int) -> bytes:
    """The body of a request.

    Raises:
        Refused: it is larger than `at_most`, doesn't come, or ends before its end.
    """
    said = request.headers.get("content-length", "0")
    if said.isascii() and said.isdigit() and int(said) > at_most:
        raise too_large(at_most)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > at_most:
                    raise too_large(at_most)
    except TimeoutError:
        raise Refused(408, f"the body didn't come within {BODY_S:g} s", "send it at once") from None
    except ClientDisconnect:
        raise Refused(400, "the body ended before its end") from None
    return bytes(body)


def too_large(at_most: int) -> Refused:
    """The refusal of a body that is too large."""
    return Refused(
        413, f"the body is larger than {at_most:,} bytes", headers={"Connection": "close"}
    )
