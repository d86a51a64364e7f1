"""For applications that answer a prediction to an input in the request's body: nothing to change in them."""

import io
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from labelloop_capture.capture import Capture

MOST_BYTES = 10 << 20
"""Larger inputs and answers pass through uncaptured."""
HEADER = "x-sample-id"

Answer = Callable[[bytes], Mapping[str, Any] | None]
"""From the body of a response to the arguments of `Capture.log`; None captures nothing."""
Message = MutableMapping[str, Any]


def predicted(body: bytes) -> Mapping[str, Any] | None:
    """What a JSON answer with `predicted_class` says; None for any other."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("predicted_class"), str):
        return None
    confidence = said.get("confidence")
    known = {"predicted_class": said["predicted_class"]}
    return known if confidence is None else known | {"confidence": float(confidence)}


class AsgiCapture:
    """Captures what an ASGI application answers at `path`, and tells the id as `x-sample-id`."""

    def __init__(
        self, app: Any, capture: Capture, *, path: str = "/predict", answer: Answer = predicted
    ) -> None:
        self._app, self._capture, self._path, self._answer = app, capture, path, answer

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        asked, answered = _Body(), _Body()
        start: Message | None = None

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.request" and asked.fits:
                asked.add(message.get("body", b""))
            return message

        async def say(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            answered.add(message.get("body", b""))
            if start is not None and answered.fits and message.get("more_body"):
                return
            if start is not None:
                sample_id = _log(self._capture, self._answer, int(start["status"]), asked, answered)
                if sample_id:
                    start["headers"] = [
                        *start.get("headers", ()),
                        (HEADER.encode(), sample_id.encode()),
                    ]
                await send(start)
                start = None
                message = {**message, "body": b"".join(answered.parts)}
            await send(message)

        await self._app(scope, hear, say)


class WsgiCapture:
    """Captures what a WSGI application answers at `path`, and tells the id as `x-sample-id`."""

    def __init__(
        self, app: Any, capture: Capture, *, path: str = "/predict", answer: Answer = predicted
    ) -> None:
        self._app, self._capture, self._path, self._answer = app, capture, path, answer

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        size = environ.get("CONTENT_LENGTH") or "0"
        captured = environ["REQUEST_METHOD"] == "POST" and environ.get("PATH_INFO") == self._path
        if not captured or not size.isdigit() or int(size) > MOST_BYTES:
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        asked, answered = _Body(), _Body()
        asked.add(environ["wsgi.input"].read(int(size)))
        environ["wsgi.input"] = io.BytesIO(asked.parts[0])
        begun: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            begun[:] = [status, list(headers), exc_info]
            return answered.add

        parts = self._app(environ, start)
        try:
            for part in parts:
                answered.add(part)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers, exc_info = begun
        sample_id = _log(self._capture, self._answer, int(status[:3]), asked, answered)
        if sample_id:
            headers.append((HEADER, sample_id))
        start_response(status, headers, exc_info)
        return answered.parts


class _Body:
    """A body as it passes by."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    @property
    def fits(self) -> bool:
        """Whether it is small enough to be captured."""
        return self._size <= MOST_BYTES

    def add(self, part: bytes) -> None:
        """Take in a part."""
        self._size += len(part)
        self.parts.append(part)


def _log(
    capture: Capture, answer: Answer, status: int, asked: _Body, answered: _Body
) -> str | None:
    if status != 200 or not asked.fits or not answered.fits:
        return None
    said = answer(b"".join(answered.parts))
    return None if said is None else capture.log(b"".join(asked.parts), **said)
