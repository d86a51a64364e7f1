"""One object of a bucket that can't be read: it is told by name, and all others are read."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import md5

import pytest

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.parallel_requests import FEW
from labelloop.adapters.s3.store import S3Store
from labelloop.errors import InputDenied, StoreDenied, StoreUnavailable
from labelloop.ports.store import StoredObject
from tests.faults.stub import Asked, Reply, Stub

BAD = "odd.png"
TAGS = (
    b"<Tagging><TagSet><Tag><Key>predicted_class</Key><Value>cat</Value></Tag></TagSet></Tagging>"
)
ENTRY = (
    '<Contents><Key>{}</Key><ETag>"e"</ETag><Size>1</Size>'
    "<LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents>"
)
HEAD = {
    "ETag": f'"{md5(b"image", usedforsecurity=False).hexdigest()}"',
    "Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT",
}
EMPTY = Reply(200, b"", "application/xml")
CUT = Reply(200, TAGS[:30], "application/xml")


def error(code: str) -> Reply:
    return Reply(403, f"<Error><Code>{code}</Code></Error>".encode(), "application/xml")


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.stop()


def bucket(
    stub: Stub, keys: list[str], bad: Reply, *, when: Callable[[Asked], bool] = lambda _: True
) -> S3Store:
    """A store of a server that answers `bad` to what is asked of BAD, as far as `when` says."""

    def answer(asked: Asked) -> Reply:
        key = asked.path.removeprefix("/b").removeprefix("/")
        if not key and asked.method == "HEAD":
            return Reply(200, b"")
        if not key:
            listed = "".join(map(ENTRY.format, keys))
            body = (
                f"<ListBucketResult><Name>b</Name><KeyCount>{len(keys)}</KeyCount>"
                f"<IsTruncated>false</IsTruncated>{listed}</ListBucketResult>"
            )
            return Reply(200, body.encode(), "application/xml")
        if key == BAD and when(asked):
            return bad
        if asked.query == "tagging":
            return Reply(200, TAGS, "application/xml")
        return Reply(200, b"image", "image/png", HEAD)

    stub.answer = answer
    access = S3Access(endpoint_url=stub.url, access_key="a", secret_key="b")
    return S3Store("s3://b", access, sleep=lambda _: None)


def objects(keys: list[str]) -> list[StoredObject]:
    return [
        StoredObject(
            sample_id=key,
            uri=f"s3://b/{key}",
            content_hash="e",
            size_bytes=1,
            last_modified=datetime(2026, 3, 1, tzinfo=UTC),
        )
        for key in keys
    ]


@pytest.mark.parametrize("n_others", [1, 2 * FEW], ids=["few", "many"])
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (error("AccessDenied"), r"access is denied \(AccessDenied\)"),
        (error("InvalidObjectState"), "archived"),
        (EMPTY, "doesn't come from S3"),
        (CUT, "the server failed"),
    ],
    ids=["denied", "archived", "empty", "cut"],
)
def test_one_whose_tags_cannot_be_read_is_told_and_the_others_are_read(
    stub: Stub, bad: Reply, why: str, n_others: int
) -> None:
    keys = [BAD, *(f"{i}.png" for i in range(n_others))]
    read = dict(bucket(stub, keys, bad).tags(objects(keys)))
    faults = {found.sample_id: found.fault for found in read if found.fault}
    assert faults.keys() == {BAD}
    assert re.search(why, faults[BAD])
    assert sorted(found.sample_id for found, tags in read.items() if tags) == sorted(keys[1:])


def test_the_only_new_object_is_told_by_what_others_answer(stub: Stub) -> None:
    store = bucket(stub, [BAD, "old.png"], error("AccessDenied"))
    [(found, tags)] = store.tags(objects([BAD]))
    assert "access is denied" in found.fault
    assert tags == {}


@pytest.mark.parametrize("n", [1, 3 * FEW], ids=["few", "many"])
def test_a_right_that_is_missing_for_all_stops(stub: Stub, n: int) -> None:
    keys = [f"{i}.png" for i in range(n)]
    store = bucket(stub, keys, EMPTY)
    known = stub.answer
    stub.answer = lambda a: error("AccessDenied") if a.query == "tagging" else known(a)
    with pytest.raises(StoreDenied, match=r"access is denied") as caught:
        list(store.tags(objects(keys)))
    assert "s3:GetObjectTagging" in caught.value.remedy


def test_a_server_that_answers_nothing_it_should_stops(stub: Stub) -> None:
    keys = [f"{i}.png" for i in range(3)]
    store = bucket(stub, keys, EMPTY)
    known = stub.answer
    stub.answer = lambda a: EMPTY if a.query == "tagging" else known(a)
    with pytest.raises(StoreUnavailable, match="doesn't come from S3"):
        list(store.tags(objects(keys)))


@pytest.mark.parametrize("call", ["read", "copy_blind"])
def test_one_that_is_denied_is_no_matter_of_keys(stub: Stub, call: str) -> None:
    store = bucket(stub, [BAD, "other.png"], error("AccessDenied"))
    with pytest.raises(InputDenied, match=r"odd\.png.*access is denied") as caught:
        store.read(f"s3://b/{BAD}") if call == "read" else store.copy_blind(
            f"s3://b/{BAD}", "s3://b/blind/1"
        )
    assert "this object" in caught.value.remedy
    assert store.exists(f"s3://b/{BAD}")


def test_one_that_is_denied_like_all_others_is(stub: Stub) -> None:
    store = bucket(stub, [BAD], error("AccessDenied"))
    with pytest.raises(StoreDenied, match="access is denied"):
        store.read(f"s3://b/{BAD}")


@pytest.mark.parametrize("call", ["read", "copy_blind"])
def test_an_archived_one_has_its_own_remedy(stub: Stub, call: str) -> None:
    store = bucket(
        stub,
        [BAD, "other.png"],
        error("InvalidObjectState"),
        when=lambda asked: asked.method == "GET",
    )
    known = stub.answer
    stub.answer = lambda a: error("InvalidObjectState") if a.method == "PUT" else known(a)
    with pytest.raises(InputDenied, match="archived") as caught:
        store.read(f"s3://b/{BAD}") if call == "read" else store.copy_blind(
            f"s3://b/{BAD}", "s3://b/blind/1"
        )
    assert "restore" in caught.value.remedy


def test_one_that_is_denied_is_found_where_it_is_notified(stub: Stub) -> None:
    store = bucket(stub, [BAD, "other.png"], error("AccessDenied"))
    assert [found.sample_id for found in store.found([BAD, "other.png"])] == [BAD, "other.png"]


def test_a_message_that_is_missing_is_not_shown(stub: Stub) -> None:
    store = bucket(stub, [BAD, "other.png"], error("Odd"))
    bad = Reply(400, b"<Error><Code>Odd</Code><Message></Message></Error>", "application/xml")
    stub.answer = lambda _: bad
    with pytest.raises(StoreDenied, match=r"the server refused \(Odd\)"):
        store.read(f"s3://b/{BAD}")
