"""Tags out of the listing, as MinIO gives them where a client asks for `metadata=true`.

The answers are written after MinIO's own source (cmd/api-response.go, generateListObjectsV2Response, of
2023 to 2025); none was recorded from a server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.answers import page_of
from labelloop.adapters.s3.store import S3Store
from tests.in_a_thread import in_a_thread

TAGS = {
    "plain.png": {"predicted_class": "cat", "confidence": "0.9"},
    "odd.png": {"predicted_class": "a&b=c d/ü%", "empty": ""},
    "untagged.png": {},
}


def entry(key: str, user_tags: str) -> str:
    told = f"<UserTags>{escape(user_tags)}</UserTags>" if user_tags else ""
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-03-02T10:00:00.123Z</LastModified>"
        "<ETag>&#34;e&#34;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass>"
        "<UserMetadata><content-type>image/png</content-type><expires>Mon, 01 Jan 0001 00:00:00 GMT</expires>"
        f"</UserMetadata>{told}<Internal><K>1</K><M>0</M></Internal></Contents>"
    )


def listing(with_tags: bool) -> bytes:
    told = {key: urlencode(tags) if with_tags else "" for key, tags in TAGS.items()}
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix>'
        "<KeyCount>3</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
        + "".join(entry(key, tags) for key, tags in told.items())
        + "<EncodingType>url</EncodingType></ListBucketResult>"
    ).encode()


@contextmanager
def serving(name: str, *, allowed: bool = True) -> Iterator[tuple[S3Store, list[str]]]:
    """A store on a server that calls itself `name`, and what it was asked; not `allowed`: to read tags."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def version_string(self) -> str:
            return name

        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            asked.append(self.path)
            if "list-type=2" in self.path:
                self.answer(listing(allowed and "metadata=true" in self.path))
            else:
                key = self.path.removeprefix("/b/").partition("?")[0]
                tags = "".join(
                    f"<Tag><Key>{k}</Key><Value>{escape(v)}</Value></Tag>"
                    for k, v in TAGS[key].items()
                )
                self.answer(f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode())

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        access = S3Access(endpoint_url=url, access_key="a", secret_key="b")
        yield S3Store("s3://b", access, connections=2, sleep=lambda _: None), asked


def read(store: S3Store) -> dict[str, dict[str, str]]:
    return {
        stored.sample_id: dict(tags)
        for page in store.objects()
        for stored, tags in store.tags(page)
    }


def test_minio_is_asked_for_tags_with_the_listing_and_singly_for_what_it_left_out() -> None:
    with serving("MinIO") as (store, asked):
        assert read(store) == TAGS
    assert [path for path in asked if "tagging" in path] == ["/b/untagged.png?tagging"]
    assert sum("metadata=true" in path for path in asked) == 1


def test_minio_that_may_not_tell_them_is_asked_for_each() -> None:
    with serving("MinIO", allowed=False) as (store, asked):
        assert read(store) == TAGS
    assert sum("tagging" in path for path in asked) == len(TAGS)


@pytest.mark.parametrize("name", ["AmazonS3", "nginx"])
def test_no_other_server_is_asked_so(name: str) -> None:
    with serving(name) as (store, asked):
        assert read(store) == TAGS
    assert not any("metadata" in path for path in asked)
    assert sum("tagging" in path for path in asked) == len(TAGS)


def test_tags_that_cannot_be_read_leave_the_page_to_boto3() -> None:
    body = listing(with_tags=True).replace(b"predicted_class=cat", b"nothing")
    assert page_of(body) is None
