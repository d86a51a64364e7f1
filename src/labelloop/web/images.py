"""Images of the store for the pages of the dashboard: as bytes that can do nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.responses import Response

from labelloop.core.image_kind import MEDIA_TYPES, kind_of
from labelloop.errors import ConfigError, InputDenied, InputGone, StoreError
from labelloop.web.answers import Refused
from labelloop.web.media import SAFELY
from labelloop.web.site import Site
from labelloop.web.thumbnails import shared

T = TypeVar("T")

LARGEST = 20_000_000
"""Bytes of an image that is shown."""
AT_ONCE = 16
"""So many images are read at a time."""
STORE_S = 20.0
"""How long the store may take for one image."""
HEADERS = {k: v for k, v in SAFELY.items() if k not in {"Accept-Ranges", "Vary"}}


_SMALL = MEDIA_TYPES["webp"]


@dataclass(frozen=True, slots=True)
class Found:
    """Where the input of a sample lies, and the hash of its content; empty where that isn't known."""

    uri: str
    content_hash: str = ""


class StoreImages:
    """Reads images with labelloop's own rights, a bounded number at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._reads = CapacityLimiter(AT_ONCE)
        self._thumbnails = shared()

    async def answer(self, find: Callable[[], Found], *, small: bool = False) -> Response:
        """The image that `find` returns, or why there is none; `small`: for a list, if it is large.

        Raises:
            Refused: as `find` does; the object is gone, no raster image or too large; or the store doesn't
                answer.
        """
        body, media_type = await self._read(lambda: self._image(find(), small=small))
        return Response(body, headers=HEADERS, media_type=media_type)

    def _image(self, found: Found, *, small: bool) -> tuple[bytes, str]:
        """The bytes of an image, and what they are."""
        name = f"{found.content_hash} {found.uri}"
        if small and (known := self._thumbnails.known(name)):
            return known, _SMALL
        body = self._site.loop().project.store.read(found.uri)
        kind = kind_of(body)
        if kind is None:
            raise Refused(415, "the input of this sample is no raster image")
        if len(body) > LARGEST:
            raise Refused(415, "the image is too large to be shown")
        if small and (made := self._thumbnails.make(name, body)):
            return made, _SMALL
        return body, MEDIA_TYPES[kind]

    async def _read(self, ask: Callable[[], T]) -> T:
        """Ask the store in a thread of its own; one that hangs holds up images alone.

        Raises:
            Refused: it doesn't answer, or says that the object is gone.
        """
        try:
            with anyio.fail_after(STORE_S):
                return await to_thread.run_sync(ask, limiter=self._reads, abandon_on_cancel=True)
        except TimeoutError:
            raise Refused(504, f"the store didn't answer within {STORE_S:g} s") from None
        except (InputGone, InputDenied):
            raise Refused(404, "the image is gone, or can't be read") from None
        except (StoreError, ConfigError):
            raise Refused(503, "the store can't be reached, or refuses") from None
