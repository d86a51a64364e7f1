"""An S3-compatible bucket as a Store."""

import mimetypes
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labelloop.adapters import s3_facts
from labelloop.adapters.s3_errors import Request, translated
from labelloop.errors import ArgumentError, ConfigError, InputGone
from labelloop.ports import BrowserView, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

LONGEST_LIFE = timedelta(days=7)  # SigV4 allows no more
WINDOW = 8  # tag requests under way or waiting to be yielded, for each worker
UNTYPED = frozenset({"", "binary/octet-stream", "application/octet-stream"})


class S3Store:
    """The objects below `uri` ("s3://bucket" or "s3://bucket/prefix"), each named by its whole key.

    Objects below `hidden_uri` (where blind copies go) and folder markers, keys that end in a
    slash, are not listed. Thread-safe.

    Raises:
        ConfigError: a uri, URL or file that can't be one.
    """

    def __init__(
        self,
        uri: str,
        *,
        endpoint_url: str | None = None,
        public_endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        ca_file: str | None = None,
        region: str = "us-east-1",
        hidden_uri: str | None = None,
        workers: int = 16,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        attempts: int = 4,
    ) -> None:
        import boto3
        from botocore.config import Config

        self._bucket, folder = split_uri(uri)
        self._prefix = f"{folder.rstrip('/')}/" if folder else ""
        self._hidden = _hidden_prefix(hidden_uri, self._bucket)
        self._workers = workers
        self._endpoint = endpoint_url or "AWS"
        self._ca_file = ca_file
        self._timeout_s = connect_timeout_s + read_timeout_s
        self._standing: set[str] = set()
        if ca_file is not None and not Path(ca_file).is_file():
            raise ConfigError(f"ca_file {ca_file!r} does not exist", remedy="check [store] ca_file")
        session = boto3.Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region
        )

        def client(url: str | None) -> "S3Client":
            config = Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                max_pool_connections=workers,
                connect_timeout=connect_timeout_s,
                read_timeout=read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": attempts},
                # Newer checksums by default: many S3-compatible servers refuse them.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={} if url and _is_loopback(url) else None,
            )
            try:
                return session.client("s3", endpoint_url=url, config=config, verify=ca_file)
            except ValueError as exc:
                raise ConfigError(
                    f"{url!r} can't be an S3 endpoint",
                    remedy="write it with http:// or https://, a host and, where needed, a port",
                ) from exc

        self._client = client(endpoint_url)
        public = public_endpoint_url or endpoint_url
        self._signer = self._client if public == endpoint_url else client(public)

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every object below the uri, page by page, each once."""
        request = self._request("listing", self._bucket)
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
        )
        while True:
            with translated(request):
                page = next(pages, None)
            if page is None:
                return
            if "Name" not in page and "KeyCount" not in page:
                # A well-formed page of something else parses as an empty listing.
                raise request.not_s3()
            found = [
                StoredObject(
                    sample_id=entry["Key"],
                    uri=f"s3://{self._bucket}/{entry['Key']}",
                    content_hash=entry["ETag"].strip('"'),
                    size_bytes=entry["Size"],
                    last_modified=entry["LastModified"].astimezone(UTC),
                )
                for entry in page.get("Contents", ())
                if self._is_listed(entry["Key"])
            ]
            if found:
                yield found

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """The tags of each object, many read at once; an object that is gone is left out."""
        waiting = iter(objects)
        running: deque[tuple[StoredObject, Future[Mapping[str, str] | None]]] = deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="s3-tags") as pool:
            try:
                for found in islice(waiting, WINDOW * self._workers):
                    running.append((found, pool.submit(self._tags_of, found)))
                while running:
                    found, future = running.popleft()
                    tags = future.result()
                    for following in islice(waiting, 1):
                        running.append((following, pool.submit(self._tags_of, following)))
                    if tags is not None:
                        yield found, tags
            finally:
                for _, future in running:
                    future.cancel()

    def presign(self, uri: str, life: timedelta) -> str:
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
        with translated(self._request("signing", bucket, key)):
            return self._signer.generate_presigned_url(
                "get_object",
                Params={"Bucket": bucket, "Key": key},
                ExpiresIn=int(life.total_seconds()),
            )

    def copy_blind(self, source_uri: str, target_uri: str) -> None:
        """Copy the bytes and the content type, and nothing else: no tag, no metadata. Idempotent.

        Raises:
            InputGone: the source no longer exists.
        """
        (source_bucket, source), (target_bucket, target) = map(split_uri, (source_uri, target_uri))
        head = self._head(source_bucket, source)
        content_type = _content_type(head.get("ContentType", ""), source)
        with translated(self._request("copying", source_bucket, source)):
            self._client.copy_object(
                Bucket=target_bucket,
                Key=target,
                CopySource={"Bucket": source_bucket, "Key": source},
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",
                ContentType=content_type,
            )
        copied = self._head(target_bucket, target)
        if copied.get("Metadata") or copied.get("TagCount"):
            # A server that ignores the directives: then the bytes go through here.
            self.delete(target_uri)
            self._put(target_bucket, target, self.read(source_uri), content_type)

    def exists(self, uri: str) -> bool:
        """Whether an object stands at `uri`."""
        try:
            self._head(*split_uri(uri))
        except InputGone:
            return False
        return True

    def delete(self, uri: str) -> None:
        """Delete the object at `uri`; one that is not there is fine."""
        bucket, key = split_uri(uri)
        try:
            with translated(self._request("deleting", bucket, key)):
                self._client.delete_object(Bucket=bucket, Key=key)
        except InputGone:
            return

    def read(self, uri: str) -> bytes:
        """The bytes of the object at `uri`.

        Raises:
            InputGone: it no longer exists.
        """
        bucket, key = split_uri(uri)
        request = self._request("reading", bucket, key)
        with translated(request):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            if "ETag" not in answer:
                raise request.not_s3()
            with answer["Body"] as body:
                return body.read()

    def check_writable(self, uri: str) -> None:
        """Return if objects can be written and deleted below `uri`: a tiny one is, and is gone."""
        bucket, folder = split_uri(uri)
        name = f"labelloop-check-{uuid.uuid4().hex}"
        key = f"{folder.rstrip('/')}/{name}" if folder else name
        self._put(bucket, key, b"", "application/octet-stream")
        with translated(self._request("deleting", bucket, key)):
            self._client.delete_object(Bucket=bucket, Key=key)

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put an object of ours at `uri`, in place of what stood there."""
        self._put(*split_uri(uri), body, content_type)

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for `url`; nothing but the answer's head is read."""
        return s3_facts.view(url, origin=origin, ca_file=self._ca_file, timeout_s=self._timeout_s)

    def retention(self, uri: str) -> timedelta | None:
        """How long after its upload a rule deletes what is stored at or below `uri`; None: no rule."""
        bucket, key = split_uri(uri)
        with translated(self._request("reading the lifecycle rules", bucket)):
            return s3_facts.retention(self._client, bucket, key)

    def _is_listed(self, key: str) -> bool:
        hidden = self._hidden is not None and key.startswith(self._hidden)
        return not hidden and not key.endswith("/")

    def _tags_of(self, found: StoredObject) -> Mapping[str, str] | None:
        bucket, key = split_uri(found.uri)
        request = self._request("reading tags", bucket, key)
        try:
            with translated(request):
                answer = self._client.get_object_tagging(Bucket=bucket, Key=key)
        except InputGone:
            return None
        if "TagSet" not in answer:
            raise request.not_s3()
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def _head(self, bucket: str, key: str) -> "HeadObjectOutputTypeDef":
        request = self._request("looking", bucket, key, head=True)
        try:
            with translated(request):
                answer = self._client.head_object(Bucket=bucket, Key=key)
        except InputGone:
            # A HEAD has no body that would tell a missing bucket from a missing object.
            self._check_bucket(bucket)
            raise
        if "ETag" not in answer:
            raise request.not_s3()
        return answer

    def _check_bucket(self, bucket: str) -> None:
        if bucket in self._standing:
            return
        with translated(self._request("listing", bucket)):
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        self._standing.add(bucket)

    def _put(self, bucket: str, key: str, body: bytes, content_type: str) -> None:
        request = self._request("writing", bucket, key)
        with translated(request):
            answer = self._client.put_object(
                Bucket=bucket, Key=key, Body=body, ContentType=content_type
            )
        if "ETag" not in answer:
            raise request.not_s3()

    def _request(
        self, doing: str, bucket: str, key: str | None = None, *, head: bool = False
    ) -> Request:
        return Request(doing=doing, endpoint=self._endpoint, bucket=bucket, key=key, head=head)


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
        raise ConfigError(f"{uri!r} is no S3 uri", remedy="write it as s3://bucket/prefix")
    return bucket, key


def _hidden_prefix(hidden_uri: str | None, bucket: str) -> str | None:
    if hidden_uri is None:
        return None
    hidden_bucket, folder = split_uri(hidden_uri)
    return f"{folder.rstrip('/')}/" if hidden_bucket == bucket and folder else None


def _content_type(stored: str, key: str) -> str:
    """The stored content type, or one guessed from the key's ending where it says nothing."""
    if stored.lower() not in UNTYPED:
        return stored
    guessed, _ = mimetypes.guess_type(f"x{PurePosixPath(key).suffix}")
    return guessed or "application/octet-stream"


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
