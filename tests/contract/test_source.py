"""What any source promises, held against every adapter."""

import gzip
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.parquet
import pytest

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.access import opening
from labelloop.adapters.sources.delta import DeltaSource, storage_options
from labelloop.adapters.sources.files import FilesSource, Kind
from labelloop.adapters.sources.iceberg import IcebergSource
from labelloop.core.row_range import RowRange
from labelloop.errors import (
    ConfigError,
    SourceFileBad,
    SourceFileDenied,
    StoreDenied,
    StoreUnavailable,
)
from labelloop.ports.source import Source, SourceFile
from labelloop.testing import MemorySource
from tests.conftest import ON_BUCKET
from tests.faults.stub import Reply, Stub, authority

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS

Row = Mapping[str, object]


class Table(Protocol):
    """A table of predictions, and who writes it."""

    source: Source

    def write(self, name: str, rows: Sequence[Row], /) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.source = MemorySource(rows_at_a_time=2)

    def write(self, name: str, rows: Sequence[Row]) -> None:
        self.source.put(name, rows)


class InFolder:
    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder, self.kind = folder, kind
        folder.mkdir(parents=True)
        self.source = FilesSource(str(folder), kind)

    def write(self, name: str, rows: Sequence[Row]) -> None:
        self.put(f"{name}.{self.kind}", encoded(self.kind, rows))

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class InBucket:
    def __init__(self, s3: "S3Client", bucket: str, server: "SeaweedFS") -> None:
        self.s3, self.bucket = s3, bucket
        self.write("seen", [])  # a prefix exists with its first object
        self.source = FilesSource(
            f"s3://{bucket}/a table",
            "parquet",
            s3=S3Access(
                endpoint_url=server.endpoint_url,
                access_key=server.access_key,
                secret_key=server.secret_key,
            ),
        )

    def write(self, name: str, rows: Sequence[Row]) -> None:
        key = f"a table/{name}.parquet" if rows else "a table/_started"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=encoded("parquet", rows))


class InIceberg:
    """An Iceberg table that is appended to; each write is a file."""

    def __init__(self, folder: Path) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        folder.mkdir()
        uri = f"sqlite:///{folder / 'catalog.db'}"
        self.catalog = SqlCatalog("lake", uri=uri, warehouse=str(folder))
        self.catalog.create_namespace("logs")
        self.source = IcebergSource("logs.answers", catalog=uri, catalog_name="lake")

    def write(self, _name: str, rows: Sequence[Row]) -> None:
        data = pa.Table.from_pylist(list(rows))
        table = self.catalog.create_table_if_not_exists("logs.answers", schema=data.schema)
        table.append(data)


class InDelta:
    """A Delta table that is appended to; each write is a file."""

    def __init__(self, uri: str, s3: S3Access | None = None) -> None:
        self.uri = uri
        self.source = DeltaSource(uri, s3=s3)
        self.options = None if s3 is None else storage_options(s3)

    def write(self, _name: str, rows: Sequence[Row]) -> None:
        from deltalake import write_deltalake

        data = pa.Table.from_pylist(list(rows))
        write_deltalake(self.uri, data, mode="append", storage_options=self.options)


def encoded(kind: Kind, rows: Sequence[Row]) -> bytes:
    if kind == "parquet":
        sink = pa.BufferOutputStream()
        pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), sink)
        return sink.getvalue().to_pybytes()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    header = list(rows[0])
    lines = [",".join(header), *(",".join(str(row[n]) for n in header) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def altered_page(data: bytes) -> bytes:
    """A Parquet file whose first page can't be unpacked."""
    return data[:30] + b"\xff" * 20 + data[50:]


@pytest.fixture(
    params=[
        *("memory", "parquet", "jsonl", "csv", "iceberg", "delta"),
        *(pytest.param(kind, marks=ON_BUCKET) for kind in ("s3", "delta on s3")),
    ]
)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    made: Table
    if request.param == "memory":
        made = InMemory()
    elif request.param == "iceberg":
        made = InIceberg(tmp_path / "lake house")
    elif request.param == "delta":
        made = InDelta(str(tmp_path / "a table"))
    elif request.param == "delta on s3":
        access = request.getfixturevalue("seaweedfs").access
        made = InDelta(f"s3://{request.getfixturevalue('bucket')}/a table", access)
    elif request.param == "s3":
        server = request.getfixturevalue("seaweedfs")
        s3, bucket = request.getfixturevalue("s3"), request.getfixturevalue("bucket")
        made = InBucket(s3, bucket, server)
    else:
        made = InFolder(tmp_path / "it's [odd] * #%20 ü", request.param)
    yield made
    made.source.close()  # type: ignore[attr-defined]


def read(source: Source, file: SourceFile, columns: Sequence[str] | None = None) -> list[Row]:
    """The rows of a file with their numbers; nulls left out."""
    found: list[Row] = []
    for rows in source.read(file, columns):
        assert rows.batch.num_rows == len(rows.numbers)
        for number, row in zip(rows.numbers, rows.batch.to_pylist(), strict=True):
            found.append({"#": number} | {k: v for k, v in row.items() if v is not None})
    return found


def test_files_are_listed_and_read_row_by_row(table: Table) -> None:
    table.write("a", [{"id": f"r{i}", "said": "cat"} for i in range(5)])
    table.write("b", [{"id": "x", "said": "Füchse"}])
    first, last = table.source.files()
    assert table.source.columns(last).names == ("id", "said")
    assert [row["id"] for row in read(table.source, first)] == [f"r{i}" for i in range(5)]
    (row,) = read(table.source, last)
    assert (row["id"], row["said"]) == ("x", "Füchse")


def test_a_file_says_how_many_rows_it_has(table: Table) -> None:
    table.write("a", [{"id": f"r{i}"} for i in range(5)])
    (file,) = table.source.files()
    assert table.source.n_rows(file) == RowRange.exactly(5)
    assert file.size_bytes > 0


def test_rows_have_their_places(table: Table) -> None:
    table.write("a", [{"id": f"r{i}"} for i in range(5)])
    (file,) = table.source.files()
    places = [row["#"] for row in read(table.source, file)]
    start = 2 if file.uri.endswith(".csv") else 1
    assert places == list(range(start, start + 5))


def test_only_the_columns_asked_for_are_read(table: Table) -> None:
    table.write("a", [{"id": "r", "said": "cat", "more": "m"}])
    (file,) = table.source.files()
    (row,) = read(table.source, file, ["id", "more", "absent"])
    assert {k for k in row if k != "#"} == {"id", "more"}
    (row,) = read(table.source, file, ["absent"])
    assert {k for k in row if k != "#"} == set()


def test_what_was_written_since_is_in_files_that_are_new_or_have_another_version(
    table: Table,
) -> None:
    table.write("a", [{"id": "r"}])
    before = table.source.files()
    assert table.source.files() == before
    table.write("a", [{"id": "r"}, {"id": "s"}])
    (fresh,) = [file for file in table.source.files() if file not in before]
    assert [row["id"] for row in read(table.source, fresh)] == ["r", "s"]


# --- tables ---------------------------------------------------------------------------------------


def ids(source: Source) -> list[list[object]]:
    return [[row["id"] for row in read(source, file)] for file in source.files()]


def test_rows_deleted_from_an_iceberg_table_are_not_read(tmp_path: Path) -> None:
    lake = InIceberg(tmp_path / "lake")
    lake.write("a", [{"id": "r"}, {"id": "s"}, {"id": "t"}])
    before = lake.source.files()
    lake.catalog.load_table("logs.answers").delete("id = 's'")
    assert lake.source.files() != before
    assert ids(lake.source) == [["r", "t"]]


def test_a_column_renamed_in_an_iceberg_table_has_its_new_name_everywhere(tmp_path: Path) -> None:
    lake = InIceberg(tmp_path / "lake")
    lake.write("a", [{"id": "r", "said": "cat"}])
    with lake.catalog.load_table("logs.answers").update_schema() as update:
        update.rename_column("said", "answer")
    lake.write("b", [{"id": "s", "answer": "dog"}])
    found = [row["answer"] for f in lake.source.files() for row in read(lake.source, f)]
    assert sorted(map(str, found)) == ["cat", "dog"]


def test_an_iceberg_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    lake = InIceberg(tmp_path / "lake")
    with pytest.raises(StoreDenied, match=r"no table 'logs.answers'"):
        lake.source.files()
    with pytest.raises(ConfigError, match="no such file"):
        IcebergSource("a.b", catalog=f"sqlite:///{tmp_path}/nowhere.db")


def test_columns_that_a_delta_table_is_partitioned_by_are_read(tmp_path: Path) -> None:
    from deltalake import DeltaTable, write_deltalake

    uri = str(tmp_path / "table")
    rows = [
        {"id": "r", "day": "2026-03-02"},
        {"id": "s", "day": "2026-03-03"},
        {"id": "t", "day": None},
    ]
    write_deltalake(uri, pa.Table.from_pylist(rows), partition_by=["day"])
    source = DeltaSource(uri)
    found = [row for f in source.files() for row in read(source, f)]
    assert {row["id"]: row.get("day") for row in found} == {r["id"]: r["day"] for r in rows}
    DeltaTable(uri).optimize.compact()
    DeltaTable(uri).delete("id = 's'")
    assert sorted(str(i) for file in ids(source) for i in file) == ["r", "t"]


def test_without_its_package_a_delta_table_is_an_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    monkeypatch.setitem(sys.modules, "deltalake.exceptions", None)
    with pytest.raises(ConfigError) as caught:
        DeltaSource(str(tmp_path)).files()
    assert "labelloop[delta]" in caught.value.remedy


def test_a_folder_that_is_no_delta_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreDenied, match="no Delta table"):
        DeltaSource(str(tmp_path)).files()


# --- files ------------------------------------------------------------------------------------


def in_folder(tmp_path: Path, kind: Kind, **files: bytes) -> InFolder:
    made = InFolder(tmp_path / "table", kind)
    for name, data in files.items():
        made.put(f"{name}.{kind}", data)
    return made


def test_what_is_hidden_or_of_another_kind_is_passed_over(tmp_path: Path) -> None:
    table = in_folder(tmp_path, "jsonl", a=b'{"id": 1}\n', _b=b"x")
    for other in ("_delta_log/c.jsonl", ".d.jsonl", "e.csv", "deep/f.jsonl", "g.jsonl.part"):
        table.put(other, b"x")
    names = {f.uri.removeprefix(f"file://{table.folder}/") for f in table.source.files()}
    assert names == {"a.jsonl", "deep/f.jsonl"}


def test_the_newest_file_is_the_last(tmp_path: Path) -> None:
    table = in_folder(tmp_path, "csv", a=b"id\n", b=b"id\n")
    os.utime(table.folder / "b.csv", (1, 1))
    assert [f.uri[-5:] for f in table.source.files()] == ["b.csv", "a.csv"]


def test_parts_of_the_path_are_columns(tmp_path: Path) -> None:
    table = in_folder(tmp_path, "parquet")
    table.put("day=2026-03-02/site=Bern%20Ost/a.parquet", encoded("parquet", [{"id": "r"}]))
    (file,) = table.source.files()
    assert table.source.columns(file).names == ("id", "day", "site")
    assert read(table.source, file, ["id", "site"]) == [{"#": 1, "id": "r", "site": "Bern Ost"}]


def test_one_file_is_a_table_too(tmp_path: Path) -> None:
    table = in_folder(tmp_path, "csv", a=b"id\nr\n", b=b"id\ns\n")
    source = FilesSource(str(table.folder / "b.csv"), "csv")
    (file,) = source.files()
    assert [row["id"] for row in read(source, file)] == ["s"]


def unreadable(source: Source) -> list[tuple[int, str]]:
    (file,) = source.files()
    return [(bad.number, bad.why) for rows in source.read(file, None) for bad in rows.unreadable]


def test_lines_that_are_no_json_are_told_and_the_others_read(tmp_path: Path) -> None:
    lines = [b'{"id": 1, "p": [0.5, 0.5], "n": {"a": null}, "ok": true}', b"{oops", b"", b"[1]"]
    lines += [b'{"id": "\xff"}', b'{"id": "half \\ud83d", "none": null}']
    table = in_folder(tmp_path, "jsonl", a=b"\n".join(lines))
    (file,) = table.source.files()
    first, last = read(table.source, file)
    assert first == {"#": 1, "id": "1", "p": "[0.5, 0.5]", "n": '{"a": null}', "ok": "true"}
    assert last == {"#": 6, "id": "half ?"}
    assert [(n, why.partition(":")[0]) for n, why in unreadable(table.source)] == [
        (2, "no JSON"),
        (4, "no JSON object"),
        (5, "not UTF-8"),
    ]


def test_a_line_of_endless_depth_is_told_and_the_others_read(tmp_path: Path) -> None:
    table = in_folder(tmp_path, "jsonl", a=b'{"id":' + b"[" * 100_000 + b'\n{"id": "r"}\n')
    (file,) = table.source.files()
    assert read(table.source, file) == [{"#": 2, "id": "r"}]
    assert [n for n, _ in unreadable(table.source)] == [1]


def test_csv_may_hold_anything_in_quotes(tmp_path: Path) -> None:
    text = '\ufeffid,text\n1,"two\nlines, ""quoted"""\n2,a,b\n\n3,\n'
    table = in_folder(tmp_path, "csv", a=text.encode())
    (file,) = table.source.files()
    assert read(table.source, file) == [
        {"#": 3, "id": "1", "text": 'two\nlines, "quoted"'},
        {"#": 6, "id": "3"},
    ]
    assert unreadable(table.source) == [(4, "3 fields, and the header has 2")]


def test_zipped_text_is_read(tmp_path: Path) -> None:
    table = in_folder(tmp_path, "jsonl")
    table.put("a.jsonl.gz", gzip.compress(b'{"id": "r"}\n'))
    (file,) = table.source.files()
    assert read(table.source, file) == [{"#": 1, "id": "r"}]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.parquet", encoded("parquet", [{"id": "r"}])[:-20]),
        ("empty.parquet", b""),
        ("cut.jsonl.gz", gzip.compress(b'{"id": "r"}\n' * 1000, mtime=0)[:-20]),
        ("no.jsonl.gz", b'{"id": "r"}\n'),
        ("altered.jsonl.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 40),
        ("altered.parquet", altered_page(encoded("parquet", [{"id": "r" * 90}] * 9))),
        ("open.csv", b'"id\nr\n'),
    ],
)
def test_a_broken_file_is_told_from_a_broken_store(tmp_path: Path, name: str, data: bytes) -> None:
    kind: Kind = next(k for k in ("parquet", "jsonl", "csv") if f".{k}" in name)  # type: ignore[misc]
    table = in_folder(tmp_path, kind)
    table.put(name, data)
    (file,) = table.source.files()
    with pytest.raises(SourceFileBad):
        read(table.source, file)
    known = {"altered.parquet": RowRange.exactly(9), "open.csv": RowRange.exactly(1)}
    assert table.source.n_rows(file) == known.get(name, RowRange(1, None))


def test_a_row_group_that_breaks_off_costs_its_own_rows(tmp_path: Path) -> None:
    rows = pa.table({"id": [f"{i:03}" * 30 for i in range(30)]})
    out = pa.BufferOutputStream()
    pa.parquet.write_table(rows, out, row_group_size=10, use_dictionary=False, compression="snappy")
    whole = out.getvalue().to_pybytes()
    second = pa.parquet.read_metadata(pa.BufferReader(whole)).row_group(1).column(0)
    at = second.data_page_offset
    table = in_folder(tmp_path, "parquet")
    table.put("a.parquet", whole[:at] + b"\xff" * 20 + whole[at + 20 :])
    (file,) = table.source.files()
    assert [row["#"] for row in read(table.source, file)] == [*range(1, 11), *range(21, 31)]
    (hidden,) = [bad for some in table.source.read(file, None) for bad in some.unreadable]
    assert (hidden.number, hidden.n_rows) == (11, 10)
    assert hidden.why.startswith("row group 2 of 3 breaks off: ")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(13, "Permission denied"), "access is denied"),
        (FileNotFoundError(2, "No such file"), "it is not there any more"),
        (OSError("AWS Error ACCESS_DENIED during GetObject operation"), "access is denied"),
        (OSError("AWS Error INVALID_OBJECT_STATE during GetObject"), "it is archived"),
    ],
)
def test_what_one_file_alone_is_refused_for_is_told_from_a_refused_key(
    error: OSError, why: str
) -> None:
    with pytest.raises(SourceFileDenied, match=why), opening("s3://logs/a.parquet"):
        raise error


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreDenied, match="not there"):
        FilesSource(str(tmp_path / "nowhere"), "parquet").files()


def test_a_bucket_that_is_not_there_or_closed_is_an_error(
    seaweedfs: "SeaweedFS", bucket: str
) -> None:
    access = S3Access(
        endpoint_url=seaweedfs.endpoint_url,
        access_key=seaweedfs.access_key,
        secret_key=seaweedfs.secret_key,
    )
    with pytest.raises(StoreDenied, match="not there"):
        FilesSource("s3://no-such-bucket/x", "parquet", s3=access).files()
    wrong = S3Access(endpoint_url=seaweedfs.endpoint_url, access_key="a", secret_key="b")
    with pytest.raises(StoreDenied, match="access is denied"):
        FilesSource(f"s3://{bucket}", "parquet", s3=wrong).files()


def test_a_server_that_is_not_there_is_an_error() -> None:
    access = S3Access(endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    with pytest.raises(StoreUnavailable, match="Listing s3://b failed"):
        FilesSource("s3://b", "parquet", s3=access).files()


def test_a_delta_table_behind_an_authority_of_ones_own_is_reached_with_ca_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    own, ca_file = authority(tmp_path)
    server = Stub(tls=own)
    server.answer = lambda _: Reply(
        404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml"
    )
    try:
        for trusted, asked in ((None, False), (str(ca_file), True)):
            access = S3Access(
                endpoint_url=server.url, access_key="a", secret_key="b", ca_file=trusted
            )
            with pytest.raises((StoreDenied, StoreUnavailable)):
                DeltaSource("s3://b/table", s3=access).files()
            assert bool(server.asked) == asked
            assert "SSL_CERT_FILE" not in os.environ
    finally:
        server.stop()
