"""GET and HEAD requests on one bucket, signed by libcurl, many under way at once.

boto3 spends a millisecond of CPU on a request. Whatever isn't a plain answer is left to it, which knows
retries and errors.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.curl import ConnectionOptions
from labelloop.adapters.s3.errors import NOT_FOUND
from labelloop.adapters.s3.links import bucket_url, quoted

if TYPE_CHECKING:
    import boto3
    import pycurl
    from mypy_boto3_s3 import S3Client

LARGEST = 32 * 2**20
"""Bytes of an answer; a page of a listing has a megabyte, an object's tags a few kilobytes."""

LONGEST_WAIT_S = 1.0
OK = 200
PARTIAL = 206
EMPTY = 416
"""A range was asked for, and an empty object has none."""
FORBIDDEN = 403
FEW = 8
"""Objects that may be refused before all seem to be."""

DOTS = frozenset({".", ".."})
"""Segments of a key that libcurl would take for steps between folders: it signs no path as it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request; `status` 0: none came, or not in time. Of HEAD there is no body."""

    key: str
    status: int
    body: bytes
    head: bytes


class ParallelRequests:
    """GET and HEAD requests on one bucket. Thread-safe."""

    def __init__(
        self,
        client: "S3Client",
        session: "boto3.Session",
        access: S3Access,
        bucket: str,
        *,
        connections: int,
    ) -> None:
        """`client` says where the bucket is; the read time-out is that of a whole request here."""
        self._client = client
        self._session = session
        self._bucket = bucket
        self._connections = connections
        self._reach = ConnectionOptions.of(access, client.meta.endpoint_url)
        self._timeout_s = access.read_timeout_s
        self._idle: deque[pycurl.CurlMulti] = deque()

    def heads(self, keys: Iterable[str]) -> Iterator[Answer]:
        """The good answers to HEAD key, as `__call__` gives them."""
        return self(keys, "", head=True)

    def starts(self, keys: Iterable[str], n_bytes: int) -> Iterator[Answer]:
        """The good answers to GET key for its first bytes; of an empty object there are none."""
        for answer in self(keys, "", first=n_bytes):
            yield replace(answer, body=b"") if answer.status == EMPTY else answer

    def __call__(
        self, keys: Iterable[str], query: str, *, head: bool = False, first: int = 0
    ) -> Iterator[Answer]:
        """The good answers to GET key?query, as they come in; an empty key is the bucket itself.

        A key that isn't found gives none, nor does one with a segment of dots, nor one that is refused; the
        latter as long as they are few. Any other answer ends it, as missing credentials do: the rest is for
        boto3. What is not yet asked when the caller stops is never asked.
        """
        from botocore.exceptions import BotoCoreError

        try:
            base = bucket_url(self._client, self._bucket)
        except BotoCoreError:
            return
        plain = (key for key in keys if DOTS.isdisjoint(key.split("/")))
        urls = ((key, f"{base}{quoted(key)}{query and '?'}{query}") for key in plain)
        multi = self._multi()
        good = {OK, PARTIAL, EMPTY} if first else {OK}
        n_refused = 0
        try:
            for answer in self._answers(multi, urls, head=head, first=first):
                n_refused += answer.status == FORBIDDEN
                if answer.status in good:
                    yield answer
                elif answer.status not in {NOT_FOUND, FORBIDDEN} or n_refused > FEW:
                    break
        except BaseException:
            multi.close()
            raise
        self._idle.append(multi)

    def _answers(
        self,
        multi: "pycurl.CurlMulti",
        urls: Iterator[tuple[str, str]],
        *,
        head: bool,
        first: int,
    ) -> Iterator[Answer]:
        import pycurl

        running: dict[pycurl.Curl, tuple[str, BytesIO, BytesIO]] = {}

        def ask(curl: "pycurl.Curl") -> bool:
            key, url = next(urls, ("", ""))
            if not url:
                curl.close()
                return False
            body, headers = BytesIO(), BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.WRITEDATA, body)
            curl.setopt(pycurl.WRITEHEADER, headers)
            running[curl] = key, body, headers
            multi.add_handle(curl)
            return True

        try:
            while len(running) < self._connections and ask(self._handle(head, first)):
                pass
            while running:
                multi.perform()
                left = 1
                while left:
                    left, done, failed = multi.info_read()
                    ended = [*((c, True) for c in done), *((c, False) for c, *_ in failed)]
                    for curl, came in ended:
                        key, body, headers = running.pop(curl)
                        status = curl.getinfo(pycurl.RESPONSE_CODE) if came else 0
                        multi.remove_handle(curl)
                        ask(curl)
                        yield Answer(key, status, body.getvalue(), headers.getvalue())
                if running:
                    multi.select(LONGEST_WAIT_S)
        finally:
            for curl in running:
                with suppress(pycurl.error):
                    multi.remove_handle(curl)
                curl.close()

    def _handle(self, head: bool, first: int) -> "pycurl.Curl":
        import pycurl

        curl = pycurl.Curl()
        self._reach.set_on(curl)
        curl.setopt(pycurl.TIMEOUT_MS, int(1000 * self._timeout_s))
        if head:
            curl.setopt(pycurl.NOBODY, 1)
        else:
            curl.setopt(pycurl.MAXFILESIZE, LARGEST)
        if first:
            curl.setopt(pycurl.RANGE, f"0-{first - 1}")
        found = self._session.get_credentials()
        if found is not None:  # else bucket_url raised
            held = found.get_frozen_credentials()
            curl.setopt(pycurl.AWS_SIGV4, f"aws:amz:{self._client.meta.region_name}:s3")
            curl.setopt(pycurl.USERNAME, held.access_key)
            curl.setopt(pycurl.PASSWORD, held.secret_key)
            if held.token:
                curl.setopt(pycurl.HTTPHEADER, [f"x-amz-security-token: {held.token}"])
        return curl

    def _multi(self) -> "pycurl.CurlMulti":
        import pycurl

        try:
            return self._idle.pop()
        except IndexError:
            multi = pycurl.CurlMulti()
            multi.setopt(pycurl.M_MAXCONNECTS, self._connections)
            return multi
