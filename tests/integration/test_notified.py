"""Webhooks of a real SeaweedFS take the place of listings."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import boto3
import uvicorn
from botocore.config import Config

from labelloop.demo.servers import SeaweedFS
from labelloop.loop import Loop, open_loop
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.settings.file import load
from labelloop.testing import MemoryAnnotator, MemoryLog
from labelloop.web.app import application
from labelloop.web.site import Site
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


@contextmanager
def answering(config: Path, at: socket.socket) -> Iterator[None]:
    """The service at a socket, without its worker."""
    site = Site(lambda: open_loop(config), tell=lambda _: None, journal=Journal())
    app = application(site, worker_is_alive=lambda: True)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, args=([at],))
    thread.start()
    with closing(site):
        yield
        server.should_exit = True
        thread.join()


def test_new_objects_and_new_tags_are_heard_of(tmp_path: Path) -> None:
    at = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{at.getsockname()[1]}/webhooks/s3"
    with SeaweedFS(tmp_path / "s3", notify=url) as server, ExitStack() as stack:
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
        stack.enter_context(answering(tmp_path / "labelloop.toml", at))
        loop = Loop(
            Project(
                load(tmp_path / "labelloop.toml", {}), log=MemoryLog(), annotator=MemoryAnnotator()
            )
        )
        s3.put_object(Bucket="production", Key="first.png", Body=b"1", Tagging=TAGS)
        wait_for(tmp_path / "events", "first.png")
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
        wait_for(tmp_path / "events", "last.png")
        found = loop.index()
        assert (found.n_listed, found.n_unreadable) == (0, 0)
        assert (found.n_new, found.n_feedback) == (len(keys) + 1, 1)
        assert loop.index().n_notified == 0
        assert loop.index(list_store=True).n_new == 0
        loop.close()
        s3.close()


def wait_for(folder: Path, key: str) -> None:
    """Return once a key was named; its events come one after the other."""
    for _ in range(4000):
        if any(key in path.read_text() for path in folder.glob("*.jsonl")):
            return
        time.sleep(0.05)
    raise AssertionError(f"{key} was never named")
