"""The loop and a real MLflow server over SQLite, which is down for a while: `make mlflow`."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from labelloop.demo.process import free_port
from tests.unit.test_compare import candidate, labels
from tests.world import ACCURACY, HEAD, LOW, World

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".mlflow" / "loop"


class Mlflow:
    """`mlflow server`, and its API."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (FOLDER / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(ROOT / ".mlflow" / "bin" / "mlflow", "server", "--host", "127.0.0.1"),
                    *("--port", str(self.port), "--workers", "1"),
                    *("--backend-store-uri", f"sqlite:///{FOLDER / 'mlflow.db'}"),
                    *("--artifacts-destination", str(FOLDER / "artifacts")),
                ],
                env={
                    **os.environ,
                    "PATH": f"{ROOT / '.mlflow' / 'bin'}:{os.environ['PATH']}",
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "PYTHONPATH": "",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + 240
        while True:
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, "MLflow didn't start"
            assert self._process.poll() is None, "MLflow ended"
            time.sleep(0.5)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    def ask(self, path: str, told: Any = None, **more: Any) -> Any:
        url = f"{self.url}/api/2.0/mlflow/{path}"
        answer = (
            httpx.get(url, params=more, timeout=120)
            if told is None
            else httpx.post(url, json=told, timeout=120)
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runs(self) -> dict[str, Any]:
        found = self.ask("experiments/get-by-name", experiment_name="labelloop")
        asked = {"experiment_ids": [found["experiment"]["experiment_id"]]}
        return {
            run["info"]["run_name"]: run for run in self.ask("runs/search", asked).get("runs", [])
        }


def main() -> None:
    """Play it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    mlflow = Mlflow()
    queues = ACCURACY.replace("5", "120") + LOW
    world = World(FOLDER, queues, head=f'{HEAD}\n[mlflow]\nurl = "{mlflow.url}"\n')
    try:
        play(mlflow, world)
    finally:
        world.loop.close()
        mlflow.stop()
    print("mlflow: datasets, accuracies, reports and an alias are there, once each")


def play(mlflow: Mlflow, world: World) -> None:
    """MLflow is down while the loop runs, and hears of all of it later."""
    world.traffic(300, predicted_class="cat", confidence="0.95")
    world.loop.run()
    for i, remote in enumerate(world.annotator.task_ids(world.project_ref("accuracy"))):
        world.annotator.answer(remote, "dog" if i % 3 == 0 else "cat", by="ana")
    ran = world.loop.run()
    assert not ran.failures
    assert ran.notified is not None
    assert ran.notified.n_waiting > 0, "MLflow is down"
    print(f"MLflow is down: {ran.notified.n_waiting} events wait")

    mlflow.start()
    world.clock.pass_(hours=1)
    ran = world.loop.run()
    assert ran.notified is not None
    assert (ran.notified.n_waiting, ran.notified.n_dead) == (0, 0), ran.notified
    runs = mlflow.runs()
    print(f"MLflow is up: {sorted(runs)}")
    training = runs["pets: training v1"]
    given = training["inputs"]["dataset_inputs"][0]["dataset"]
    version = world.loop.dataset("training")
    assert given["digest"] == version.content_hash[:36]
    model = next(run for name, run in runs.items() if name.startswith("pets: model"))
    metrics = {m["key"]: m["value"] for m in model["data"]["metrics"]}
    assert metrics["accuracy_low"] < 2 / 3 < metrics["accuracy_high"], metrics
    assert metrics["accuracy_labels"] == 120
    report = next((FOLDER / "artifacts").rglob("report.html"))
    assert b"<html" in report.read_bytes()

    # at least once: what MLflow has heard already changes nothing
    events = [e.id for e in world.loop.events() if e.event != "round.drawn"]
    for event in events:
        world.loop.notify_again(event)
    again = mlflow.runs()
    assert sorted(again) == sorted(runs)
    history = mlflow.ask(
        "metrics/get-history", run_id=model["info"]["run_id"], metric_key="accuracy"
    )
    assert len(history["metrics"]) == 1, history

    mlflow.ask("registered-models/create", {"name": "pets"})
    made = {
        "name": "pets",
        "source": model["info"]["artifact_uri"],
        "run_id": model["info"]["run_id"],
    }
    number = int(mlflow.ask("model-versions/create", made)["model_version"]["version"])
    better = candidate(FOLDER / "better.parquet", labels(world))
    passed = world.loop.compare(better, gate=True)
    assert "aliases" not in mlflow.ask("registered-models/get", name="pets")["registered_model"]
    assert world.loop.promote(passed, "pets", number)
    found = mlflow.ask("registered-models/alias", name="pets", alias="champion")
    tags = {t["key"]: t["value"] for t in found["model_version"]["tags"]}
    assert "PASS" in tags["labelloop.compare"]
    print(f"promoted: {tags['labelloop.compare']}")


if __name__ == "__main__":
    main()
