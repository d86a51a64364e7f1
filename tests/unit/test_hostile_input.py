"""Whatever comes in ends in a rejected row or in an error that says so: no crash, no write elsewhere."""

import gzip
import io
import json
import tomllib
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from labelloop.adapters.folder.sidecars import Unreadable, parse
from labelloop.adapters.http.retries import instant
from labelloop.adapters.label_studio import payloads
from labelloop.adapters.label_studio.labelling_config import labelling_config, with_choices
from labelloop.adapters.s3.answers import entry_of, page_of, tags_of
from labelloop.adapters.sources.files import FilesSource, Kind
from labelloop.core.content_encoding import decoded_start
from labelloop.core.dataset import DatasetVersion
from labelloop.core.image_kind import START_BYTES, no_image
from labelloop.core.where import Where
from labelloop.errors import (
    ArgumentError,
    ConfigError,
    DatasetError,
    SourceFileBad,
    WhereError,
)
from labelloop.exports import manifest
from labelloop.loop import Loop
from labelloop.ports.annotator import ProjectSpec, RemoteTask
from labelloop.project import Project
from labelloop.reading.columns import ColumnNames, TableRules
from labelloop.reading.rows import read_rows
from labelloop.reading.tag_names import TagNames
from labelloop.reading.tags import TaggedObject, read_tags
from labelloop.settings.file import load
from labelloop.steps.rebuild.surviving import version_in
from tests.hostile import ANY_TEXT, DEEP, TEXT, VALUE, altered, toml, tries
from tests.unit.conftest import MakeWorld
from tests.unit.released import ROW, release
from tests.world import HEAD, QUEUES

# --- objects ------------------------------------------------------------------------------------

TAGS = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["predicted_class", "confidence", "timestamp", "model", "flagged", "corrected_class"]
        ),
        ANY_TEXT,
    ),
    st.one_of(st.sampled_from(["cat", "0.5", "2026-03-01T12:00:00Z"]), ANY_TEXT),
    max_size=8,
)


@tries(150)
@given(tags=TAGS, key=TEXT)
def test_tags_make_a_prediction_or_a_reject(tags: dict[str, str], key: str) -> None:
    found = read_tags(
        TaggedObject(sample_id=key, uri=f"s3://b/{key}", content_hash="", size_bytes=0, tags=tags),
        TagNames(),
        classes=frozenset({"cat", "dog"}),
        salt=b"0" * 16,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert (found.prediction is None) or found.prediction.predicted_class in {"cat", "dog"}
    assert found.prediction or found.reject


@tries(100)
@given(st.one_of(st.binary(max_size=60), VALUE.map(lambda v: json.dumps(v).encode()), DEEP))
def test_the_json_beside_a_file_is_tags_or_unreadable(data: bytes) -> None:
    with suppress(Unreadable):
        for name, value in parse(data).items():
            f"{name}{value}".encode()


def test_keys_and_tags_run_through_the_whole_loop(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world()
    odd = [
        "../../up.png",
        "a\nb",
        "c\x01d",
        "/rooted",
        "x/../y",
        "con",
        "é" * 200,
        "=1+1",
        "~",
        "'",
    ]
    for key in odd:
        world.put(
            key,
            key.encode(),
            predicted_class="cat",
            confidence="0.95",
            site="\u202e\n\"'",
            model="=v1",
        )
    world.put(
        "bad", predicted_class="<cat>", confidence="1e999", timestamp="9999-12-31T23:59-23:59"
    )
    assert not world.loop.run().failures
    world.answer_all("cat")
    assert not world.loop.run().failures
    assert [r.uri for r in world.loop.rejected()] == ["s3://production/bad"]
    version = world.loop.dataset("training")
    for to in ("imagefolder", "webdataset", "huggingface", "csv", "jsonl"):
        world.loop.export([version], to, tmp_path / to / f"x.{to}")
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("x.*/*")}
    assert written <= {"imagefolder", "webdataset", "huggingface"}
    assert not (tmp_path / "up.png").exists()
    assert not Path("/rooted").exists()


# --- settings -----------------------------------------------------------------------------------

GOOD = tomllib.loads(HEAD + QUEUES)
PLACES = st.sampled_from(
    [
        *(("project", k) for k in ("name", "classes", "timezone", "extra_answers")),
        *(("store", k) for k in ("uri", "endpoint_url", "presign_life", "blind_uri", "prefixes")),
        *(("label_studio", k) for k in ("url", "api_key", "timeout", "proxy")),
        *(("state", k) for k in ("ledger", "warehouse", "catalog", "datasets")),
        *(("rounds", k) for k in ("every", "first_window")),
        *(("training", k) for k in ("confidence", "max_error", "failure_probability")),
        *(("queue", k) for k in ("name", "budget", "where", "draw", "show")),
    ]
)
SETTINGS = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    ANY_TEXT,
    st.lists(ANY_TEXT, max_size=3),
    st.sampled_from(["-1 days", "1e30 days", "s3:///x", "file://../..", "http://[::1", "UTC\n"]),
)


@tries(60)
@given(place=PLACES, value=SETTINGS, queue=st.integers(0, 2))
def test_settings_of_any_value_are_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str, str], value: Any, queue: int
) -> None:
    held = {section: list(v) if isinstance(v, list) else [v] for section, v in GOOD.items()}
    section, key = place
    chosen = held.setdefault(section, [{}])
    i = queue % len(chosen)
    chosen[i] = {**chosen[i], key: value}
    lines = []
    for name, tables in held.items():
        for table in tables:
            lines.append(f"[[{name}]]" if isinstance(GOOD.get(name), list) else f"[{name}]")
            lines += [f"{json.dumps(k)} = {toml(v)}" for k, v in table.items()]
    path = tmp_path_factory.mktemp("settings") / "labelloop.toml"
    path.write_text("\n".join(lines), errors="surrogatepass")
    with suppress(ConfigError):
        load(path, {}).queues()


@tries(60)
@given(data=st.one_of(st.binary(max_size=80), altered((HEAD + QUEUES).encode())))
def test_a_settings_file_of_any_bytes_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "labelloop.toml"
    path.write_bytes(data)
    with suppress(ConfigError):
        load(path, {}).queues()


WORDS = (
    "confidence predicted_class attributes . [ ] ( ) and or not in like between is null < = ; --"
)
MORE = (
    "'cat' 0.7 predicted_at '2026' flagged select from case when cast interval :: { } @ $1 ? | ||"
)


@tries(150)
@given(
    st.one_of(
        ANY_TEXT, st.lists(st.sampled_from((WORDS + " " + MORE).split()), max_size=12).map(" ".join)
    )
)
def test_a_condition_is_understood_or_refused(text: str) -> None:
    with suppress(WhereError):
        found = Where.parse(text)
        assert found.sql("duckdb")
        found.matches({"confidence": 0.5, "attributes": {}})


# --- Label Studio -------------------------------------------------------------------------------


@tries(100)
@given(classes=st.lists(ANY_TEXT, min_size=1, max_size=4, unique=True))
def test_class_names_stay_names_in_a_labelling_config(classes: list[str]) -> None:
    spec = ProjectSpec(
        title="t", marker="labelloop:l/q", classes=tuple(classes), show=(), blind=True
    )
    with suppress(ArgumentError):
        root = ElementTree.fromstring(labelling_config(spec))  # noqa: S314  ours
        assert [c.get("alias") or c.get("value") for c in root.iter("Choice")] == classes
        assert {e.tag for e in root.iter()} == {"View", "Image", "Choices", "Choice"}


@tries(100)
@given(
    st.one_of(
        ANY_TEXT,
        DEEP.map(lambda data: data.decode()),
        ANY_TEXT.map(
            lambda t: f"<View><Choices name='label'><Choice value='{t}'/></Choices></View>"
        ),
        st.just("<!DOCTYPE x [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><View>&c;</View>"),
    )
)
def test_a_labelling_config_that_people_changed_is_understood_or_left(config: str) -> None:
    found = with_choices(config, ["cat"])
    assert found is None or "cat" in found


NUMBER = st.one_of(st.integers(0, 9), st.sampled_from([2**31, 2**63, 2**70, -1, -(2**70)]), VALUE)
MOMENT = st.one_of(
    st.sampled_from(
        [
            *("2026-03-02T12:00:00Z", "2026-03-02T12:00:00", "0001-01-01T00:00:00+14:00", 1e18),
            *("9999-12-31T23:59:59-12:00", "2026-03-02", -1, 253402300799),
        ]
    ),
    VALUE,
)
CHOICES = st.fixed_dictionaries(
    {"from_name": st.just("label"), "value": st.fixed_dictionaries({"choices": VALUE})}
)
ANSWERED = st.fixed_dictionaries(
    {"id": NUMBER, "updated_at": MOMENT},
    optional={
        "completed_by": VALUE,
        "was_cancelled": st.booleans(),
        "result": st.one_of(VALUE, st.lists(CHOICES, max_size=2)),
    },
)


def remote(task: dict[str, Any]) -> RemoteTask | None:
    with suppress(ValidationError):
        return payloads.Task.model_validate(task).remote()
    return None


@tries(150)
@given(
    st.fixed_dictionaries(
        {"id": NUMBER, "updated_at": MOMENT},
        optional={
            "data": st.dictionaries(st.just("labelloop"), VALUE),
            "annotations": st.lists(ANSWERED, max_size=3),
            "overlap": NUMBER,
        },
    )
)
def test_a_task_of_label_studio_is_understood_or_refused(task: dict[str, Any]) -> None:
    found = remote(task)
    for each in found.annotations if found else ():
        assert 0 <= int(each.remote_id) < 2**63
        assert each.updated_at.utcoffset() == UTC.utcoffset(None)
        for text in (each.annotator, *each.choices):
            assert "\0" not in text
            text.encode()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_any_answer_that_is_understood_can_be_collected(make_world: MakeWorld, kind: str) -> None:
    """On each kind of database: neither takes every number, moment and text that JSON can name."""
    world = make_world()
    world.traffic(8)
    world.loop.run()
    project = world.project_ref("accuracy")
    key = next(t.task_key for page in world.annotator.tasks(project) for t in page)
    id_ = world.annotator.task_ids(project)[0]
    odd = [
        {"id": 2**63 - 1, "updated_at": "9998-12-31T23:59:59Z", "completed_by": "a\0b\ud800"},
        {"id": 1, "updated_at": "1970-01-01T00:00:00", "completed_by": {"id": [1]}},
        {"id": 2, "updated_at": 0, "result": [_chose("cat\0"), _chose("\ud800"), _chose(7)]},
        {"id": 3, "updated_at": "2026-03-02T12:00:00Z", "result": [_chose(*["cat"] * 500)]},
    ]
    task = remote(
        {
            "id": 1,
            "updated_at": "9998-12-31T23:59:59-11:00",
            "data": {"labelloop": key},
            "annotations": odd,
            "overlap": 2**31 - 1,
        }
    )
    assert task is not None
    task = replace(task, remote_id=id_)

    class Odd:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.annotator, name)

        def tasks(self, project_ref: str, updated_after: datetime | None = None) -> Any:
            del updated_after
            yield [task] if project_ref == project else []

    loop = Loop(
        Project(
            world.settings, clock=world.clock, store=world.store, log=world.log, annotator=Odd()
        )
    )
    for _ in range(2):
        loop.collect()
    loop.status()
    loop.close()


def _chose(*answers: object) -> dict[str, object]:
    return {"from_name": "label", "value": {"choices": list(answers)}}


# --- tables -------------------------------------------------------------------------------------


def _parquet(compression: str) -> bytes:
    file = io.BytesIO()
    rows = {"sample_id": [f"s{i}" for i in range(40)], "confidence": [i / 40 for i in range(40)]}
    pq.write_table(pa.table(rows), file, compression=compression)
    return file.getvalue()


LINES = b'{"sample_id": "a", "confidence": 0.5}\n' * 50
CSV = b'sample_id,confidence\n"a, ""b""",0.5\n' * 20
FILES = st.one_of(
    st.tuples(st.just("a.jsonl"), st.one_of(st.binary(max_size=60), altered(LINES), DEEP)),
    st.tuples(st.just("a.jsonl.gz"), altered(gzip.compress(LINES, mtime=0))),
    st.tuples(st.just("a.csv"), st.one_of(st.binary(max_size=60), altered(CSV))),
    st.tuples(st.just("a.csv.gz"), altered(gzip.compress(CSV, mtime=0))),
    *(
        st.tuples(st.just("a.parquet"), altered(_parquet(compression)))
        for compression in ("snappy", "zstd", "gzip", "none")
    ),
)


@tries(150)
@given(named=FILES)
def test_a_file_of_predictions_is_read_or_set_aside(
    tmp_path_factory: pytest.TempPathFactory, named: tuple[str, bytes]
) -> None:
    path = tmp_path_factory.mktemp("table") / named[0]
    path.write_bytes(named[1])
    kind: Kind = named[0].split(".")[1]  # type: ignore[assignment]
    source = FilesSource(str(path), kind)
    (file,) = source.files()
    with suppress(SourceFileBad):
        source.columns(file)
        for rows in source.read(file, None):
            assert len(rows.numbers) == rows.batch.num_rows
            rows.batch.to_pylist()


COLUMN = st.one_of(
    st.lists(st.one_of(st.none(), TEXT), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.string())
    ),
    st.lists(st.one_of(st.none(), st.floats()), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.float64())
    ),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3).flatmap(
        lambda v: st.sampled_from(
            [pa.int64(), *map(pa.timestamp, ("s", "ms", "us", "ns")), pa.timestamp("s", tz="UTC")]
        ).map(lambda kind: pa.array(v, pa.int64()).cast(kind))
    ),
    st.sampled_from(
        [
            pa.array([True, None, False]),
            pa.array([b"\xff", b"cat", None]),
            pa.array([[1], None, []]),
            pa.array([None, {"a": 1}, {"a": None}]),
            pa.array([2**31 - 1, -(2**31), None], pa.date32()),
            pa.nulls(3),
            pa.array(["a", None, "a"]).dictionary_encode(),
        ]
    ),
)


@tries(200)
@given(
    columns=st.dictionaries(
        st.sampled_from([f.name for f in fields(ColumnNames)][:9]), COLUMN, min_size=1
    ),
    unit=st.sampled_from([None, "seconds", "nanoseconds"]),
    divisor=st.sampled_from([None, 1.0, 100.0]),
)
def test_columns_of_any_type_are_read_or_refused(
    columns: dict[str, Any], unit: str | None, divisor: float | None
) -> None:
    rules = TableRules(
        classes=frozenset({"cat"}),
        store_uri="s3://b",
        confidence_divisor=divisor,
        predicted_at_unit=unit,
    )
    batch = pa.RecordBatch.from_pydict(columns)
    with suppress(ConfigError):
        read = read_rows(batch, range(3), file_uri="f", names=ColumnNames(), rules=rules)
        for row in read.table.to_pylist():
            assert row["predicted_class"] == "cat"
            assert 1990 <= row["predicted_at"].year < 2100
            assert row["confidence"] is None or 0 <= row["confidence"] <= 1
        assert all(isinstance(reject.value, str) for reject in read.rejects)


def test_texts_that_are_not_utf_8_are_set_aside_and_never_reach_the_log(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    """DuckDB reads no file that holds such a text: one row would close the log for good."""
    columns: dict[str, Any] = {
        "sample_id": ["a", "b", "c"],
        "predicted_class": ["cat"] * 3,
        "predicted_at": ["2026-03-02T11:00:00Z"] * 3,
        "site": [b"Bern", b"\xff\xfe", b"Basel"],
    }
    binary = pa.array(columns["site"], pa.binary())
    columns["site"] = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
    (tmp_path / "table").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "table" / "a.parquet")
    source = f'\n[source]\nuri = "{tmp_path}/table"\nkind = "parquet"\nattributes = ["site"]\n'
    world = make_world(head=HEAD + source)
    indexed = world.loop.index()
    assert (indexed.n_new, indexed.n_set_aside) == (2, 1)
    assert [r.value for r in world.loop.rejected()] == ["site isn't UTF-8"]


def test_a_zipped_line_without_end_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.adapters.sources.files._LONGEST", 10_000)
    for name in ("a.jsonl.gz", "a.csv.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(b"a" * 1_000_000))
        kind: Kind = name.split(".")[1]  # type: ignore[assignment]
        source = FilesSource(str(path), kind)
        (file,) = source.files()
        with pytest.raises(SourceFileBad, match=r"more than|field limit"):
            list(source.read(file, None))


# --- released versions ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """A version with its description, as a build leaves it."""
    rows = [replace(ROW, sample_id=f"s{i}", content_hash=f"h{i}") for i in range(9)]
    version = release(tmp_path_factory.mktemp("released"), "training", rows)
    described = {
        "name": version.name,
        "version": version.version,
        "content_hash": version.content_hash,
        "parent": version.parent,
        "created_at": version.created_at.isoformat(),
        "counts": {"human": version.n_human, "model": 0, "certified": 0},
    }
    (Path(version.uri) / "dataset.json").write_text(json.dumps(described))
    return version


@tries(60)
@given(data=st.data())
def test_a_description_of_any_content_is_read_or_refused(
    released: DatasetVersion, data: st.DataObject
) -> None:
    path = Path(released.uri) / "dataset.json"
    held = path.read_bytes()
    edited = json.loads(held)
    key = data.draw(st.sampled_from([*edited, "human", "certified"]))
    place = edited["counts"] if key in edited["counts"] else edited
    place[key] = data.draw(st.one_of(VALUE, st.integers(), st.just(float("inf"))))
    text = data.draw(st.one_of(altered(held), DEEP, st.just(json.dumps(edited).encode())))
    path.write_bytes(text)
    try:
        with suppress(DatasetError):
            found = version_in(Path(released.uri))
            assert (found.name, found.version) == (released.name, released.version)
            assert found.content_hash == released.content_hash
        with suppress(DatasetError):
            manifest.check_quickly(released)
        assert manifest.guarantee(released) is None
    finally:
        path.write_bytes(held)


@tries(100)
@given(data=st.data())
def test_a_manifest_with_a_byte_changed_is_refused_or_says_the_same(
    released: DatasetVersion, data: st.DataObject
) -> None:
    path = Path(released.uri) / "manifest.parquet"
    held, rows = path.read_bytes(), list(manifest.rows(released))
    path.write_bytes(data.draw(altered(held)))
    try:
        with suppress(DatasetError):
            manifest.check(released)
            assert list(manifest.rows(released)) == rows
    finally:
        path.write_bytes(held)


def grouped() -> bytes:
    """A Parquet file of three row groups of ten rows."""
    out = pa.BufferOutputStream()
    ids = [f"{i:03}" for i in range(30)]
    pq.write_table(pa.table({"sample_id": ids, "sure": [0.5] * 30}), out, row_group_size=10)
    return bytes(out.getvalue().to_pybytes())


@tries(300)
@given(data=altered(grouped()).filter(bool).flatmap(altered))
def test_each_row_of_an_altered_parquet_file_is_read_or_counted(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("altered")
    (folder / "a.parquet").write_bytes(data)
    source = FilesSource(str(folder), "parquet")
    [file] = source.files()
    told = source.n_rows(file)
    with suppress(SourceFileBad):
        found = list(source.read(file, None))
        n = sum(len(r.numbers) + sum(bad.n_rows for bad in r.unreadable) for r in found)
        assert told.most is None or n == told.most


# --- what a server, or a file, begins with ------------------------------------------------------

BEGINNINGS = st.sampled_from(
    [
        *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\0\0\0\x18ftypheic", b"<svg xmlns='x'/>"),
        *(
            gzip.compress(bytes(range(256)) * 4, mtime=0),
            "file,label\na.png,Z\u00fcrich\n".encode() * 9,
        ),
    ]
)


@tries(300)
@given(
    data=st.one_of(st.binary(max_size=300), BEGINNINGS.flatmap(altered)),
    encoding=st.sampled_from(["", "gzip", "deflate", "gzip, gzip", "br", "aws-chunked"]),
)
def test_the_first_bytes_of_any_file_are_an_image_or_say_what_they_are(
    data: bytes, encoding: str
) -> None:
    start = decoded_start(data[:START_BYTES], encoding)
    assert start is None or no_image(start) is None or no_image(start)


HEAD_OF = (
    b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 3\r\n'
    b"Last-Modified: Mon, 02 Mar 2026 10:00:00 GMT\r\n\r\n"
)
LISTED = (
    b"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated><Contents><Key>k</Key>"
    b'<ETag>"e"</ETag><Size>1</Size><LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents>'
    b"</ListBucketResult>"
)
NASTY_DATES = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(
    lambda n: HEAD_OF.replace(b"2026 10", b"%d %d" % n)
)
ANSWER = st.one_of(altered(HEAD_OF), altered(LISTED), NASTY_DATES, st.binary(max_size=80))


@tries(300)
@given(data=ANSWER)
def test_any_answer_of_a_server_is_understood_or_left_to_boto(data: bytes) -> None:
    for read in (lambda d: entry_of("k", d), page_of, tags_of):
        read(data)
    instant(data.decode("latin-1"))
