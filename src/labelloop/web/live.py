"""/api/v1/events as a stream: how far the work is, told as it goes on to whoever keeps listening."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from labelloop.service.work import Work
from labelloop.web.answers import ALWAYS, Refused
from labelloop.web.site import Site

MEDIA_TYPE = "text/event-stream"
AT_MOST = 100
"""So many listeners a project: each holds a connection."""
TICK_S, HEARTBEAT_S = 0.5, 15.0
"""How often the work is looked at while anybody listens, and how often a silent stream says that it lives."""
LASTS_S = 300.0
"""A stream ends after this time, so that who may listen is asked anew; browsers open another then."""
_RETRY = b"retry: 3000\n\n"
_ALIVE = b": still here\n\n"


def says(work: Work) -> str:
    """What a page says of the work.

    >>> says(Work("index", "tags read", 1200, 4000)), says(Work("select"))
    ('index: tags read 1,200 of 4,000', 'select runs now')
    """
    if not work.what:
        return f"{work.verb} runs now"
    of = f" of {work.total:,}" if work.total else ""
    return f"{work.verb}: {work.what} {work.done:,}{of}"


def wants_stream(request: Request) -> bool:
    """Whether a listener asks."""
    return MEDIA_TYPE in request.headers.get("accept", "")


class Live:
    """The listeners of a project. One task looks at the work for all of them, while there are any."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._n_listeners = 0
        self._now: Work | None = None
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def answer(self) -> Response:
        """A stream for one more listener.

        Raises:
            Refused: there are too many.
        """
        if self._n_listeners >= AT_MOST:
            raise Refused(
                503,
                f"{AT_MOST} others listen already",
                "read the page again from time to time",
                {"Retry-After": "60"},
            )
        return StreamingResponse(
            self._stream(),
            headers={**ALWAYS, "X-Accel-Buffering": "no"},
            media_type=MEDIA_TYPE,
        )

    async def _stream(self) -> AsyncIterator[bytes]:
        self._n_listeners += 1
        try:
            if self._looking is None or self._looking.done():
                self._now = await run_in_threadpool(self._site.work)
                self._looking = asyncio.create_task(self._look())
            told = self._now
            yield _RETRY + _event(told)
            until_s = time.monotonic() + LASTS_S
            while not self._site.ending.is_set() and time.monotonic() < until_s:
                if self._now != told:
                    told = self._now
                    yield _event(told)
                    continue
                try:
                    await asyncio.wait_for(self._changed.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield _ALIVE
        finally:
            self._n_listeners -= 1

    async def _look(self) -> None:
        while self._n_listeners:
            await asyncio.sleep(TICK_S)
            found = await run_in_threadpool(self._site.work)
            if found != self._now or self._site.ending.is_set():
                self._now = found
                self._changed.set()
                self._changed.clear()  # who waits by now is woken all the same


def _event(work: Work | None) -> bytes:
    held = {"verb": None} if work is None else {**_plain(work), "says": says(work)}
    return f"event: work\ndata: {json.dumps(held)}\n\n".encode()


def _plain(work: Work) -> dict[str, object]:
    return {"verb": work.verb, "what": work.what, "done": work.done, "total": work.total}
