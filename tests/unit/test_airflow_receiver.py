"""What Airflow 3 is asked; `make airflow` asks a real one."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from labelloop.adapters.receivers.airflow import AirflowReceiver
from labelloop.core.notice import Notice
from labelloop.errors import ReceiverError
from labelloop.settings.notify import NotifySettings
from tests.in_a_thread import in_a_thread

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATA = {"dataset": "training", "version": 3, "n_human": 12, "n_model": 3, "content_hash": "ab"}
BUILT = Notice(
    name="dataset.built", subject="dataset training", key="training 3", at=AT, id="evt_1", data=DATA
)


class Server(ThreadingHTTPServer):
    """As Airflow 3.3 answers; `heard` is what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, str, Any]] = []
        self.refuses = False
        self.uris = ["labelloop://food/training"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self, status: int, body: object) -> None:
        held = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(held)))
        self.end_headers()
        self.wfile.write(held)

    def do_GET(self) -> None:
        self.server.heard.append(("GET", self.path, self.headers["authorization"]))
        assets = [{"id": 7 + n, "uri": uri} for n, uri in enumerate(self.server.uris)]
        self._answer(200, {"assets": assets, "total_entries": len(assets)})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.heard.append(("POST", self.path, body))
        if self.server.refuses:
            self._answer(401, {"detail": "Invalid credentials"})
        elif self.path == "/auth/token":
            self._answer(201, {"access_token": "t0"})
        else:
            self._answer(200, {"id": 1})

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    there = Server()
    with in_a_thread(there):
        yield there


def test_a_release_becomes_an_event_of_the_asset_of_its_dataset(server: Server) -> None:
    AirflowReceiver(server.url, project="food", secret="ann:pass word").deliver(BUILT, at=AT)
    token, asked, told = server.heard
    assert token == ("POST", "/auth/token", {"username": "ann", "password": "pass word"})
    assert asked[1:] == (
        "/api/v2/assets?uri_pattern=labelloop%3A%2F%2Ffood%2Ftraining",
        "Bearer t0",
    )
    assert told[:2] == ("POST", "/api/v2/assets/events")
    assert told[2] == {"asset_id": 7, "extra": BUILT.body("food")}


def test_an_asset_that_no_dag_names_hears_of_nothing(server: Server) -> None:
    server.uris = ["labelloop://food/training-old"]
    AirflowReceiver(server.url, project="food", secret="a token").deliver(BUILT, at=AT)
    assert [method for method, *_ in server.heard] == ["GET"]


def test_a_wrong_password_says_what_the_secret_must_be(server: Server) -> None:
    server.refuses = True
    with pytest.raises(ReceiverError, match="answered 401 to POST /auth/token") as caught:
        AirflowReceiver(server.url, project="food", secret="ann:wrong").deliver(BUILT, at=AT)
    assert "USER:PASSWORD" in str(caught.value.remedy)
    assert "wrong" not in str(caught.value)


def test_airflow_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="needs a secret: USER:PASSWORD"):
        NotifySettings.model_validate(
            {"url": "http://127.0.0.1", "form": "airflow", "on": ["dataset.built"]}
        )
