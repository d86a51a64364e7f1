"""What any prediction log promises, held against every adapter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log as log_of
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.spark.engine import SparkEngine
from labelloop.core.line import LINE_END, line
from labelloop.core.ranked import Score
from labelloop.core.round import Candidate, Count, FrameRange, Span
from labelloop.core.sample import (
    NO_CLASS,
    Feedback,
    Prediction,
    PredictionTable,
    Role,
    margin,
    risk_bin,
)
from labelloop.core.slice_count import LEAST_ROWS, MOST_VALUES
from labelloop.core.upkeep import Upkeep
from labelloop.core.where import Where
from labelloop.errors import ArgumentError, LeaseLost, LogError
from labelloop.ports.log import Browsing, Counted, HeldRows, LabelPart, PredictionLog
from labelloop.testing.log import MemoryLog
from tests.conftest import ON_BUCKET
from tests.spark import SPARK_LOGS

SALT = b"\x00salt\xff"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = FrameRange(batch_to=1 << 40)
WHOLE_LINE = Span(pattern=0, above=-1, up_to=LINE_END)

Reopen = Callable[[], PredictionLog]


S3 = pytest.param("s3", marks=ON_BUCKET)
LOGS = ["memory", "iceberg in a folder with odd characters", S3]


@pytest.fixture(params=[*LOGS, *SPARK_LOGS])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Opens the same log again, as a process that starts after another was killed."""
    if request.param == "memory":
        log = MemoryLog("ledger", SALT)
        yield lambda: log
        return
    warehouse: str | None = None
    access: S3Access | None = None
    if request.param == "s3":
        server = request.getfixturevalue("seaweedfs")
        warehouse = f"s3://{request.getfixturevalue('bucket')}/a log"
        access = S3Access(
            endpoint_url=server.endpoint_url,
            access_key=server.access_key,
            secret_key=server.secret_key,
        )
    spark = SparkEngine() if request.param in SPARK_LOGS else None
    if spark is not None:
        request.getfixturevalue("spark_session")
    folder = tmp_path / ("it's [odd] * ? # %20" if "odd" in request.param else "plain")
    opened: list[IcebergLog] = []

    def open_again() -> IcebergLog:
        opened.append(open_iceberg(folder, warehouse, access, spark))
        return opened[-1]

    yield open_again
    for log in opened:
        log.close()


@pytest.fixture
def log(reopen: Reopen) -> PredictionLog:
    return reopen()


def open_iceberg(
    folder: Path,
    warehouse: str | None = None,
    access: S3Access | None = None,
    spark: SparkEngine | None = None,
) -> IcebergLog:
    return IcebergLog.open(
        warehouse=warehouse or str(folder / "log"),
        catalog=f"sqlite:///{folder / 'catalog' / 'catalog.db'}",
        ledger_id="ledger",
        salt=SALT,
        s3=access,
        spark=spark,
    )


def prediction(sample_id: str, **changes: object) -> Prediction:
    row = Prediction(
        sample_id=sample_id,
        uri=f"s3://production/{sample_id}",
        predicted_at=NOON,
        model="m1",
        predicted_class="cat",
        confidence=0.75,
        line=line(sample_id, SALT),
        content_hash=f"hash of {sample_id}",
        size_bytes=10,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def heard(sample_id: str, kind: str, value: str, after_s: float = 0) -> Feedback:
    at = NOON + timedelta(seconds=after_s)
    return Feedback(sample_id=sample_id, kind=kind, value=value, received_at=at)


def append(log: PredictionLog, batch: int, rows: Sequence[Prediction] | Sequence[Feedback]) -> str:
    kind = "feedback" if isinstance(rows[0], Feedback) else "predictions"
    path = log.write_batch(batch, kind, rows, NOON)
    log.commit_batch(batch, kind, path)
    return path


def in_frame(log: PredictionLog, frame: FrameRange = ALL, where: str = "") -> list[str]:
    """The sample ids of a frame, by place."""
    if not where:
        return [c.sample_id for c in log.rows(frame, [], [WHOLE_LINE])]
    span = Span(pattern=1, above=-1, up_to=LINE_END)
    return [c.sample_id for c in log.rows(frame, [Where.parse(where)], [span])]


def by_place(*sample_ids: str) -> list[str]:
    return sorted(sample_ids, key=lambda sample_id: line(sample_id, SALT))


def labels(
    log: PredictionLog,
    *,
    frames: Sequence[FrameRange] = (ALL,),
    without_samples: Sequence[str] = (),
    without_content: Sequence[str] = (),
) -> list[str]:
    """The samples of these frames whose model label stands at a confidence of 0.5."""
    parts = [LabelPart(frames=tuple(frames), min_confidence=0.5)] if frames else []
    return [
        sample_id
        for batch in log.model_labels(
            parts, without_samples=without_samples, without_content=without_content
        )
        for sample_id in batch.column("sample_id").to_pylist()
    ]


def certified(log: PredictionLog, parts: Sequence[LabelPart]) -> set[tuple[str, int | None]]:
    """Each model label that the parts admit, with its certificate."""
    batches = log.model_labels(parts, without_samples=[], without_content=[])
    return {(row["sample_id"], row["certificate"]) for b in batches for row in b.to_pylist()}


def may_hold(log: PredictionLog, *sample_ids: str, serving: bool = False) -> str:
    """Those of `sample_ids` that the log may hold."""
    said = log.may_hold(np.array([line(s, SALT) for s in sample_ids]), serving=serving)
    return "".join(s for s, may in zip(sample_ids, said, strict=True) if may)


# --- batches --------------------------------------------------------------------------------


def test_an_empty_log_answers_every_question(log: PredictionLog) -> None:
    assert log.snapshot() is None
    assert log.samples(["a"]) == {}
    assert log.attributes() == frozenset()
    assert list(log.counts(ALL, [])) == []
    assert list(log.rows(ALL, [], [WHOLE_LINE])) == []
    assert list(log.received(0, 9, Where.parse("flagged"))) == []
    assert labels(log) == []


def test_the_log_says_whose_it_is(log: PredictionLog) -> None:
    assert (log.ledger_id, log.salt) == ("ledger", SALT)


def test_a_written_batch_is_invisible_until_it_is_committed(log: PredictionLog) -> None:
    path = log.write_batch(1, "predictions", [prediction("a")], NOON)
    assert in_frame(log) == []
    assert log.snapshot() is None
    log.commit_batch(1, "predictions", path)
    assert in_frame(log) == ["a"]
    assert log.snapshot() is not None


def test_a_batch_committed_again_stays_there_once(reopen: Reopen) -> None:
    log = reopen()
    path = append(log, 1, [prediction("a")])
    before = log.snapshot()
    log.commit_batch(1, "predictions", path)
    reopen().commit_batch(1, "predictions", path)
    assert in_frame(log) == ["a"]
    assert log.snapshot() == before


def test_a_process_killed_between_write_and_commit_is_carried_on(reopen: Reopen) -> None:
    path = reopen().write_batch(1, "predictions", [prediction("a"), prediction("b")], NOON)
    after = reopen()
    assert after.is_whole(path, 2)
    assert not after.is_whole(path, 3)
    after.commit_batch(1, "predictions", path)
    assert in_frame(after) == by_place("a", "b")


def test_an_uncommitted_batch_may_be_written_anew(log: PredictionLog) -> None:
    log.write_batch(1, "predictions", [prediction("a")], NOON)
    append(log, 1, [prediction("b")])
    assert in_frame(log) == ["b"]


def test_a_visible_batch_is_never_written_over(log: PredictionLog) -> None:
    append(log, 1, [prediction("a")])
    with pytest.raises(LogError, match="batch 1 of predictions is in the log already"):
        log.write_batch(1, "predictions", [prediction("b")], NOON)
    assert in_frame(log) == ["a"]


def test_the_visible_batches_are_listed_from_a_number_on(reopen: Reopen) -> None:
    log = reopen()
    assert log.visible_after(0) == []
    append(log, 1, [prediction("a")])
    append(log, 2, [prediction("b"), prediction("c")])
    path = log.write_batch(3, "feedback", [heard("a", "flagged", "true")], NOON)
    log.commit_batch(3, "feedback", path)
    log.write_batch(4, "predictions", [prediction("d")], NOON)
    found = reopen().visible_after(1)
    assert [(b.batch, b.kind, b.n_rows) for b in found] == [
        (2, "predictions", 2),
        (3, "feedback", 1),
    ]
    assert found[1].path == path


def test_what_was_never_written_is_neither_whole_nor_committed(log: PredictionLog) -> None:
    path = log.write_batch(1, "predictions", [prediction("a")], NOON)
    gone = path.replace("000000000001", "000000000002")
    assert not log.is_whole(gone, 1)
    with pytest.raises(LogError, match="isn't a complete batch"):
        log.commit_batch(2, "predictions", gone)


def test_a_batch_of_the_other_kind_is_refused(log: PredictionLog) -> None:
    path = log.write_batch(1, "feedback", [heard("a", "flagged", "true")], NOON)
    with pytest.raises(LogError):
        log.commit_batch(1, "predictions", path)


@pytest.mark.parametrize(("batch", "n_rows"), [(0, 1), (-1, 1), (1, 0)])
def test_a_batch_has_a_positive_number_and_a_row(
    log: PredictionLog, batch: int, n_rows: int
) -> None:
    with pytest.raises(ArgumentError):
        log.write_batch(batch, "predictions", [prediction("a")] * n_rows, NOON)


def test_many_batches_stay_visible_while_old_versions_go(log: PredictionLog) -> None:
    for batch in range(1, 26):
        append(log, batch, [prediction(f"s{batch}")])
    assert sorted(in_frame(log)) == sorted(f"s{batch}" for batch in range(1, 26))


# --- frames ---------------------------------------------------------------------------------


def test_frames_by_batch_neither_overlap_nor_leave_gaps(log: PredictionLog) -> None:
    for batch in range(1, 8):
        append(log, batch, [prediction(f"{batch}-{i}") for i in range(3)])
    bounds = [0, 1, 1, 4, 7]
    frames = [
        in_frame(log, FrameRange(batch_after=after, batch_to=to)) for after, to in pairwise(bounds)
    ]
    assert [len(frame) for frame in frames] == [3, 0, 9, 9]
    together = [sample_id for frame in frames for sample_id in frame]
    assert sorted(together) == sorted(in_frame(log))
    assert len(set(together)) == 21


def test_since_is_inclusive_and_until_exclusive_to_the_microsecond(log: PredictionLog) -> None:
    tick = timedelta(microseconds=1)
    append(log, 1, [prediction(str(i), predicted_at=NOON + i * tick) for i in range(5)])
    since = (NOON + tick).astimezone()
    frame = FrameRange(batch_to=1, since=since, until=NOON + 3 * tick)
    assert in_frame(log, frame) == by_place("1", "2")
    assert in_frame(log, replace(frame, until=since)) == []


def test_only_serving_predictions_are_in_a_frame(log: PredictionLog) -> None:
    append(log, 1, [prediction(role.value, role=role) for role in Role])
    assert in_frame(log) == ["serving"]
    assert labels(log) == ["serving"]
    assert set(log.samples([role.value for role in Role])) == {"serving"}


# --- counts and rows ------------------------------------------------------------------------


def test_counts_are_by_class_risk_bin_and_pattern(log: PredictionLog) -> None:
    append(
        log,
        1,
        [
            prediction("a", confidence=0.9),
            prediction("b", confidence=0.9),
            prediction("c", confidence=0.2),
            prediction("d", confidence=None, predicted_class="dog"),
        ],
    )
    conditions = [Where.parse("confidence < 0.5"), Where.parse("predicted_class = 'dog'")]
    assert list(log.counts(ALL, conditions)) == [
        Count(predicted_class="cat", risk_bin=risk_bin(0.9), pattern=0, n=2),
        Count(predicted_class="cat", risk_bin=risk_bin(0.2), pattern=1, n=1),
        Count(predicted_class="dog", risk_bin=risk_bin(None), pattern=2, n=1),
    ]


def test_values_of_attributes_are_counted_in_a_frame(log: PredictionLog) -> None:
    def of(n: int, start: int, **attributes: str) -> list[Prediction]:
        return [prediction(str(start + i), attributes=attributes) for i in range(n)]

    shadows = [prediction(f"s{i}", role=Role.SHADOW, attributes={"site": "b"}) for i in range(20)]
    append(
        log,
        1,
        of(12, 0, site="b\u00fcro 'a'", camera="x") + of(LEAST_ROWS, 100, site="b") + shadows,
    )
    append(log, 2, of(LEAST_ROWS - 1, 200, site="rare", camera="") + of(30, 300, site="b"))
    counted = [(c.attribute, c.value, c.n) for c in log.slices(FrameRange(batch_to=1))]
    assert counted == [
        ("camera", "x", 12),
        ("site", "b", LEAST_ROWS),
        ("site", "b\u00fcro 'a'", 12),
    ]
    every = {(c.attribute, c.value): c.n for c in log.slices(ALL)}
    assert every == {
        ("camera", "x"): 12,
        ("site", "b"): LEAST_ROWS + 30,
        ("site", "b\u00fcro 'a'"): 12,
    }
    assert list(log.slices(FrameRange(batch_after=2, batch_to=3))) == []


def test_of_many_values_the_most_frequent_are_counted(log: PredictionLog) -> None:
    rows = [
        prediction(f"{value} {i}", attributes={"user": f"u{value:03d}"})
        for value in range(MOST_VALUES + 5)
        for i in range(LEAST_ROWS + (value >= 5))
    ]
    append(log, 1, rows)
    kept = [c.value for c in log.slices(ALL)]
    assert kept == [f"u{value:03d}" for value in range(5, MOST_VALUES + 5)]


def test_rates_are_counted_where_only_a_share_was_logged(log: PredictionLog) -> None:
    assert log.rates(ALL) == []
    append(log, 1, [prediction(f"all-{i}", confidence=0.5) for i in range(3)])
    assert log.rates(ALL) == [], "all traffic was logged"
    append(
        log,
        2,
        [prediction(f"tenth-{i}", confidence=0.5, sampling_rate=0.1) for i in range(4)]
        + [prediction("third", predicted_class="dog", confidence=0.25, sampling_rate=1 / 3)]
        + [prediction("shadow", role=Role.SHADOW, sampling_rate=0.5)],
    )
    name = prediction("x").predicted_class
    assert [
        (c.predicted_class, c.risk_bin, c.sampling_rate, c.n) for c in log.rates(ALL)
    ] == sorted([(name, 512, 0.1, 4), (name, 512, 1.0, 3), ("dog", 768, 1 / 3, 1)])
    assert log.rates(FrameRange(batch_to=1)) == []
    found = {r.sample_id: r.sampling_rate for r in log.rows(ALL, (), [WHOLE_LINE])}
    assert (found["tenth-1"], found["third"], found["all-0"]) == (0.1, 1 / 3, None)
    assert {r.sampling_rate for r in log.rows_of(ALL, (), ["third"])} == {1 / 3}
    scanned = {
        s: r
        for b in log.scan(ALL, (), ())
        for s, r in zip(b["sample_id"].to_pylist(), b["sampling_rate"].to_pylist(), strict=True)
    }
    assert scanned == {k: v for k, v in found.items() if k != "shadow"}


def test_a_log_of_a_version_before_sampling_rates_goes_on(tmp_path: Path) -> None:
    before = open_iceberg(tmp_path)
    append(before, 1, [prediction("old", confidence=0.5)])
    tables = before._tables
    file = Path(tables.path(1, "predictions"))
    table = pq.read_table(file).drop_columns(["sampling_rate"])
    with tables.load("predictions").update_schema() as update:
        update.delete_column("sampling_rate")
    pq.write_table(table, file)
    before.close()
    log = open_iceberg(tmp_path)
    assert [r.sampling_rate for r in log.rows(ALL, (), [WHOLE_LINE])] == [None]
    assert log.rates(ALL) == []
    append(log, 2, [prediction("new", confidence=0.5, sampling_rate=0.25)])
    assert {r.sample_id: r.sampling_rate for r in log.rows(ALL, (), [WHOLE_LINE])} == {
        "old": None,
        "new": 0.25,
    }
    assert [(c.sampling_rate, c.n) for c in log.rates(ALL)] == [(0.25, 1), (1.0, 1)]
    log.close()


def test_risk_bins_are_those_of_the_core_at_every_edge(log: PredictionLog) -> None:
    edges = [i / 1024 for i in range(0, 1025, 7)] + [0.1, 0.7, 1 - 1e-17, 1e-300, 1.0]
    near = [x for e in edges for x in (e, e * (1 - 2**-53), min(1.0, e * (1 + 2**-52)))]
    append(log, 1, [prediction(str(i), confidence=c) for i, c in enumerate(near)])
    wanted: dict[int, int] = {}
    for confidence in near:
        wanted[risk_bin(confidence)] = wanted.get(risk_bin(confidence), 0) + 1
    assert {c.risk_bin: c.n for c in log.counts(ALL, [])} == wanted


def test_a_missing_confidence_meets_no_comparison_but_is_null(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", confidence=None), prediction("b", confidence=float("nan"))])
    assert in_frame(log, where="confidence < 2") == []
    assert in_frame(log, where="not confidence < 2") == []
    assert in_frame(log, where="confidence is null") == by_place("a", "b")
    assert [(c.risk_bin, c.n) for c in log.counts(ALL, [])] == [(512, 2)]
    assert {c.confidence for c in log.rows(ALL, [], [WHOLE_LINE])} == {None}


def test_spans_exclude_their_start_and_include_their_end_exactly(log: PredictionLog) -> None:
    places = [0, 1, 2, (1 << 53), (1 << 53) + 1, LINE_END - 2, LINE_END - 1]
    append(log, 1, [prediction(str(place), line=place) for place in places])

    def drawn(above: int, up_to: int) -> list[int]:
        found = log.rows(ALL, [], [Span(pattern=0, above=above, up_to=up_to)])
        return [candidate.line for candidate in found]

    assert drawn(-1, 0) == [0]
    assert drawn(0, 1) == [1]
    assert drawn(1, 1) == []
    assert drawn(1 << 53, (1 << 53) + 1) == [(1 << 53) + 1]
    assert drawn(LINE_END - 2, LINE_END - 1) == [LINE_END - 1]
    assert drawn(-1, LINE_END) == places


def test_each_pattern_has_its_own_spans_and_overlaps_count_once(log: PredictionLog) -> None:
    append(
        log, 1, [prediction(str(i), line=i, confidence=0.1 if i % 2 else 0.9) for i in range(10)]
    )
    low = [Where.parse("confidence < 0.5")]
    spans = [
        Span(pattern=0, above=-1, up_to=3),
        Span(pattern=0, above=1, up_to=4),
        Span(pattern=1, above=6, up_to=7),
    ]
    found = log.rows(ALL, low, spans)
    assert [(c.line, c.pattern) for c in found] == [(0, 0), (2, 0), (4, 0), (7, 1)]
    assert list(log.rows(ALL, low, [])) == []


def test_a_candidate_is_the_row_as_it_was_written(log: PredictionLog) -> None:
    at = NOON + timedelta(hours=1, microseconds=123456)
    row = prediction(
        "a",
        predicted_at=at.astimezone(),
        confidence=0.1 + 0.2,
        probabilities=[0.1, 0.3, 0.6],
        attributes={"site": "Bern", "": "it's"},
    )
    append(log, 1, [row])
    append(log, 2, [heard("a", "flagged", "true")])
    wanted = [
        Candidate(
            sample_id="a",
            uri="s3://production/a",
            predicted_at=at,
            model="m1",
            predicted_class="cat",
            confidence=0.1 + 0.2,
            line=line("a", SALT),
            content_hash="hash of a",
            risk_bin=risk_bin(0.1 + 0.2),
            margin=margin([0.1, 0.3, 0.6]),
            attributes={"site": "Bern", "": "it's"},
        )
    ]
    assert list(log.rows(ALL, [], [WHOLE_LINE])) == wanted
    assert list(log.rows_of(ALL, [], ["a", "absent"])) == wanted
    assert list(log.received(0, 9, Where.parse("flagged"))) == [replace(wanted[0], flagged=True)]
    assert log.rows(ALL, [], [WHOLE_LINE])[0].predicted_at.tzinfo is UTC


def test_the_rows_of_samples_carry_their_pattern_and_stay_in_the_frame(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", confidence=0.2), prediction("b"), prediction("c")])
    append(log, 2, [prediction("d"), prediction("e", role=Role.SHADOW)])
    frame, low = FrameRange(batch_to=1), [Where.parse("confidence < 0.5")]
    found = log.rows_of(frame, low, ["d", "c", "a", "e", "a"])
    assert [c.sample_id for c in found] == by_place("a", "c")
    assert {c.sample_id: c.pattern for c in found} == {"a": 1, "c": 0}
    assert list(log.rows_of(frame, low, [])) == []


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [
        (None, None),
        ([], None),
        ([0.9], None),
        ([0.2, None, 0.7], "as python has it"),
        ([0.1, 0.3, 0.6], "as python has it"),
        ([0.5, 0.5], 0.0),
        ([0.5, float("nan"), 0.1], None),
        ([float("inf"), 0.1], None),
    ],
)
def test_margins_are_the_same_to_the_last_bit_in_any_log(
    log: PredictionLog, probabilities: list[float] | None, wanted: object
) -> None:
    append(log, 1, [prediction("a", probabilities=probabilities)])
    if wanted == "as python has it":
        wanted = margin(probabilities)
        assert isinstance(wanted, float)
    assert [c.margin for c in log.rows(ALL, [], [WHOLE_LINE])] == [wanted]
    assert scanned(log)["margin"] == [wanted]


def scanned(
    log: PredictionLog, frame: FrameRange = ALL, where: str = "", attributes: Sequence[str] = ()
) -> dict[str, list[object]]:
    """All that a scan gives, by column, in order of the line."""
    conditions = [Where.parse(where)] if where else []
    rows = [r for batch in log.scan(frame, conditions, attributes) for r in batch.to_pylist()]
    rows.sort(key=lambda row: row["line"])
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def test_a_scan_gives_every_row_of_the_frame_with_what_was_asked(log: PredictionLog) -> None:
    assert scanned(log) == {}
    append(
        log,
        1,
        [
            prediction("a", line=1, attributes={"it's": "x", "site": "Bern"}),
            prediction("b", line=2, confidence=None, attributes={"site": ""}),
            prediction("c", line=3, confidence=0.1, predicted_class="dog"),
            prediction("d", line=4, role=Role.SHADOW),
        ],
    )
    append(log, 2, [prediction("e", line=5)])
    found = scanned(log, FrameRange(batch_to=1), "confidence < 0.5", ["site", "it's", "none"])
    assert found == {
        "sample_id": ["a", "b", "c"],
        "line": [1, 2, 3],
        "pattern": [0, 0, 1],
        "predicted_class": ["cat", "cat", "dog"],
        "confidence": [0.75, None, 0.1],
        "margin": [None, None, None],
        "sampling_rate": [None, None, None],
        "attributes.site": ["Bern", "", None],
        "attributes.it's": ["x", None, None],
        "attributes.none": [None, None, None],
    }


def test_a_long_scan_comes_in_batches(log: PredictionLog) -> None:
    append(log, 1, [prediction(f"{i}") for i in range(2_500)])
    assert len(scanned(log)["sample_id"]) == 2_500
    assert all(batch.num_rows <= 50_000 for batch in log.scan(ALL, [], []))


def test_what_a_shadow_model_said_stands_beside_what_was_served(log: PredictionLog) -> None:
    shadow = {"role": Role.SHADOW, "model": "it's v2"}
    append(log, 1, [prediction("early", line=4, predicted_class="dog", **shadow)])
    append(
        log,
        2,
        [
            prediction("a", line=1),
            prediction("b", line=2, confidence=None),
            prediction("c", line=3),
            prediction("early", line=4),
            prediction("a", line=1, predicted_class="dog", **shadow),
            prediction("b", line=2, role=Role.SHADOW, model="v3"),
        ],
    )
    append(log, 3, [prediction("c", line=3, predicted_class="bird", **shadow)])
    found = [
        r
        for b in log.beside(FrameRange(batch_to=3, batch_after=1), "it's v2")
        for r in b.to_pylist()
    ]
    assert sorted((r["sample_id"], r["line"], r["predicted_class"], r["said"]) for r in found) == [
        ("a", 1, "cat", "dog"),
        ("c", 3, "cat", "bird"),
        ("early", 4, "cat", "dog"),
    ]
    assert {r["confidence"] for r in found} == {0.75}
    upto = [
        r["sample_id"] for b in log.beside(FrameRange(batch_to=2), "it's v2") for r in b.to_pylist()
    ]
    assert sorted(upto) == ["a", "early"]
    assert not [r for b in log.beside(ALL, "nobody") for r in b.to_pylist()]


def ranked(log: PredictionLog, score: Score, **asked: Any) -> list[tuple[str, float]]:
    return [(r.sample_id, r.score) for r in log.ranked(ALL, score, **{"n": 10, **asked})]


def test_rows_are_ranked_by_each_score_and_ties_by_place(log: PredictionLog) -> None:
    shadow = {"role": Role.SHADOW, "model": "v2"}
    two, none = [0.25, 0.75], [float("nan"), 0.5]
    rows = [
        prediction("a", line=4, confidence=0.5, probabilities=[0.5, 0.25, 0.25]),
        prediction("b", line=3, confidence=0.5, probabilities=two, predicted_class="dog"),
        prediction("c", line=2, confidence=0.25, probabilities=[0.5, 0.5]),
        prediction("d", line=1, confidence=None, probabilities=none),
        prediction("e", line=5, confidence=1.0, attributes={"it's": "x"}),
        prediction("a", line=4, predicted_class="dog", **shadow),
        prediction("b", line=3, predicted_class="dog", **shadow),
        prediction("a", line=4, predicted_class="dog", role=Role.REPEATED, model="v3"),
        prediction("b", line=3, predicted_class="cat", role=Role.REPEATED, model="v3"),
        prediction("c", line=2, predicted_class="dog", **shadow),
    ]
    append(log, 1, rows)
    assert ranked(log, Score.PLACE) == [(i, 0.0) for i in "dcbae"]
    confident = [("c", 0.75), ("b", 0.5), ("a", 0.5), ("e", 0.0)]
    assert ranked(log, Score.LEAST_CONFIDENT) == confident
    assert ranked(log, Score.LEAST_CONFIDENT, n=2) == confident[:2]
    where = Where.parse("confidence >= 0.5")
    assert ranked(log, Score.LEAST_CONFIDENT, where=where) == confident[1:]
    assert ranked(log, Score.MARGIN) == [("c", 1.0), ("a", 0.75), ("b", 0.5)]
    entropy = ranked(log, Score.ENTROPY)
    assert [i for i, _ in entropy] == ["a", "c", "b"]
    assert [of for _, of in entropy] == pytest.approx([1.5 * log_of(2), log_of(2), 0.5623351446])
    assert ranked(log, Score.ENTROPY, n=1) == entropy[:1]
    third = 1 - 2 / 3
    assert ranked(log, Score.DISAGREEMENT) == [("c", 0.5), ("b", third), ("a", third)]
    assert ranked(log, Score.DISAGREEMENT, where=where, n=1) == [("b", third)]
    assert [i for i, _ in ranked(log, Score.RISK)] == ["c", "d", "b", "a", "e"]
    assert dict(ranked(log, Score.RISK))["d"] == 512.5 / 1024


@pytest.mark.parametrize("score", [Score.LEAST_CONFIDENT, Score.ENTROPY, Score.DISAGREEMENT])
def test_the_first_rows_of_each_group_are_ranked(log: PredictionLog, score: Score) -> None:
    site = {"it's": "x"}
    rows = [
        prediction("a", line=1, probabilities=[0.5, 0.5], attributes=site),
        prediction("b", line=2, probabilities=[0.5, 0.5], attributes=site),
        prediction("c", line=3, probabilities=[0.5, 0.5], predicted_class="dog"),
        prediction("d", line=4, probabilities=[0.5, 0.5], predicted_class="dog"),
        prediction("e", line=5, probabilities=[0.5, 0.5], predicted_class="dog", attributes=site),
    ]
    shadows = [replace(row, role=Role.SHADOW, model="v2") for row in rows]
    append(log, 1, [*rows, *shadows])
    found = log.ranked(ALL, score, n=1, by=("predicted_class", "attributes.it's"))
    assert [(r.sample_id, r.groups) for r in found] == [
        ("a", ("cat", "x")),
        ("c", ("dog", None)),
        ("e", ("dog", "x")),
    ]
    assert not log.ranked(FrameRange(batch_to=9, batch_after=1), score, n=1)


def test_embeddings_are_those_of_the_frame(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", embedding=[0.5, 1.0]), prediction("b")])
    append(log, 2, [prediction("c", embedding=[0.25, 0.0])])
    found = log.embeddings(FrameRange(batch_to=1), ["a", "b", "c"])
    assert {k: list(v) for k, v in found.items()} == {"a": [0.5, 1.0]}
    assert log.embeddings(ALL, []) == {}


def test_the_newest_opinion_counts_of_any_model(log: PredictionLog) -> None:
    append(
        log,
        1,
        [
            prediction("a", model="m1", probabilities=[0.75, 0.25]),
            prediction("b", model="m1"),
            prediction("a", model="m2", role=Role.SHADOW, predicted_class="dog"),
        ],
    )
    append(log, 2, [prediction("b", model="m3's", role=Role.SHADOW, confidence=0.5)])

    def said(model: str | None = None) -> dict[str, tuple[object, ...]]:
        rows = [r for batch in log.opinions(["a", "b", "x"], model) for r in batch.to_pylist()]
        return {r["sample_id"]: (r["model"], r["confidence"], r["probabilities"]) for r in rows}

    assert said() == {"a": ("m2", 0.75, None), "b": ("m3's", 0.5, None)}
    assert said("m1") == {"a": ("m1", 0.75, [0.75, 0.25]), "b": ("m1", 0.75, None)}
    assert said("m3's") == {"b": ("m3's", 0.5, None)}


ODD_TEXTS = ["it's", 'a "b"', "<&>", "a/b\\c", "パン/ケーキ", "%_", "", " ", "a\nb", "🥐", "x=1/y"]


def test_texts_of_any_characters_survive(log: PredictionLog) -> None:
    append(log, 1, [prediction(f"{t}.png", predicted_class=t) for t in ODD_TEXTS])
    assert sorted(in_frame(log)) == sorted(f"{t}.png" for t in ODD_TEXTS)
    assert {c.predicted_class for c in log.counts(ALL, [])} == set(ODD_TEXTS)
    assert set(log.samples([f"{t}.png" for t in ODD_TEXTS])) == {f"{t}.png" for t in ODD_TEXTS}
    for text in ODD_TEXTS:
        quoted = text.replace("'", "''")
        assert in_frame(log, where=f"predicted_class = '{quoted}'") == [f"{text}.png"]


def test_attributes_are_listed_and_asked_for(log: PredictionLog) -> None:
    append(
        log,
        1,
        [
            prediction("a", attributes={"site": "Bern", "user.id": "7"}),
            prediction("b", attributes={"site": "Genève"}),
            prediction("c"),
        ],
    )
    assert log.attributes() == {"site", "user.id"}
    assert in_frame(log, where="attributes.site = 'Bern'") == ["a"]
    assert in_frame(log, where="attributes['user.id'] = '7'") == ["a"]
    assert in_frame(log, where="attributes.site like 'Gen%'") == ["b"]
    assert in_frame(log, where="attributes.site is null") == ["c"]
    assert in_frame(log, where="attributes.absent is null") == by_place("a", "b", "c")
    append(log, 2, [prediction("d", role=Role.SHADOW, attributes={"new": ""})])
    assert log.attributes() == {"site", "user.id", "new"}


def test_a_frame_is_not_asked_for_feedback(log: PredictionLog) -> None:
    flagged = [Where.parse("flagged")]
    with pytest.raises(LogError, match="names feedback"):
        log.counts(ALL, flagged)
    with pytest.raises(LogError, match="names feedback"):
        log.rows(ALL, flagged, [WHOLE_LINE])


# --- feedback -------------------------------------------------------------------------------


def test_feedback_is_folded_to_the_latest_of_each_kind(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("b"), prediction("c")])
    append(
        log,
        2,
        [
            heard("a", "flagged", "false", 9),
            heard("a", "flagged", "true", 10),
            heard("a", "corrected_class", "dog", 3),
            heard("b", "corrected_class", "dog"),
        ],
    )
    append(log, 3, [heard("a", "flagged", "false", 1), heard("b", "corrected_class", "", 5)])
    known = log.samples(["a", "b", "c", "absent"])
    said = {sample_id: (one.flagged, one.corrected_class) for sample_id, one in known.items()}
    assert said == {"a": (False, "dog"), "b": (None, None), "c": (None, None)}
    assert known["a"].predicted_at.tzinfo is UTC


def test_received_looks_at_its_own_batches_and_folds_up_to_their_end(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("b")])
    append(log, 2, [heard("a", "flagged", "true"), heard("unknown", "flagged", "true")])
    append(log, 3, [heard("b", "flagged", "true"), heard("a", "corrected_class", "dog")])
    append(log, 4, [heard("a", "flagged", "false")])
    either = Where.parse("flagged or corrected_class is not null")

    def received(after: int, to: int) -> dict[str, tuple[bool | None, str | None]]:
        found = log.received(after, to, either)
        return {c.sample_id: (c.flagged, c.corrected_class) for c in found}

    assert received(0, 2) == {"a": (True, None)}
    assert received(2, 3) == {"a": (True, "dog"), "b": (True, None)}
    assert received(3, 4) == {"a": (False, "dog")}
    assert received(4, 9) == {}


def test_received_needs_a_serving_prediction_by_then_and_meets_any_condition(
    log: PredictionLog,
) -> None:
    append(log, 1, [heard("late", "flagged", "true"), heard("shadow", "flagged", "true")])
    append(log, 2, [prediction("late"), prediction("shadow", role=Role.SHADOW)])
    flagged = Where.parse("flagged and confidence > 0.5")
    assert list(log.received(0, 1, flagged)) == []
    assert [c.sample_id for c in log.received(0, 2, flagged)] == ["late"]
    assert list(log.received(0, 2, Where.parse("flagged and confidence < 0.5"))) == []


def test_other_models_predictions_of_a_known_sample_are_named(log: PredictionLog) -> None:
    append(log, 1, [prediction("a")])
    append(log, 2, [prediction("a", model=m, role=Role.REPEATED) for m in ("m2", "m3", "m3")])
    append(log, 3, [prediction("a", model="m4", role=Role.SHADOW)])
    known = log.samples(["a", "a"])
    assert (known["a"].model, known["a"].repeated) == ("m1", {"m2", "m3"})
    assert known["a"].shadows == {"m4": "cat"}


def test_what_each_shadow_model_said_first_is_known(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("a", model="s1", role=Role.SHADOW)])
    append(
        log,
        2,
        [
            prediction("a", model="s1", role=Role.SHADOW, predicted_class="dog"),
            prediction("a", model="s2", role=Role.SHADOW, predicted_class="dog"),
            prediction("b"),
            prediction("only a shadow", model="s1", role=Role.SHADOW),
        ],
    )
    known = log.samples(["a", "b", "only a shadow"])
    assert {k: v.shadows for k, v in known.items()} == {"a": {"s1": "cat", "s2": "dog"}, "b": {}}


# --- model labels ---------------------------------------------------------------------------


def test_model_labels_are_confident_framed_and_uncontested(log: PredictionLog) -> None:
    append(log, 1, [prediction("early", predicted_class="dog")])
    append(
        log,
        2,
        [
            prediction("zebra", confidence=0.9),
            prediction("ape", confidence=0.5),
            prediction("unsure", confidence=0.499999),
            prediction("silent", confidence=None),
            prediction("flagged"),
            prediction("cleared"),
            prediction("corrected"),
        ],
    )
    append(log, 3, [heard("flagged", "flagged", "true"), heard("cleared", "flagged", "false")])
    append(log, 4, [heard("corrected", "corrected_class", "dog")])
    append(log, 5, [prediction("next")])
    frames = [FrameRange(batch_after=1, batch_to=4)]
    assert labels(log, frames=frames) == ["ape", "cleared", "zebra"]
    frames.append(FrameRange(batch_after=0, batch_to=1))
    assert labels(log, frames=[*frames, *frames]) == ["ape", "cleared", "early", "zebra"]
    assert labels(log, frames=[]) == []
    late = FrameRange(batch_to=9, since=NOON + timedelta(seconds=1))
    assert labels(log, frames=[late]) == []


def test_a_model_label_has_what_a_manifest_needs(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", confidence=0.75), prediction("b", confidence=None)])
    cells = frozenset({(prediction("a").predicted_class, risk_bin(c)) for c in (0.75, None)})
    parts = [LabelPart(frames=(ALL,), cells=cells, certificate=3)]
    [batch] = log.model_labels(parts, without_samples=[], without_content=[])
    wanted = [
        {
            "sample_id": name,
            "uri": prediction(name).uri,
            "content_hash": prediction(name).content_hash,
            "predicted_class": prediction(name).predicted_class,
            "confidence": confidence,
            "model": prediction(name).model,
            "certificate": 3,
        }
        for name, confidence in (("a", 0.75), ("b", None))
    ]
    assert batch.to_pylist() == wanted


def test_model_labels_keep_the_wall_twins_included(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("b"), prediction("twin", content_hash="hash of a")])
    assert labels(log, without_samples=["a"]) == ["b", "twin"]
    assert labels(log, without_content=["hash of a"]) == ["b"]
    assert labels(log, without_samples=["b", "b"], without_content=["hash of a"]) == []


def test_a_prediction_belongs_to_the_first_part_that_holds_it(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", confidence=0.9), prediction("b", confidence=0.2)])
    append(log, 2, [prediction("c", confidence=0.9), prediction("d", confidence=None)])
    append(log, 3, [prediction("e", confidence=0.9, predicted_class="dog")])
    first, second = FrameRange(batch_to=1), FrameRange(batch_after=1, batch_to=3)
    of_a = (prediction("a").predicted_class, risk_bin(0.9))
    unsure = (prediction("a").predicted_class, risk_bin(None))
    parts = [
        LabelPart(frames=(first,), cells=frozenset(), certificate=1),
        LabelPart(frames=(second,), cells=frozenset({of_a, unsure}), certificate=2),
        LabelPart(frames=(ALL,), min_confidence=0.1),
    ]
    assert certified(log, parts) == {("c", 2), ("d", 2)}
    found = certified(log, parts[1:])
    assert found == {("a", None), ("b", None), ("c", 2), ("d", 2)}


def test_label_counts_leave_out_what_is_contested_and_tell_what_is_named(
    log: PredictionLog,
) -> None:
    append(log, 1, [prediction(name) for name in ("a", "b", "flagged")])
    append(log, 2, [prediction("twin", content_hash="hash of a"), prediction("c", confidence=None)])
    append(log, 3, [heard("flagged", "flagged", "true")])
    frames = [FrameRange(batch_to=1), FrameRange(batch_after=1, batch_to=2)]
    found = log.label_counts(frames, without_samples=["b"], without_content=["hash of a"])
    usual = (prediction("a").predicted_class, risk_bin(prediction("a").confidence))
    assert {(c.frame, c.predicted_class, c.risk_bin, c.n, c.n_kept) for c in found} == {
        (0, *usual, 2, 0),
        (1, *usual, 1, 0),
        (1, usual[0], risk_bin(None), 1, 1),
    }
    assert log.label_counts([], without_samples=[], without_content=[]) == []


def test_predictions_without_a_class_are_counted_and_never_kept(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("none", predicted_class=NO_CLASS)])
    found = log.label_counts([ALL], without_samples=[], without_content=[])
    assert {(c.predicted_class, c.n, c.n_kept) for c in found} == {("cat", 1, 1), (NO_CLASS, 1, 0)}
    assert labels(log) == ["a"]


def test_model_labels_come_in_order_page_by_page(log: PredictionLog) -> None:
    n = 60_000
    order = [f"{(i * 7919) % n:06d}" for i in range(n)]
    append(log, 1, [prediction(sample_id, line=7) for sample_id in order])
    assert labels(log, without_samples=["000007"]) == [f"{i:06d}" for i in range(n) if i != 7]


def test_a_reading_may_be_left_half_way_while_others_go_on(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("b")])
    pages = log.model_labels([LabelPart(frames=(ALL,))], without_samples=[], without_content=[])
    assert len(next(pages)) == 2
    append(log, 2, [prediction("c")])
    assert in_frame(log) == by_place("a", "b", "c")
    assert list(pages) == []


# --- both alike -----------------------------------------------------------------------------

texts = st.sampled_from(["", "a", "b", "ab", "it's", "%", "ü"])
doubles = st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.1 + 0.2, 1.0])
moments = st.integers(0, 5).map(lambda i: NOON + timedelta(seconds=i))
predictions = st.builds(
    Prediction,
    sample_id=st.uuids().map(str),
    uri=texts,
    predicted_at=moments,
    model=texts,
    predicted_class=texts,
    confidence=st.none() | doubles | st.floats(0, 1),
    line=st.integers(0, 9) | st.integers(0, LINE_END - 1),
    content_hash=texts,
    size_bytes=st.sampled_from([0, 1, 2**53 + 1]),
    role=st.sampled_from([Role.SERVING, Role.SERVING, Role.SHADOW]),
    attributes=st.dictionaries(st.sampled_from(["site", "user.id"]), texts),
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


OPERATORS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
NAMES = st.sampled_from(
    ["predicted_class", "model", "attributes.site", "attributes['user.id']", "content_hash"]
)
literals = texts.map(_quoted)
leaves = st.one_of(
    st.tuples(st.sampled_from(["confidence", "size_bytes"]), OPERATORS, doubles.map(repr)).map(
        " ".join
    ),
    st.tuples(NAMES, OPERATORS, literals | NAMES).map(" ".join),
    st.tuples(NAMES, st.lists(literals | NAMES, min_size=1, max_size=3)).map(
        lambda x: f"{x[0]} in ({', '.join(x[1])})"
    ),
    st.builds("confidence between {} and {}".format, doubles, doubles),
    st.builds("{} not between {} and {}".format, NAMES, NAMES, literals),
    st.builds("{} like {}".format, NAMES, st.sampled_from(["'%'", "'_'", "'a%'", "'%''s'"])),
    st.builds("{} is null".format, NAMES | st.just("confidence")),
    st.builds("predicted_at {} '{}'".format, OPERATORS, moments.map(lambda at: at.isoformat())),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({}) is not true".format, inner),
        st.builds("({}) is null".format, inner),
        st.builds("({}) = ({})".format, inner, inner),
    ),
    max_leaves=5,
).map(Where.parse)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    rows=st.lists(predictions, min_size=1, max_size=25, unique_by=lambda p: p.sample_id),
    wheres=st.lists(st.lists(conditions, max_size=4), min_size=4, max_size=4),
    data=st.data(),
)
def test_iceberg_and_memory_give_the_same_counts_and_rows(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Prediction],
    wheres: list[list[Where]],
    data: st.DataObject,
) -> None:
    memory = MemoryLog("ledger", SALT)
    with open_iceberg(tmp_path_factory.mktemp("log")) as iceberg:
        for log in (memory, iceberg):
            for i, batch in enumerate((rows[::2], rows[1::2])):
                if batch:
                    append(log, i + 1, batch)
        for asked in wheres:
            frame = data.draw(
                st.builds(
                    FrameRange,
                    batch_after=st.integers(0, 1),
                    batch_to=st.integers(1, 2),
                    since=st.none() | moments,
                    until=st.none() | moments,
                )
            )
            spans = data.draw(
                st.lists(
                    st.builds(
                        Span,
                        pattern=st.integers(0, 2 ** len(asked) - 1),
                        above=st.integers(-1, 9),
                        up_to=st.integers(0, 9) | st.just(LINE_END),
                    )
                )
            )
            assert list(iceberg.counts(frame, asked)) == list(memory.counts(frame, asked))
            for where in asked:
                for score in (Score.LEAST_CONFIDENT, Score.RISK):
                    found = [log.ranked(frame, score, where, n=9) for log in (memory, iceberg)]
                    assert list(found[0]) == list(found[1])
            assert list(iceberg.rows(frame, asked, spans)) == list(memory.rows(frame, asked, spans))


# --- tables of predictions ----------------------------------------------------------------------


def test_a_batch_may_come_in_columns(log: PredictionLog) -> None:
    rows = [
        prediction("a", attributes={"site": "Bern"}, text="Füchse"),
        prediction("b", role=Role.SHADOW, confidence=None, probabilities=[0.5, 0.25]),
    ]
    held = {f.name: [getattr(r, f.name) for r in rows] for f in fields(Prediction)}
    held["attributes"] = [list(r.attributes.items()) for r in rows]
    kinds = {
        "attributes": pa.map_(pa.string(), pa.string()),
        "probabilities": pa.list_(pa.float32()),
        "embedding": pa.list_(pa.float32()),
    }
    table = pa.table({name: pa.array(values, kinds.get(name)) for name, values in held.items()})
    log.commit_batch(
        1, "predictions", log.write_batch(1, "predictions", PredictionTable(table), NOON)
    )
    assert in_frame(log, where="attributes.site = 'Bern'") == ["a"]
    assert [(r.sample_id, r.role) for r in log.predictions(["b", "a", "c"])] == [
        ("a", Role.SERVING),
        ("b", Role.SHADOW),
    ]
    assert log.texts(["a", "b", "c"]) == {"a": "Füchse"}


def test_what_is_recorded_of_a_sample_is_every_prediction_with_its_feedback(
    log: PredictionLog,
) -> None:
    append(log, 1, [prediction("a"), prediction("b")])
    append(log, 2, [prediction("a", model="m2", role=Role.REPEATED, predicted_class="dog")])
    append(log, 3, [heard("a", "flagged", "true"), heard("a", "corrected_class", "dog")])
    assert log.predictions([]) == []
    found = log.predictions(["a"])
    assert [(r.model, r.role, r.predicted_class) for r in found] == [
        ("m1", Role.SERVING, "cat"),
        ("m2", Role.REPEATED, "dog"),
    ]
    assert {(r.flagged, r.corrected_class, r.content_hash) for r in found} == {
        (True, "dog", "hash of a")
    }


def test_the_text_of_a_sample_is_that_of_its_first_serving_prediction(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", text="one"), prediction("b", text="two"), prediction("c")])
    append(log, 2, [prediction("a", model="m2", role=Role.REPEATED, text="other")])
    assert log.texts([]) == {}
    assert log.texts(["a", "c", "d"]) == {"a": "one"}


def pages(log: PredictionLog, browsing: Browsing, limit: int) -> list[str]:
    """The samples of all pages, one page after another."""
    found: list[str] = []
    after = None
    while True:
        page = log.browse(browsing, after=after, limit=limit)
        assert len(page.rows) <= limit
        found += [row.sample_id for row in page.rows]
        if page.searched_to is None:
            return found
        after = page.searched_to


def test_pages_go_from_the_newest_batch_to_the_oldest_and_miss_nothing(log: PredictionLog) -> None:
    names = [f"{batch}{letter}" for batch in (1, 2, 3) for letter in "abcd"]
    for batch in (1, 2, 3):
        own = [prediction(n, confidence=batch / 4) for n in names if n.startswith(str(batch))]
        append(log, batch, own)
    append(log, 4, [prediction("1a", model="m2", role=Role.REPEATED)])
    append(log, 5, [heard("1a", "flagged", "true"), heard("3b", "corrected_class", "dog")])
    newest_first = [
        name for b in "321" for name in by_place(*(n for n in names if n.startswith(b)))
    ]
    for limit in (1, 3, 4, 100):
        assert pages(log, Browsing(), limit) == newest_first
    for where, matching in (
        ("confidence > 0.3 and confidence < 0.6", [n for n in newest_first if n[0] == "2"]),
        ("flagged", ["1a"]),
        ("corrected_class = 'dog'", ["3b"]),
        ("confidence is null", []),
    ):
        browsing = Browsing(where=Where.parse(where))
        assert pages(log, browsing, 2) == matching
        assert log.count(browsing, at_most=100) == Counted(n=len(matching), whole=True)
    flagged = log.browse(Browsing(where=Where.parse("flagged")), after=None, limit=5).rows[0]
    assert (flagged.flagged, flagged.corrected_class, flagged.batch) == (True, None, 1)


def test_a_count_ends_above_its_limit(log: PredictionLog) -> None:
    append(log, 1, [prediction(str(n)) for n in range(10)])
    assert log.count(Browsing(), at_most=10) == Counted(n=10, whole=True)
    assert log.count(Browsing(), at_most=9) == Counted(n=9, whole=False)
    assert log.count(Browsing(), at_most=0) == Counted(n=0, whole=False)


def test_who_looks_through_the_log_may_leave_samples_and_contents_out(log: PredictionLog) -> None:
    append(log, 1, [prediction("a"), prediction("b"), prediction("twin", content_hash="hash of b")])
    browsing = Browsing(
        without_samples=frozenset({"a"}), without_content=frozenset({"hash of b", "another"})
    )
    assert pages(log, browsing, 5) == []
    assert log.count(browsing, at_most=5).n == 0
    assert pages(log, replace(browsing, without_content=frozenset()), 5) == by_place("b", "twin")


def test_all_that_models_said_of_one_sample_is_found(log: PredictionLog) -> None:
    assert log.of_sample("a") == []
    append(log, 1, [prediction("a", attributes={"site": "Bern"}, text="a text"), prediction("b")])
    append(log, 2, [prediction("a", model="m2", role=Role.SHADOW, confidence=None)])
    append(log, 3, [heard("a", "flagged", "true")])
    first, shadow = log.of_sample("a")
    assert (first.role, first.attributes, first.text) == (Role.SERVING, {"site": "Bern"}, "a text")
    assert (shadow.role, shadow.model, shadow.confidence) == (Role.SHADOW, "m2", None)
    assert first.flagged
    assert first.predicted_at == NOON
    assert log.of_sample("../a") == []


def test_an_answer_that_names_no_class_is_framed_and_no_label(log: PredictionLog) -> None:
    append(log, 1, [prediction("a", predicted_class=NO_CLASS), prediction("b")])
    assert in_frame(log) == by_place("a", "b")
    assert labels(log) == ["b"]


# --- erasing --------------------------------------------------------------------------------


def fill(log: PredictionLog) -> None:
    """Three samples over four batches: one of "a" alone, one of all, feedback, one without "a"."""
    append(log, 1, [prediction("a")])
    append(
        log, 2, [prediction("b"), prediction("a", model="m2", role=Role.SHADOW), prediction("c")]
    )
    append(log, 3, [heard("a", "flagged", "true"), heard("b", "flagged", "true")])
    append(log, 4, [prediction("d")])


def test_what_is_held_of_samples_is_told_by_batch(log: PredictionLog) -> None:
    assert log.held(["a"]) == []
    fill(log)
    one = {"uri": "s3://production/a", "content_hash": "hash of a"}
    assert log.held([]) == log.held(["none"]) == []
    assert list(log.held(["d", "a"])) == [
        HeldRows(sample_id="a", batch=1, kind="predictions", n_rows=1, **one),
        HeldRows(sample_id="a", batch=2, kind="predictions", n_rows=1, **one),
        HeldRows(sample_id="a", batch=3, kind="feedback", n_rows=1),
        HeldRows(
            sample_id="d",
            batch=4,
            kind="predictions",
            n_rows=1,
            uri="s3://production/d",
            content_hash="hash of d",
        ),
    ]


def test_what_the_log_holds_is_never_taken_for_new(reopen: Reopen) -> None:
    log, other = reopen(), reopen()
    assert may_hold(log, "a", "b") == ""
    append(log, 1, [prediction("b"), prediction("a"), prediction("c", role=Role.SHADOW)])
    append(log, 2, [heard("d", "flagged", "true")])
    assert may_hold(log, "d", "c", "b", "a") == "cba"
    assert may_hold(log, "d", "c", "b", "a", serving=True) == "ba"
    append(other, 3, [prediction("c"), prediction("e")])
    assert may_hold(log, "f", "e", "c", serving=True) == "ec"
    log.erase(["a", "e"], allowed=lambda: None)
    assert may_hold(log, "a", "b", "c", "e") == may_hold(other, "a", "b", "c", "e") == "bc"
    assert may_hold(reopen(), "c", "a", "b") == "cb"


def test_the_twins_of_samples_are_named(log: PredictionLog) -> None:
    same = {"content_hash": "same"}
    append(log, 1, [prediction("a", **same), prediction("b", **same), prediction("c")])
    append(log, 2, [prediction("é", **same), prediction("b", model="m2", role=Role.SHADOW, **same)])
    append(log, 3, [prediction("d", content_hash=""), prediction("e", content_hash="")])
    assert list(log.twins(["a"], 9)) == ["b", "é"]
    assert list(log.twins(["a", "b"], 9)) == ["é"]
    assert list(log.twins(["a"], 1)) == ["b"]
    assert list(log.twins(["c", "d", "none"], 9)) == list(log.twins([], 9)) == []


def test_an_erased_sample_is_in_no_answer_and_the_others_stay(reopen: Reopen) -> None:
    log = reopen()
    fill(log)
    log.erase(["a", "never there"], allowed=lambda: None)
    for each in (log, reopen()):
        assert each.held(["a"]) == []
        assert each.samples(["a"]) == {}
        assert in_frame(each) == by_place("b", "c", "d")
        received = each.received(0, 4, Where.parse("flagged"))
        assert [c.sample_id for c in received] == ["b"]
        found = [(b.batch, b.kind, b.n_rows) for b in each.visible_after(0)]
        assert found == [(2, "predictions", 2), (3, "feedback", 1), (4, "predictions", 1)]


def test_erasing_again_changes_nothing_and_the_log_goes_on(log: PredictionLog) -> None:
    fill(log)
    log.erase(["a"], allowed=lambda: None)
    before = log.snapshot()
    log.erase(["a"], allowed=lambda: None)
    log.erase([], allowed=lambda: None)
    assert log.snapshot() == before
    append(log, 5, [prediction("e")])
    assert in_frame(log) == by_place("b", "c", "d", "e")
    log.erase(["b", "c", "d", "e"], allowed=lambda: None)
    assert in_frame(log) == []
    append(log, 6, [prediction("f")])
    assert in_frame(log) == ["f"]


def test_erasing_keeps_the_rows_of_others_whole(log: PredictionLog) -> None:
    other = prediction(
        "other",
        probabilities=[0.5, 0.25],
        attributes={"site": "Bern"},
        text="a text",
        predicted_at=NOON + timedelta(microseconds=7),
        confidence=None,
    )
    append(log, 1, [prediction("a"), other])
    before = in_frame_rows(log, "other")
    log.erase(["a"], allowed=lambda: None)
    assert in_frame_rows(log, "other") == before
    assert log.texts(["other"]) == {"other": "a text"}


def in_frame_rows(log: PredictionLog, sample_id: str) -> Sequence[Candidate]:
    return log.rows_of(ALL, [], [sample_id])


@pytest.mark.parametrize("overtaken", [False, True])
def test_what_another_writes_while_erasing_stands_still_stays(
    log: PredictionLog, overtaken: bool
) -> None:
    fill(log)
    written: list[str] = []

    def stand_still() -> None:
        if not written:
            written.append(log.write_batch(5, "predictions", [prediction("e")], NOON))
        if overtaken:
            raise LeaseLost("`index` was taken over", remedy="run again")

    with pytest.raises(LeaseLost) if overtaken else nullcontext():
        log.erase(["a"], allowed=stand_still)
    log.commit_batch(5, "predictions", written[0])
    log.erase(["a"], allowed=lambda: None)
    assert in_frame(log) == by_place("b", "c", "d", "e")


def test_a_batch_that_was_not_committed_is_given_up_by_erasing(log: PredictionLog) -> None:
    path = log.write_batch(1, "predictions", [prediction("a"), prediction("b")], NOON)
    log.erase(["a"], allowed=lambda: None)
    assert not log.is_whole(path, 2)
    with pytest.raises(LogError, match="isn't a complete batch"):
        log.commit_batch(1, "predictions", path)


# --- upkeep ---------------------------------------------------------------------------------


def maintained(
    log: PredictionLog, *, unused_before: datetime = NOON, dry_run: bool = False
) -> Upkeep:
    """What tidying found, where all days up to NOON's are closed."""
    return log.maintain(
        closed_before=NOON + timedelta(days=1),
        unused_before=unused_before,
        allowed=lambda: None,
        progress=lambda _what, _done, _total: None,
        dry_run=dry_run,
    )


def everything(log: PredictionLog) -> list[object]:
    """What a log answers to questions of every kind."""
    flagged = Where.parse("flagged")
    return [
        *(in_frame(log, FrameRange(batch_after=n, batch_to=n + 2)) for n in range(7)),
        [log.rows_of(FrameRange(batch_to=n), [], ["a", "b3", "o"]) for n in (2, 4, 9)],
        log.counts(FrameRange(batch_after=2, batch_to=5), []),
        [(b.batch, b.kind, b.n_rows) for b in log.visible_after(0)],
        [(b.batch, b.n_rows) for b in log.visible_after(4)],
        sorted(log.samples(["a", "b1", "b3", "o", "nobody"]).items()),
        log.predictions(["a", "b3", "o"]),
        log.held(["a", "b2", "b3"]),
        [log.received(n, n + 3, flagged) for n in (0, 2, 4)],
        labels(log, frames=[FrameRange(batch_to=4)]),
        log.texts(["o"]),
        log.attributes(),
    ]


def test_tidying_changes_no_answer_and_the_log_goes_on(reopen: Reopen) -> None:
    log = reopen()
    append(log, 1, [prediction("a"), prediction("b1", confidence=None)])
    append(log, 2, [heard("a", "flagged", "true")])
    odd = prediction("o", probabilities=[0.5, 0.25], attributes={"site": "Bern"}, text="a text")
    append(log, 3, [odd, prediction("b3", predicted_at=NOON + timedelta(days=9))])
    append(log, 4, [prediction("b4"), prediction("a", model="m2", role=Role.REPEATED)])
    append(log, 5, [heard("a", "flagged", "false", 5), heard("b3", "corrected_class", "dog")])
    append(log, 6, [prediction("b2")])
    before = everything(log)
    maintained(log, dry_run=True)
    assert everything(log) == before
    for unused_before in (NOON, datetime.now(UTC) + timedelta(days=1)):
        maintained(log, unused_before=unused_before)
        for each in (log, reopen()):
            assert everything(each) == before
    assert not maintained(log, unused_before=datetime.now(UTC) + timedelta(days=1)).changes
    with pytest.raises(LogError, match="in the log already"):
        log.write_batch(3, "predictions", [prediction("another")], NOON)
    log.erase(["o", "b2"], allowed=lambda: None)
    assert in_frame(log) == by_place("a", "b1", "b3", "b4")
    assert [b.batch for b in log.visible_after(0)] == [1, 2, 3, 4, 5]
    append(log, 7, [prediction("late")])
    assert in_frame(log, FrameRange(batch_after=4, batch_to=7)) == ["late"]


# --- renamed classes ------------------------------------------------------------------------


def test_classes_are_told_by_their_present_names_wherever_they_stand(log: PredictionLog) -> None:
    old = 'do\'g \\ "x"'
    shadow = prediction("a", role=Role.SHADOW, model="m2", predicted_class="puppy")
    rows = [prediction("a", predicted_class=old), prediction("b", predicted_class="puppy"), shadow]
    append(log, 1, [*rows, prediction("c", predicted_class="cat")])
    append(log, 2, [heard("c", "corrected_class", old)])
    log.read_as({old: "hound", "puppy": "hound"})
    assert {(c.predicted_class, c.n) for c in log.counts(ALL, [])} == {("hound", 2), ("cat", 1)}
    assert in_frame(log, where="predicted_class = 'hound'") == by_place("a", "b")
    assert in_frame(log, where="predicted_class = 'puppy'") == []
    known = log.samples(["a", "c"])
    assert (known["a"].predicted_class, known["a"].shadows) == ("hound", {"m2": "hound"})
    assert known["c"].corrected_class == "hound"
    [corrected] = log.received(0, 2, Where.parse("corrected_class = 'hound'"))
    assert (corrected.sample_id, corrected.corrected_class) == ("c", "hound")
    assert {r.predicted_class for r in log.predictions(["a", "b"])} == {"hound"}
    part = LabelPart(frames=(ALL,), cells=frozenset({("hound", risk_bin(0.75))}))
    pages = log.model_labels([part], without_samples=[], without_content=[])
    said = {name for page in pages for name in page.column("predicted_class").to_pylist()}
    assert said == {"hound"}


def test_a_renamed_class_stays_as_it_was_written(reopen: Reopen) -> None:
    log = reopen()
    append(log, 1, [prediction("a", predicted_class="puppy")])
    log.read_as({"puppy": "hound"})
    assert log.samples(["a"])["a"].predicted_class == "hound"
    log.read_as({})
    assert log.samples(["a"])["a"].predicted_class == "puppy"


def test_contents_of_one_size_are_given_where_one_was_uploaded_in_parts(
    log: PredictionLog,
) -> None:
    parts, whole = f"{'a' * 32}-2", "b" * 32
    append(
        log,
        1,
        [
            prediction("judge", content_hash=parts, size_bytes=9),
            prediction("twin", content_hash=whole, size_bytes=9),
            prediction("other size", content_hash=f"{'c' * 32}-2", size_bytes=8),
            prediction("whole judge", content_hash="d" * 32, size_bytes=7),
            prediction("whole", content_hash="e" * 32, size_bytes=7),
        ],
    )
    append(log, 2, [prediction("twin again", content_hash=whole, size_bytes=9)])
    found = log.same_size(["judge", "whole judge"], 9)
    assert [(c.content_hash, c.size_bytes, c.named) for c in found] == [
        (parts, 9, True),
        (whole, 9, False),
        (whole, 9, False),
    ]
    assert [(c.content_hash, c.named) for c in log.same_size(["twin"], 9)] == [
        (parts, False),
        (whole, True),
        (whole, False),
    ]
    assert len(log.same_size(["judge"], 1)) == 1
    assert list(log.same_size(["whole judge"], 9)) == list(log.same_size([], 9)) == []
