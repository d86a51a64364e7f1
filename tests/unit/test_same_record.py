"""The same record says the same, whichever way it is written."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from labelloop.adapters.folder.store import FolderStore
from labelloop.adapters.sources.delta import DeltaSource
from labelloop.adapters.sources.files import FilesSource
from labelloop.adapters.sources.iceberg import IcebergSource
from labelloop.core.sample import Reject, RejectReason
from labelloop.ports.source import Source
from labelloop.reading.columns import ColumnNames, TableRules
from labelloop.reading.rows import read_rows
from labelloop.reading.tag_names import TagNames
from labelloop.reading.tags import TaggedObject, read_tags
from tests.hostile import TEXT, tries

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CLASSES, RENAMED = frozenset({"cat", "dog", "2"}), {"kitten": "cat"}
NAMES = (
    "timestamp",
    "predicted_class",
    "confidence",
    "model",
    "flagged",
    "corrected_class",
    "site",
)
GOOD = {"timestamp": "2026-03-01T12:00:00Z", "predicted_class": "cat"}

Value = str | float | bool | datetime | None
Record = Mapping[str, Value]
Said = tuple[object, ...]


def often(*texts: str) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.sampled_from(["", " ", *texts]), TEXT)


RECORDS = st.fixed_dictionaries(
    {
        "timestamp": often(
            "2026-03-01T12:00:00+01:00",
            " 2026-03-01 ",
            "2026-02-30",
            "1989-12-31",
            "2100-01-01",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+10:00",
        ),
        "predicted_class": often("cat", "dog", "2", "kitten", "Cat", "cat "),
        "confidence": often(
            "0.915", ".5 ", "1e-3", "1.2", "-0.1", "1_0", "nan", "inf", "0,5", "50%"
        ),
        "model": often("v7", " v7 "),
        "flagged": often("true", " TRUE ", "1", "0", "False", "0.0", "yes", "2"),
        "corrected_class": often("dog", "kitten", "doge", " dog"),
        "site": often("Bern", "0.90"),
    }
).filter(lambda r: any((r[n] or "").strip() for n in ("timestamp", "predicted_class")))
TYPED = st.fixed_dictionaries(
    {
        "timestamp": st.one_of(
            st.none(),
            st.datetimes(
                datetime(1, 1, 3),  # noqa: DTZ001  hypothesis wants them bare
                datetime(9999, 12, 29),  # noqa: DTZ001
                timezones=st.sampled_from([UTC]),
            ),
        ),
        "predicted_class": st.sampled_from(["cat", "dog", "cow"]),
        "confidence": st.one_of(st.none(), st.floats(allow_nan=False), st.floats(0, 1)),
        "model": st.sampled_from(["v7", None]),
        "flagged": st.sampled_from([True, False, None]),
        "corrected_class": st.sampled_from(["dog", None]),
        "site": st.none(),
    }
)  # fmt: skip


# --- what a record says, however it was read --------------------------------------------------


def by_tags(tags: Mapping[str, str], fault: str = "") -> Said:
    tagged = TaggedObject(
        sample_id="a", uri="", content_hash="", size_bytes=0, tags=tags, fault=fault
    )
    found = read_tags(
        tagged, TagNames(), classes=CLASSES, renamed=RENAMED, salt=b"", received_at=NOW,
    )  # fmt: skip
    if (p := found.prediction) is None:
        return told(found.reject)
    said = {f.kind: f.value for f in found.feedback}
    return (
        p.predicted_at, p.model, p.predicted_class, p.confidence, dict(p.attributes),
        said.get("flagged"), said.get("corrected_class"), told(found.reject),
    )  # fmt: skip


def told(reject: Reject | None) -> Said:
    if reject is None:
        return ()
    # a row of a table is never waiting for its tags
    untagged = reject.reason is RejectReason.UNTAGGED
    return (RejectReason.NO_TIMESTAMP if untagged else reject.reason, reject.value)


def by_rows(source: Source, n: int) -> list[Said]:
    names = ColumnNames(predicted_at="timestamp", attributes=("site",))
    rules = TableRules(classes=CLASSES, renamed=RENAMED, store_uri="s3://b")
    found: dict[str, Said] = {}
    for file in source.files():
        for rows in source.read(file, names.wanted()):
            assert not rows.unreadable
            ids = rows.batch.column("sample_id").to_pylist()
            read = read_rows(rows.batch, ids, file_uri="", names=names, rules=rules)
            rejects = {r.uri.removeprefix("#"): told(r) for r in read.rejects}
            found |= rejects
            for row, flag, correction in zip(
                read.table.to_pylist(), read.flags, read.corrections, strict=True
            ):
                found[row["sample_id"]] = (
                    row["predicted_at"], row["model"], row["predicted_class"], row["confidence"],
                    dict(row["attributes"]), {1: "true", 0: "false"}.get(int(flag)), correction,
                    rejects.get(row["sample_id"], ()),
                )  # fmt: skip
    return [found[f"{i}.png"] for i in range(n)]


# --- ways to write records ----------------------------------------------------------------------


def text(value: Value) -> str:
    """As a program writes it that has only text."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def as_tags(record: Record) -> dict[str, str]:
    return {name: text(value) for name, value in record.items() if value is not None}


def as_json(record: Record) -> dict[str, object]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in record.items()}


def as_table(records: Sequence[Record]) -> pa.Table:
    typed = {
        name: next((type(r[name]) for r in records if r[name] is not None), str) for name in NAMES
    }
    kinds = {str: pa.string(), float: pa.float64(), bool: pa.bool_(),
             datetime: pa.timestamp("us", tz="UTC")}  # fmt: skip
    columns = {n: pa.array([r[n] for r in records], kinds[typed[n]]) for n in NAMES}
    return pa.table({"sample_id": [f"{i}.png" for i in range(len(records))], **columns})


def beside_each(folder: Path, records: Sequence[Record]) -> list[Said]:
    for i, record in enumerate(records):
        (folder / f"{i}.png").write_bytes(b"x")
        (folder / f"{i}.png.json").write_text(json.dumps(as_json(record)))
    return in_folder(folder, len(records))


def for_the_folder(folder: Path, records: Sequence[Record]) -> list[Said]:
    lines = []
    for i, record in enumerate(records):
        (folder / f"{i}.png").write_bytes(b"x")
        lines.append(json.dumps({"file_name": f"{i}.png", **as_json(record)}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return in_folder(folder, len(records))


def in_folder(folder: Path, n: int) -> list[Said]:
    store = FolderStore(folder.as_uri(), blind_uri=None)
    listed = [o for page in store.objects() for o in page]
    found = {o.sample_id: by_tags(tags, o.fault) for o, tags in store.tags(listed)}
    return [found[f"{i}.png"] for i in range(n)]


def json_lines(folder: Path, records: Sequence[Record]) -> list[Said]:
    rows = [{"sample_id": f"{i}.png", **as_json(r)} for i, r in enumerate(records)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return by_rows(FilesSource(str(folder), "jsonl"), len(records))


def csv_file(folder: Path, records: Sequence[Record]) -> list[Said]:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["sample_id", *NAMES])
    writer.writeheader()
    for i, record in enumerate(records):
        writer.writerow({"sample_id": f"{i}.png", **as_tags(record)})
    (folder / "a.csv").write_bytes(file.getvalue().encode())
    return by_rows(FilesSource(str(folder), "csv"), len(records))


def parquet(folder: Path, records: Sequence[Record]) -> list[Said]:
    pq.write_table(as_table(records), folder / "a.parquet")
    return by_rows(FilesSource(str(folder), "parquet"), len(records))


def parquet_in_dictionaries(folder: Path, records: Sequence[Record]) -> list[Said]:
    whole = as_table(records)
    coded = pa.table({n: whole[n].combine_chunks().dictionary_encode() for n in whole.column_names})
    pq.write_table(coded, folder / "a.parquet")
    return by_rows(FilesSource(str(folder), "parquet"), len(records))


def iceberg(folder: Path, records: Sequence[Record]) -> list[Said]:
    from pyiceberg.catalog.sql import SqlCatalog

    uri = f"sqlite:///{folder / 'catalog.db'}"
    catalog = SqlCatalog("lake", uri=uri, warehouse=str(folder))
    catalog.create_namespace("logs")
    rows = as_table(records)
    catalog.create_table("logs.answers", schema=rows.schema).append(rows)
    catalog.close()
    source = IcebergSource("logs.answers", catalog=uri, catalog_name="lake")
    try:
        return by_rows(source, len(records))
    finally:
        source.close()


def delta(folder: Path, records: Sequence[Record]) -> list[Said]:
    from deltalake import write_deltalake

    write_deltalake(str(folder), as_table(records))
    return by_rows(DeltaSource(str(folder)), len(records))


WAYS = [beside_each, for_the_folder, json_lines, csv_file, parquet, parquet_in_dictionaries]
SLOW_WAYS = [iceberg, delta]


def check(
    way: Callable[[Path, Sequence[Record]], list[Said]], folder: Path, records: Sequence[Record]
) -> None:
    # beside a good one, as numbers alone would ask for predicted_at_unit
    records = [*records, dict.fromkeys(NAMES) | GOOD]
    if way is csv_file:  # an empty value is none there
        records = [
            {k: v or None if isinstance(v, str) else v for k, v in r.items()} for r in records
        ]
    assert way(folder, records) == [by_tags(as_tags(record)) for record in records]


def check_typed(
    way: Callable[[Path, Sequence[Record]], list[Said]], folder: Path, records: Sequence[Record]
) -> None:
    """Without the value that stands in the way: how it is shown depends on its type."""
    found = [_reasons(said) for said in way(folder, records)]
    assert found == [_reasons(by_tags(as_tags(record))) for record in records]


def _reasons(said: Said) -> Said:
    return said if isinstance(said[0], datetime) else said[:1]


@pytest.mark.parametrize("way", WAYS)
@tries(40)
@given(records=st.lists(st.one_of(RECORDS, TYPED), min_size=1, max_size=8))
def test_a_record_says_the_same_as_in_tags(
    tmp_path_factory: pytest.TempPathFactory,
    way: Callable[[Path, Sequence[Record]], list[Said]],
    records: list[Record],
) -> None:
    if way in (parquet, parquet_in_dictionaries):
        records = [{name: None if v is None else text(v) for name, v in r.items()} for r in records]
    check(way, tmp_path_factory.mktemp("way"), records)


@pytest.mark.parametrize("way", [parquet, parquet_in_dictionaries])
@tries(40)
@given(records=st.lists(TYPED, min_size=1, max_size=8))
def test_a_record_in_typed_columns_says_the_same_as_in_tags(
    tmp_path_factory: pytest.TempPathFactory,
    way: Callable[[Path, Sequence[Record]], list[Said]],
    records: list[Record],
) -> None:
    check_typed(way, tmp_path_factory.mktemp("way"), records)


@pytest.mark.parametrize("way", SLOW_WAYS)
@settings(tries(6), phases=[Phase.explicit, Phase.generate])  # each try takes a second
@given(
    texts=st.lists(RECORDS, min_size=1, max_size=8), typed=st.lists(TYPED, min_size=1, max_size=8)
)
def test_a_record_in_a_lake_says_the_same_as_in_tags(
    tmp_path_factory: pytest.TempPathFactory,
    way: Callable[[Path, Sequence[Record]], list[Said]],
    texts: list[Record],
    typed: list[Record],
) -> None:
    check(way, tmp_path_factory.mktemp("texts"), texts)
    check_typed(way, tmp_path_factory.mktemp("typed"), typed)
