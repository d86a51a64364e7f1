"""Images of the store for the pages of the dashboard: as bytes that can do nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from labelloop.core.image_kind import MEDIA_TYPES, kind_of
from labelloop.web.answers import Refused
from labelloop.web.media import SAFELY
from labelloop.web.site import Site
from labelloop.web.store_reads import StoreReads
from labelloop.web.thumbnails import shared

LARGEST = 20_000_000
"""Bytes of an image that is shown."""
AT_ONCE = 16
"""So many images are read at a time."""
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
        self._reads = StoreReads(AT_ONCE)
        self._thumbnails = shared()

    async def answer(self, find: Callable[[], Found], *, small: bool = False) -> Response:
        """The image that `find` returns, or why there is none; `small`: for a list, if it is large.

        Raises:
            Refused: as `find` does; the object is gone, no raster image or too large; or the store doesn't
                answer.
        """
        body, media_type = await self._reads.read(lambda: self._image(find(), small=small))
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
