"""labelloop in Dagster: `dagster dev -f labelloop_assets.py`, with LABELLOOP_CONFIG set.

Two jobs run the steps. The training set is an external asset: labelloop releases it, a sensor reports
each version, and a check holds the accuracy of the traffic against what you require.
"""

import os
from typing import Any

import dagster as dg

from labelloop import pipeline

CONFIG = os.environ["LABELLOOP_CONFIG"]
REQUIRED = float(os.environ.get("LABELLOOP_GATE", "0.8"))
RETRY = dg.RetryPolicy(max_retries=3, delay=60)
AFTER = {"after": dg.In(dg.Nothing)}
"""A step takes nothing from the one before it; it only comes later."""

training_set = dg.AssetSpec("training_set", description="The newest training set of labelloop.")


@dg.op(retry_policy=RETRY)
def index() -> dict[str, Any]:
    """Add new predictions to the log."""
    return pipeline.index(CONFIG)


@dg.op(ins=AFTER, retry_policy=RETRY)
def collect() -> dict[str, Any]:
    """Fetch people's answers."""
    return pipeline.collect(CONFIG)


@dg.op(ins=AFTER, retry_policy=RETRY)
def select() -> dict[str, Any]:
    """Draw a round if one is due."""
    return pipeline.select(CONFIG)


@dg.op(ins=AFTER, retry_policy=RETRY)
def send() -> dict[str, Any]:
    """Send what was drawn to people."""
    return pipeline.send(CONFIG)


@dg.op(ins=AFTER, retry_policy=RETRY)
def measure() -> dict[str, Any]:
    """Estimate the accuracies, and keep them."""
    return pipeline.measure(CONFIG)


@dg.op(ins=AFTER, retry_policy=RETRY)
def build() -> dict[str, Any]:
    """Release new dataset versions where their content changed."""
    return pipeline.build(CONFIG)


@dg.job
def labelloop_run() -> None:
    """All six steps; rounds are drawn when they are due."""
    collected = collect(after=index())
    sent = send(after=select(after=collected))
    build(after=measure(after=sent))


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def training_set_released(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Report a new version of the training set, whoever released it. The ledger is only read."""
    newest = pipeline.newest(CONFIG)
    if not newest or str(newest["version"]) == context.cursor:
        return dg.SkipReason("no new training set")
    metadata = {name: newest[name] for name in ("version", "content_hash", "uri", "n_human")}
    return dg.SensorResult(
        asset_events=[
            dg.AssetMaterialization(
                "training_set", metadata=metadata | interval(newest["accuracy"])
            )
        ],
        cursor=str(newest["version"]),
    )


@dg.asset_check(asset="training_set")
def accuracy_is_enough() -> dg.AssetCheckResult:
    """Whether the accuracy of the last seven days' traffic is surely above what is required."""
    newest = pipeline.newest(CONFIG)
    accuracy = newest.get("accuracy", {})
    return dg.AssetCheckResult(
        passed=accuracy.get("low", 0.0) > REQUIRED,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"required": REQUIRED} | interval(accuracy),
    )


def interval(accuracy: dict[str, Any]) -> dict[str, Any]:
    """An accuracy as metadata: with its interval, or why there is none."""
    if "undefined" in accuracy:
        return {"no accuracy": accuracy["undefined"]}
    return {
        name: accuracy[name] for name in ("value", "low", "high", "level", "n") if name in accuracy
    }


defs = dg.Definitions(
    assets=[training_set],
    asset_checks=[accuracy_is_enough],
    jobs=[
        labelloop_run,
        dg.define_asset_job("labelloop_check", dg.AssetSelection.all_asset_checks()),
    ],
    schedules=[
        dg.ScheduleDefinition(job=labelloop_run, cron_schedule="*/15 * * * *"),
        dg.ScheduleDefinition(job_name="labelloop_check", cron_schedule="@daily"),
    ],
    sensors=[training_set_released],
)
