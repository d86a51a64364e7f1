"""Requests signed cheaply: the same signatures as botocore's, and what isn't plain left to boto3."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from urllib.parse import unquote, urlsplit

import pytest

from labelloop.adapters.s3 import signing as s3_signing
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.answers import page_of, tags_of
from labelloop.adapters.s3.signing import Links, Signer, query
from labelloop.adapters.s3.store import FEW, S3Store
from labelloop.ports.store import StoredObject
from tests.odd_keys import ODD_KEYS

NOW = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)
N = 3 * FEW
BASES = ("http://127.0.0.1:8333/b/", "https://b.s3.eu-west-1.amazonaws.com/")
QUERIES = ("", "tagging", query(list_type="2", prefix="a b/ü+&=", encoding_type="url"))


@pytest.mark.parametrize("key", ODD_KEYS)
def test_the_signatures_are_botocores(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    monkeypatch.setattr(s3_signing, "_now", lambda: NOW)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None))
    for base, asked, token, head in product(BASES, QUERIES, (None, "a/role+="), (False, True)):
        held = ReadOnlyCredentials("AKIA", "secret/+=", token)
        signer = Signer(base=base, query=asked, credentials=held, region="eu-west-1", head=head)
        url, headers = signer.signed(key)
        request = AWSRequest("HEAD" if head else "GET", url)
        request.context["payload_signing_enabled"] = True
        auth.S3SigV4Auth(held, "s3", "eu-west-1").add_auth(request)
        signed = {line.lower() for line in headers}
        assert signed == {f"{name}: {value}".lower() for name, value in request.headers.items()}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_the_links_are_botocores(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    monkeypatch.setattr(s3_signing, "_now", lambda: NOW)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None))
    for base, token in product(BASES, (None, "a/role+=")):
        held = ReadOnlyCredentials("AKIA", "secret/+=", token)
        links = Links(base=base, life_s=3600, credentials=held, region="eu-west-1")
        url = links.link(key)
        request = AWSRequest("GET", url.partition("?")[0])
        auth.S3SigV4QueryAuth(held, "s3", "eu-west-1", expires=3600).add_auth(request)
        assert url.partition("?")[0] == request.url.partition("?")[0]
        assert sorted(url.partition("?")[2].split("&")) == sorted(
            request.url.partition("?")[2].split("&")
        )


def test_a_new_minute_is_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import ReadOnlyCredentials

    signer = Signer(
        base="http://h/b/",
        query="tagging",
        credentials=ReadOnlyCredentials("a", "b", None),
        region="us-east-1",
    )
    said = []
    for later in (0, 0.5, 1, 86_400):
        at = NOW + timedelta(seconds=later)
        monkeypatch.setattr(s3_signing, "_now", lambda at=at: at)
        said.append(signer.signed("k")[1])
    assert said[0] == said[1]
    assert "20260302T235959Z" in said[1][-1]
    assert "20260303T000000Z" in said[2][-1]
    assert "/20260303/" in said[2][0]
    assert "/20260303/" in said[3][0]


PAGE = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
    "<IsTruncated>{more}</IsTruncated>{token}<EncodingType>url</EncodingType><Contents><Key>a+%2B%0A</Key>"
    "<LastModified>2026-03-02T10:00:00.123Z</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size>"
    "</Contents></ListBucketResult>"
)


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

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", asked
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


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
