"""Webhooks of a real SeaweedFS take the place of listings."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.config import Config

from labelloop.adapters.notifications.listener import LARGEST, NotificationListener
from labelloop.demo.servers import SeaweedFS
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.testing import MemoryAnnotator, MemoryLog
from tests.odd_keys import ODD_KEYS

SETTINGS = """
[project]
name = "notified"
classes = ["cat", "dog"]
[store]
uri = "s3://production"
endpoint_url = "{url}"
access_key = "{access_key}"
secret_key = "{secret_key}"
notifications = "events"
[label_studio]
url = "http://127.0.0.1:1"
api_key = "none"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 4
"""
TAGS = "predicted_class=cat&confidence=0.9&timestamp=2026-03-02T10%3A00%3A00Z"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[NotificationListener]:
    """What takes the webhooks."""
    taking = NotificationListener(
        tmp_path / "events", host="127.0.0.1", port=0, now=lambda: datetime.now(UTC)
    )
    thread = threading.Thread(target=taking.serve_forever, args=(0.02,))
    thread.start()
    with taking:
        yield taking
        taking.shutdown()
        thread.join()


def test_new_objects_and_new_tags_are_heard_of(
    tmp_path: Path, listener: NotificationListener
) -> None:
    url = f"http://127.0.0.1:{listener.server_address[1]}/"
    with SeaweedFS(tmp_path / "s3", notify=url) as server:
        s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )
        s3.create_bucket(Bucket="production")
        (tmp_path / "labelloop.toml").write_text(
            SETTINGS.format(
                url=server.endpoint_url, access_key=server.access_key, secret_key=server.secret_key
            )
        )
        loop = Loop(
            Project(
                load(tmp_path / "labelloop.toml", {}), log=MemoryLog(), annotator=MemoryAnnotator()
            )
        )
        s3.put_object(Bucket="production", Key="first.png", Body=b"1", Tagging=TAGS)
        wait_for(listener, "first.png")
        assert loop.index().n_listed == 1
        keys = [key for key in ODD_KEYS if not key.endswith("/")]
        for key in keys:
            s3.put_object(Bucket="production", Key=key, Body=key.encode(), Tagging=TAGS)
        s3.put_object_tagging(
            Bucket="production",
            Key="first.png",
            Tagging={
                "TagSet": [
                    {"Key": "predicted_class", "Value": "cat"},
                    {"Key": "confidence", "Value": "0.9"},
                    {"Key": "timestamp", "Value": "2026-03-02T10:00:00Z"},
                    {"Key": "flagged", "Value": "true"},
                ]
            },
        )
        s3.put_object(Bucket="production", Key="last.png", Body=b"last", Tagging=TAGS)
        wait_for(listener, "last.png")
        found = loop.index()
        assert (found.n_listed, found.n_unreadable) == (0, 0)
        assert (found.n_new, found.n_feedback) == (len(keys) + 1, 1)
        assert loop.index().n_notified == 0
        assert loop.index(list_store=True).n_new == 0
        loop.close()
        s3.close()


def wait_for(listener: NotificationListener, key: str) -> None:
    """Return once a key was named; its events come one after the other."""
    for _ in range(4000):
        if any(key in path.read_text() for path in listener._taken._folder.iterdir()):
            return
        time.sleep(0.05)
    raise AssertionError(f"{key} was never named")


def test_what_is_answered_with_200_is_on_the_disk(listener: NotificationListener) -> None:
    url = f"http://127.0.0.1:{listener.server_address[1]}/"
    with httpx.Client(trust_env=False) as client:
        assert client.head(url).status_code == 200  # as MinIO looks for its target
        assert client.post(url, content=b'{\n "Records": []}').status_code == 200
        assert client.post(url, content=b"{").status_code == 400
        assert client.post(url, content=b" " * (LARGEST + 1)).status_code == 413
    [path] = listener._taken._folder.iterdir()
    assert path.read_text() == '{"Records":[]}\n'
    path.unlink()
    listener._taken._folder.rmdir()
    with httpx.Client(trust_env=False) as client:
        assert client.post(url, content=b"{}").status_code == 507
    assert listener.n_taken == 1
