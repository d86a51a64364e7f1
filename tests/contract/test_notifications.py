"""What every Notifications does: in memory, and files over a real S3 server."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from labelloop.adapters.notifications.bucket import BucketNotifications
from labelloop.adapters.notifications.files import NotificationFiles
from labelloop.adapters.s3.parallel_requests import FEW
from labelloop.adapters.s3.store import S3Store
from labelloop.ports.notifications import Notifications
from labelloop.ports.store import StoredObject
from labelloop.testing import MemoryNotifications, MemoryStore
from labelloop.testing.notifications import UNREADABLE
from tests.conftest import ON_BUCKET
from tests.odd_keys import ODD_KEYS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS


@dataclass(frozen=True)
class Bench:
    """Notifications, and the store behind them: its folder `hidden/` isn't listed."""

    notifications: Notifications
    put: Callable[[str], None]
    name: Callable[..., None]
    listed: Callable[[], dict[str, StoredObject]]


def memory() -> Bench:
    store = MemoryStore(hidden_uri="s3://production/hidden")
    held = MemoryNotifications(store)

    def listed() -> dict[str, StoredObject]:
        return {o.sample_id: o for page in store.objects() for o in page}

    return Bench(held, lambda key: str(store.put(key)) and None, held.name, listed)


def files(home: Path, server: "SeaweedFS", s3: "S3Client", bucket: str) -> Bench:
    store = S3Store(f"s3://{bucket}", server.access, hidden_uri=f"s3://{bucket}/hidden")
    path = home / "events.jsonl"
    path.touch()

    def name(*keys: str) -> None:
        with path.open("a") as file:
            for key in keys:
                where = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key)}}
                record = {"eventName": "ObjectCreated:Put", "s3": where}
                said = "?" if key == UNREADABLE else json.dumps({"Records": [record]})
                file.write(said + "\n")

    def listed() -> dict[str, StoredObject]:
        return {o.sample_id: o for page in store.objects() for o in page}

    def put(key: str) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    return Bench(BucketNotifications(NotificationFiles(path, bucket), store), put, name, listed)


@pytest.fixture(params=["memory", pytest.param("files", marks=ON_BUCKET)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """One of them."""
    if request.param == "memory":
        return memory()
    asked = [request.getfixturevalue(name) for name in ("seaweedfs", "s3", "bucket")]
    return files(tmp_path, *asked)


def named(bench: Bench, position: str | None = None) -> dict[str, StoredObject]:
    return {o.sample_id: o for p in bench.notifications.since(position) for o in p.objects}


def test_objects_are_as_a_listing_shows_them(bench: Bench) -> None:
    keys = [*ODD_KEYS, *(f"more/{i}.png" for i in range(FEW))]
    for key in keys:
        bench.put(key)
    bench.name(*keys)
    listed = bench.listed()
    assert len(listed) >= len(set(keys)) - 1  # folder markers aren't listed
    assert named(bench) == listed


def test_what_is_gone_or_not_listed_is_left_out(bench: Bench) -> None:
    keys = ["a.png", "hidden/b.png", "folder/"]
    for key in keys:
        bench.put(key)
    bench.name("gone.png", *keys, "a.png")
    assert list(named(bench)) == ["a.png"]


def test_each_position_tells_what_follows(bench: Bench) -> None:
    for key in ("a", "b", "c"):
        bench.put(key)
    bench.name("a")
    first = bench.notifications.end()
    bench.name("b", UNREADABLE)
    assert list(named(bench)) == ["a", "b"]
    assert list(named(bench, first)) == ["b"]
    [page] = bench.notifications.since(first)
    assert page.n_unreadable == 1
    assert page.position == bench.notifications.end()
    bench.name("c")
    assert list(named(bench, page.position)) == ["c"]
