"""What the S3 adapter makes of answers that fail for now: tried again a few times, and never for ever."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import md5

import pytest

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.store import S3Store
from labelloop.errors import StoreDenied, StoreUnavailable
from labelloop.ports.store import StoredObject
from tests.faults.stub import Reply, Stub, dripping

TAGS = (
    b"<?xml version='1.0'?><Tagging><TagSet><Tag><Key>predicted_class</Key><Value>cat</Value></Tag>"
    b"</TagSet></Tagging>"
)
LISTED = b"""<?xml version='1.0'?><ListBucketResult><Name>bkt</Name><KeyCount>1</KeyCount>
<IsTruncated>%s</IsTruncated>%s<Contents><Key>%s</Key><ETag>"e"</ETag><Size>1</Size>
<LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"""
FOUND = StoredObject(
    sample_id="a.png",
    uri="s3://bkt/a.png",
    content_hash="",
    size_bytes=1,
    last_modified=datetime(2026, 3, 1, tzinfo=UTC),
)
Opens = Callable[..., S3Store]


def xml(status: int, body: bytes, **headers: str) -> Reply:
    return Reply(status, body, "application/xml", headers)


def error(status: int, code: str, **headers: str) -> Reply:
    return xml(status, f"<Error><Code>{code}</Code></Error>".encode(), **headers)


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.stop()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def opens(pauses: list[float]) -> Opens:
    def make(url: str, timeout_s: float = 5.0) -> S3Store:
        access = S3Access(
            endpoint_url=url, access_key="a", secret_key="b", read_timeout_s=timeout_s
        )
        return S3Store("s3://bkt", access, sleep=pauses.append)

    return make


def answers(stub: Stub, *replies: Reply) -> None:
    """Answer with one after the other, and always with the last in the end."""
    left = list(replies)
    stub.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    "fault",
    [
        xml(200, TAGS[:-20]),
        Reply(200, TAGS[:-20], "application/xml", cut=True),
        error(503, "SlowDown"),
        error(500, "InternalError"),
        error(429, "TooManyRequests"),
        Reply(502, b"<html>Bad gateway</html>", "text/html"),
    ],
    ids=["truncated", "cut off", "SlowDown", "500", "429", "502 with HTML"],
)
def test_a_passing_failure_is_tried_again(opens: Opens, stub: Stub, fault: Reply) -> None:
    answers(stub, fault, xml(200, TAGS))
    assert list(opens(stub.url).tags([FOUND])) == [(FOUND, {"predicted_class": "cat"})]
    assert len(stub.asked) == 2


def test_a_failure_that_lasts_is_told(opens: Opens, stub: Stub, pauses: list[float]) -> None:
    answers(stub, Reply(502, b"<html>Bad gateway</html>", "text/html"))
    with pytest.raises(
        StoreUnavailable, match=r"in front of the server answered with an error \(502\)"
    ):
        list(opens(stub.url).tags([FOUND]))
    assert len(stub.asked) == 4
    assert len(pauses) == 3


def test_a_refusal_is_not_tried_again(opens: Opens, stub: Stub) -> None:
    answers(stub, error(403, "RequestTimeTooSkewed"))
    with pytest.raises(StoreDenied, match="clock"):
        list(opens(stub.url).tags([FOUND]))
    assert len(stub.asked) == 1


def test_a_server_that_sends_requests_elsewhere_is_told(opens: Opens, stub: Stub) -> None:
    answers(stub, Reply(301, b"", headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(StoreDenied, match="to another address") as caught:
        opens(stub.url).read("s3://bkt/a.png")
    assert "endpoint_url" in caught.value.remedy


def test_an_image_that_breaks_off_is_read_again(opens: Opens, stub: Stub) -> None:
    tag = {"ETag": f'"{md5(b"only this", usedforsecurity=False).hexdigest()}"'}
    answers(stub, Reply(200, b"onl", headers=tag, cut=True), Reply(200, b"only this", headers=tag))
    assert opens(stub.url).read("s3://bkt/a.png") == b"only this"


def test_an_image_that_was_cut_to_a_wrong_length_is_read_again(opens: Opens, stub: Stub) -> None:
    image = b"only this"
    tag = {"ETag": f'"{md5(image, usedforsecurity=False).hexdigest()}"'}
    whole, cut = Reply(200, image, headers=tag), Reply(200, image[:4], headers=tag)
    left = [cut, whole]
    stub.answer = lambda asked: whole if asked.method == "HEAD" else left.pop(0)
    assert opens(stub.url).read("s3://bkt/a.png") == image
    assert [asked.method for asked in stub.asked] == ["GET", "HEAD", "GET"]


def test_an_image_whose_etag_is_no_hash_is_known_by_its_length(opens: Opens, stub: Stub) -> None:
    answers(stub, Reply(200, b"only this", headers={"ETag": '"0123-2"'}))
    assert opens(stub.url).read("s3://bkt/a.png") == b"only this"
    assert [asked.method for asked in stub.asked] == ["GET", "HEAD"]


def test_a_page_of_the_listing_that_breaks_off_is_read_again(opens: Opens, stub: Stub) -> None:
    more = b"<NextContinuationToken>t</NextContinuationToken>"
    pages = [xml(200, LISTED % (b"true", more, b"a")), xml(200, LISTED % (b"false", b"", b"b"))]
    whose = xml(200, b"")  # a HEAD asks for the server's name
    answers(stub, whose, pages[0], xml(200, pages[1].body[:-30]), pages[1])
    listed = [found.sample_id for page in opens(stub.url).objects() for found in page]
    assert listed == ["a", "b"]


def test_a_listing_that_ends_too_early_is_not_taken_for_the_whole(opens: Opens, stub: Stub) -> None:
    answers(stub, xml(200, LISTED % (b"true", b"", b"a")))
    with pytest.raises(StoreUnavailable):
        list(opens(stub.url).objects())


def test_retry_after_is_honoured(opens: Opens, stub: Stub, pauses: list[float]) -> None:
    answers(stub, error(503, "SlowDown", **{"Retry-After": "7"}), xml(200, TAGS))
    list(opens(stub.url).tags([FOUND]))
    assert pauses == [7.0]


def test_a_server_that_wants_a_long_pause_isnt_asked_before_it(opens: Opens, stub: Stub) -> None:
    answers(stub, error(503, "SlowDown", **{"Retry-After": "600"}))
    with pytest.raises(StoreUnavailable, match="SlowDown"):
        list(opens(stub.url).tags([FOUND]))
    assert len(stub.asked) == 1


@pytest.mark.parametrize("call", ["tags", "read"])
def test_an_answer_that_drips_is_given_up(opens: Opens, call: str) -> None:
    with dripping(b'ETag: "e"\r\nContent-Type: application/xml', TAGS * 2, every_s=0.02) as url:
        store = opens(url, timeout_s=0.2)
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            list(store.tags([FOUND])) if call == "tags" else store.read("s3://bkt/a.png")


def test_a_large_image_may_take_longer(opens: Opens) -> None:
    image = bytes(20_000)
    tag = f'ETag: "{md5(image, usedforsecurity=False).hexdigest()}"'.encode()
    with dripping(tag, image, every_s=0.02, size=1000) as url:
        assert opens(url, timeout_s=0.2).read("s3://bkt/a.png") == image
