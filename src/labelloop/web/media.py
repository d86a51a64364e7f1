"""/media/{token}: the image of a task, under a name that says nothing, as bytes that can do nothing."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from labelloop.core import due
from labelloop.core.image_kind import MEDIA_TYPES, START_BYTES, kind_of
from labelloop.core.task import OPEN, TaskState
from labelloop.errors import StoreError
from labelloop.ledger import media_links
from labelloop.ledger.media_links import Linked
from labelloop.ports.store import Store, Streamed
from labelloop.web.access import from_proxy
from labelloop.web.answers import Refused
from labelloop.web.site import Site
from labelloop.web.store_reads import StoreReads

AT_ONCE = 32
"""So many reads of the store at a time; the other paths of the service have threads of their own."""
WHOLE_S = 120.0
"""How long a client may take for one image."""
LARGEST_DECODED = 20_000_000
"""Bytes of an image that is stored with a Content-Encoding: such a one is read as a whole."""
SAFELY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=3600",
    "Content-Disposition": "inline",
    "Accept-Ranges": "bytes",
    "Vary": "Origin",
}
"""All headers of an image, beside its type, length, ETag and range."""
_TOKEN = re.compile(r"[0-9a-f]{32}")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class _Image:
    """What is known of an image before its bytes are sent."""

    media_type: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """An image whose first part was read."""

    linked: Linked
    store: Store
    stream: Streamed
    first: bytes
    image: _Image


def routes(site: Site) -> list[Route]:
    """The path of the images."""
    gateway = Gateway(site)
    return [Route("/media/{token}", gateway.answer)]


class Gateway:
    """Shows images of the store to whoever has a link of a task that needs them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._reads = StoreReads(AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """Show one image, or a part of it."""
        token = request.path_params["token"]
        headers = {**SAFELY, **self._cors(request)}
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        known = request.headers.get("if-none-match", "")
        is_head = request.method == "HEAD"
        own = self._site.settings.service
        behind = own.x_accel if from_proxy(request, own) else None
        is_whole = not (is_head or wanted or known or behind)
        begun = await self._reads.read(
            lambda: self._begin(token, None if is_whole else START_BYTES)
        )
        image = begun.image
        headers["ETag"] = image.etag
        if image.etag in known:
            begun.stream.close()
            return Response(status_code=304, headers=headers)
        if begun.stream.encoding:
            begun.stream.close()
            return await self._decoded(begun, token, headers, is_head=is_head)
        if is_head:
            begun.stream.close()
            return self._whole(image, b"", headers)
        if behind and (path := begun.store.below_root(begun.linked.uri)) is not None:
            begun.stream.close()
            headers["X-Accel-Redirect"] = behind + path
            return Response(headers=headers, media_type=image.media_type)
        if wanted and request.headers.get("if-range", image.etag) == image.etag:
            return await self._part(begun, wanted, headers)
        if not is_whole:
            begun = await self._reads.read(lambda: self._begin(token, None))
        if len(begun.first) == image.size_bytes:
            begun.stream.close()
            return self._whole(image, begun.first, headers)
        return StreamingResponse(
            self._sent(begun.first, begun.stream, image.size_bytes),
            headers={**headers, "Content-Length": str(image.size_bytes)},
            media_type=image.media_type,
        )

    def _begin(self, token: str, length: int | None) -> "_Begun":
        """Look a link up, and begin to read its image: one turn of a thread.

        Raises:
            Refused: it leads nowhere, or to what is no raster image.
        """
        linked = self._linked(token)
        store = self._site.loop().project.store
        stream = store.stream(linked.uri, length=length)
        try:
            first = next(stream.parts, b"")
            kind = kind_of(first[:START_BYTES])
            if kind is None and not stream.encoding:
                raise Refused(415, "the object behind this link is no raster image")
        except BaseException:
            stream.close()
            raise
        image = _Image(
            MEDIA_TYPES[kind] if kind else "", stream.size_bytes, _etag(token, stream.version)
        )
        return _Begun(linked, store, stream, first, image)

    def _linked(self, token: str) -> Linked:
        found: Linked | None = None
        loop = self._site.loop()
        if _TOKEN.fullmatch(token):
            with loop.project.ledger_to_read.read() as tx:
                found = media_links.find(tx, token)
        if found is None or not due.image_is_shown(
            is_open=found.state in OPEN or found.state is TaskState.SENDING,
            resolved_at=found.resolved_at,
            forgotten=found.forgotten,
            now=loop.project.clock.now(),
        ):
            raise Refused(
                404,
                "this link leads to no image, or its task is done",
                "open the page that showed the image again: it has a new link if the task is open",
            )
        return found

    async def _part(
        self, begun: "_Begun", wanted: "re.Match[str]", headers: dict[str, str]
    ) -> Response:
        """A range of the bytes."""
        begun.stream.close()
        image = begun.image
        begin, end = range_of(wanted, image.size_bytes)
        if begin >= end:
            headers["Content-Range"] = f"bytes */{image.size_bytes}"
            return Response(status_code=416, headers=headers)
        stream = await self._reads.read(
            lambda: begun.store.stream(begun.linked.uri, offset=begin, length=end - begin)
        )
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{image.size_bytes}"
        headers["Content-Length"] = str(end - begin)
        return StreamingResponse(
            self._sent(b"", stream, end - begin),
            206,
            headers=headers,
            media_type=image.media_type,
        )

    async def _decoded(
        self, begun: "_Begun", token: str, headers: dict[str, str], *, is_head: bool
    ) -> Response:
        """An image that is stored with a Content-Encoding, without it."""
        body = await self._reads.read(lambda: begun.store.read(begun.linked.uri))
        kind = kind_of(body)
        if kind is None or len(body) > LARGEST_DECODED:
            raise Refused(415, "the object behind this link is no raster image, or too large")
        image = _Image(MEDIA_TYPES[kind], len(body), _etag(token, sha256(body).hexdigest()))
        headers["ETag"] = image.etag
        return self._whole(image, b"" if is_head else body, headers)

    @staticmethod
    def _whole(image: _Image, body: bytes, headers: dict[str, str]) -> Response:
        """An answer with a body that is all there; without one for HEAD, which has its length too."""
        answer = Response(body, headers=headers, media_type=image.media_type)
        answer.headers["Content-Length"] = str(image.size_bytes)
        return answer

    async def _sent(self, first: bytes, stream: Streamed, size_bytes: int) -> AsyncIterator[bytes]:
        """The bytes one part after another: as many as were announced, however slow the client."""
        left = size_bytes
        try:
            with anyio.fail_after(WHOLE_S):
                part = first
                while left > 0:
                    part = part or await self._reads.read(lambda: next(stream.parts, b""))
                    if not part:
                        raise StoreError("the store ended an object before its end")
                    yield part[:left]
                    left -= len(part)
                    part = b""
        finally:
            with suppress(Exception):
                stream.close()

    def _cors(self, request: Request) -> dict[str, str]:
        """Let Label Studio's pages read the image, and no other site's."""
        own = self._site.settings.label_studio
        if own is None:
            return {}
        parts = urlsplit(own.public_url or own.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if request.headers.get("origin") != origin:
            return {}
        return {"Access-Control-Allow-Origin": origin}


def range_of(wanted: "re.Match[str]", size_bytes: int) -> tuple[int, int]:
    """Where a range begins, and where it ends; nothing where it can't be satisfied.

    >>> [
    ...     range_of(_RANGE.fullmatch(f"bytes={said}"), 100)
    ...     for said in ("0-9", "90-", "-5", "95-200", "100-")
    ... ]
    [(0, 10), (90, 100), (95, 100), (95, 100), (0, 0)]
    """
    first, last = wanted[1], wanted[2]
    if not first:
        n = min(int(last or 0), size_bytes)
        return size_bytes - n, size_bytes
    begin = int(first)
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    return (begin, end) if begin < size_bytes else (0, 0)


def _etag(token: str, version: str) -> str:
    """A name of the content that tells nothing of it: the same image behind another link has another."""
    return f'"{sha256(f"{token} {version}".encode()).hexdigest()[:32]}"'
