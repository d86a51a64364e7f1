"""Who asks, and the proof that they, and no page of another site, sent a write."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.requests import Request

from labelloop.web.answers import Refused

if TYPE_CHECKING:
    from labelloop.web.site import Site

HEADER = "X-CSRF-Token"
"""Where a script sends the proof; it reads it from the page's `meta name=csrf`."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks, and the scopes they have; `session`: the hash of the cookie by which they are known."""

    name: str
    scopes: frozenset[str]
    session: str | None = None


def csrf_token(request: Request) -> str:
    """What a form of this visitor carries, so that no page of another site can make one up."""
    site: Site = request.scope["site"]
    who: Who | None = request.scope.get("who")
    subject = "" if who is None else f"{who.name}\0{who.session or ''}"
    return hmac.new(site.secret(), subject.encode("utf-8", "replace"), sha256).hexdigest()[:32]


def refuse_unproven(request: Request, said: str = "") -> None:
    """Refuse a write that doesn't carry the proof, in a field of its form or in its header.

    Raises:
        Refused: it doesn't.
    """
    held = request.headers.get(HEADER) or said
    if not hmac.compare_digest(held.encode("utf-8", "replace"), csrf_token(request).encode()):
        raise Refused(
            403,
            "this form is out of date, or another page sent it",
            "open the page again, and send the form once more; nothing was changed",
        )
