"""/webhooks: others say that something is new. What they say isn't believed: it is looked up."""

import json
from collections.abc import Mapping
from hmac import compare_digest

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelloop.core.token import webhook_secret
from labelloop.ledger.accounts import Account
from labelloop.ports.annotator import CALLER_HEADER
from labelloop.web.access import is_alone
from labelloop.web.answers import ALWAYS, Refused, body_of
from labelloop.web.site import Site

LARGEST = 2**20
"""Bytes of a webhook's body."""


def routes(site: Site) -> list[Route]:
    """The paths that others call."""

    async def label_studio(request: Request) -> Response:
        """Take the hint that an answer came."""
        secret = await run_in_threadpool(_secret, site)
        _prove(request.headers.get(CALLER_HEADER), secret)
        await body_of(request, at_most=LARGEST)
        site.hint()
        return _taken()

    async def s3(request: Request) -> Response:
        """Take a bucket's notification, for the next `index` to look up."""
        _prove_bucket(request, site, await run_in_threadpool(site.accounts))
        if request.method == "HEAD":  # MinIO looks so whether its target is there
            return _taken()
        said = await body_of(request, at_most=LARGEST)
        try:
            notification = json.loads(said)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is no JSON") from None
        await run_in_threadpool(_append, site, notification)
        return _taken()

    return [
        Route("/webhooks/label-studio", label_studio, methods=["POST"]),
        Route("/webhooks/s3", s3, methods=["GET", "POST"]),
    ]


def _secret(site: Site) -> str | None:
    identity = site.loop().project.ledger_to_read.identity()
    if identity is None:
        return None
    return webhook_secret(identity.ledger_id, salt=identity.salt)


def _prove(said: str | None, secret: str | None) -> None:
    known = (said or "").encode("utf-8", "surrogatepass")
    if secret is None or not compare_digest(known, secret.encode()):
        raise Refused(403, "the secret is wrong")


def _prove_bucket(request: Request, site: Site, held: Mapping[str, Account]) -> None:
    """Ask a bucket for its secret; while nobody has an account this machine needs none."""
    own = site.settings.service
    if own.webhook_secret is None:
        if is_alone(own, held):
            return
        raise Refused(
            403, "[service] webhook_secret is not set", "set it, and have the bucket send it"
        )
    said = request.headers.get("authorization", "")
    _prove(said.removeprefix("Bearer "), own.webhook_secret.get_secret_value())


def _append(site: Site, notification: object) -> None:
    folder = site.loop().project.notification_folder
    if folder is None:
        raise Refused(
            404,
            "[store] notifications names no folder",
            'set it, such as notifications = ".labelloop/notifications"',
        )
    try:
        folder.take(notification)
    except OSError as exc:
        raise Refused(507, f"it can't be written: {exc.strerror}", "free disk space") from exc


def _taken() -> Response:
    return Response(status_code=200, headers=ALWAYS)
