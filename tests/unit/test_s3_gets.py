"""Requests signed cheaply: the same signatures as botocore's, and what isn't plain left to boto3."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from urllib.parse import unquote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from labelloop.adapters.http.retries import instant
from labelloop.adapters.s3 import links as s3_links
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.answers import entry_of, page_of, tags_of
from labelloop.adapters.s3.client import client_of, session_of
from labelloop.adapters.s3.links import LinkSigner
from labelloop.adapters.s3.parallel_requests import FEW, ParallelRequests
from labelloop.adapters.s3.store import S3Store
from labelloop.ports.store import StoredObject
from tests.in_a_thread import in_a_thread
from tests.odd_keys import ODD_KEYS

NOW = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)
N = 3 * FEW
BASES = ("http://127.0.0.1:8333/b/", "https://b.s3.eu-west-1.amazonaws.com/")
QUERIES = ("", "tagging", "encoding-type=url&list-type=2&prefix=a%20b%2F%C3%BC%2B%26%3D")
DOTTED = ["a/../b.png", "./c.png", "d/."]


@dataclass(frozen=True)
class Seen:
    """What a server got: its own signature, and the one that botocore makes of the same request."""

    target: str
    signed: str
    expected: str


@contextmanager
def verifying(held: ReadOnlyCredentials) -> Iterator[tuple[str, list[Seen]]]:
    """A server that signs each request again as botocore does; yields its URL and what it saw."""
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = {name.lower(): value for name, value in self.headers.items()}
            at = datetime.fromisoformat(sent["x-amz-date"]).replace(tzinfo=None)
            names = re.search(r"SignedHeaders=([^,]+)", sent["authorization"])
            assert names is not None
            url = f"http://{sent['host']}{self.path}"
            request = AWSRequest(self.command, url)
            own = {"host", "x-amz-date", "x-amz-security-token", "authorization"}
            for name in {*names[1].split(";")} - own:
                request.headers[name] = sent[name]
            request.context["payload_signing_enabled"] = True
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(auth, "get_current_datetime", lambda *_, **__: at)
                auth.S3SigV4Auth(held, "s3", "eu-west-1").add_auth(request)
            signatures = [h["authorization"].rpartition("=")[2] for h in (sent, request.headers)]
            seen.append(Seen(self.path, *signatures))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815  as the base asks

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, seen


@pytest.mark.parametrize("token", [None, "a/role+="])
@pytest.mark.parametrize("asked", QUERIES)
def test_libcurl_signs_as_botocore_does(asked: str, token: str | None) -> None:
    held = ReadOnlyCredentials("AKIA", "secret/+=", token)
    with verifying(held) as (url, seen):
        access = S3Access(
            endpoint_url=url,
            access_key=held.access_key,
            secret_key=held.secret_key,
            session_token=token,
            region="eu-west-1",
        )
        session = session_of(access)
        client = client_of(access, session, url)
        gets = ParallelRequests(client, session, access, "b", connections=2)
        for head in (False, True):
            assert len(list(gets([*DOTTED, *ODD_KEYS], asked, head=head))) == len(ODD_KEYS)
    keys = [unquote(s.target.partition("?")[0]).removeprefix("/b/") for s in seen]
    assert sorted(keys) == sorted(2 * ODD_KEYS)
    assert [s.signed for s in seen] == [s.expected for s in seen]


def parts_of(url: str) -> list[str]:
    """The path and the parameters, in any order."""
    path, _, query = url.partition("?")
    return [path, *sorted(query.split("&"))]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_the_links_are_botocores(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_links, "_now", lambda: NOW)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None))
    for base, token in product(BASES, (None, "a/role+=")):
        held = ReadOnlyCredentials("AKIA", "secret/+=", token)
        links = LinkSigner(base=base, life_s=3600, credentials=held, region="eu-west-1")
        url = links.link(key)
        request = AWSRequest("GET", url.partition("?")[0])
        auth.S3SigV4QueryAuth(held, "s3", "eu-west-1", expires=3600).add_auth(request)
        assert parts_of(url) == parts_of(request.url)


def test_a_new_second_is_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    held = ReadOnlyCredentials("a", "b", None)
    links = LinkSigner(base="http://h/b/", life_s=60, credentials=held, region="us-east-1")
    said = []
    for later in (0, 0.5, 1, 86_400):
        at = NOW + timedelta(seconds=later)
        monkeypatch.setattr(s3_links, "_now", lambda at=at: at)
        said.append(links.link("k"))
    assert said[0] == said[1]
    assert "X-Amz-Date=20260302T235959Z" in said[1]
    assert "X-Amz-Date=20260303T000000Z" in said[2]
    assert "20260303%2Fus-east-1" in said[2]
    assert "20260303%2Fus-east-1" in said[3]


PAGE = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
    "<IsTruncated>{more}</IsTruncated>{token}<EncodingType>url</EncodingType><Contents><Key>a+%2B%0A</Key>"
    "<LastModified>2026-03-02T10:00:00.123Z</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size>"
    "</Contents></ListBucketResult>"
)


FAR = "Mon, 02 Mar 2026 117724492000:00:00 GMT"


@pytest.mark.parametrize("date", [FAR, "Mon, 02 Mar 99999 10:00:00 GMT", "yesterday", ""])
def test_a_date_that_no_clock_shows_is_none(date: str) -> None:
    assert instant(date) is None
    head = f'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 3\r\nLast-Modified: {date}\r\n\r\n'
    assert entry_of("k", head.encode()) is None


def test_a_listing_with_an_instant_before_all_time_is_left_to_boto() -> None:
    page = PAGE.format(more="false", token="")
    odd = page.replace("2026-03-02T10:00:00.123Z", "0001-01-01T00:00:00+23:59")
    assert page_of(odd.encode()) is None


def test_a_page_of_a_listing_is_read() -> None:
    page = page_of(PAGE.format(more="false", token="").encode())
    assert page is not None
    [entry] = page.entries
    assert (entry.key, entry.etag, entry.size) == ("a +\n", "e", 5)
    assert entry.last_modified == datetime(2026, 3, 2, 10, 0, 0, 123_000, UTC)
    assert page.after == ""
    token = "<NextContinuationToken>t/=</NextContinuationToken>"
    page = page_of(PAGE.format(more="true", token=token).encode())
    assert page is not None
    assert page.after == "t/="


def test_a_token_that_is_no_xml_gives_way_to_the_last_key() -> None:
    token = "<NextContinuationToken>a +\x01</NextContinuationToken>"
    page = page_of(PAGE.format(more="true", token=token).replace("%0A", "%01").encode())
    assert page is not None
    assert (page.after, page.by_key) == ("a +\x01", True)
    bare = PAGE.format(more="true", token=token).replace("<EncodingType>url</EncodingType>", "")
    assert page_of(bare.encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>log in</body></html>",
        b"<html><body>log in",
        PAGE.format(more="true", token="").encode(),
        PAGE.format(more="false", token="").encode()[:-20],
        PAGE.format(more="false", token="").replace("<Name>b</Name>", "").encode(),
        PAGE.format(more="false", token="").replace("<Size>5</Size>", "").encode(),
        PAGE.format(more="false", token="").replace("<Size>5", "<Size>many").encode(),
        PAGE.format(more="false", token="").replace("2026-03-02T", "yesterday ").encode(),
    ],
)
def test_what_is_no_whole_page_is_none(body: bytes) -> None:
    assert page_of(body) is None


TAGS = "<Tagging><TagSet><Tag><Key>predicted_class</Key><Value>{}</Value></Tag></TagSet></Tagging>"


def test_tags_are_read() -> None:
    assert tags_of(TAGS.format("a&amp;b").encode()) == {"predicted_class": "a&b"}
    assert tags_of(b"<Tagging><TagSet/></Tagging>") == {}
    for body in (b"", b"<Tagging/>", b"<Error/>", TAGS.encode()[:-9], b"<Tagging><x/></Tagging>"):
        assert tags_of(body) is None
    assert tags_of(b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>") is None


@contextmanager
def server(statuses: dict[str, list[int]]) -> Iterator[tuple[str, Counter[str]]]:
    """A server of tags that first answers a key with `statuses`; yields its URL and what was asked."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = unquote(urlsplit(self.path).path).removeprefix("/b/")
            asked[key] += 1
            left = statuses.get(key, [])
            status = left.pop(0) if left else 200
            body = TAGS.format(key).encode() if status == 200 else ERRORS[status]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, asked


ERRORS = {
    404: b"<Error><Code>NoSuchKey</Code></Error>",
    503: b"<Error><Code>SlowDown</Code></Error>",
}
OBJECTS = [
    StoredObject(
        sample_id=f"{i}", uri=f"s3://b/{i}", content_hash="e", size_bytes=1, last_modified=NOW
    )
    for i in range(N)
]


def tags_at(url: str) -> dict[str, str]:
    access = S3Access(endpoint_url=url, access_key="a", secret_key="b")
    store = S3Store("s3://b", access, connections=2, sleep=lambda _: None)
    return {o.sample_id: tags["predicted_class"] for o, tags in store.tags(OBJECTS)}


def test_each_object_is_asked_once() -> None:
    with server({}) as (url, asked):
        assert tags_at(url) == {f"{i}": f"{i}" for i in range(N)}
    assert asked == {f"{i}": 1 for i in range(N)}


def test_one_that_is_gone_is_left_out_and_the_others_go_on() -> None:
    with server({"3": [404, 404]}) as (url, asked):
        assert tags_at(url) == {f"{i}": f"{i}" for i in range(N) if i != 3}
    assert asked == {f"{i}": 2 if i == 3 else 1 for i in range(N)}


def test_a_server_that_asks_for_patience_gets_it_from_boto3() -> None:
    with server({"3": [503, 503]}) as (url, asked):
        assert tags_at(url) == {f"{i}": f"{i}" for i in range(N)}
    assert asked["3"] == 3
