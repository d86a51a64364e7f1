"""An S3-compatible bucket as a Store."""

import mimetypes
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from hashlib import md5
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from labelloop.adapters.http import browser_view
from labelloop.adapters.http.retries import ATTEMPTS
from labelloop.adapters.s3 import listing, retention
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.answers import ListedObject, entry_of, etag_of, tags_of
from labelloop.adapters.s3.client import client_of, link_life, session_of
from labelloop.adapters.s3.curl import ConnectionOptions, Transport, headers_of
from labelloop.adapters.s3.errors import Request, concerns_one, translated
from labelloop.adapters.s3.links import LinkSigner, bucket_url
from labelloop.adapters.s3.parallel_requests import FEW, Answer, ParallelRequests
from labelloop.adapters.s3.retries import Retries
from labelloop.core.content_encoding import decoded, decoded_start, lasting_encoding
from labelloop.core.image_kind import START_BYTES
from labelloop.errors import (
    ArgumentError,
    ConfigError,
    InputChanged,
    InputDenied,
    InputGone,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from labelloop.ports.store import BrowserView, Start, StoredObject, Streamed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

LONGEST_LIFE = timedelta(days=7)  # SigV4 allows no more
AT_ONCE = 128  # tags asked of boto3 before the first is yielded
ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")
PART_BYTES = 262_144  # what a stream reads at a time
_LINK_S = 900
"""How long the links live that are used at once: as far as clocks may differ."""
UNTYPED = frozenset({"", "binary/octet-stream", "application/octet-stream"})


class S3Store:
    """The objects below `uri` ("s3://bucket" or "s3://bucket/prefix"), each named by its whole key.

    `prefixes` are folders below `uri`: only they are listed. Objects below `hidden_uri`
    (where blind copies go) and folder markers, keys that end in a slash, are not listed.
    Thread-safe.

    Raises:
        ConfigError: a uri, URL, file or profile that can't be one.
        StoreDenied: a profile whose credentials can't be fetched.
    """

    inline = False

    def __init__(
        self,
        uri: str,
        access: S3Access,
        *,
        public_endpoint_url: str | None = None,
        prefixes: Sequence[str] = (),
        hidden_uri: str | None = None,
        workers: int = 16,
        connections: int = 128,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket, folder = split_uri(uri)
        root = f"{folder.rstrip('/')}/" if folder else ""
        self._prefixes = [f"{root}{name.strip('/')}/" for name in prefixes] or [root]
        self._hidden = _hidden_prefix(hidden_uri, self._bucket)
        self._workers = workers
        self._access = access
        self._ask = Retries(attempts=attempts, sleep=sleep)
        self._standing: set[str] = set()
        self._made_links: dict[tuple[S3Client, str, int, object], LinkSigner] = {}
        self._session = session_of(access)

        public = public_endpoint_url or access.endpoint_url
        with translated(self._request("connecting", self.uri_of(""))):
            self._client = client_of(access, self._session, access.endpoint_url)
            self._signer = (
                self._client
                if public == access.endpoint_url
                else client_of(access, self._session, public)
            )
            reach = ConnectionOptions.of(access, self._client.meta.endpoint_url)
            self._transport = Transport(reach, access.read_timeout_s)
            self._parallel = ParallelRequests(
                self._client, self._session, access, self._bucket, connections=connections
            )

    def place_of(self, uri: str) -> str:
        """Where the object of a uri lies: there."""
        return uri

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every object below the uri, page by page, each once; several prefixes side by side.

        Raises:
            StoreDenied: a prefix that matches nothing, in a bucket that holds something.
        """
        with_tags = listing.tells_tags(self._client, self._bucket)
        return listing.side_by_side(self._objects(name, with_tags) for name in self._prefixes)

    def _objects(self, prefix: str, with_tags: bool) -> Iterator[Sequence[StoredObject]]:
        own = self._listing(self._bucket)
        empty = True
        for page in own.pages(prefix, parallel=self._parallel, with_tags=with_tags):
            empty = empty and not page.entries
            found = [self._stored(entry) for entry in page.entries if self._is_listed(entry.key)]
            if found:
                yield found
        if empty and prefix:
            own.refuse_wrong_prefix(prefix)

    def found(self, keys: Sequence[str]) -> Sequence[StoredObject]:
        """Those of the keys that a listing would show, many looked for at once."""
        own = [
            key
            for key in keys
            if self._is_listed(key) and any(key.startswith(prefix) for prefix in self._prefixes)
        ]
        there = self._entries_at_once(own)
        rest = [key for key in own if key not in there]
        with ThreadPoolExecutor(self._workers, thread_name_prefix="s3-looking") as pool:
            looked = dict(zip(rest, pool.map(self._look, rest), strict=True))
        entries = [there.get(key) or looked.get(key) for key in own]
        return [self._stored(entry) for entry in entries if entry is not None]

    def _entries_at_once(self, keys: Sequence[str]) -> dict[str, ListedObject]:
        """Those of many keys of the bucket whose HEAD is answered plainly; the rest is for boto3."""
        there: dict[str, ListedObject] = {}
        if len(keys) > FEW:
            for answer in self._parallel.heads(keys):
                entry = entry_of(answer.key, answer.head)
                if entry is None:
                    break
                there[answer.key] = entry
        return there

    def _look(self, key: str) -> ListedObject | None:
        try:
            head = self._head(self.uri_of(key))
        except InputDenied:
            first = next(self._listing(self._bucket).pages(key)).entries
            return next((entry for entry in first if entry.key == key), None)
        except InputGone:
            return None
        modified_at = head["LastModified"].astimezone(UTC)
        return ListedObject(key, etag_of(head["ETag"]), head["ContentLength"], modified_at)

    def _stored(self, entry: ListedObject, bucket: str | None = None) -> StoredObject:
        return StoredObject(
            sample_id=entry.key,
            uri=f"s3://{bucket or self._bucket}/{entry.key}",
            content_hash=entry.etag,
            size_bytes=entry.size,
            # in whole seconds, as a HEAD tells it: some servers' listings know fractions
            last_modified=entry.last_modified.replace(microsecond=0),
            tags=entry.tags,
        )

    def uri_of(self, sample_id: str) -> str:
        """Where the object of a sample lies, or would lie; no request is made."""
        return f"s3://{self._bucket}/{sample_id}"

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """The tags of each object, many read at once; an object that is gone is left out.

        What the listing told isn't asked for. The first answer that isn't plain leaves the rest to boto3:
        it tells a passing failure from one that stays, and waits as the server asks.
        """
        yield from ((o, o.tags) for o in objects if o.tags)
        objects = [o for o in objects if not o.tags]
        waiting = {split_uri(o.uri)[1]: o for o in objects}
        if len(waiting) == len(objects) > FEW:
            for answer in self._parallel(list(waiting), "tagging"):
                tags = tags_of(answer.body)
                if tags is None:
                    break
                yield waiting.pop(answer.key), tags
        yield from self._tags_by_boto([o for o in objects if split_uri(o.uri)[1] in waiting])

    def _tags_by_boto(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        with ThreadPoolExecutor(self._workers, thread_name_prefix="s3-tags") as pool:
            for start in range(0, len(objects), AT_ONCE):
                read = pool.map(self._tags_of, objects[start : start + AT_ONCE])
                yield from (tagged for tagged in read if tagged is not None)

    def lasting(self, life: timedelta) -> timedelta:
        """How long a link that is signed now for `life` will work.

        One that was signed by the credentials of a role dies with them.
        """
        with translated(self._request("signing", self.uri_of(""))):
            return link_life(self._session, life)

    def presign(
        self,
        uri: str,
        life: timedelta,
        *,
        content_hash: str | None = None,  # noqa: ARG002  nobody looks at the object now
    ) -> str:
        """A URL that opens the object for `life`, at most 7 days; no request is made.

        Raises:
            ArgumentError: a life that S3 does not sign.
        """
        if not timedelta(seconds=1) <= life <= LONGEST_LIFE:
            raise ArgumentError(
                f"a presigned URL can't live for {life}",
                remedy="set presign_life in [store] to between 1 second and 7 days",
            )
        bucket, key = split_uri(uri)
        with translated(self._request("signing", uri)):
            return self._links(self._signer, bucket, int(life.total_seconds())).link(key)

    def below_root(self, uri: str) -> None:
        """None: a proxy that reads the bucket costs a second request for each image."""

    def _links(self, client: "S3Client", bucket: str, life_s: int) -> LinkSigner:
        """What signs with the credentials of now: those of a role change."""
        found = self._session.get_credentials()
        now = None if found is None else found.get_frozen_credentials()
        made = self._made_links.get((client, bucket, life_s, now))
        if made is None or now is None:
            base = bucket_url(client, bucket)  # says so where there are no credentials
            assert now is not None  # noqa: S101  else it would have
            region = client.meta.region_name
            made = LinkSigner(base=base, life_s=life_s, credentials=now, region=region)
            if len(self._made_links) >= FEW:  # of credentials that have passed
                self._made_links.clear()
            self._made_links[client, bucket, life_s, now] = made
        return made

    def below(self, uri: str) -> Iterator[Sequence[StoredObject]]:
        """Every object below `uri`, of any bucket of the server, page by page; none is no error."""
        bucket, folder = split_uri(uri)
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        for page in self._listing(bucket).pages(prefix):
            found = [self._stored(e, bucket) for e in page.entries if not e.key.endswith("/")]
            if found:
                yield found

    def copy(self, source_uri: str, target_uri: str, *, content_hash: str) -> None:
        """Copy an object as it is, on the server. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, and `content_hash` is an ETag, but not its.
        """
        if _is_etag(content_hash):
            # some servers take no notice of the condition, so it is asked first
            self._unchanged(source_uri, content_hash)
        self._copy(source_uri, target_uri, content_hash)

    def _copy(self, source_uri: str, target_uri: str, content_hash: str | None, **how: Any) -> None:
        source, target = self._request("copying", source_uri), self._request("", target_uri)
        if _is_etag(content_hash):
            how["CopySourceIfMatch"] = f'"{content_hash}"'
        copy = partial(self._client.copy_object, **target.at, CopySource=source.at, **how)
        self._ask(source, copy)

    def copy_blind(
        self, source_uri: str, target_uri: str, *, content_hash: str | None = None
    ) -> None:
        """Copy the bytes, their type and encoding, and nothing else: no tag, no metadata. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, and `content_hash` is an ETag, but not its.
        """
        head = self._unchanged(source_uri, content_hash)
        content_type = _content_type(head.get("ContentType", ""), source_uri)
        encoding = lasting_encoding(head.get("ContentEncoding", ""))
        self._copy(
            source_uri,
            target_uri,
            content_hash,
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            ContentType=content_type,
            **({"ContentEncoding": encoding} if encoding else {}),
        )
        copied = self._head(target_uri)
        if copied.get("Metadata") or copied.get("TagCount"):
            # A server that ignores the directives: then the bytes go through here.
            self.delete(target_uri)
            body = self.read(source_uri, content_hash=content_hash)
            self.write(target_uri, body, content_type)
        elif _is_other(etag_of(copied["ETag"]), content_hash):
            # A copy of parts, or an encrypted one; or a server took no notice of the condition.
            try:
                self._unchanged(source_uri, content_hash)
            except InputGone:
                self.delete(target_uri)
                raise

    def _unchanged(self, uri: str, content_hash: str | None) -> "HeadObjectOutputTypeDef":
        head = self._head(uri)
        if _is_other(etag_of(head["ETag"]), content_hash):
            raise InputChanged.since_indexed(uri)
        return head

    def exists(self, uri: str) -> bool:
        """Whether an object stands at `uri`."""
        try:
            self._head(uri)
        except InputDenied:
            return True
        except InputGone:
            return False
        return True

    def losses(self, inputs: Sequence[tuple[str, str]]) -> Sequence[InputGone | None]:
        """Of each uri and ETag, what became of the object; None: it is as it was, or can't be read."""
        places = [split_uri(uri) for uri, _ in inputs]
        own = [key for bucket, key in places if bucket == self._bucket]
        there = self._entries_at_once(own if len(own) == len(inputs) else [])
        etags = {self.uri_of(key): entry.etag for key, entry in there.items()}

        def loss(known: tuple[str, str]) -> InputGone | None:
            uri, content_hash = known
            try:
                etag = etags.get(uri) or etag_of(self._head(uri)["ETag"])
            except InputDenied:
                return None
            except InputGone as exc:
                return exc
            return InputChanged.since_indexed(uri) if _is_other(etag, content_hash) else None

        with ThreadPoolExecutor(self._workers, thread_name_prefix="s3-looking") as pool:
            return list(pool.map(loss, inputs))

    def starts(self, inputs: Sequence[tuple[str, str]]) -> Sequence[Start | None]:
        """How each object begins; None: of another bucket, of another content, or no plain answer came."""
        places = [split_uri(uri) for uri, _ in inputs]
        own = dict.fromkeys(key for bucket, key in places if bucket == self._bucket)
        answers = {answer.key: answer for answer in self._parallel.starts(own, START_BYTES)}
        return [
            _start(answers[key], content_hash)
            if bucket == self._bucket and key in answers
            else None
            for (bucket, key), (_, content_hash) in zip(places, inputs, strict=True)
        ]

    def delete(self, uri: str) -> None:
        """Delete the object at `uri`; one that is not there is fine.

        In a versioned bucket its versions go too, where the credentials may delete them.
        """
        request = self._request("deleting", uri)
        try:
            answer = self._ask(request, lambda: self._client.delete_object(**request.at))
        except InputGone:
            return
        if answer.get("DeleteMarker") or answer.get("VersionId"):
            with suppress(StoreDenied, InputGone):
                listing.delete_versions(self._ask, self._client, request)

    def read(self, uri: str, *, content_hash: str | None = None) -> bytes:
        """The bytes of the object at `uri`, without its Content-Encoding.

        Raises:
            InputGone: it no longer exists, or its Content-Encoding can't be undone.
            InputChanged: it does, and `content_hash` is an ETag, but not its.
            InputDenied: this one alone is denied, or archived.
        """
        request = self._request("reading", uri)

        def whole() -> bytes:
            answer = self._client.get_object(**request.at)
            with answer["Body"] as body:
                if "ETag" not in answer:
                    raise request.not_s3()
                found = etag_of(answer["ETag"])
                if _is_other(found, content_hash):
                    raise InputChanged.since_indexed(uri)
                read: bytes = body.read()
                self._check_length(uri, found, read)
                return _decoded(uri, read, answer.get("ContentEncoding", ""))

        try:
            return self._ask(request, whole)
        except StoreDenied as exc:
            raise self._refusal(exc, request) from exc.__cause__

    def stream(self, uri: str, *, offset: int = 0, length: int | None = None) -> Streamed:
        """The bytes of the object at `uri` as they are stored, from `offset` on; `length` at most.

        Raises:
            InputGone: it no longer exists.
            InputDenied: this one alone is denied, or archived.
        """
        request = self._request("reading", uri)
        part = ""
        if offset or length is not None:
            part = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            told, body = self._ask(request, lambda: self._got(request, part))
        except StoreDenied as exc:
            raise self._refusal(exc, request) from exc.__cause__
        if "etag" not in told:
            raise request.not_s3()
        whole = told.get("content-range", "").rpartition("/")[2]

        def parts() -> Iterator[bytes]:
            with translated(request):
                yield from iter(lambda: body.read(PART_BYTES), b"")

        return Streamed(
            size_bytes=int(whole if whole.isdigit() else told["content-length"]),
            version=etag_of(told["etag"]),
            encoding=told.get("content-encoding", ""),
            parts=parts(),
            close=body.close,
        )

    def _got(self, request: Request, part: str) -> tuple[Mapping[str, str], Any]:
        """The headers and the body of an object, or of a part of it.

        It is asked with a signed link, which costs a third of what boto3 takes for a GET. Whatever isn't
        the object is left to boto3: to tell why, or to ask where the bucket lies.
        """
        from botocore.awsrequest import AWSPreparedRequest
        from botocore.compat import HTTPHeaders

        wanted: dict[str, Any] = {"Range": part} if part else {}
        headers = HTTPHeaders.from_dict(wanted)
        link = self._links(self._client, request.bucket, _LINK_S).link(request.at["Key"])
        answer = self._transport(AWSPreparedRequest("GET", link, headers, None, True))
        if answer.status_code in {200, 206}:
            return answer.headers, answer.raw
        found = self._client.get_object(**request.at, **wanted)
        return found["ResponseMetadata"]["HTTPHeaders"], found["Body"]

    def _check_length(self, uri: str, etag: str, body: bytes) -> None:
        """Return if `body` is the whole object: a length that a proxy made up fits what it cut off."""
        if md5(body, usedforsecurity=False).hexdigest() == etag:
            return
        # no MD5: of an object in parts, or an encrypted one
        size = self._head(uri).get("ContentLength")
        if size != len(body):
            raise StoreUnavailable(
                f"{self._request('reading', uri)}: only {len(body)} of {size} bytes arrived",
                remedy="check the proxies between labelloop and the server, then run again",
            )

    def check_writable(self, uri: str) -> None:
        """Return if objects can be written and deleted below `uri`: a tiny one is, and is gone."""
        # always the same name: what is written so late that it stays is gone after the next check
        check = f"{uri.rstrip('/')}/labelloop-check"
        self.write(check, b"", "application/octet-stream")
        self.delete(check)

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put an object of ours at `uri`, in place of what stood there."""
        request = self._request("writing", uri)
        put = partial(self._client.put_object, **request.at, Body=body, ContentType=content_type)
        if "ETag" not in self._ask(request, put):
            raise request.not_s3()

    def buckets(self) -> list[str]:
        """The buckets that the key may list; not part of the port.

        Raises:
            StoreDenied: it may not list them.
        """
        request = self._request("listing the buckets", "s3://*")
        answer = self._ask(request, self._client.list_buckets)
        return [b["Name"] for b in answer.get("Buckets", ()) if "Name" in b]

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for `url`; nothing but the answer's head is read."""
        return browser_view.view(
            url,
            origin=origin,
            ca_file=self._access.ca_file,
            proxy=self._access.proxy,
            timeout_s=self._access.connect_timeout_s + self._access.read_timeout_s,
        )

    def retention(self, uri: str) -> timedelta | None:
        """How long after its upload a rule deletes what is stored at or below `uri`; None: no rule."""
        bucket, key = split_uri(uri)
        request = self._request("reading the lifecycle rules", f"s3://{bucket}")
        return self._ask(request, lambda: retention.retention(self._client, bucket, key))

    def _is_listed(self, key: str) -> bool:
        hidden = self._hidden is not None and key.startswith(self._hidden)
        return not hidden and not key.endswith("/")

    def _tags_of(self, found: StoredObject) -> tuple[StoredObject, Mapping[str, str]] | None:
        request = self._request("reading tags", found.uri)

        def whole() -> Mapping[str, str]:
            answer = self._client.get_object_tagging(**request.at)
            if "TagSet" not in answer:
                raise request.not_s3()
            return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

        try:
            return found, self._ask(request, whole)
        except InputDenied as exc:
            return replace(found, fault=exc.args[0]), {}
        except InputGone:
            return None
        except (StoreDenied, StoreUnavailable) as exc:
            if not (concerns_one(exc) and self._answers_for_others(request, self._has_tags)):
                raise
            return replace(found, fault=exc.args[0]), {}

    def _has_tags(self, key: str) -> bool:
        return "TagSet" in self._client.get_object_tagging(Bucket=self._bucket, Key=key)

    def _has_head(self, key: str) -> bool:
        return "ETag" in self._client.head_object(Bucket=self._bucket, Key=key)

    def _answers_for_others(self, request: Request, asked: Callable[[str], bool]) -> bool:
        """Whether the server gives now for another object what it didn't give for that of `request`."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        for prefix in self._prefixes:
            with suppress(BotoCoreError, ClientError, ResponseParserError):
                page = self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, MaxKeys=FEW + 1
                )
                for entry in page.get("Contents", ()):
                    with suppress(BotoCoreError, ClientError, ResponseParserError):
                        if entry["Key"] != request.key and asked(entry["Key"]):
                            return True
        return False

    def _head(self, uri: str) -> "HeadObjectOutputTypeDef":
        request = self._request("looking", uri, head=True)
        try:
            answer = self._ask(request, lambda: self._client.head_object(**request.at))
        except InputGone:
            # A HEAD has no body that would tell a missing bucket from a missing object.
            self._check_bucket(request.bucket)
            raise
        except StoreDenied as exc:
            raise self._refusal(exc, request) from exc.__cause__
        if "ETag" not in answer:
            raise request.not_s3()
        return answer

    def _refusal(self, exc: StoreDenied, request: Request) -> StoreError:
        """The refusal of a GET or HEAD: InputDenied where the server lets others be read."""
        own = request.bucket == self._bucket and concerns_one(exc)
        if not (own and self._answers_for_others(request, self._has_head)):
            return exc
        return InputDenied(
            exc.args[0],
            remedy="give the key the right to read this object, or accept that it is left out",
        )

    def _check_bucket(self, bucket: str) -> None:
        if bucket in self._standing:
            return
        look = partial(self._client.list_objects_v2, Bucket=bucket, MaxKeys=1)
        self._ask(self._request("listing", f"s3://{bucket}"), look)
        self._standing.add(bucket)

    def _listing(self, bucket: str) -> listing.Listing:
        return listing.Listing(self._ask, self._client, self._request("listing", f"s3://{bucket}"))

    def _request(self, doing: str, uri: str, *, head: bool = False) -> Request:
        bucket, key = split_uri(uri)
        return Request(doing=doing, access=self._access, bucket=bucket, key=key or None, head=head)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// uri; the key is taken as it stands, without unescaping.

    >>> split_uri("s3://production/class_07/a b#1?.png")
    ('production', 'class_07/a b#1?.png')

    Raises:
        ConfigError: no s3:// uri with a bucket.
    """
    scheme, found, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not found or not bucket:
        raise ConfigError(f"{uri!r} isn't an S3 URI", remedy="write it as s3://bucket/prefix")
    return bucket, key


def _hidden_prefix(hidden_uri: str | None, bucket: str) -> str | None:
    if hidden_uri is None:
        return None
    hidden_bucket, folder = split_uri(hidden_uri)
    return f"{folder.rstrip('/')}/" if hidden_bucket == bucket and folder else None


def _is_etag(content_hash: str | None) -> bool:
    """Whether a hash is a listing's; others come from tables, and are no business of S3."""
    return ETAG.fullmatch(content_hash or "") is not None


def _start(answer: Answer, content_hash: str) -> Start | None:
    said = headers_of(answer.head)
    etag = etag_of(said.get("etag", ""))
    data = decoded_start(answer.body[:START_BYTES], said.get("content-encoding", ""))
    if data is None or _is_other(etag, content_hash):
        return None
    return Start(data, same=bool(etag))


def _is_other(etag: str, content_hash: str | None) -> bool:
    """Whether a hash of the listing tells that another object stood there."""
    return _is_etag(content_hash) and etag != content_hash


def _decoded(uri: str, body: bytes, encoding: str) -> bytes:
    found = decoded(body, encoding)
    if found is None:
        raise InputGone(
            f"{uri} is stored with Content-Encoding {encoding!r}, which labelloop can't decode",
            remedy="store it without an encoding, or with gzip",
        )
    return found


def _content_type(stored: str, key: str) -> str:
    """The stored content type, or one guessed from the key's ending where it says nothing."""
    if stored.lower() not in UNTYPED:
        return stored
    guessed, _ = mimetypes.guess_type(f"x{PurePosixPath(key).suffix}")
    return guessed or "application/octet-stream"
