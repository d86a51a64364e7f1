"""index, from files as people have them: one that can't be read costs itself, not the others."""

import gzip
import json
import os
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters.sources.files import FilesSource
from labelloop.core.estimate import Undefined
from labelloop.core.line import LINE_END
from labelloop.core.round import FrameRange, Span
from labelloop.core.row_range import RowRange
from labelloop.core.sample import RejectReason
from labelloop.errors import ConfigError
from labelloop.reading.columns import ColumnNames, TableRules
from labelloop.reading.rows import read_rows
from labelloop.views.headline import headline
from tests.hostile import tries
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, World

AT = "2026-03-02T11:00:00Z"
COLUMNS = "sample_id,predicted_class,predicted_at\n"


class Log:
    """A project whose predictions lie in files of a folder."""

    def __init__(self, make_world: MakeWorld, folder: Path, kind: str, columns: str = "") -> None:
        self.folder = folder / "table"
        self.folder.mkdir()
        self.kind = kind
        self._n = 0
        source = f'\n[source]\nuri = "{self.folder}"\nkind = "{kind}"\n{columns}'
        self.world: World = make_world(head=HEAD + source)

    def put(self, name: str, content: bytes | str | pa.Table) -> None:
        """Write a file now; a later one is newer."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._n += 1
        at = self.world.clock.now().timestamp() + self._n / 1000
        os.utime(path, (at, at))

    def held(self) -> set[str]:
        """The samples in the log."""
        line = [Span(pattern=0, above=-1, up_to=LINE_END)]
        return {c.sample_id for c in self.world.log.rows(FrameRange(batch_to=99), [], line)}

    def hidden(self) -> dict[str, RowRange]:
        """How many rows each reject stands for, by file and place."""
        told = self.world.loop.rejected()
        return {r.uri.removeprefix(f"{self.folder.as_uri()}/"): r.rows for r in told}

    def rejected(self) -> dict[str, tuple[RejectReason, str]]:
        """The reason and the value of each reject, by file and place."""
        told = self.world.loop.rejected()
        return {r.uri.removeprefix(f"{self.folder.as_uri()}/"): (r.reason, r.value) for r in told}


def good(*ids: str, **more: object) -> pa.Table:
    columns = {"sample_id": list(ids), "predicted_class": ["cat"] * len(ids),
               "predicted_at": [AT] * len(ids)}  # fmt: skip
    return pa.table(columns | more)


def test_a_last_line_without_its_end_waits_until_it_has_one(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "csv")
    log.put("a.csv", f"{COLUMNS}a,cat,{AT}\nb1,do")
    found = log.world.loop.index()
    assert (found.n_new, found.n_pending, found.n_set_aside) == (1, 1, 0)
    log.put("a.csv", f"{COLUMNS}a,cat,{AT}\nb1,dog,{AT}")
    assert log.world.loop.index().n_pending == 1
    log.put("a.csv", f"{COLUMNS}a,cat,{AT}\nb1,dog,{AT}\n")
    found = log.world.loop.index()
    assert (found.n_new, found.n_pending) == (1, 0)
    assert log.held() == {"a", "b1"}
    assert log.world.loop.index().n_files == 0


def test_a_last_line_that_never_gets_its_end_is_read_after_ten_minutes(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "csv")
    log.put("a.csv", f"{COLUMNS}a,cat,{AT}\nb,cat,{AT}")
    log.world.loop.index()
    log.world.clock.at += timedelta(minutes=11)
    assert (log.world.loop.index().n_new, log.held()) == (1, {"a", "b"})
    assert log.world.loop.index().n_files == 0


def test_a_whole_json_object_needs_no_end_and_half_of_one_waits(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "jsonl")
    line = json.dumps({"sample_id": "a", "predicted_class": "cat", "predicted_at": AT})
    log.put("a.jsonl", line)
    log.put("b.jsonl", line.replace('"a"', '"b"')[:-1])
    found = log.world.loop.index()
    assert (found.n_new, found.n_pending, found.n_set_aside) == (1, 1, 0)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"sample_i"])
def test_a_newest_file_without_rows_yet_hides_no_other(
    make_world: MakeWorld, tmp_path: Path, kind: str, content: bytes
) -> None:
    log = Log(make_world, tmp_path, kind)
    row = {"sample_id": "a", "predicted_class": "cat", "predicted_at": AT}
    log.put(f"1.{kind}", f"{COLUMNS}a,cat,{AT}\n" if kind == "csv" else json.dumps(row) + "\n")
    log.put(f"2.{kind}", content)
    assert log.world.loop.index().n_new == 1
    assert log.rejected() == {}


@pytest.mark.parametrize(
    ("bad", "n_bad"),
    [('q,"ca"t",{AT}\n', 1), ('q,"cat,{AT}\n', 1), ('q,"cat\n,{AT}\n', 2), ('"\n', 1)],
)
def test_a_stray_quote_costs_its_own_line(
    make_world: MakeWorld, tmp_path: Path, bad: str, n_bad: int
) -> None:
    log = Log(make_world, tmp_path, "csv")
    before = "".join(f"a{i},cat,{AT}\n" for i in range(100))
    after = "".join(f'z{i},"cat",{AT}\n' for i in range(100))
    log.put("a.csv", COLUMNS + before + bad.replace("{AT}", AT) + after)
    found = log.world.loop.index()
    assert (found.n_new, found.n_set_aside) == (200, n_bad)
    assert next(iter(log.rejected().values()))[0] is RejectReason.BAD_ROW


def test_one_json_document_is_said_to_be_none_of_lines(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "jsonl")
    rows = [{"sample_id": "a", "predicted_class": "cat", "predicted_at": AT}] * 2
    log.put("1.jsonl", json.dumps(rows[0]) + "\n")
    log.put("2.json", json.dumps(rows))
    log.put("3.json", json.dumps(rows, indent=1))
    log.put("4.json", json.dumps(rows[0], indent=1))
    assert log.world.loop.index().n_new == 1
    assert set(log.rejected()) == {"2.json", "3.json", "4.json"}
    assert all("one JSON document" in value for _, value in log.rejected().values())


def many(kind: str, n: int, begin: str = "") -> bytes:
    """A text file of n rows of one length."""
    ids = [f"{begin}{i:04}" for i in range(n)]
    if kind == "csv":
        return (COLUMNS + "".join(f"{i},cat,{AT}\n" for i in ids)).encode()
    rows = [{"sample_id": i, "predicted_class": "cat", "predicted_at": AT} for i in ids]
    return "".join(json.dumps(r) + "\n" for r in rows).encode()


def test_a_row_group_that_breaks_off_hides_as_many_rows_as_it_has(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "parquet")
    rows = good(*(f"{i:03}" * 30 for i in range(30)))
    pq.write_table(rows, tmp_path / "whole", row_group_size=10, use_dictionary=False)
    whole = (tmp_path / "whole").read_bytes()
    at = pq.read_metadata(tmp_path / "whole").row_group(1).column(0).data_page_offset
    log.put("a.parquet", whole[:at] + b"\xff" * 20 + whole[at + 20 :])
    found = log.world.loop.index()
    assert (found.n_new, found.n_set_aside, found.n_set_aside_most) == (20, 10, 10)
    assert log.hidden() == {"a.parquet#11": RowRange.exactly(10)}


def test_a_file_without_a_footer_hides_as_many_rows_as_its_size_allows(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "parquet")
    log.put("1.parquet", good(*(f"a{i}" for i in range(40))))
    log.put("2.parquet", good(*(f"b{i}" for i in range(40))))
    whole = (log.folder / "2.parquet").read_bytes()
    log.put("2.parquet", whole[:-20])
    found = log.world.loop.index()
    assert (found.n_new, found.n_set_aside) == (40, 1)
    hidden = log.hidden()["2.parquet"]
    assert hidden.least == 1
    assert hidden.most is not None
    assert 40 <= hidden.most <= 2 * 40 + 1
    assert found.n_set_aside_most == hidden.most


def test_a_file_that_breaks_off_hides_what_follows_its_readable_rows(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "jsonl")
    log.put("1.jsonl.gz", gzip.compress(many("jsonl", 20_000, "a"), mtime=0))
    zipped = gzip.compress(many("jsonl", 20_000, "b"), mtime=0)
    log.put("2.jsonl.gz", zipped[: len(zipped) * 9 // 10])
    found = log.world.loop.index()
    n_hidden = 40_000 - found.n_new
    assert 0 < n_hidden < 20_000
    hidden = log.hidden()["2.jsonl.gz"]
    assert hidden.most is not None
    assert hidden.least <= n_hidden <= hidden.most <= 40_000 - found.n_new + 20_000


def test_a_file_with_a_column_of_no_use_hides_the_rows_that_it_has(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "parquet")
    log.put("1.parquet", good("a"))
    log.put("2.parquet", good("x", "y", "z", confidence=[[0.5]] * 3))
    found = log.world.loop.index()
    assert (found.n_new, found.n_set_aside, found.n_set_aside_most) == (1, 3, 3)


@pytest.mark.mistake("hidden-rows")
@pytest.mark.parametrize("readable", [False, True])
def test_rows_that_nobody_can_count_leave_the_worst_case_open(
    make_world: MakeWorld, tmp_path: Path, readable: bool
) -> None:
    log = Log(make_world, tmp_path, "jsonl")
    log.put("1.jsonl", many("jsonl", 60))
    as_list = json.dumps([json.loads(row) for row in many("jsonl", 200, "b").splitlines()])
    log.put("2.jsonl", as_list)
    if readable:
        log.put("3.jsonl", many("jsonl", 180, "c"))
    world = log.world
    for name in log_ids(world, log):
        world.store.put(name, name.encode())
    world.loop.run(now=True)
    world.answer_all("cat")
    measured = world.loop.run().measured
    assert measured is not None
    recent = measured.last_seven_days
    estimate = recent.estimate
    assert not isinstance(estimate, Undefined)
    if readable:
        assert recent.n_set_aside_most is not None
        assert 200 <= recent.n_set_aside_most <= 440
        share = 240 / (240 + recent.n_set_aside_most)
        assert estimate.worst_low == pytest.approx(estimate.low * share)
        return
    assert (recent.n_set_aside, recent.n_set_aside_most) == (1, None)
    assert (estimate.worst_low, estimate.worst_high) == (0.0, 1.0)
    assert (
        headline(recent, measured.missing).warning
        == "nobody can tell how many rows were rejected (1 or more)"
    )
    assert world.loop.status().n_rejected_most == {"file can't be read": None}


def log_ids(world: World, log: Log) -> set[str]:
    """The samples that index finds."""
    world.loop.index()
    return log.held()


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (good("x").append_column("sample_id", pa.array(["y"])), "2 columns are called 'sample_id'"),
        (good("x", confidence=[[0.5]]), "'confidence' of the source has the type list<"),
        (good("x", flagged=[{"by": "ann"}]), "'flagged' of the source has the type struct<"),
        (good("x").set_column(2, "predicted_at", pa.array([17.5])), "no setting says their unit"),
    ],
)
def test_a_file_with_odd_columns_is_set_aside_by_name_and_the_others_are_read(
    make_world: MakeWorld, tmp_path: Path, odd: pa.Table, why: str
) -> None:
    log = Log(make_world, tmp_path, "parquet")
    log.put("1.parquet", good("a"))
    log.put("2.parquet", odd)
    log.put("3.parquet", good("b"))
    assert (log.world.loop.index().n_new, log.held()) == (2, {"a", "b"})
    log.put("4.parquet", odd)
    assert log.world.loop.index().n_new == 0
    told = log.rejected()
    assert set(told) == {"2.parquet", "4.parquet"}
    assert all(reason is RejectReason.BAD_FILE and why in value for reason, value in told.values())
    assert log.world.loop.index().n_files == 0


def test_a_newest_file_without_a_column_that_others_have_is_set_aside(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = Log(make_world, tmp_path, "parquet", '[source.columns]\nconfidence = "score"\n')
    log.put("1.parquet", good("a", score=[0.5]))
    log.put("2.parquet", good("b"))
    assert (log.world.loop.index().n_new, log.held()) == (1, {"a"})
    [(reason, why)] = log.rejected().values()
    assert reason is RejectReason.BAD_FILE
    assert "has no such column" in why


def test_a_column_that_no_file_has_stops_the_verb(make_world: MakeWorld, tmp_path: Path) -> None:
    log = Log(make_world, tmp_path, "parquet", '[source.columns]\nconfidence = "score"\n')
    log.put("1.parquet", good("a"))
    log.put("2.parquet", good("b"))
    with pytest.raises(ConfigError, match="no such column"):
        log.world.loop.index()


@pytest.mark.parametrize("off", ["false", '""', '"none"'])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("role", ["customer"]),
        ("probabilities", [{"cat": 0.4}]),
        ("flagged", [{"by": "ann"}]),
        ("confidence", ["high"]),
    ],
)
def test_a_column_that_means_something_else_can_be_switched_off(
    make_world: MakeWorld, tmp_path: Path, name: str, values: list[object], off: str
) -> None:
    log = Log(make_world, tmp_path, "parquet", f"[source.columns]\n{name} = {off}\n")
    log.put("1.parquet", good("a", **{name: values}))
    assert log.world.loop.index().n_new == 1


def test_a_column_has_a_name_or_is_off(make_world: MakeWorld, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a column's name, or false"):
        Log(make_world, tmp_path, "parquet", "[source.columns]\nrole = true\n")


def test_the_part_of_a_path_for_null_is_null(make_world: MakeWorld, tmp_path: Path) -> None:
    log = Log(make_world, tmp_path, "parquet")
    for day in ("v7", "__HIVE_DEFAULT_PARTITION__"):
        log.put(f"model={day}/a.parquet", good(day))
    log.world.loop.index()
    assert {p.model for p in log.world.log.predictions(list(log.held()))} == {"v7", "unversioned"}


# --- identities ---------------------------------------------------------------------------------


def ids(column: pa.Array) -> list[str | RejectReason]:
    n = len(column)
    batch = pa.record_batch(
        {"sample_id": column, "predicted_class": ["cat"] * n, "predicted_at": [AT] * n}
    )
    rules = TableRules(classes=frozenset({"cat"}), store_uri="s3://b")
    read = read_rows(batch, range(n), file_uri="f", names=ColumnNames(), rules=rules)
    found: dict[int, str | RejectReason] = {
        int(r.uri.partition("#")[2]): r.reason for r in read.rejects
    }
    kept = zip(read.where.to_pylist(), read.table.column("sample_id").to_pylist(), strict=True)
    found |= {int(where.partition("#")[2]): name for where, name in kept}
    return [found[i] for i in range(n)]


def test_whole_numbers_that_became_floats_keep_their_digits() -> None:
    no_id, lost = RejectReason.NO_SAMPLE_ID, RejectReason.BAD_ROW
    assert ids(pa.array([20261127100001.0, None])) == ["20261127100001", no_id]
    assert ids(pa.array([float("nan"), 2.0**53, 2.0**60])) == [no_id, "9007199254740992", lost]
    assert ids(pa.array(["20261127100001.0", "2.026e+13", "v1.0", ""])) == [
        "20261127100001", lost, "v1.0", no_id
    ]  # fmt: skip
    assert ids(pa.array([17.0, 2.0**24 + 2], pa.float32())) == ["17", lost]


@tries(100)
@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=5))
def test_any_whole_number_is_one_identity_by_every_type(numbers: list[int]) -> None:
    digits = [str(n) for n in numbers]
    for kind in (pa.int64(), pa.float64(), pa.decimal128(20, 0), pa.decimal128(20, 2)):
        assert ids(pa.array(numbers).cast(pa.decimal128(20, 0)).cast(kind)) == digits
    assert ids(pa.array([f"{n}.0" for n in numbers])) == digits


# --- a CSV with one line that can't be read --------------------------------------------------------


@tries(200)
@given(
    rows=st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=8),
    at=st.integers(0, 8),
    bad=st.sampled_from(['x"', '"x"y', '"x', '"', 'a"b"c', '"x,1']),
)
def test_lines_around_a_stray_quote_are_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], at: int, bad: str
) -> None:
    plain = [row.translate(str.maketrans("", "", '"\r\n\0,')) or "r" for row in rows]
    lines = [f"{row},1" for row in plain]
    lines.insert(at, f"{bad},1")
    path = tmp_path_factory.mktemp("quote") / "a.csv"
    path.write_bytes(("id,n\n" + "\n".join(lines) + "\n").encode())
    source = FilesSource(str(path), "csv")
    (file,) = source.files()
    found = [v for rows in source.read(file, None) for v in rows.batch.column("id").to_pylist()]
    assert [f for f in found if f in plain] == plain
