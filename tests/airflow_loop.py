"""The loop by a real Airflow 3 on real servers, with tasks killed in mid-run: `make airflow`.

`airflow standalone` (scheduler, DAG processor, triggerer, API server) runs the example DAGs on a
bucket in SeaweedFS and the labelling page. Two tasks kill themselves at the worst moments: `send` when
its tasks are there and the ledger doesn't know, `build` when its version is released and Airflow
doesn't know. Nothing may happen twice.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx

from labelloop import pipeline
from labelloop.adapters.system_clock import SystemClock
from labelloop.demo.page_people import PagePeople
from labelloop.demo.process import free_port
from labelloop.demo.servers import SeaweedFS
from labelloop.loop import open_loop

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".airflow" / "loop"
PNG = b"\x89PNG\r\n\x1a\n"
N, BUDGET = 400, 80
SETTINGS = """
[project]
name = "food"
classes = ["bread", "soup"]

[store]
uri = "s3://production"
endpoint_url = "{endpoint}"
access_key = "{access_key}"
secret_key = "{secret_key}"

[labelling_page]

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = {budget}
draw = "uniform"

[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.7"
budget = 30

[[notify]]
url = "{airflow}"
form = "airflow"
on = ["dataset.built"]
secret = "admin:{password}"
"""
KILLS = """

import os, signal
from labelloop.adapters.desk.annotator import DeskAnnotator


def _dies_once(own, note):
    def dying(*args, **kwargs):
        result = own(*args, **kwargs)
        try:
            os.close(os.open(os.path.join({folder!r}, note), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return result
        os.kill(os.getpid(), signal.SIGKILL)

    return dying


DeskAnnotator.import_tasks = _dies_once(DeskAnnotator.import_tasks, "killed-in-send")
pipeline.build = _dies_once(pipeline.build, "killed-in-build")
"""
TRAINER = """
import csv, sys
_, training, judges, target, version = sys.argv
rows = list(csv.DictReader(open(judges)))
truth = dict(line.split() for line in open({truth!r}))
with open(target, "w") as out:
    print("sample_id,predicted_class", file=out)
    for row in rows:
        print(row["sample_id"], truth[row["sample_id"]], sep=",", file=out)
"""


def truth_of(i: int) -> str:
    return "bread" if i % 2 else "soup"


class Eyes:
    """They read the class off the input."""

    def judge(self, picture: bytes, choices: Sequence[str], person: object) -> str:  # noqa: ARG002  as `Eyes`
        return truth_of(int(picture.removeprefix(PNG).split()[0]))


class Airflow:
    """`airflow standalone`, and its API."""

    def __init__(self, home: Path, dags: Path, port: int, password: str, **more: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        home.mkdir(parents=True)
        passwords = home / "passwords.json"
        passwords.write_text(json.dumps({"admin": password}))
        settings = {
            "CORE__DAGS_FOLDER": dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__PARALLELISM": 3,
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__HOST": "127.0.0.1",
            "API__PORT": port,
            "API__WORKERS": 1,
            "DAG_PROCESSOR__REFRESH_INTERVAL": 15,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": 5,
            "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
        }
        environment = {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
        programs = Path(sys.executable).parent
        self._log = (home.parent / "airflow.log").open("w")
        self._process = subprocess.Popen(
            [programs / "airflow", "standalone"],
            env={
                **os.environ,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "AIRFLOW_HOME": str(home),
                **environment,
                **more,
            },
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._client = httpx.Client(base_url=self.url, timeout=60)
        self._password = password

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._client.close()
        self._log.close()

    def log_in(self) -> bool:
        """Whether the API is up; from then on it is asked as admin."""
        assert self._process.poll() is None, "airflow standalone ended"
        try:
            given = self._client.post(
                "/auth/token", json={"username": "admin", "password": self._password}
            )
        except httpx.TransportError:
            return False
        if given.status_code != 201:
            return False
        self._client.headers["authorization"] = f"Bearer {given.json()['access_token']}"
        return True

    def get(self, path: str, **more: Any) -> dict[str, Any]:
        found = self._client.get(f"/api/v2/{path}", params=more)
        assert found.status_code in {200, 404}, found.text
        return found.json() if found.status_code == 200 else {}

    def unpause(self, dag: str) -> None:
        done = self._client.patch(f"/api/v2/dags/{dag}", json={"is_paused": False})
        assert done.status_code == 200, done.text

    def trigger(self, dag: str) -> str:
        done = self._client.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None})
        assert done.status_code == 200, done.text
        return done.json()["dag_run_id"]

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return self.get(f"dags/{dag}/dagRuns").get("dag_runs", [])

    def tasks(self, dag: str, run: str) -> dict[str, tuple[str | None, int]]:
        """Each task's state and its number of tries."""
        found = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances").get("task_instances", [])
        return {t["task_id"]: (t["state"], t["try_number"]) for t in found}

    def asset_events(self) -> list[dict[str, Any]]:
        assets = self.get("assets", uri_pattern="labelloop://food/training").get("assets", [])
        if not assets:
            return []
        return self.get("assets/events", asset_id=assets[0]["id"])["asset_events"]


def until(what: str, holds: Callable[[], Any], *, within_s: float = 300) -> Any:
    """Wait until something holds, and say so."""
    began = time.monotonic()
    while not (found := holds()):
        assert time.monotonic() - began < within_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(2)
    print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)
    return found


def ended(airflow: Airflow, dag: str, run: str) -> str | None:
    """The state of a run once it has ended."""
    state = {r["dag_run_id"]: r["state"] for r in airflow.runs(dag)}.get(run)
    return state if state in {"success", "failed"} else None


def traffic(store: SeaweedFS) -> None:
    """Predictions of the last hour; the model is right on seven of ten."""
    client = boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="production")
    at = datetime.now(UTC) - timedelta(hours=1)
    with (FOLDER / "truth").open("w") as kept:
        for i in range(N):
            said = truth_of(i) if i % 10 < 7 else truth_of(i + 1)
            confidence = 0.6 if i % 7 == 0 else 0.9
            client.put_object(
                Bucket="production",
                Key=f"{i:04}.png",
                Body=PNG + b"%d some pixels" % i,
                Tagging=f"predicted_class={said}&confidence={confidence}&timestamp="
                f"{at.isoformat().replace('+00:00', 'Z')}&model=v1",
            )
            kept.write(f"{i:04}.png {truth_of(i)}\n")


def sent() -> tuple[int, int]:
    """How many draws the ledger has, and how many items people find on the page."""
    with open_loop(FOLDER / "labelloop.toml") as loop:
        desk = loop.project.desk
        assert desk is not None
        drawn = sum(sum(q.by_state.values()) for q in loop.status().queues)
        return drawn, sum(q.n_open for q in desk.queues("ana@example.com"))


def main() -> None:
    """Play it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = FOLDER / "labelloop.toml"
    port, password = free_port(), secrets.token_hex(8)
    store = SeaweedFS(FOLDER / "bucket")
    airflow: Airflow | None = None
    try:
        traffic(store)
        config.write_text(
            SETTINGS.format(
                endpoint=store.endpoint_url,
                access_key=store.access_key,
                secret_key=store.secret_key,
                budget=BUDGET,
                airflow=f"http://127.0.0.1:{port}",
                password=password,
            )
        )
        trainer = FOLDER / "train.py"
        trainer.write_text(TRAINER.format(truth=str(FOLDER / "truth")))
        dags = FOLDER / "dags"
        dags.mkdir()
        example = (ROOT / "deploy" / "airflow" / "labelloop_dags.py").read_text("utf-8")
        (dags / "labelloop_dags.py").write_text(
            example.replace("\nlabelloop_collect()\n", KILLS.format(folder=str(FOLDER)))
            + "\nlabelloop_collect()\n"
        )
        airflow = Airflow(
            *(FOLDER / "home", dags, port, password),
            LABELLOOP_CONFIG=str(config),
            LABELLOOP_TRAIN=f"{sys.executable} {trainer}",
            LABELLOOP_GATE="0.5",
            LABELLOOP_RETRY_S="5",
            LABELLOOP_POKE_S="2",
        )
        play(airflow, config)
    finally:
        if airflow is not None:
            airflow.close()
        store.stop()
    print("airflow: the loop went round, two tasks were killed, and nothing happened twice")


def play(airflow: Airflow, config: Path) -> None:
    """One round, from traffic to a candidate that is better."""
    until("Airflow is up", airflow.log_in, within_s=400)
    until("it knows three DAGs", lambda: len(airflow.get("dags").get("dags", ())) == 3)
    assert airflow.get("importErrors")["total_entries"] == 0
    airflow.unpause("labelloop_retrain")
    airflow.unpause("labelloop_collect")
    first = until("the schedule began a run", lambda: airflow.runs("labelloop_collect"))[0]
    state = until(
        "index and collect", lambda: ended(airflow, "labelloop_collect", first["dag_run_id"])
    )
    assert state == "success"

    airflow.unpause("labelloop_round")
    run = until("the daily schedule began a round", lambda: airflow.runs("labelloop_round"))[0][
        "dag_run_id"
    ]
    until(
        "the sensor waits in the triggerer",
        lambda: airflow.tasks("labelloop_round", run).get("answered", ("", 0))[0] == "deferred",
        within_s=600,
    )
    assert (FOLDER / "killed-in-send").exists()
    assert airflow.tasks("labelloop_round", run)["send"] == ("success", 2)
    people = PagePeople(config, SystemClock(), Eyes())
    people.join()
    drawn, items = sent()
    assert drawn == items > BUDGET, f"{drawn} draws, {items} items"
    print(f"         {drawn} samples were drawn, and {items} lie on the page: none twice")

    n = people.work(lambda *_: None)
    assert n == items
    airflow.trigger("labelloop_collect")
    state = until("measured, built", lambda: ended(airflow, "labelloop_round", run), within_s=600)
    tasks = airflow.tasks("labelloop_round", run)
    assert state == "success", tasks
    assert (FOLDER / "killed-in-build").exists()
    assert tasks["build"] == ("success", 2), tasks
    versions = pipeline.newest(config)
    assert versions["version"] == 1
    told = [e["extra"] for e in airflow.asset_events() if "version" in e["extra"]]
    assert len(told) == 1, told
    assert told[0]["content_hash"] == versions["content_hash"]
    low, high = told[0]["accuracy"]["low"], told[0]["accuracy"]["high"]
    assert low < 0.7 < high, (low, high)
    print(f"         asset event: v1, accuracy {low:.3f} to {high:.3f}")

    trained = until("the asset began the retraining", lambda: airflow.runs("labelloop_retrain"))[0]
    state = until(
        "trained and compared",
        lambda: ended(airflow, "labelloop_retrain", trained["dag_run_id"]),
        within_s=600,
    )
    tasks = airflow.tasks("labelloop_retrain", trained["dag_run_id"])
    assert (state, tasks["compare"][0]) == ("success", "success"), tasks

    airflow.trigger("labelloop_collect")

    def reported() -> list[dict[str, Any]]:
        return [e for e in airflow.asset_events() if e["extra"].get("event") == "dataset.built"]

    heard = until("the outbox reported the release by REST", reported)
    assert len(heard) == 1
    assert heard[0]["extra"]["data"]["version"] == 1


if __name__ == "__main__":
    main()
