"""A bucket or folder that holds the inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from labelloop.errors import InputGone


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of the listing. `sample_id` is its key; `content_hash` its ETag without quotes.

    Where a hash costs reading the whole object, it is empty in the listing and comes with the tags.
    `tags` are there where the listing tells them, and there are any.
    `fault` says why the object can't be used, or its tags can't be read.
    """

    sample_id: str
    uri: str
    content_hash: str
    size_bytes: int
    last_modified: datetime
    tags: Mapping[str, str] | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """How an object begins.

    data
        its first 256 bytes without Content-Encoding, or all of them
    same
        True: it has the content that was asked for. False: that wasn't compared, `losses` does
    """

    data: bytes
    same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserView:
    """What a browser gets for a URL. `allowed_origin` is the origin that CORS lets read it, or "*"."""

    status: int
    content_type: str
    allowed_origin: str | None
    modified_at: datetime | None
    served_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """Bytes of an object, which are read as they are taken; `close` when enough was taken.

    size_bytes
        of the whole object
    version
        another one for another content
    encoding
        the Content-Encoding that the bytes have; '' for none
    """

    size_bytes: int
    version: str
    encoding: str
    parts: Iterator[bytes]
    close: Callable[[], None]


class Store(Protocol):
    """A bucket or folder that holds the inputs, and the place for blind copies.

    Every call may raise StoreUnavailable (asking again may work) or StoreDenied (it won't).
    """

    @property
    def inline(self) -> bool:
        """Whether `presign` gives the bytes themselves: no name shows, so blind needs no copy."""

    def place_of(self, uri: str) -> str:
        """Where the object of a uri lies now, if the bucket or folder had another name before."""

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every object, page by page, each once.

        Raises:
            StoreDenied: a prefix that matches nothing, though there is something beside it.
        """

    def uri_of(self, sample_id: str) -> str:
        """Where the object of a sample lies, or would lie; no request is made."""

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """The tags of each object, many at once, in any order; an object that is gone is left out."""

    def lasting(self, life: timedelta) -> timedelta:
        """How long a URL that is made now for `life` will work."""

    def presign(self, uri: str, life: timedelta, *, content_hash: str | None = None) -> str:
        """A URL that an annotator's browser can open for `life`; no request is made.

        Raises:
            InputGone: `inline` only: the object no longer exists.
            InputChanged: `inline` only: it does, with a content whose hash isn't `content_hash`.
            InputTooLarge: `inline` only: it is too large to travel inside a task.
        """

    def below(self, uri: str) -> Iterator[Sequence[StoredObject]]:
        """Every object below `uri`, of any bucket of the store, page by page; none is no error."""

    def copy(self, source_uri: str, target_uri: str, *, content_hash: str) -> None:
        """Copy an object as it is, with its type, encoding, metadata and tags. Idempotent.

        The bytes don't come through here where the server can copy them. The tags of a file lie in a
        file of their own, and stay where they are.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, with a content whose hash isn't the `content_hash` of the listing.
        """

    def copy_blind(
        self, source_uri: str, target_uri: str, *, content_hash: str | None = None
    ) -> None:
        """Copy the bytes, their type and encoding, and nothing else: no tag, no metadata. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, with a content whose hash isn't the `content_hash` of the listing; what
                stood at the target may be gone.
        """

    def exists(self, uri: str) -> bool:
        """Whether an object stands at `uri`."""

    def losses(self, inputs: Sequence[tuple[str, str]]) -> Sequence[InputGone | None]:
        """Of each uri and `content_hash` of the listing, what became of the object; many at once.

        None: it is there, with that content. InputChanged: it is, with another one.
        """

    def starts(self, inputs: Sequence[tuple[str, str]]) -> Sequence[Start | None]:
        """How the object of each uri and `content_hash` begins; many at once.

        None: that can't be told. What became of an object that is gone or denied, `losses` says.
        """

    def delete(self, uri: str) -> None:
        """Delete the object at `uri`; one that is not there is fine."""

    def read(self, uri: str, *, content_hash: str | None = None) -> bytes:
        """The bytes of the object at `uri`, without its Content-Encoding.

        Raises:
            InputGone: it no longer exists, or its Content-Encoding can't be undone.
            InputChanged: it does, with a content whose hash isn't the `content_hash` of the listing. One
                that a table's row got, of its text or uri, says nothing of the content.
        """

    def stream(self, uri: str, *, offset: int = 0, length: int | None = None) -> Streamed:
        """The bytes of the object at `uri` as they are stored, from `offset` on; `length` at most.

        Raises:
            InputGone: it no longer exists.
        """

    def below_root(self, uri: str) -> str | None:
        """The path of a file below the folder, as a URL has it; None of a bucket's object."""

    def check_writable(self, uri: str) -> None:
        """Return if objects can be written and deleted below `uri`; raise why if they can't."""

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put an object of ours at `uri`, in place of what stood there."""

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for `url`; nothing but the answer's head is read."""

    def retention(self, uri: str) -> timedelta | None:
        """How long after its upload a rule deletes what is stored at or below `uri`; None: no rule."""
