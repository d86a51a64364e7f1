"""What every Store does, in memory, in a folder and on a real S3 server."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, unquote

import pytest

from labelloop.adapters.folder.store import FolderStore
from labelloop.adapters.s3.store import S3Store
from labelloop.errors import ArgumentError, InputChanged, InputGone, StoreDenied
from labelloop.ports.store import Store
from labelloop.testing import MemoryStore
from tests.conftest import ON_BUCKET
from tests.odd_keys import ODD_KEYS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS


class Held(Protocol):
    """What can be seen of an object."""

    body: bytes
    content_type: str
    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    content_encoding: str


@dataclass(frozen=True)
class Seen:
    body: bytes
    content_type: str
    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    content_encoding: str = ""


@dataclass(frozen=True)
class Bench:
    """A way to make stores over one production and one blind bucket, and to look behind them."""

    root: str  # the uri of the inputs
    blind: str
    nowhere: str
    open: Callable[..., Store]  # (uri, hidden_uri=None, prefixes=())
    put: Callable[..., None]  # (key, body, *, tags=, metadata=, content_type=)
    look: Callable[[str], Held]
    page_size: int
    rule: Callable[..., None] | None  # (days, *, below); None: links don't lapse, nothing expires
    digest: Callable[[bytes], str] = lambda body: md5(body).hexdigest()  # noqa: S324  what S3 calls ETag
    quoted: Callable[[str], str] = str
    typed: Callable[[str], str] = str
    whole_names: bool = True  # a sample's name is its whole key, else the path below the uri

    @property
    def store(self) -> Store:
        return self.open(self.root)

    def uri(self, key: str) -> str:
        return f"{self.root}/{self.quoted(key)}"

    def below(self, folder: str, *names: str) -> list[str]:
        """The names of samples of a store that was opened at `folder`."""
        return [f"{folder}/{name}" if self.whole_names else name for name in names]


def memory_bench() -> Bench:
    held = MemoryStore("s3://production")

    def open_store(uri: str, hidden_uri: str | None = None, prefixes: Sequence[str] = ()) -> Store:
        store = MemoryStore(
            uri, buckets=("blind",), prefixes=prefixes, hidden_uri=hidden_uri, page_size=7
        )
        store.objects_by_uri = held.objects_by_uri
        store.lifetimes = held.lifetimes
        return store

    def rule(days: int, *, below: str) -> None:
        held.lifetimes[f"s3://production/{below}"] = timedelta(days=days)

    def put(key: str, body: bytes = b"", **keywords: object) -> None:
        held.put(key, body, **keywords)  # type: ignore[arg-type]

    return Bench(
        "s3://production",
        "s3://blind",
        "s3://no-such-bucket-here",
        open_store,
        put,
        lambda uri: held.objects_by_uri[uri],
        7,
        rule,
    )


def folder_bench(home: Path) -> Bench:
    root, blind = home / "production", home / "blind"
    for place in (root, blind):
        place.mkdir()
        (place / ".mounted").touch()

    def open_store(uri: str, hidden_uri: str | None = None, prefixes: Sequence[str] = ()) -> Store:
        return FolderStore(uri, blind_uri=hidden_uri or blind.as_uri(), prefixes=prefixes)

    def put(
        key: str,
        body: bytes = b"",
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "",
    ) -> None:
        path = root / key
        if key.endswith("/"):
            path.mkdir(parents=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if tags:
            path.with_name(f"{path.name}.json").write_text(json.dumps(tags))

    def look(uri: str) -> Held:
        path = Path(unquote(uri.removeprefix("file://")))
        beside = path.with_name(f"{path.name}.json")
        of_copy = path.is_relative_to(blind) or not beside.exists()
        tags = {} if of_copy else json.loads(beside.read_text())
        return Seen(body=path.read_bytes(), content_type="", tags=tags, metadata={})

    return Bench(
        root.as_uri(),
        blind.as_uri(),
        (home / "no-such-bucket-here").as_uri(),
        open_store,
        put,
        look,
        1000,
        None,
        digest=lambda body: sha256(body).hexdigest(),
        quoted=quote,
        typed=lambda _: "",
        whole_names=False,
    )


def s3_bench(server: "SeaweedFS", s3: "S3Client", bucket: str, blind: str) -> Bench:
    def open_store(uri: str, hidden_uri: str | None = None, prefixes: Sequence[str] = ()) -> Store:
        return S3Store(uri, server.access, prefixes=prefixes, hidden_uri=hidden_uri, workers=4)

    def put(
        key: str,
        body: bytes = b"",
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "image/png",
        content_encoding: str = "",
    ) -> None:
        tagging = "&".join(f"{quote(k)}={quote(v)}" for k, v in (tags or {}).items())
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            Tagging=tagging,
            Metadata=metadata or {},
            ContentType=content_type,
            **({"ContentEncoding": content_encoding} if content_encoding else {}),
        )

    def look(uri: str) -> Held:
        in_bucket, _, key = uri.removeprefix("s3://").partition("/")
        got = s3.get_object(Bucket=in_bucket, Key=key)
        tags = s3.get_object_tagging(Bucket=in_bucket, Key=key)["TagSet"]
        return Seen(
            body=got["Body"].read(),
            content_type=got["ContentType"],
            tags={tag["Key"]: tag["Value"] for tag in tags},
            metadata=got["Metadata"],
            content_encoding=got.get("ContentEncoding", ""),
        )

    def rule(days: int, *, below: str) -> None:
        expiry = {"ID": "old", "Status": "Enabled", "Expiration": {"Days": days}}
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={"Rules": [{**expiry, "Filter": {"Prefix": below}}]},  # type: ignore[list-item]
        )

    return Bench(
        f"s3://{bucket}",
        f"s3://{blind}",
        "s3://no-such-bucket-here",
        open_store,
        put,
        look,
        1000,
        rule,
    )


def made(kind: str, request: pytest.FixtureRequest) -> Bench:
    if kind == "memory":
        return memory_bench()
    if kind == "folder":
        return folder_bench(request.getfixturevalue("tmp_path"))
    return s3_bench(
        request.getfixturevalue("seaweedfs"),
        request.getfixturevalue("s3"),
        request.getfixturevalue("bucket"),
        request.getfixturevalue("blind_bucket"),
    )


S3 = pytest.param("s3", marks=ON_BUCKET)


@pytest.fixture(params=["memory", "folder", S3])
def bench(request: pytest.FixtureRequest) -> Bench:
    return made(request.param, request)


@pytest.fixture(params=["memory", S3])
def bucket_bench(request: pytest.FixtureRequest) -> Bench:
    """What has links that lapse, and rules: no folder."""
    return made(request.param, request)


def keys(store: Store) -> list[str]:
    return sorted(found.sample_id for page in store.objects() for found in page)


def test_an_empty_bucket_has_no_objects(bench: Bench) -> None:
    assert list(bench.store.objects()) == []
    assert list(bench.store.tags([])) == []


def test_the_listing_tells_key_uri_hash_size_and_time(bench: Bench) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    bench.put("class_07/a.png", b"bytes", tags={"predicted_class": "7"})
    [[found]] = bench.store.objects()
    assert found.sample_id == "class_07/a.png"
    assert found.uri == bench.uri("class_07/a.png") == bench.store.uri_of("class_07/a.png")
    [(told, _)] = bench.store.tags([found])
    assert told.content_hash == bench.digest(b"bytes")
    assert found.size_bytes == 5
    assert found.last_modified.tzinfo is UTC
    assert before <= found.last_modified <= datetime.now(UTC) + timedelta(seconds=5)


def test_every_object_is_listed_once_over_several_pages(bench: Bench) -> None:
    names = [f"d{i % 7}/{i:05}.png" for i in range(bench.page_size + 50)]
    for name in names:
        bench.put(name)
    pages = list(bench.store.objects())
    assert len(pages) > 1
    assert sorted(found.sample_id for page in pages for found in page) == sorted(names)


def test_only_what_is_below_the_prefix_is_listed_by_its_whole_key(bench: Bench) -> None:
    for key in ("images/a.png", "images/deep/b.png", "images2/c.png", "images.png"):
        bench.put(key)
    for uri in (bench.uri("images"), bench.uri("images/")):
        assert keys(bench.open(uri)) == bench.below("images", "a.png", "deep/b.png")


def test_only_the_prefixes_are_listed_in_turn(bench: Bench) -> None:
    for key in ("b/2.png", "a/1.png", "a/deep/3.png", "ab/no.png", "c/no.png", "x/a/4.png"):
        bench.put(key)
    store = bench.open(bench.root, prefixes=["b/", "a"])
    assert keys(store) == ["a/1.png", "a/deep/3.png", "b/2.png"]
    assert keys(bench.open(bench.uri("x"), prefixes=["a/"])) == bench.below("x", "a/4.png")


def test_a_prefix_that_matches_nothing_is_named(bench: Bench) -> None:
    bench.put("images/a.png")
    bench.put("later/")
    wrong = (
        (bench.uri("imges"), []),
        (bench.root, ["images/", "imges/"]),
        (bench.uri("images"), ["imges"]),
    )
    for uri, prefixes in wrong:
        with pytest.raises(StoreDenied, match=r"imges/") as caught:
            keys(bench.open(uri, prefixes=prefixes))
        assert "prefixes" in caught.value.remedy
    both = bench.open(bench.root, prefixes=["images/", "later/"])
    assert keys(both) == ["images/a.png"]


def test_in_an_empty_bucket_no_prefix_is_wrong(bucket_bench: Bench) -> None:
    assert keys(bucket_bench.open(bucket_bench.uri("imges"))) == []
    assert keys(bucket_bench.open(bucket_bench.root, prefixes=["imges/"])) == []


def test_blind_copies_and_folder_markers_are_not_listed(bench: Bench) -> None:
    for key in ("a.png", "blind/x.png", "blinded.png", "folder/"):
        bench.put(key)
    store = bench.open(bench.root, hidden_uri=bench.uri("blind"))
    assert keys(store) == ["a.png", "blinded.png"]
    elsewhere = bench.open(bench.root, hidden_uri=bench.blind)
    assert keys(elsewhere) == ["a.png", "blind/x.png", "blinded.png"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_is_listed_tagged_read_copied_and_deleted(bench: Bench, key: str) -> None:
    bench.put(key, key.encode(), tags={"shadow:v3": "Naïve + 100/b"})
    store = bench.store
    [[found]] = store.objects()
    assert found.sample_id == key
    assert store.uri_of(key) == found.uri
    [(of, tags)] = store.tags([found])
    assert (of.sample_id, of.fault) == (key, "")
    assert tags == {"shadow:v3": "Naïve + 100/b"}
    assert store.exists(found.uri)
    assert store.read(found.uri) == key.encode()
    store.copy_blind(found.uri, f"{bench.blind}/copy")
    assert store.read(f"{bench.blind}/copy") == key.encode()
    store.delete(found.uri)
    assert not store.exists(found.uri)


def test_tags_of_many_objects_are_read_and_gone_ones_are_left_out(bench: Bench) -> None:
    for i in range(60):
        bench.put(f"{i}.png", tags={"confidence": f"0.{i:03}"} if i % 5 else {})
    store = bench.store
    found = [one for page in store.objects() for one in page]
    store.delete(bench.uri("7.png"))
    got = {of.sample_id: tags for of, tags in store.tags(found)}
    assert got == {
        f"{i}.png": {"confidence": f"0.{i:03}"} if i % 5 else {} for i in range(60) if i != 7
    }


def test_bytes_are_streamed_as_they_stand_whole_or_in_part(bench: Bench) -> None:
    body = bytes(range(256)) * 1_000
    bench.put("a.png", body)
    uri, store = bench.uri("a.png"), bench.store
    whole = store.stream(uri)
    assert b"".join(whole.parts) == body
    assert (whole.size_bytes, whole.encoding) == (len(body), "")
    part = store.stream(uri, offset=1_000, length=70_000)
    assert b"".join(part.parts) == body[1_000:71_000]
    assert (part.size_bytes, part.version) == (len(body), whole.version)
    assert b"".join(store.stream(uri, offset=255_990).parts) == body[255_990:]
    left = store.stream(uri)
    assert next(left.parts)
    left.close()
    with pytest.raises(InputGone):
        store.stream(bench.uri("b.png"))


def test_a_folder_s_files_have_a_path_that_a_web_server_reads(bench: Bench) -> None:
    bench.put("with space/100%.png")
    found = bench.store.below_root(bench.uri("with space/100%.png"))
    if found is not None:
        assert found.endswith("with%20space/100%25.png")
        assert not found.startswith("/")


def test_reading_tags_can_be_given_up_half_way(bench: Bench) -> None:
    for i in range(40):
        bench.put(f"{i:02}.png")
    store = bench.store
    reading = store.tags([one for page in store.objects() for one in page])
    next(iter(reading))
    del reading
    assert len(keys(store)) == 40


def test_a_blind_copy_has_the_bytes_and_the_type_and_nothing_else(bench: Bench) -> None:
    bench.put(
        "class_07/a.png",
        b"pixels",
        tags={"predicted_class": "7"},
        metadata={"predicted": "7"},
        content_type="image/webp",
    )
    target = f"{bench.blind}/0a1b"
    for _ in range(2):
        bench.store.copy_blind(bench.uri("class_07/a.png"), target)
        copy = bench.look(target)
        assert (copy.body, copy.content_type) == (b"pixels", bench.typed("image/webp"))
        assert (copy.tags, copy.metadata) == ({}, {})
    original = bench.look(bench.uri("class_07/a.png"))
    assert original.tags == {"predicted_class": "7"}


def test_a_blind_copy_replaces_what_stood_there(bucket_bench: Bench) -> None:
    bucket_bench.put(
        "old.png", b"old", tags={"a": "1"}, metadata={"b": "2"}, content_type="image/gif"
    )
    bucket_bench.put("new.png", b"new")
    bucket_bench.store.copy_blind(bucket_bench.uri("new.png"), bucket_bench.uri("old.png"))
    copy = bucket_bench.look(bucket_bench.uri("old.png"))
    assert (copy.body, copy.content_type) == (b"new", bucket_bench.typed("image/png"))
    assert (copy.tags, copy.metadata) == ({}, {})


def test_what_was_stored_compressed_is_read_plain(bucket_bench: Bench) -> None:
    store = bucket_bench.store
    twice = gzip.compress(b"pix") + gzip.compress(b"els")
    bucket_bench.put("a.png", twice, content_encoding="gzip", tags={"confidence": "1"})
    bucket_bench.put("plain.png", b"pixels", content_encoding="gzip")
    [listed] = [o for page in store.objects() for o in page if o.sample_id == "a.png"]
    assert store.read(listed.uri, content_hash=listed.content_hash) == b"pixels"
    assert store.read(bucket_bench.uri("plain.png")) == b"pixels"
    for body, encoding in ((b"...", "br"), (twice[:-9], "gzip")):
        bucket_bench.put("b.png", body, content_encoding=encoding)
        with pytest.raises(InputGone, match="Content-Encoding"):
            store.read(bucket_bench.uri("b.png"))


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_copy_is_the_object_as_it_is(bench: Bench, key: str) -> None:
    tags = {"shadow:v3": "Naïve + 100/b", "predicted_class": "7"}
    bench.put(key, b"pixels", tags=tags, metadata={"n": "7"}, content_type="image/webp")
    store = bench.store
    [[found]] = store.objects()
    [(told, _)] = store.tags([found])
    uri = f"{bench.blind}/out/class_06/{bench.quoted('0a1b-x y+%.png')}"
    for _ in range(2):
        store.copy(found.uri, uri, content_hash=told.content_hash)
    made, source = bench.look(uri), bench.look(found.uri)
    assert (made.body, made.content_type) == (b"pixels", bench.typed("image/webp"))
    assert (made.tags, made.metadata) == (source.tags if bench.rule else {}, source.metadata)
    assert [o.uri for page in store.below(f"{bench.blind}/out") for o in page] == [uri]
    assert [o.uri for page in store.below(f"{bench.blind}/ou") for o in page] == []
    bench.put(key, b"others")
    with pytest.raises(InputChanged):
        store.copy(found.uri, uri, content_hash=told.content_hash)
    store.delete(found.uri)
    with pytest.raises(InputGone):
        store.copy(found.uri, uri, content_hash=told.content_hash)
    assert bench.look(uri).body == b"pixels"


def test_an_encoding_goes_with_a_copy(bucket_bench: Bench) -> None:
    store = bucket_bench.store
    bucket_bench.put("a.png", gzip.compress(b"pixels"), content_encoding="gzip")
    [[found]] = store.objects()
    copy, blind = (f"{bucket_bench.blind}/{name}" for name in ("c.png", "0a1b"))
    store.copy(found.uri, copy, content_hash=found.content_hash)
    store.copy_blind(found.uri, blind)
    for uri in (copy, blind):
        held = bucket_bench.look(uri)
        assert (held.body[:2], held.content_encoding) == (b"\x1f\x8b", "gzip")
        assert store.read(uri) == b"pixels"


def test_everything_below_a_uri_is_told_page_by_page(bench: Bench) -> None:
    store = bench.store
    names = [f"out/d{i % 3}/{i:05}.png" for i in range(bench.page_size + 5)]
    for name in names:
        bench.put(name)
    bench.put("outer.png")
    pages = list(store.below(bench.uri("out")))
    assert len(pages) > 1
    assert sorted(o.uri for page in pages for o in page) == sorted(map(bench.uri, names))
    with pytest.raises(StoreDenied, match="no-such-bucket-here"):
        list(store.below(bench.nowhere))


def test_what_is_gone_is_said_to_be_gone(bench: Bench) -> None:
    store = bench.store
    assert not store.exists(bench.uri("gone.png"))
    with pytest.raises(InputGone, match=r"gone\.png"):
        store.read(bench.uri("gone.png"))
    with pytest.raises(InputGone, match=r"gone\.png"):
        store.copy_blind(bench.uri("gone.png"), f"{bench.blind}/copy")
    store.delete(bench.uri("gone.png"))


def test_what_was_overwritten_is_not_read_for_what_was_listed(bench: Bench) -> None:
    store = bench.store
    bench.put("a.png", b"old", tags={"predicted_class": "7"})
    [[found]] = store.objects()
    [(old, _)] = store.tags([found])
    assert store.read(old.uri, content_hash=old.content_hash) == b"old"
    bench.put("a.png", b"new")
    with pytest.raises(InputChanged, match=r"a\.png"):
        store.read(old.uri, content_hash=old.content_hash)
    assert store.read(old.uri) == b"new"
    for of_a_row in ("text:0f0f0f", "uri:0f0f0f"):
        assert store.read(old.uri, content_hash=of_a_row) == b"new"


@pytest.mark.parametrize("few", [True, False])
def test_what_was_overwritten_is_neither_copied_nor_linked(bench: Bench, few: bool) -> None:
    store, names = bench.store, ["a.png", *([] if few else ODD_KEYS)]
    for name in names:
        bench.put(name, b"old", tags={"predicted_class": "7"})
    was = bench.digest(b"old")
    for i, name in enumerate(names):
        uri, copy = bench.uri(name), f"{bench.blind}/{i}"
        store.copy_blind(uri, copy, content_hash=was)
        bench.put(name, b"new")
        with pytest.raises(InputChanged):
            store.copy_blind(uri, copy, content_hash=was)
        assert bench.look(copy).body == b"old"
        store.copy_blind(uri, copy, content_hash="uri:0f0f0f")
        assert bench.look(copy).body == b"new"
    now = bench.digest(b"new")
    uris = [bench.uri(name) for name in names]
    assert {type(loss) for loss in store.losses([(uri, was) for uri in uris])} == {InputChanged}
    for unlike in (now, "", "uri:0f0f0f", "text:0f0f0f"):
        assert set(store.losses([(uri, unlike) for uri in uris])) == {None}


def test_many_are_looked_for_at_once(bench: Bench) -> None:
    for key in ODD_KEYS:
        bench.put(key)
    uris = [bench.uri(key) for key in ODD_KEYS]
    missing = [bench.uri(f"gone {i}.png") for i in range(10)]
    elsewhere = f"{bench.blind}/gone.png"
    asked = [missing[0], *uris, *missing[1:], uris[0]]
    hashed = bench.digest(b"")
    for known in ("", hashed):
        losses = bench.store.losses([(uri, known) for uri in asked])
        assert [loss is None for loss in losses] == [uri in uris for uri in asked]
        assert {type(loss) for loss in losses} == {InputGone, type(None)}
        [there, gone] = bench.store.losses([(uris[0], known), (elsewhere, known)])
        assert there is None
        assert type(gone) is InputGone
    assert list(bench.store.losses([])) == []


def test_the_first_bytes_of_many_are_told_at_once(bench: Bench) -> None:
    whole = bytes(range(256)) * 40
    for key in ODD_KEYS:
        bench.put(key, whole)
    bench.put("empty.png", b"")
    bench.put("short.png", b"short")
    bench.put("other.png", b"other")
    asked = [(bench.uri(key), bench.digest(whole)) for key in ODD_KEYS]
    asked += [(bench.uri("empty.png"), ""), (bench.uri("short.png"), bench.digest(b"short"))]
    asked += [(bench.uri("gone.png"), ""), (bench.uri("other.png"), bench.digest(whole))]
    *of_odd, empty, short, gone, other = bench.store.starts(asked)
    assert (empty and empty.data, short and short.data, gone) == (b"", b"short", None)
    assert other is None or not other.same, "losses says that it is overwritten"
    assert {start.data for start in of_odd if start is not None} == {bytes(range(256))}
    untold = [key for key, start in zip(ODD_KEYS, of_odd, strict=True) if start is None]
    assert all({".", ".."} & set(key.split("/")) for key in untold)


def test_a_missing_bucket_is_never_taken_for_a_missing_object(bench: Bench) -> None:
    bench.put("a.png")
    store = bench.store
    nowhere = f"{bench.nowhere}/a.png"
    for call in (
        lambda: store.exists(nowhere),
        lambda: store.losses([(f"{nowhere}{i}", "") for i in range(20)]),
        lambda: store.read(nowhere),
        lambda: store.delete(nowhere),
        lambda: store.copy_blind(nowhere, f"{bench.blind}/copy"),
        lambda: store.check_writable(bench.nowhere),
    ):
        with pytest.raises(StoreDenied, match="no-such-bucket-here"):
            call()


def test_a_writable_place_is_found_writable_and_left_as_it_was(bench: Bench) -> None:
    bench.store.check_writable(bench.blind)
    bench.store.check_writable(f"{bench.blind}/below/")
    assert keys(bench.open(bench.blind)) == []


def test_a_url_lives_a_second_at_least_and_seven_days_at_most(bucket_bench: Bench) -> None:
    bucket_bench.put("a.png")
    for life in (timedelta(seconds=1), timedelta(hours=1), timedelta(days=7)):
        url = bucket_bench.store.presign(bucket_bench.uri("a.png"), life)
        assert f"X-Amz-Expires={int(life.total_seconds())}" in url
    for life in (timedelta(0), timedelta(days=-1), timedelta(days=7, seconds=1)):
        with pytest.raises(ArgumentError, match="presigned"):
            bucket_bench.store.presign(bucket_bench.uri("a.png"), life)


def test_a_page_of_ours_is_written_over_what_stood_there(bench: Bench) -> None:
    uri = bench.uri("page")
    for body in (b"old", b"<p>new</p>"):
        bench.store.write(uri, body, "text/html")
    seen = bench.look(uri)
    assert (seen.body, seen.content_type) == (b"<p>new</p>", bench.typed("text/html"))


def test_a_browser_sees_the_type_and_whom_cors_lets_read_it(bucket_bench: Bench) -> None:
    bucket_bench.put("a b.png", b"pixels")
    store = bucket_bench.store
    url = store.presign(bucket_bench.uri("a b.png"), timedelta(minutes=1))
    seen = store.view(url, origin="http://labels.example")
    assert (seen.status, seen.content_type) == (200, "image/png")
    assert seen.allowed_origin in {"*", "http://labels.example"}
    for instant in (seen.served_at, seen.modified_at):
        assert instant is not None
        assert abs(instant - datetime.now(UTC)) < timedelta(minutes=1)
    gone = store.presign(bucket_bench.uri("gone.png"), timedelta(minutes=1))
    assert store.view(gone, origin="http://labels.example").status == 404


def test_the_rule_that_deletes_old_objects_is_known(bucket_bench: Bench) -> None:
    assert bucket_bench.store.retention(bucket_bench.uri("")) is None
    bucket_bench.rule(30, below="images/")
    store = bucket_bench.store
    assert store.retention(bucket_bench.uri("")) == timedelta(days=30)
    assert store.retention(bucket_bench.uri("images/a")) == timedelta(days=30)
    assert store.retention(bucket_bench.uri("other/a")) is None
