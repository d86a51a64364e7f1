"""The loop as jobs of a real Dagster, on a folder and the labelling page: `make dagster`."""

import importlib.util
import json
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from labelloop.adapters.system_clock import SystemClock
from labelloop.demo.page_people import PagePeople

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".dagster" / "loop"
PNG = b"\x89PNG\r\n\x1a\n"
SETTINGS = """
[project]
name = "food"
classes = ["bread", "soup"]

[store]
uri = "inputs"

[labelling_page]

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 80

[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.7"
budget = 20
"""


def truth_of(i: int) -> str:
    return "bread" if i % 2 else "soup"


class Eyes:
    """They read the class off the input."""

    def judge(self, picture: bytes, choices: Sequence[str], person: object) -> str:  # noqa: ARG002  as `Eyes`
        return truth_of(int(picture.removeprefix(PNG).split()[0]))


def main() -> None:
    """Play it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "inputs").mkdir(parents=True)
    (FOLDER / "home").mkdir()
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for i in range(300):
        picture = FOLDER / "inputs" / f"{i}.png"
        picture.write_bytes(PNG + b"%d pixels" % i)
        said = {
            "predicted_class": truth_of(i) if i % 10 < 7 else truth_of(i + 1),
            "confidence": 0.6 if i % 7 == 0 else 0.9,
            "timestamp": at,
        }
        picture.with_name(f"{i}.png.json").write_text(json.dumps(said))
    config = FOLDER / "labelloop.toml"
    config.write_text(SETTINGS)
    os.environ["LABELLOOP_CONFIG"] = str(config)
    file = ROOT / "deploy" / "dagster" / "labelloop_assets.py"
    spec = importlib.util.spec_from_file_location("labelloop_assets", file)
    assert spec is not None
    assert spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with dg.DagsterInstance.local_temp(str(FOLDER / "home")) as instance:
        play(example, instance, config)
    print("dagster: the loop went round, one version was reported, and the check has its interval")


def play(example: Any, instance: dg.DagsterInstance, config: Path) -> None:
    """Two runs, with people between; then the sensor and the check."""
    job = example.defs.resolve_job_def("labelloop_run")
    assert job.execute_in_process(instance=instance).success
    people = PagePeople(config, SystemClock(), Eyes())
    people.join()
    n = people.work(lambda *_: None)
    assert n == 100, n
    assert job.execute_in_process(instance=instance).success

    sensor, cursor = example.training_set_released, None
    for expected in (1, 0):
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            told = sensor.evaluate_tick(context)
        events = list(told.asset_events)
        assert len(events) == expected, told
        cursor = told.cursor or cursor
        for event in events:
            instance.report_runless_asset_event(event)
    held = instance.get_latest_materialization_event(dg.AssetKey("training_set"))
    assert held is not None
    assert held.asset_materialization is not None
    metadata = held.asset_materialization.metadata
    assert metadata["version"].value == 1
    low, high = float(metadata["low"].value), float(metadata["high"].value)
    assert low < 0.7 < high

    check = example.defs.resolve_job_def("labelloop_check").execute_in_process(instance=instance)
    (found,) = check.get_asset_check_evaluations()
    assert not found.passed
    assert found.metadata["low"].value == low
    print(
        f"         training_set v1; accuracy {low:.3f} to {high:.3f}, 0.8 is required: not passed"
    )


if __name__ == "__main__":
    main()
