"""Logs of serving platforms: golden files made after the fields that the platforms document."""

import csv
import json
import os
import re
import shutil
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake

from labelloop.cli.main import group
from labelloop.core.sample import RejectReason
from labelloop.errors import ConfigError
from labelloop.ledger import waiting_rows
from labelloop.loop import Loop
from labelloop.ports.log import StoredPrediction
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.steps.index import table as index_table
from tests.unit.conftest import MakeWorld
from tests.unit.test_index_table import ALL, WHOLE_LINE
from tests.world import HEAD, Killed, World, kill_at_write

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


# --- KServe ---------------------------------------------------------------------------------------


def copied(golden: str, folder: Path, *, at: datetime) -> Path:
    """A golden log whose files were written at a moment: the time of what notes none."""
    shutil.copytree(GOLDEN / golden, folder)
    for path in folder.rglob("*.*"):
        os.utime(path, (at.timestamp(), at.timestamp()))
    return folder


def untimed(mails: Mapping[str, tuple[str, float | None, str, str, str | None]], at: str) -> object:
    return {name: (*said[:2], at, *said[3:]) for name, said in mails.items()}


@pytest.mark.parametrize("golden", ["kserve_json", "kserve_csv"])
def test_what_kserve_writes_to_blob_storage_is_read(
    tmp_path: Path, make_world: MakeWorld, golden: str
) -> None:
    folder = copied(golden, tmp_path / "log", at=datetime(2026, 3, 2, 11, 30, tzinfo=UTC))
    world = logged(make_world, "kserve", folder)
    assert world.loop.index().n_new == 4
    assert said(world) == untimed(MAILS, "2026-03-02T11:30:00")
    assert {p.model for p in held(world).values()} == {"mail-sorter"}
    again = world.loop.index()
    assert (again.n_files, again.n_new, again.n_waiting) == (0, 0, 0)


@pytest.mark.parametrize("snake", [False, True])
def test_kserve_in_parquet_is_read(tmp_path: Path, make_world: MakeWorld, snake: bool) -> None:
    text = (GOLDEN / "kserve_csv" / "batch.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    table = pa.Table.from_pylist(rows)
    if snake:  # earlier versions: other names, and the bytes as they are
        table = table.set_column(1, "bytes", pa.array([b64decode(r["bytes"]) for r in rows]))
        table = table.rename_columns(
            [re.sub(r"(?<=[a-z])([A-Z])", r"_\1", n).lower() for n in table.column_names]
        )
    pq.write_table(table, tmp_path / "batch.parquet")
    world = logged(make_world, "kserve", tmp_path)
    assert world.loop.index().n_new == 4
    assert [s[:2] for s in said(world).values()] == [s[:2] for s in MAILS.values()]


def test_cloud_events_are_read_and_a_lone_half_is_counted(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    folder = copied("kserve_events", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    world = logged(make_world, "kserve", folder)
    found = world.loop.index()
    assert (found.n_new, found.n_set_aside, found.n_waiting) == (4, 1, 1)
    assert said(world) == MAILS
    world.clock.at += timedelta(days=2)
    late = world.loop.index()
    assert (late.n_new, late.n_set_aside, late.n_waiting) == (0, 1, 0)
    assert rejected(world) == {
        "events.jsonl#10": (
            RejectReason.BAD_ROW,
            "neither a request nor a response: com.example.heartbeat",
        ),
        "events.jsonl#9": (RejectReason.NO_PARTNER, f"dead{ID}"),
    }
    assert world.loop.index().n_set_aside == 0


# --- Langfuse -------------------------------------------------------------------------------------

JUDGED = """
score = "topic"
attributes = ["$.metadata.country"]
[source.columns]
text = "input"
"""


def test_an_export_of_langfuse_is_read(tmp_path: Path, make_world: MakeWorld) -> None:
    folder = copied("langfuse", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    world = logged(make_world, "langfuse", folder, JUDGED)
    found = world.loop.index()
    assert (found.n_new, found.n_feedback, found.n_waiting) == (4, 1, 1)
    assert said(world) == {name: (s[0], None, *s[2:]) for name, s in MAILS.items()}
    (corrected,) = [p for p in held(world).values() if p.corrected_class]
    assert (corrected.sample_id, corrected.corrected_class) == (f"1f77{ID}", "other")
    world.clock.at += timedelta(days=2)
    assert world.loop.index().n_set_aside == 1
    assert rejected(world) == {"2026-03-02.jsonl#8": (RejectReason.NO_PARTNER, "trace-gone/gone")}


def test_a_score_that_is_exported_once_more_is_no_loss(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    folder = copied("langfuse", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    world = logged(make_world, "langfuse", folder, JUDGED)
    world.loop.index()
    scores = next(folder.rglob("scores/*.jsonl"))
    for more in ("2026-03-04.jsonl", None):
        world.clock.at += timedelta(days=2)
        world.loop.index()
        if more is not None:
            shutil.copy(scores, scores.with_name(more))
            now = world.clock.at.timestamp()
            os.utime(scores.with_name(more), (now, now))
            world.loop.index()
    assert list(rejected(world)) == ["2026-03-02.jsonl#8"]


def test_scores_of_a_trace_are_about_its_first_observation(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    folder = copied("langfuse", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    scores = next(folder.rglob("scores/*.jsonl"))
    rows = [json.loads(line) | {"observation_id": None} for line in scores.read_text().splitlines()]
    scores.write_text("".join(json.dumps(row) + "\n" for row in rows))
    world = logged(make_world, "langfuse", folder, JUDGED)
    world.loop.index()
    assert [s[4] for s in said(world).values()] == [s[4] for s in MAILS.values()]
    assert list(held(world)) == [f"trace-{name[:4]}" for name in MAILS]


@pytest.mark.parametrize(
    ("data_type", "values", "order", "expected"),
    [
        ("NUMERIC", [0.9, 0.2], '["other", "billing"]', [("billing", 0.9), ("other", 0.8)]),
        ("BOOLEAN", [1, 0], '["other", "billing"]', [("billing", None), ("other", None)]),
    ],
)
def test_scores_that_are_numbers_choose_between_two_classes(
    tmp_path: Path,
    make_world: MakeWorld,
    data_type: str,
    values: list[float],
    order: str,
    expected: list[tuple[str, float | None]],
) -> None:
    folder = copied("langfuse", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    scores = next(folder.rglob("scores/*.jsonl"))
    rows = [json.loads(line) for line in scores.read_text().splitlines()][:2]
    for row, value in zip(rows, values, strict=True):
        row |= {"data_type": data_type, "value": value, "string_value": None}
    scores.write_text("".join(json.dumps(row) + "\n" for row in rows))
    world = logged(make_world, "langfuse", folder, f"class_order = {order}\n{JUDGED}")
    assert world.loop.index().n_new == 2
    assert [s[:2] for s in said(world).values()] == expected


# --- halves that come apart -----------------------------------------------------------------------


class Events:
    """A log of KServe to which events are added, a file each."""

    def __init__(self, make_world: MakeWorld, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.world = logged(make_world, "kserve", folder)
        self._n = 0

    def add(self, *events: tuple[str, str], label: str = "billing") -> None:
        """Write a file of events: the id of each, and whether it is a request or a response."""
        lines = []
        for name, side in events:
            data: dict[str, object] = {"mail": f"mail {name}", "country": "CH"}
            if side == "response":
                data = {"predictions": [{"label": label, "score": 0.5}]}
            event = {"specversion": "1.0", "id": name, "data": data, "time": "2026-03-02T11:00:00Z"}
            lines.append(
                json.dumps(event | {"type": f"org.kubeflow.serving.inference.{side}"}) + "\n"
            )
        self._n += 1
        path = self.folder / f"{self._n:04}.jsonl"
        path.write_text("".join(lines))
        at = self.world.clock.at.timestamp() + self._n
        os.utime(path, (at, at))

    def held(self) -> list[str]:
        return sorted(c.sample_id for c in self.world.log.rows(ALL, [], [WHOLE_LINE]))


@pytest.mark.parametrize("order", [("request", "response"), ("response", "request")])
def test_halves_of_different_runs_are_joined(
    tmp_path: Path, make_world: MakeWorld, order: tuple[str, str]
) -> None:
    log = Events(make_world, tmp_path / "log")
    log.add(("a", order[0]), ("b", order[0]), ("c", "request"), ("c", "response"))
    first = log.world.loop.index()
    assert (first.n_new, first.n_waiting, log.held()) == (1, 2, ["c"])
    log.add(("b", order[1]))
    second = log.world.loop.index()
    assert (second.n_new, second.n_files, second.n_waiting, log.held()) == (1, 1, 1, ["b", "c"])
    assert log.world.log.texts(["b"]) == {"b": "mail b"}
    log.add(("a", order[1]))
    assert (log.world.loop.index().n_waiting, log.held()) == (0, ["a", "b", "c"])
    again = log.world.loop.index()
    assert (again.n_new, again.n_set_aside) == (0, 0)


def test_a_half_that_comes_after_its_partner_was_given_up_mends_it(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    log = Events(make_world, tmp_path / "log")
    log.add(("a", "request"))
    log.world.loop.index()
    log.world.clock.at += timedelta(days=2)
    assert log.world.loop.index().n_set_aside == 1
    log.add(("a", "response"))
    found = log.world.loop.index()
    assert (found.n_new, found.n_set_aside_in_all, log.held()) == (1, 0, ["a"])


def test_an_event_that_is_delivered_twice_is_one(tmp_path: Path, make_world: MakeWorld) -> None:
    log = Events(make_world, tmp_path / "log")
    log.add(("a", "request"), ("a", "request"), ("a", "response"), ("a", "response"))
    assert log.world.loop.index().n_new == 1
    log.add(("a", "response"), ("a", "request"))
    assert log.world.loop.index().n_new == 0
    log.add(("a", "response"))
    log.world.loop.index()
    log.world.clock.at += timedelta(days=2)
    assert log.world.loop.index().n_set_aside_in_all == 0


def test_a_change_of_the_settings_mends_rows_whose_halves_stand_apart(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    log = Events(make_world, tmp_path / "log")
    log.add(("a", "request"), ("b", "request"))
    log.world.loop.index()
    log.add(("a", "response"), label="refund")
    log.add(("b", "response"))
    assert (log.world.loop.index().n_set_aside, log.held()) == (1, ["b"])
    path = log.world.folder / "labelloop.toml"
    text = path.read_text()
    queues = text[text.index("[[queue]]") :]
    head = text[: text.index("[[queue]]")].replace('"billing",', '"billing", "refund",')
    log.world.configure(queues, head=head)
    mended = log.world.loop.index()
    assert (mended.n_new, mended.n_set_aside_in_all, log.held()) == (1, 0, ["a", "b"])


def test_a_forgotten_sample_waits_no_longer(tmp_path: Path, make_world: MakeWorld) -> None:
    log = Events(make_world, tmp_path / "log")
    log.add(("a", "request"), ("b", "request"), ("b", "response"))
    log.world.loop.index()
    log.world.loop.forget(["a", "b"], unknown_too=True)
    with log.world.loop.project.ledger.read() as tx:
        assert waiting_rows.find(tx, ["a", "b"]) == []


def test_the_name_of_a_forgotten_sample_comes_back_with_no_late_half(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    log = Events(make_world, tmp_path / "log")
    log.add(("a", "request"))
    log.world.loop.index()
    log.world.loop.forget(["a", "b"], unknown_too=True)
    log.add(("a", "response"), ("b", "request"))
    assert (log.world.loop.index().n_waiting, log.held()) == (0, [])
    with log.world.loop.project.ledger.read() as tx:
        assert waiting_rows.find(tx, ["a", "b"]) == []
    log.world.clock.at += timedelta(days=2)
    assert log.world.loop.index().n_set_aside_in_all == 0


@pytest.mark.parametrize("n_writes", [1, 2, 3, 4, 5])
def test_a_run_that_is_killed_loses_no_half(
    tmp_path: Path, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, n_writes: int
) -> None:
    monkeypatch.setattr(index_table, "BATCH_ROWS", 1)
    log = Events(make_world, tmp_path / "log")
    for name in "abc":
        log.add((name, "request"))
    for name in "bca":
        log.add((name, "response"))
    kill_at_write(log.world, n_writes)
    with suppress(Killed):
        log.world.loop.index()
    log.world.restart()
    log.world.loop.index()
    assert log.held() == ["a", "b", "c"]
    assert log.world.loop.index().n_waiting == 0


# --- init -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("golden", "kind"),
    [
        ("sagemaker", "sagemaker"),
        ("kserve_json", "kserve"),
        ("kserve_csv", "kserve"),
        ("kserve_events", "kserve"),
        ("langfuse", "langfuse"),
        ("databricks", "databricks"),
    ],
)
def test_init_recognises_a_log_by_its_uri_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "databricks":
        inference_table(tmp_path / "log", "model_serving.jsonl")
    else:
        copied(golden, tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    classes = [word for name in ("billing", "outage", "other") for word in ("--class", name)]
    arguments = ["init", "log", "--yes", "--annotator", "labelling-page", "--name", "x", *classes]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    settings = load(tmp_path / "labelloop.toml", {})
    assert settings.source is not None
    assert (settings.source.kind, settings.input.kind) == (kind, "text")
    with Loop(Project(settings)) as loop:
        assert loop.index().n_new == 4


def test_init_says_what_a_log_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["init", "log", "--yes", "--annotator", "labelling-page"]
    folder = copied("sagemaker", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    files = [p for p in folder.rglob("*") if p.is_file()]
    for file in files:
        file.write_text(file.read_text().replace('"eventId"', '"eventID"'))
    lacking = CliRunner().invoke(group, arguments)
    assert "has both an eventId and a response (endpointOutput)" in str(lacking.exception)
    for file in files:
        file.write_text('{"captureData": {"endp')
    broken = CliRunner().invoke(group, arguments)
    assert "log holds no input, and no log that labelloop knows" in broken.output


def test_a_uri_and_a_folder_are_two_places(tmp_path: Path) -> None:
    arguments = ["init", "log", "--folder", "x", "--config", str(tmp_path / "labelloop.toml")]
    result = CliRunner().invoke(group, arguments)
    assert "log and x were both given" in str(result.exception)


def test_a_text_may_be_made_of_several_columns(tmp_path: Path, make_world: MakeWorld) -> None:
    folder = copied("langfuse", tmp_path / "log", at=datetime(2026, 3, 2, 11, tzinfo=UTC))
    template = 'text = "Mail: {input}\\nAnswer: {output} ({$.metadata.country})"'
    world = logged(make_world, "langfuse", folder, JUDGED.replace('text = "input"', template))
    world.loop.index()
    first = next(iter(held(world).values()))
    assert first.text == "Mail: Hi, I was charged twice.\nAnswer: Dear customer, ... (CH)"
