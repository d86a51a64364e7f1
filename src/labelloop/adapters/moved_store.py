"""A store that lay elsewhere when its inputs were indexed: their old uris lead to where they lie now."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from labelloop.errors import InputGone
from labelloop.ports.store import BrowserView, Start, Store, StoredObject, Streamed


class MovedStore:
    """`store`, of which uris below one of the `was` mean the same below `now`.

    All are roots: a bucket, or a folder.
    """

    def __init__(self, store: Store, *, was: Sequence[str], now: str) -> None:
        self._store = store
        self._was = tuple(f"{root.rstrip('/')}/" for root in was)
        self._now = f"{now.rstrip('/')}/"

    @property
    def inline(self) -> bool:
        """Whether `presign` gives the bytes themselves."""
        return self._store.inline

    def place_of(self, uri: str) -> str:
        """Where the object of a uri lies now."""
        for root in self._was:
            if uri.startswith(root):
                return self._now + uri.removeprefix(root)
        return uri

    def uri_of(self, sample_id: str) -> str:
        """The uri that an object of this id has in the listing."""
        return self._store.uri_of(sample_id)

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every object, page by page, each once."""
        return self._store.objects()

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """The tags of each object."""
        return self._store.tags(objects)

    def lasting(self, life: timedelta) -> timedelta:
        """How long a URL that is made now for `life` will work."""
        return self._store.lasting(life)

    def presign(self, uri: str, life: timedelta, *, content_hash: str | None = None) -> str:
        """A URL that an annotator's browser can open for `life`."""
        return self._store.presign(self.place_of(uri), life, content_hash=content_hash)

    def below_root(self, uri: str) -> str | None:
        """The path of a file below the folder; None of a bucket's object."""
        return self._store.below_root(self.place_of(uri))

    def below(self, uri: str) -> Iterator[Sequence[StoredObject]]:
        """Every object below `uri`, page by page."""
        return self._store.below(uri)

    def copy(self, source_uri: str, target_uri: str, *, content_hash: str) -> None:
        """Copy an object as it is."""
        self._store.copy(self.place_of(source_uri), target_uri, content_hash=content_hash)

    def copy_blind(
        self, source_uri: str, target_uri: str, *, content_hash: str | None = None
    ) -> None:
        """Copy the bytes, their type and encoding, and nothing else."""
        self._store.copy_blind(self.place_of(source_uri), target_uri, content_hash=content_hash)

    def exists(self, uri: str) -> bool:
        """Whether an object stands at `uri`."""
        return self._store.exists(self.place_of(uri))

    def losses(self, inputs: Sequence[tuple[str, str]]) -> Sequence[InputGone | None]:
        """What became of each object."""
        return self._store.losses([(self.place_of(uri), content) for uri, content in inputs])

    def starts(self, inputs: Sequence[tuple[str, str]]) -> Sequence[Start | None]:
        """How each object begins."""
        return self._store.starts([(self.place_of(uri), content) for uri, content in inputs])

    def delete(self, uri: str) -> None:
        """Delete the object at `uri`."""
        self._store.delete(uri)

    def read(self, uri: str, *, content_hash: str | None = None) -> bytes:
        """The bytes of the object at `uri`."""
        return self._store.read(self.place_of(uri), content_hash=content_hash)

    def stream(self, uri: str, *, offset: int = 0, length: int | None = None) -> Streamed:
        """The bytes of the object at `uri` as they are stored."""
        return self._store.stream(self.place_of(uri), offset=offset, length=length)

    def check_writable(self, uri: str) -> None:
        """Return if objects can be written and deleted below `uri`."""
        self._store.check_writable(uri)

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put an object of ours at `uri`."""
        self._store.write(uri, body, content_type)

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for `url`."""
        return self._store.view(url, origin=origin)

    def retention(self, uri: str) -> timedelta | None:
        """How long after its upload a rule deletes what is stored at or below `uri`."""
        return self._store.retention(uri)
