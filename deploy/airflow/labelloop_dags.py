"""labelloop in Airflow 3: copy this file into the folder of your DAGs.

LABELLOOP_CONFIG names the labelloop.toml, and LABELLOOP_TRAIN a program that is called with four
arguments: the folder of the training set, a CSV file of samples, the file to write the candidate's
predictions for them to, and the number of the training set's version.
"""

import os
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from labelloop import pipeline
from labelloop.pipeline.airflow import AnswersSensor

CONFIG = os.environ["LABELLOOP_CONFIG"]
TRAIN = os.environ.get("LABELLOOP_TRAIN", "")
GATE = float(os.environ.get("LABELLOOP_GATE", "0.8"))
SHARE = 0.9
"""How much of a round must be answered before it is measured."""
TRAINING = Asset("labelloop_training", uri="labelloop://food/training")
"""labelloop://PROJECT/training: `[[notify]] form = "airflow"` reports its events under the same name."""
EVERY: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {
        "retries": 3,
        "retry_delay": timedelta(seconds=float(os.environ.get("LABELLOOP_RETRY_S", "60"))),
    },
}


@dag(schedule="*/15 * * * *", **EVERY)
def labelloop_collect() -> None:
    """Take in new predictions and new answers."""

    @task
    def index() -> dict[str, Any]:
        return pipeline.index(CONFIG)

    @task
    def collect() -> dict[str, Any]:
        return pipeline.collect(CONFIG)

    @task
    def notify() -> dict[str, Any] | None:
        return pipeline.notify(CONFIG)

    index() >> collect() >> notify()


@dag(schedule="@daily", **EVERY)
def labelloop_round() -> None:
    """Draw a round, wait for people, measure, and release datasets."""

    @task
    def select() -> dict[str, Any]:
        return pipeline.select(CONFIG)

    @task
    def send() -> dict[str, Any]:
        return pipeline.send(CONFIG)

    answered = AnswersSensor(
        task_id="answered",
        config=CONFIG,
        share=SHARE,
        poke_interval=float(os.environ.get("LABELLOOP_POKE_S", "60")),
        retries=0,
    )

    @task
    def measure() -> dict[str, Any]:
        try:
            return pipeline.measure(CONFIG, gate=GATE)
        except pipeline.GateFailed as exc:
            raise AirflowFailException(str(exc)) from exc

    # labels are as good whatever the accuracy is: the datasets are released either way
    @task(inlets=[TRAINING], outlets=[TRAINING], trigger_rule="all_done")
    def build(*, inlet_events: Any, outlet_events: Any) -> dict[str, Any]:
        found = pipeline.build(CONFIG)
        told = [event.extra.get("version") for event in inlet_events[TRAINING]]
        if not found or found["version"] in told:
            raise AirflowSkipException("no new training set")
        outlet_events[TRAINING].extra = {
            "version": found["version"],
            "content_hash": found["content_hash"],
            "uri": found["uri"],
            "accuracy": found["accuracy"],
        }
        return found

    select() >> send() >> answered >> measure() >> build()


@dag(schedule=[TRAINING], **EVERY)
def labelloop_retrain() -> None:
    """Train on the newest training set, and judge the candidate."""

    @task
    def train() -> dict[str, Any]:
        newest = pipeline.newest(CONFIG)
        folder = Path(CONFIG).parent / "candidates" / f"v{newest['version']}"
        folder.mkdir(parents=True, exist_ok=True)
        judges, predictions = folder / "judges.csv", folder / "predictions.csv"
        pipeline.write_judges(CONFIG, judges)
        more = [newest["uri"], str(judges), str(predictions), str(newest["version"])]
        subprocess.run([*shlex.split(TRAIN), *more], check=True)  # noqa: S603  your own program
        return {"version": newest["version"], "predictions": str(predictions)}

    @task
    def compare(candidate: dict[str, Any]) -> str:
        found = pipeline.compare(
            CONFIG, candidate["predictions"], trained_on=[("training", candidate["version"])]
        )
        if found["verdict"] == "FAIL":
            raise AirflowFailException("the candidate is no better than the model that serves")
        if found["verdict"] != "PASS":
            raise AirflowSkipException("not decided yet: run this task again when labels have come")
        return "deploy it"

    compare(train())


labelloop_collect()
labelloop_round()
labelloop_retrain()
