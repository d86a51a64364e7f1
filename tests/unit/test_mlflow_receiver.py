"""What MLflow is told: a stand-in of its REST API. `make mlflow` tells a real server."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from labelloop.adapters.receivers.mlflow import MlflowReceiver
from labelloop.cli.main import group
from labelloop.core.notice import Notice
from labelloop.errors import ArgumentError, ReceiverError
from tests.in_a_thread import in_a_thread
from tests.unit.conftest import MakeWorld
from tests.unit.test_compare import candidate, labels
from tests.world import ACCURACY, HEAD, LOW, World

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def built(version: int = 3) -> Notice:
    data = {
        "dataset": "training", "version": version, "n_human": 12, "n_model": 3,
        "content_hash": "ab" * 32, "uri": "/srv/v0003",
    }  # fmt: skip
    return Notice(
        name="dataset.built", subject="dataset training", key="k", at=AT, id="evt_1", data=data
    )


def measured(value: float = 0.9) -> Notice:
    data = {
        "model": "it's v1", "value": value, "low": 0.85, "high": 0.93, "level": 0.95, "n": 176,
        "method": "GREG",
    }  # fmt: skip
    return Notice(
        name="accuracy.measured", subject="model v1", key="k", at=AT, id="evt_2", data=data
    )


class Server(ThreadingHTTPServer):
    """It keeps what it is told, as MLflow 3.17 does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.told: list[tuple[str, Any]] = []
        self.authorization: str | None = None
        self.fails = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        self.told.append((path, body))
        if self.fails:
            return 500, {"error_code": "INTERNAL_ERROR"}
        if path.startswith("experiments/get-by-name"):
            known = {"experiment": {"experiment_id": "1"}}
            return (200, known) if self.experiments else (404, {"error_code": "NOT_THERE"})
        if path == "experiments/create":
            self.experiments.append(body["name"])
            return 200, {"experiment_id": "1"}
        if path == "runs/search":
            key = body["filter"].split("'")[1]
            return 200, {"runs": [r for r in self.runs if key in str(r["tags"])][:1]}
        if path == "runs/create":
            run_id = f"r{len(self.runs)}"
            info = {"run_id": run_id, "artifact_uri": f"mlflow-artifacts:/1/{run_id}/artifacts"}
            self.runs.append({"info": info, "tags": body["tags"], "name": body["run_name"]})
            return 200, {"run": self.runs[-1]}
        return 200, {}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        path = self.path.removeprefix("/api/2.0/mlflow/")
        told = body.decode() if self.command == "PUT" else json.loads(body or b"null")
        status, answer = self.server.answer(path, told)
        self.server.authorization = self.headers["authorization"]
        held = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(held)))
        self.end_headers()
        self.wfile.write(held)

    do_GET = do_POST = do_PUT = _take  # noqa: N815  http.server names them so

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    there = Server()
    with in_a_thread(there):
        yield there


def receiver(server: Server, **more: Any) -> MlflowReceiver:
    settings = {"project": "food", "experiment": "labelloop", "alias": "champion", **more}
    return MlflowReceiver(server.url, **settings)


def test_a_dataset_version_is_the_input_of_a_run_of_its_own(server: Server) -> None:
    to = receiver(server, report=lambda: b"<p>report")
    to.deliver(built(), at=AT)
    to.deliver(built(), at=AT)
    assert [run["name"] for run in server.runs] == ["food: training v3"]
    inputs = [body for path, body in server.told if path == "runs/log-inputs"]
    assert inputs[0] == inputs[1]
    (given,) = inputs[0]["datasets"]
    assert given["dataset"]["digest"] == ("ab" * 32)[:36]
    assert json.loads(given["dataset"]["source"]) == {"uri": "/srv/v0003"}
    put = [body for path, body in server.told if path.endswith("/1/r0/artifacts/report.html")]
    assert put == ["<p>report"] * 2
    to.deliver(built(4), at=AT)
    assert len(server.runs) == 2


def test_a_model_version_keeps_one_run_with_the_history_of_its_accuracy(server: Server) -> None:
    to = receiver(server)
    to.deliver(measured(0.9), at=AT)
    to.deliver(measured(0.91), at=AT)
    assert [run["name"] for run in server.runs] == ["food: model it's v1"]
    batches = [body["metrics"] for path, body in server.told if path == "runs/log-batch"]
    first, second = ({m["key"]: m["value"] for m in batch} for batch in batches)
    assert first == {
        "accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.93, "accuracy_labels": 176,
    }  # fmt: skip
    assert second["accuracy"] == 0.91
    assert server.experiments == ["labelloop"], "it is made once"


@pytest.mark.parametrize(
    ("secret", "header"), [("ann:pw", "Basic YW5uOnB3"), ("tok", "Bearer tok"), (None, None)]
)
def test_it_logs_in_as_the_secret_says(
    server: Server, secret: str | None, header: str | None
) -> None:
    receiver(server, secret=secret).deliver(built(), at=AT)
    assert server.authorization == header


def test_a_server_that_refuses_says_what_to_check(server: Server) -> None:
    server.fails = True
    with pytest.raises(ReceiverError, match="answered 500 to experiments/get-by-name: INTERNAL"):
        receiver(server).deliver(built(), at=AT)


@pytest.fixture
def world(make_world: MakeWorld, server: Server) -> World:
    """120 labelled blind samples; the serving model says cat and is right on two of three."""
    world = make_world(
        ACCURACY.replace("5", "120") + LOW, head=f'{HEAD}\n[mlflow]\nurl = "{server.url}"\n'
    )
    world.traffic(300, predicted_class="cat", confidence="0.95")
    world.loop.run()
    for i, remote in enumerate(world.annotator.task_ids(world.project_ref("accuracy"))):
        world.annotator.answer(remote, "dog" if i % 3 == 0 else "cat", by="ana")
    return world


def test_the_loop_goes_on_while_mlflow_is_down_and_tells_it_later(
    world: World, server: Server
) -> None:
    server.fails = True
    ran = world.loop.run()
    assert not ran.failures
    assert ran.notified is not None
    assert ran.notified.n_waiting > 0
    assert {run["name"] for run in server.runs} == {"pets: training v1"}, "what was before"
    server.fails = False
    world.clock.pass_(hours=1)
    ran = world.loop.run()
    assert ran.notified is not None
    assert (ran.notified.n_waiting, ran.notified.n_dead) == (0, 0)
    assert {run["name"].rpartition(" ")[0] for run in server.runs} == {
        "pets: evaluation",
        "pets: model",
        "pets: training",
    }


def test_a_candidate_is_promoted_if_it_passes_and_only_by_promote(
    world: World, server: Server, tmp_path: Path
) -> None:
    world.loop.run()
    better = candidate(tmp_path / "better.parquet", labels(world))
    worse = candidate(tmp_path / "worse.parquet", dict.fromkeys(labels(world), "dog"))
    passed = world.loop.compare(better, gate=True)
    failed = world.loop.compare(worse, gate=True)
    assert not world.loop.promote(failed, "pets", 2)
    world.loop.run()
    aliased = [body for path, body in server.told if path == "registered-models/alias"]
    assert aliased == []
    assert world.loop.promote(passed, "pets", 3)
    aliased = [body for path, body in server.told if path == "registered-models/alias"]
    assert aliased == [{"name": "pets", "version": "3", "alias": "champion"}]
    with pytest.raises(ArgumentError, match="holds at every look"):
        world.loop.promote(world.loop.compare(better), "pets", 3)


def test_promote_is_for_a_gate_and_names_a_version() -> None:
    asked = ["compare", "c.csv", "--promote", "pets@3"]
    assert "--promote is for --gate" in CliRunner().invoke(group, asked).output
    for said in ("pets", "pets@²"):
        asked = ["compare", "c.csv", "--gate", "--promote", said]
        assert "write food@3" in CliRunner().invoke(group, asked).output
