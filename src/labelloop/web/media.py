"""/media/{token}: the image of a task, under a name that says nothing, as bytes that can do nothing."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from labelloop.core import due
from labelloop.core.image_kind import MEDIA_TYPES, START_BYTES, kind_of
from labelloop.core.task import OPEN, TaskState
from labelloop.errors import InputDenied, InputGone, StoreError
from labelloop.ledger import media_links
from labelloop.ledger.media_links import Linked
from labelloop.ports.store import Store, Streamed
from labelloop.web.answers import Refused
from labelloop.web.site import Site

T = TypeVar("T")

AT_ONCE = 32
"""So many reads of the store at a time; the other paths of the service have threads of their own."""
STORE_S = 20.0
"""How long the store may take for one read, and an image may wait for its turn."""
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


def routes(site: Site) -> list[Route]:
    """The path of the images."""
    gateway = Gateway(site)
    return [Route("/media/{token}", gateway.answer)]


class Gateway:
    """Shows images of the store to whoever has a link of a task that needs them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._reads = CapacityLimiter(AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """Show one image, or a part of it."""
        token = request.path_params["token"]
        linked = await to_thread.run_sync(self._linked, token)
        store = await self._read(lambda: self._site.loop().project.store)
        headers = {**SAFELY, **self._cors(request)}
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        if request.method == "HEAD" or wanted or "if-none-match" in request.headers:
            start = await self._read(lambda: store.stream(linked.uri, length=START_BYTES))
            image, first = await self._look(start, token)
            await self._read(start.close)
            headers["ETag"] = image.etag
            if image.etag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            if start.encoding:
                return await self._decoded(store, linked, token, headers, request)
            if request.method == "HEAD":
                return self._whole(image, [], headers, head=True)
            if wanted and request.headers.get("if-range", image.etag) == image.etag:
                return await self._part(store, linked, image, wanted, headers)
        stream = await self._read(lambda: store.stream(linked.uri))
        try:
            image, first = await self._look(stream, token)
        except BaseException:
            stream.close()
            raise
        headers["ETag"] = image.etag
        if stream.encoding:
            await self._read(stream.close)
            return await self._decoded(store, linked, token, headers, request)
        return StreamingResponse(
            self._sent(first, stream, image.size_bytes),
            headers={**headers, "Content-Length": str(image.size_bytes)},
            media_type=image.media_type,
        )

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
            raise Refused(404, "this link leads to no image, or its task is done")
        return found

    async def _look(self, stream: Streamed, token: str) -> tuple[_Image, bytes]:
        """What the first bytes say.

        Raises:
            Refused: they are no raster image's.
        """
        first = await self._read(lambda: next(stream.parts, b""))
        kind = kind_of(first[:START_BYTES])
        if kind is None and not stream.encoding:
            stream.close()
            raise Refused(415, "the object behind this link is no raster image")
        media_type = MEDIA_TYPES[kind] if kind else ""
        return _Image(media_type, stream.size_bytes, _etag(token, stream.version)), first

    async def _part(
        self,
        store: Store,
        linked: Linked,
        image: _Image,
        wanted: "re.Match[str]",
        headers: dict[str, str],
    ) -> Response:
        """A range of the bytes."""
        begin, end = range_of(wanted, image.size_bytes)
        if begin >= end:
            headers["Content-Range"] = f"bytes */{image.size_bytes}"
            return Response(status_code=416, headers=headers)
        stream = await self._read(
            lambda: store.stream(linked.uri, offset=begin, length=end - begin)
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
        self, store: Store, linked: Linked, token: str, headers: dict[str, str], request: Request
    ) -> Response:
        """An image that is stored with a Content-Encoding, without it."""
        body = await self._read(lambda: store.read(linked.uri))
        kind = kind_of(body)
        if kind is None or len(body) > LARGEST_DECODED:
            raise Refused(415, "the object behind this link is no raster image, or too large")
        version = sha256(body).hexdigest()
        image = _Image(MEDIA_TYPES[kind], len(body), _etag(token, version))
        headers["ETag"] = image.etag
        return self._whole(image, [body], headers, head=request.method == "HEAD")

    @staticmethod
    def _whole(
        image: _Image, parts: list[bytes], headers: dict[str, str], *, head: bool
    ) -> Response:
        answer = Response(
            b"" if head else b"".join(parts), headers=headers, media_type=image.media_type
        )
        answer.headers["Content-Length"] = str(image.size_bytes)
        return answer

    async def _sent(self, first: bytes, stream: Streamed, size_bytes: int) -> AsyncIterator[bytes]:
        """The bytes one part after another: as many as were announced, however slow the client."""
        left = size_bytes
        try:
            with anyio.fail_after(WHOLE_S):
                part = first
                while left > 0:
                    part = part or await self._read(lambda: next(stream.parts, b""))
                    if not part:
                        raise StoreError("the store ended an object before its end")
                    yield part[:left]
                    left -= len(part)
                    part = b""
        finally:
            with suppress(Exception):
                stream.close()

    async def _read(self, ask: Callable[[], T]) -> T:
        """Ask the store in a thread of the gateway's own; a store that hangs holds up images alone.

        Raises:
            Refused: it doesn't answer, or says that the object is gone.
        """
        try:
            with anyio.fail_after(STORE_S):
                return await to_thread.run_sync(ask, limiter=self._reads, abandon_on_cancel=True)
        except TimeoutError:
            raise Refused(
                504,
                f"the store didn't answer within {STORE_S:g} s",
                "the image is there again once the store is",
                {"Retry-After": "10"},
            ) from None
        except (InputGone, InputDenied):
            raise Refused(404, "the image is gone, or can't be read") from None
        except StoreError:
            raise Refused(
                503,
                "the store can't be reached, or refuses",
                "the image is there again once the store is",
                {"Retry-After": "10"},
            ) from None

    def _cors(self, request: Request) -> dict[str, str]:
        """Let Label Studio's pages read the image, and no other site's."""
        own = self._site.settings.label_studio
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
