"""GET and HEAD requests on one bucket, signed by two hashes each, many under way at once.

boto3 spends a millisecond of CPU on a request, most of it on signing. Here a key made once a day signs
(AWS Signature Version 4: docs.aws.amazon.com/general/latest/gr/create-signed-request.html), and libcurl
keeps the connections. Whatever isn't a plain answer is left to boto3, which knows retries and errors.
"""

import hashlib
import hmac
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from labelloop.adapters.s3_access import S3Access, is_loopback

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

LARGEST = 32 * 2**20
"""Bytes of an answer; a page of a listing has a megabyte, an object's tags a few kilobytes."""

LONGEST_WAIT_S = 1.0
OK = 200
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request; `status` 0: none came, or not in time. A head stands in for the body."""

    key: str
    status: int
    body: bytes


class Gets:
    """GET and HEAD requests on one bucket. Thread-safe."""

    def __init__(
        self,
        client: "S3Client",
        session: "boto3.Session",
        access: S3Access,
        bucket: str,
        *,
        connections: int,
        connect_timeout_s: float,
        timeout_s: float,
    ) -> None:
        """`client` says where the bucket is; `timeout_s` is that of a whole request."""
        self._client = client
        self._session = session
        self._access = access
        self._bucket = bucket
        self._connections = connections
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._idle: deque[Any] = deque()

    def heads(self, keys: Iterable[str]) -> Iterator[Answer]:
        """The answers to HEAD key, as they come in."""
        return self(keys, "", head=True)

    def __call__(self, keys: Iterable[str], query: str, *, head: bool = False) -> Iterator[Answer]:
        """The answers to GET key?query, as they come in; an empty key is the bucket itself.

        `query` is sorted and quoted as Signature Version 4 wants it. What is not yet asked when the
        caller stops is never asked. Nothing is yielded where there are no credentials to sign with.
        """
        signer = self._signer(query, head)
        if signer is None:
            return
        try:
            multi = self._idle.pop()
        except IndexError:
            multi = _multi(self._connections)
        try:
            yield from self._answers(multi, iter(keys), signer)
        except BaseException:
            multi.close()
            raise
        self._idle.append(multi)

    def _answers(self, multi: Any, keys: Iterator[str], signer: "Signer") -> Iterator[Answer]:
        import pycurl

        running: dict[Any, tuple[str, BytesIO]] = {}

        def ask(curl: Any) -> bool:
            key = next(keys, None)
            if key is None:
                curl.close()
                return False
            url, headers = signer.signed(key)
            body = BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.HTTPHEADER, headers)
            curl.setopt(pycurl.WRITEHEADER if signer.head else pycurl.WRITEDATA, body)
            running[curl] = key, body
            multi.add_handle(curl)
            return True

        try:
            while len(running) < self._connections and ask(self._handle(signer)):
                pass
            while running:
                multi.perform()
                left = 1
                while left:
                    left, done, failed = multi.info_read()
                    ended = [*((c, True) for c in done), *((c, False) for c, *_ in failed)]
                    for curl, came in ended:
                        key, body = running.pop(curl)
                        status = curl.getinfo(pycurl.RESPONSE_CODE) if came else 0
                        multi.remove_handle(curl)
                        ask(curl)
                        yield Answer(key, status, body.getvalue())
                if running:
                    multi.select(LONGEST_WAIT_S)
        finally:
            for curl in running:
                with suppress(pycurl.error):
                    multi.remove_handle(curl)
                curl.close()

    def _handle(self, signer: "Signer") -> Any:
        import pycurl
        from botocore.httpsession import where

        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(1000 * self._connect_timeout_s))
        curl.setopt(pycurl.TIMEOUT_MS, int(1000 * self._timeout_s))
        if signer.head:
            curl.setopt(pycurl.NOBODY, 1)
        else:
            curl.setopt(pycurl.MAXFILESIZE, LARGEST)
        trusted = self._access.ca_file or os.environ.get("AWS_CA_BUNDLE") or where()
        curl.setopt(pycurl.CAINFO, trusted)
        if self._access.proxy:
            curl.setopt(pycurl.PROXY, self._access.proxy)
        elif is_loopback(signer.base):
            curl.setopt(pycurl.PROXY, "")
        return curl

    def _signer(self, query: str, head: bool) -> "Signer | None":
        from botocore.exceptions import BotoCoreError

        try:
            found = self._session.get_credentials()
            if found is None:
                return None
            known = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": "k"}
            )
            return Signer(
                base=known.partition("?")[0].removesuffix("k"),
                query=query,
                head=head,
                credentials=found.get_frozen_credentials(),
                region=self._client.meta.region_name,
            )
        except BotoCoreError:
            return None


class Signer:
    """Signs requests on one bucket with one query."""

    def __init__(
        self,
        *,
        base: str,
        query: str,
        credentials: "ReadOnlyCredentials",
        region: str,
        head: bool = False,
    ) -> None:
        self.base = base
        self.head = head
        self._method = "HEAD" if head else "GET"
        self._credentials = credentials
        self._region = region
        parts = urlsplit(base)
        self._path = parts.path
        self._server = base.removesuffix(parts.path)
        self._query = query
        self._begin = self._end = datetime.min.replace(tzinfo=UTC)
        self._host = parts.netloc

    def signed(self, key: str) -> tuple[str, list[str]]:
        """The URL and the headers of the request for a key."""
        now = _now()
        if not self._begin <= now < self._end:
            self._begin = now.replace(second=0, microsecond=0)
            self._end = self._begin + timedelta(minutes=1)
            self._prepare(now)
        path = self._path + quote(key, safe="/-_.~")
        asked = f"{self._method}\n{path}\n{self._canonical}"
        digest = hashlib.sha256(asked.encode()).hexdigest()
        signature = hmac.digest(self._key, f"{self._prefix}{digest}".encode(), "sha256").hex()
        url = f"{self._server}{path}?{self._query}" if self._query else f"{self._server}{path}"
        return url, [f"{self._authorization}{signature}", *self._headers]

    def _prepare(self, now: datetime) -> None:
        """What all requests of this minute share."""
        at = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        secret = f"AWS4{self._credentials.secret_key}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        self._key = secret
        headers = {"host": self._host, "x-amz-content-sha256": EMPTY, "x-amz-date": at}
        if self._credentials.token:
            headers["x-amz-security-token"] = self._credentials.token
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        query = "&".join(p if "=" in p else f"{p}=" for p in self._query.split("&") if p)
        self._canonical = f"{query}\n{lines}\n{names}\n{EMPTY}"
        self._prefix = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n"
        self._headers = [f"{n}: {v}" for n, v in headers.items() if n != "host"]
        self._authorization = (
            f"Authorization: AWS4-HMAC-SHA256 Credential={self._credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature="
        )


def _now() -> datetime:
    return datetime.now(UTC)


def _multi(connections: int) -> Any:
    import pycurl

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, connections)
    return multi


def query(**parameters: str) -> str:
    """Parameters as Signature Version 4 wants them: quoted, and in order."""
    named: Mapping[str, str] = {n.replace("_", "-"): v for n, v in parameters.items()}
    return "&".join(f"{n}={quote(named[n], safe='-_.~')}" for n in sorted(named))
