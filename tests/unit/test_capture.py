"""The queue of captured predictions: it never blocks, loses nothing in silence, and survives a fork."""

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from labelloop_capture import AsgiCapture, Capture, Prediction, WsgiCapture
from tests.faults.stub import Asked, Reply, Stub

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "r"}


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.stop()


def capturing(stub: Stub, folder: Path, **settings: Any) -> Capture:
    return Capture("s3://b", spool=folder, endpoint_url=stub.url, **KEYS, **settings)


def stored(stub: Stub) -> list[Asked]:
    return [asked for asked in stub.asked if asked.method == "PUT"]


def test_what_a_dead_store_refused_is_sent_by_the_next_process(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda _: Reply(503, b"")
    first = capturing(stub, tmp_path)
    ids = [first.log(bytes([i]), "cat") for i in range(5)]
    first.close(timeout_s=0.1)
    assert first.counts()["spooled"] == 5
    stub.asked.clear()
    stub.answer = lambda _: Reply(200, b"")
    second = capturing(stub, tmp_path)
    ids.append(second.log(b"x", "dog"))
    assert second.flush(10)
    second.close()
    assert {a.path for a in stored(stub)} == {
        f"/b/{i}" for i in ids
    }  # one in flight may come twice
    assert {a.body for a in stored(stub)} == {*(bytes([i]) for i in range(5)), b"x"}


def test_a_full_queue_and_a_full_spool_drop_and_count(stub: Stub, tmp_path: Path) -> None:
    held = threading.Event()
    stub.answer = lambda _: (held.wait(20), Reply(503, b""))[1]
    capture = capturing(stub, tmp_path, queue_items=10, spool_bytes=400)
    began = time.monotonic()
    kept = [capture.log(b"x" * 100, "cat") for _ in range(500)]
    assert time.monotonic() - began < 5  # nobody waited for the store, which answers after 20 s
    held.set()
    capture.close(timeout_s=0.1)
    counts = capture.counts()
    assert kept.count(None) == counts["dropped: queue full"]
    assert sum(n for name, n in counts.items() if name.startswith("dropped")) + counts[
        "spooled"
    ] == len(kept)
    assert counts["spooled"] <= 2


def test_a_hook_redacts_before_anything_leaves(stub: Stub, tmp_path: Path) -> None:
    def redact(one: Prediction) -> Prediction | None:
        if one.body == b"drop":
            return None
        if one.body == b"fail":
            raise RuntimeError
        one.body = one.body.replace(b"secret", b"******")
        return one

    stub.answer = lambda _: Reply(503, b"")
    capture = capturing(stub, tmp_path, redact=redact)
    for body in (b"a secret", b"drop", b"fail"):
        capture.log(body, "cat")
    capture.close(timeout_s=0.1)
    counts = capture.counts()
    assert (counts["dropped: redacted"], counts["dropped: redact failed"]) == (1, 1)
    seen = [a.body for a in stub.asked] + [p.read_bytes() for p in tmp_path.rglob("*.item")]
    assert seen
    assert not any(b"secret" in each for each in seen)


def test_a_child_sends_what_is_its_own(stub: Stub, tmp_path: Path) -> None:
    capture = capturing(stub, tmp_path)
    assert capture.log(b"parent", "cat")
    child = os.fork()
    if child == 0:  # as gunicorn's workers do
        capture.log(b"child", "dog")
        os._exit(0 if capture.flush(10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert capture.flush(10)
    capture.close()
    assert sorted(a.body for a in stored(stub)) == [b"child", b"parent"]


def test_a_word_of_an_unknown_sample_waits_and_what_s3_refuses_goes(
    stub: Stub, tmp_path: Path
) -> None:
    def answer(asked: Asked) -> Reply:
        code = "NoSuchKey" if "none" in asked.path else "InvalidTag"
        status = 404 if "none" in asked.path else 400
        return Reply(status, f"<Error><Code>{code}</Code></Error>".encode(), "application/xml")

    stub.answer = answer
    capture = capturing(stub, tmp_path)
    capture.flag("none.png")
    capture.log(b"x", "a, b", sample_id="y.png")
    until = time.monotonic() + 30
    while "dropped: refused" not in capture.counts() and time.monotonic() < until:
        time.sleep(0.02)
    capture.close(timeout_s=0.1)
    assert capture.counts()["dropped: refused"] == 1
    (left,) = tmp_path.rglob("*.item")
    assert json.loads(left.read_bytes().splitlines()[0]) == {"word": ["none.png", True, None]}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"target": "b"}, "target 'b'"),
        ({"form": "xml"}, "form 'xml'"),
        ({"sampling_rate": 0}, "sampling_rate 0"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named):
        Capture(**{"target": "s3://b", "spool": tmp_path} | settings)


def test_an_asgi_application_is_captured_unchanged(stub: Stub, tmp_path: Path) -> None:
    async def predict(request: Request) -> JSONResponse:
        body = await request.body()
        return JSONResponse({"predicted_class": "cat", "confidence": len(body) / 10})

    capture = capturing(stub, tmp_path)
    app = AsgiCapture(Starlette(routes=[Route("/predict", predict, methods=["POST"])]), capture)
    client = TestClient(app)
    answer = client.post("/predict", content=b"image")
    assert answer.json() == {"predicted_class": "cat", "confidence": 0.5}
    assert client.get("/elsewhere").status_code == 404
    assert capture.flush(10)
    capture.close()
    (put,) = stored(stub)
    assert (put.path, put.body) == (f"/b/{answer.headers['x-sample-id']}", b"image")
    assert "predicted_class=cat" in put.headers["x-amz-tagging"]


def test_a_wsgi_application_is_captured_unchanged(stub: Stub, tmp_path: Path) -> None:
    def predict(environ: dict[str, Any], start: Any) -> list[bytes]:
        assert environ["wsgi.input"].read() == b"image"
        start("200 OK", [("content-type", "application/json")])
        return [b'{"predicted_class": ', b'"dog"}']

    capture = capturing(stub, tmp_path)
    said: dict[str, str] = {}
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/predict", "CONTENT_LENGTH": "5"}
    parts = WsgiCapture(predict, capture)(
        environ | {"wsgi.input": io.BytesIO(b"image")},
        lambda _status, headers, _exc_info: said.update(headers),
    )
    assert b"".join(parts) == b'{"predicted_class": "dog"}'
    assert capture.flush(10)
    capture.close()
    assert [a.path for a in stored(stub)] == [f"/b/{said['x-sample-id']}"]
