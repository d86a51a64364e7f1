"""Logs of serving platforms: golden files made after the fields that the platforms document."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from labelloop.core.sample import RejectReason
from labelloop.errors import ConfigError
from labelloop.ports.log import StoredPrediction
from tests.unit.conftest import MakeWorld
from tests.unit.test_index_table import ALL, WHOLE_LINE
from tests.world import HEAD, World

GOLDEN = Path(__file__).parent / "fixtures" / "serving_logs"
ID = "4f6e-0d3a-4c55-9e11-7a2b6c8d9e0f"
MAILS = {
    f"0b1c{ID}": ("billing", 0.95, "2026-03-02T10:01:07", "CH", "Hi, I was charged twice."),
    f"1f77{ID}": ("outage", 0.81, "2026-03-02T10:14:52", "DE", "Nothing loads since noon."),
    f"5c02{ID}": ("other", 0.44, "2026-03-02T10:59:59", "CH", "Do you sell gift cards?"),
    f"9a41{ID}": (
        "billing",
        0.7,
        "2026-03-02T11:00:03",
        "FR",
        "My invoice is in the wrong currency.",
    ),
}
"""What every golden log says of the same four mails."""

COLUMNS = """
attributes = ["$.request.country"]
[source.columns]
predicted_class = "$.response.predictions[0].label"
confidence = "$.response.predictions[0].score"
text = "$.request.mail"
"""


def logged(make_world: MakeWorld, kind: str, uri: Path | str, columns: str = COLUMNS) -> World:
    head = HEAD.replace('["cat", "dog"]', '["billing", "outage", "other"]')
    source = f'\n[input]\nkind = "text"\n[source]\nkind = "{kind}"\nuri = "{uri}"\n{columns}'
    return make_world(head=head + source)


def said(world: World) -> dict[str, tuple[str, float | None, str, str, str | None]]:
    return {
        name: (
            p.predicted_class,
            p.confidence,
            f"{p.predicted_at:%Y-%m-%dT%H:%M:%S}",
            p.attributes["country"],
            p.text,
        )
        for name, p in held(world).items()
    }


def held(world: World) -> dict[str, StoredPrediction]:
    names = [c.sample_id for c in world.log.rows(ALL, [], [WHOLE_LINE])]
    return {name: world.log.of_sample(name)[0] for name in sorted(names)}


def rejected(world: World) -> dict[str, tuple[RejectReason, str]]:
    return {r.uri.rpartition("/")[2]: (r.reason, r.value) for r in world.loop.rejected()}


# --- SageMaker ------------------------------------------------------------------------------------


def test_data_capture_of_sagemaker_is_read(make_world: MakeWorld) -> None:
    world = logged(make_world, "sagemaker", GOLDEN / "sagemaker")
    found = world.loop.index()
    assert (found.n_new, found.n_files, found.n_set_aside) == (4, 2, 3)
    assert said(world) == MAILS
    assert {p.model for p in held(world).values()} == {"AllTraffic"}
    file = "00-03-418-77be01.jsonl"
    assert rejected(world) == {
        f"{file}#2": (RejectReason.BAD_ROW, "response is no JSON: <html>502</html>"),
        f"{file}#3": (RejectReason.NO_CLASS, "nothing at $.response.predictions[0].label"),
        f"{file}#4": (RejectReason.BAD_ROW, "no endpointOutput was captured"),
    }
    assert world.loop.index().n_files == 0


def test_the_inference_id_that_a_caller_gave_can_be_the_identity(make_world: MakeWorld) -> None:
    columns = COLUMNS + 'sample_id = "inference_id"\nmodel = "$.response.model"\n'
    world = logged(make_world, "sagemaker", GOLDEN / "sagemaker", columns)
    assert world.loop.index().n_new == 1
    assert {name: p.model for name, p in held(world).items()} == {"order-17": "sorter-3"}
    reasons = [reason for reason, _ in rejected(world).values()]
    assert reasons.count(RejectReason.NO_SAMPLE_ID) == 4  # none is lost: each is told


def test_csv_bodies_are_lists_of_lines(make_world: MakeWorld) -> None:
    columns = """
class_order = ["billing", "outage", "other"]
[source.columns]
probabilities = "$.response[0]"
text = "$.request[0][3]"
"""
    world = logged(make_world, "sagemaker", GOLDEN / "sagemaker_csv", columns)
    assert world.loop.index().n_new == 2
    found = [(p.predicted_class, p.confidence, p.text) for p in held(world).values()]
    assert found == [("billing", 0.9, "0.2"), ("outage", 0.7, "1.3")]


def test_the_capture_of_batch_transform_is_told_from_that_of_an_endpoint(
    make_world: MakeWorld,
) -> None:
    world = logged(make_world, "sagemaker", GOLDEN / "sagemaker_batch")
    assert world.loop.index().n_set_aside == 2
    assert {reason for reason, _ in rejected(world).values()} == {RejectReason.BAD_ROW}
    assert "batch transform" in next(iter(rejected(world).values()))[1]


# --- Databricks -----------------------------------------------------------------------------------


def inference_table(folder: Path, name: str) -> str:
    """A Delta table of the rows of a golden file, with the types that Databricks documents."""
    rows = [json.loads(line) for line in (GOLDEN / "databricks" / name).read_text().splitlines()]
    for row in rows:
        for key in {"date", "request_date"} & row.keys():
            row[key] = date.fromisoformat(row[key])
        if "request_time" in row:
            row["request_time"] = datetime.fromisoformat(row["request_time"]).astimezone(UTC)
    kinds = {
        "status_code": pa.int32(),
        "client_request_id": pa.string(),
        "logging_error_codes": pa.list_(pa.string()),
        "request_metadata": pa.map_(pa.string(), pa.string()),
        "request_time": pa.timestamp("us", tz="UTC"),
    }
    for row in rows:
        if "request_metadata" in row:
            row["request_metadata"] = list(row["request_metadata"].items())
    columns = {n: pa.array([r[n] for r in rows], kinds.get(n)) for n in rows[0]}
    write_deltalake(str(folder), pa.table(columns))
    return str(folder)


@pytest.mark.parametrize(
    ("table", "rate"), [("model_serving.jsonl", 0.5), ("ai_gateway.jsonl", None)]
)
def test_inference_tables_of_databricks_are_read(
    tmp_path: Path, make_world: MakeWorld, table: str, rate: float | None
) -> None:
    world = logged(make_world, "databricks", inference_table(tmp_path / "table", table))
    found = world.loop.index()
    assert found.n_new == 4
    assert said(world) == MAILS
    rows = world.log.rows(ALL, [], [WHOLE_LINE])
    assert {(c.model, c.sampling_rate) for c in rows} == {("3", rate)}
    assert world.loop.index().n_rows == 0


def test_a_request_that_databricks_refused_is_no_prediction(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    uri = inference_table(tmp_path / "table", "model_serving.jsonl")
    world = logged(make_world, "databricks", uri)
    world.loop.index()
    (refused,) = rejected(world).values()
    assert refused == (RejectReason.FAILED, "status code 429")


# --- settings -------------------------------------------------------------------------------------


def test_the_settings_must_say_where_the_class_lies(make_world: MakeWorld) -> None:
    with pytest.raises(ConfigError, match="needs the place of the class"):
        logged(make_world, "sagemaker", "s3://capture", "")
