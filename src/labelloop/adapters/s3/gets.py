"""GET and HEAD requests on one bucket, signed by two hashes each, many under way at once.

boto3 spends a millisecond of CPU on a request, most of it on signing. Here `s3_signing` signs, and
libcurl keeps the connections. Whatever isn't a plain answer is left to boto3, which knows retries and errors.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from labelloop.adapters.http.loopback import is_loopback
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.signing import Signer, place_of

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client

LARGEST = 32 * 2**20
"""Bytes of an answer; a page of a listing has a megabyte, an object's tags a few kilobytes."""

LONGEST_WAIT_S = 1.0
OK = 200


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
            return Signer(
                base=place_of(self._client, self._bucket),
                query=query,
                head=head,
                credentials=found.get_frozen_credentials(),
                region=self._client.meta.region_name,
            )
        except BotoCoreError:
            return None


def _multi(connections: int) -> Any:
    import pycurl

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, connections)
    return multi
