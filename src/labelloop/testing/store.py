"""A store in memory."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import islice
from urllib.parse import quote, unquote, urlsplit

from labelloop.core.content_encoding import decoded
from labelloop.core.image_kind import START_BYTES
from labelloop.errors import ArgumentError, InputChanged, InputGone, StoreDenied
from labelloop.ports.store import BrowserView, Start, StoredObject, Streamed

LONGEST_LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryObject:
    """One object as `MemoryStore` holds it."""

    body: bytes
    content_type: str
    last_modified: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_encoding: str = ""
    etag: str = ""

    @property
    def content_hash(self) -> str:
        """The ETag that was given, as to an upload in parts, or a hash of the bytes."""
        return self.etag or _hash(self.body)


class MemoryStore:
    """A store that holds its objects in a dictionary: `put` them, then hand it to a step.

    Like `S3Store` it lists what is below `uri` and not below `hidden_uri`. `objects_by_uri` holds
    the objects of all buckets. Each call of the port first calls `before(name of the call, uri)`,
    which may raise, as a store in trouble would.

    >>> store = MemoryStore("s3://production")
    >>> store.put("a.png", b"...", tags={"predicted_class": "Bread"}).sample_id
    'a.png'
    >>> [(o.sample_id, dict(tags)) for page in store.objects() for o, tags in store.tags(page)]
    [('a.png', {'predicted_class': 'Bread'})]
    """

    def __init__(
        self,
        uri: str = "s3://production",
        *,
        buckets: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        hidden_uri: str | None = None,
        page_size: int = 1000,
        inline: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        before: Callable[[str, str], None] = lambda _call, _uri: None,
        allowed_origins: Sequence[str] = ("*",),
    ) -> None:
        self.uri = uri.rstrip("/")
        self.inline = inline
        self.before = before
        self.allowed_origins = list(allowed_origins)
        """The origins that CORS lets read images."""
        self.lifetimes: dict[str, timedelta] = {}
        """By the uri of a bucket or folder: how long its rule keeps what lies there."""
        self.objects_by_uri: dict[str, MemoryObject] = {}
        self._bucket = _bucket(uri)
        self._roots = [f"{self.uri}/{p.strip('/')}/" for p in prefixes] or [f"{self.uri}/"]
        self._buckets = {self._bucket, *buckets}
        self._hidden: str | None = None
        if hidden_uri is not None:
            self._buckets.add(_bucket(hidden_uri))
            # A whole bucket is never hidden; only a folder in it.
            below = hidden_uri.rstrip("/").removeprefix(f"s3://{_bucket(hidden_uri)}")
            self._hidden = f"{hidden_uri.rstrip('/')}/" if below else None
        self._page_size = page_size
        self._now = now
        self._signed = 0

    # --- for tests -----------------------------------------------------------------------------

    def put(
        self,
        key: str,
        body: bytes = b"",
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "image/png",
        content_encoding: str = "",
        last_modified: datetime | None = None,
        etag: str = "",
    ) -> StoredObject:
        """Put an object into the bucket of `uri`; returns it as a listing shows it.

        `etag`: what it has if it is uploaded in parts, in place of a hash of its bytes.
        """
        uri = f"s3://{self._bucket}/{key}"
        self.objects_by_uri[uri] = MemoryObject(
            body=body,
            content_type=content_type,
            last_modified=last_modified or self._now(),
            tags=dict(tags or {}),
            metadata=dict(metadata or {}),
            content_encoding=content_encoding,
            etag=etag,
        )
        return self._listed(uri)

    def put_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Replace an object's tags; as in S3 its time does not move."""
        uri = f"s3://{self._bucket}/{key}"
        self.objects_by_uri[uri] = replace(self.objects_by_uri[uri], tags=dict(tags))

    # --- the port ------------------------------------------------------------------------------

    def place_of(self, uri: str) -> str:
        """Where the object of a uri lies: there."""
        return uri

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every object below the uri, page by page, each once.

        Raises:
            StoreDenied: a prefix that matches nothing, in a bucket that holds something.
        """
        whole = f"s3://{self._bucket}/"
        for root in self._roots:
            if root != whole and any(uri.startswith(whole) for uri in self.objects_by_uri):
                self._check_prefix(root)
        uris = iter(sorted(filter(self._is_listed, self.objects_by_uri)))
        while True:
            self.before("objects", self.uri)
            page = [
                self._listed(uri)
                for uri in islice(uris, self._page_size)
                if uri in self.objects_by_uri
            ]
            if not page:
                return
            yield page

    def uri_of(self, sample_id: str) -> str:
        """Where the object of a sample lies, or would lie."""
        return f"s3://{self._bucket}/{sample_id}"

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """The tags of each object; one that is gone is left out."""
        for found in objects:
            self.before("tags", found.uri)
            held = self.objects_by_uri.get(found.uri)
            if held is not None:
                yield found, dict(held.tags)

    def lasting(self, life: timedelta) -> timedelta:
        """How long a URL that is made now for `life` will work."""
        return life

    def presign(self, uri: str, life: timedelta, *, content_hash: str | None = None) -> str:
        """A URL that names the object and its life; each call's differs, as signed ones do."""
        if not timedelta(seconds=1) <= life <= LONGEST_LIFE:
            raise ArgumentError(
                f"a presigned URL can't live for {life}",
                remedy="set presign_life in [store] to between 1 second and 7 days",
            )
        self.before("presign", uri)
        if self.inline:
            held = self._held(uri)
            self._check_content(uri, held, content_hash)
            return f"data:{held.content_type};base64,{b64encode(held.body).decode()}"
        self._signed += 1
        path = quote(uri.removeprefix("s3://"))
        seconds = int(life.total_seconds())
        return f"https://memory.invalid/{path}?X-Amz-Expires={seconds}&signed={self._signed}"

    def below(self, uri: str) -> Iterator[Sequence[StoredObject]]:
        """Every object below `uri`, page by page; none is no error."""
        self._check_bucket(uri)
        root = f"{uri.rstrip('/')}/"
        uris = iter(sorted(u for u in self.objects_by_uri if u.startswith(root) and u[-1] != "/"))
        while page := [self._listed(u) for u in islice(uris, self._page_size)]:
            self.before("below", uri)
            yield page

    def copy(self, source_uri: str, target_uri: str, *, content_hash: str) -> None:
        """Copy an object as it is. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, and `content_hash` is one of the listing's, but not its.
        """
        self.before("copy", source_uri)
        self._check_bucket(target_uri)
        source = self._held(source_uri)
        self._check_content(source_uri, source, content_hash)
        self.objects_by_uri[target_uri] = replace(source, last_modified=self._now())

    def copy_blind(
        self, source_uri: str, target_uri: str, *, content_hash: str | None = None
    ) -> None:
        """Copy the bytes, their type and encoding, and nothing else. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, and `content_hash` is one of the listing's, but not its.
        """
        self.before("copy_blind", source_uri)
        self._check_bucket(target_uri)
        source = self._held(source_uri)
        self._check_content(source_uri, source, content_hash)
        self.objects_by_uri[target_uri] = MemoryObject(
            body=source.body,
            content_type=source.content_type,
            content_encoding=source.content_encoding,
            last_modified=self._now(),
        )

    def exists(self, uri: str) -> bool:
        """Whether an object stands at `uri`."""
        self.before("exists", uri)
        self._check_bucket(uri)
        return uri in self.objects_by_uri

    def losses(self, inputs: Sequence[tuple[str, str]]) -> Sequence[InputGone | None]:
        """Of each uri and `content_hash`, what became of the object; None: it is as it was."""
        return [self._loss(uri, content_hash) for uri, content_hash in inputs]

    def starts(self, inputs: Sequence[tuple[str, str]]) -> Sequence[Start | None]:
        """How each object begins; None: it is gone, or can't be decoded."""
        return [self._start(uri) for uri, _ in inputs]

    def _start(self, uri: str) -> Start | None:
        held = self.objects_by_uri.get(uri)
        body = None if held is None else decoded(held.body, held.content_encoding)
        return None if body is None else Start(body[:START_BYTES], same=False)

    def _loss(self, uri: str, content_hash: str) -> InputGone | None:
        self.before("losses", uri)
        try:
            self._check_content(uri, self._held(uri), content_hash)
        except InputGone as exc:
            return exc
        return None

    def delete(self, uri: str) -> None:
        """Delete the object at `uri`; one that is not there is fine."""
        self.before("delete", uri)
        self._check_bucket(uri)
        self.objects_by_uri.pop(uri, None)

    def read(self, uri: str, *, content_hash: str | None = None) -> bytes:
        """The bytes of the object at `uri`, without its Content-Encoding.

        Raises:
            InputGone: it no longer exists, or its Content-Encoding can't be undone.
            InputChanged: it does, and `content_hash` is one of the listing's, but not its.
        """
        self.before("read", uri)
        held = self._held(uri)
        body = held.body
        self._check_content(uri, held, content_hash)
        found = decoded(body, held.content_encoding)
        if found is None:
            raise InputGone(
                f"{uri} is stored with Content-Encoding {held.content_encoding!r}",
                remedy="store it plain or with gzip",
            )
        return found

    def stream(self, uri: str, *, offset: int = 0, length: int | None = None) -> Streamed:
        """The bytes of the object at `uri` as they are stored."""
        self.before("stream", uri)
        held = self._held(uri)
        end = len(held.body) if length is None else offset + length
        return Streamed(
            size_bytes=len(held.body),
            version=md5(held.body, usedforsecurity=False).hexdigest(),
            encoding=held.content_encoding,
            parts=iter([held.body[offset:end]]),
            close=lambda: None,
        )

    def below_root(self, uri: str) -> str | None:
        """The key, where the store stands for a folder."""
        return quote(uri.removeprefix("s3://").partition("/")[2]) if self.inline else None

    def check_writable(self, uri: str) -> None:
        """Return if the bucket of `uri` is one of the store's."""
        self.before("check_writable", uri)
        self._check_bucket(uri)

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put an object of ours at `uri`, in place of what stood there."""
        self.before("write", uri)
        self._check_bucket(uri)
        self.objects_by_uri[uri] = MemoryObject(
            body=body, content_type=content_type, last_modified=self._now()
        )

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for a URL that `presign` made."""
        self.before("view", url)
        uri = "s3://" + unquote(urlsplit(url).path.removeprefix("/"))
        held = self.objects_by_uri.get(uri)
        allowed = {"*": "*", origin: origin}
        return BrowserView(
            status=200 if held else 404,
            content_type=held.content_type if held else "application/xml",
            allowed_origin=next((allowed[o] for o in self.allowed_origins if o in allowed), None),
            modified_at=held.last_modified if held else None,
            served_at=self._now(),
        )

    def retention(self, uri: str) -> timedelta | None:
        """How long after its upload a rule deletes what is stored at or below `uri`; None: no rule."""
        self.before("retention", uri)
        self._check_bucket(uri)
        own = [
            life
            for place, life in self.lifetimes.items()
            if uri.startswith(place) or place.startswith(uri)
        ]
        return min(own, default=None)

    def _is_listed(self, uri: str) -> bool:
        hidden = self._hidden is not None and uri.startswith(self._hidden)
        below = any(uri.startswith(root) for root in self._roots)
        return below and not hidden and not uri.endswith("/")

    def _check_prefix(self, root: str) -> None:
        if not any(uri.startswith(root) for uri in self.objects_by_uri):
            raise StoreDenied(
                f"there is no object below {root!r}",
                remedy="correct uri or prefixes, or put an object there",
            )

    def _listed(self, uri: str) -> StoredObject:
        held = self.objects_by_uri[uri]
        return StoredObject(
            sample_id=uri.removeprefix(f"s3://{_bucket(uri)}/"),
            uri=uri,
            content_hash=held.content_hash,
            size_bytes=len(held.body),
            last_modified=held.last_modified,
        )

    def _held(self, uri: str) -> MemoryObject:
        self._check_bucket(uri)
        try:
            return self.objects_by_uri[uri]
        except KeyError:
            raise InputGone(f"there is no object {uri!r}") from None

    def _check_content(self, uri: str, held: MemoryObject, content_hash: str | None) -> None:
        if content_hash and ":" not in content_hash and content_hash != held.content_hash:
            raise InputChanged.since_indexed(uri)

    def _check_bucket(self, uri: str) -> None:
        if _bucket(uri) not in self._buckets:
            raise StoreDenied(
                f"there is no bucket {_bucket(uri)!r}", remedy="name it when making the MemoryStore"
            )


def _bucket(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[0]


def _hash(body: bytes) -> str:
    return md5(body, usedforsecurity=False).hexdigest()
