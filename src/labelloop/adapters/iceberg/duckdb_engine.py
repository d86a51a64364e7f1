"""Reads of the prediction log: pyiceberg plans the files, DuckDB queries them in this process."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labelloop.adapters.iceberg import sql as log_sql
from labelloop.adapters.iceberg.batches import HeldFile
from labelloop.adapters.iceberg.damage import first_damaged
from labelloop.adapters.iceberg.schema import arrow_schema
from labelloop.adapters.iceberg.tables import MEND, IcebergTables, translated
from labelloop.core.line import lines
from labelloop.core.round import FrameRange, Span
from labelloop.errors import LogError
from labelloop.ports.log import BatchKind, LabelPart

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from pyiceberg.table import Table

PAGE_ROWS = 50_000
SORT_MEMORY = "1GB"
"""For a sort of any size; what it holds beyond that is spilled to disk."""
_GLOB_CHARACTERS = frozenset("*?[")


class DuckDBReading:
    """One question to the engine: its sources, on a connection of its own."""

    margin = log_sql.MARGIN

    def __init__(
        self,
        on: "duckdb.DuckDBPyConnection",
        tables: IcebergTables,
        renamed: Mapping[str, str],
    ) -> None:
        self._tables = tables
        self._renamed = renamed
        self._connection = on.cursor()
        self._connection.execute("SET TimeZone = 'UTC'")
        self._n_registered = 0
        self._held: list[HeldFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def source(self, kind: BatchKind, frame: FrameRange | None = None) -> str:
        """SQL that reads the files that may hold rows of `frame`; all files without one.

        Classes have their present names.
        """
        return self.source_of(kind, self.files(kind, frame))

    def source_of(self, kind: BatchKind, files: Sequence[HeldFile]) -> str:
        """SQL that reads these files of a table."""
        read = self._read(kind, files)
        if kind == "predictions":
            # files of an earlier version don't have this column, and it may be missing in all of them
            read = log_sql.with_column(read, self._added())
        return log_sql.present(read, kind, self._renamed)

    def _added(self) -> str:
        import pyarrow as pa

        return self.registered(pa.table({"sampling_rate": pa.array([], pa.float64())}))

    def files(self, kind: BatchKind, frame: FrameRange | None = None) -> list[HeldFile]:
        """The files that may hold rows of `frame`; all files without one."""
        return self._tables.files(kind, row_filter(frame))

    def _read(self, kind: BatchKind, files: Sequence[HeldFile]) -> str:
        self._held += files
        paths = [file.path for file in files]
        if not paths:
            return self.registered(arrow_schema(kind).empty_table())
        if any("://" in path or _GLOB_CHARACTERS & set(path) for path in paths):
            return self.registered(_dataset(self._tables.load(kind), kind, paths))
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"

    def listed(self, column: str, values: Sequence[str]) -> str:
        """SQL that reads `values` as a table of one column, each once."""
        import pyarrow as pa

        unique = pa.array(values, type=pa.large_string()).unique()
        return self.registered(pa.table({column: unique}))

    def samples(self, sample_ids: Sequence[str], salt: bytes) -> str:
        """SQL that reads samples as a table: sample_id and line, each once."""
        import pyarrow as pa

        unique = list(dict.fromkeys(sample_ids))
        names = pa.array(unique, type=pa.large_string())
        return self.registered(pa.table({"sample_id": names, "line": lines(unique, salt)}))

    def spans(self, spans: Sequence[Span]) -> str:
        """SQL that reads spans as a table with their fields as columns."""
        return self.registered(span_table(spans))

    def cells(self, parts: Sequence[LabelPart]) -> str:
        """SQL that reads the cells of `parts` as a table: part, predicted_class, risk_bin."""
        import pyarrow as pa

        held = [(i, *cell) for i, part in enumerate(parts) for cell in sorted(part.cells or ())]
        schema = pa.schema(
            [("part", pa.int32()), ("predicted_class", pa.large_string()), ("risk_bin", pa.int32())]
        )
        columns = [pa.array([c[i] for c in held], kind) for i, kind in enumerate(schema.types)]
        return self.registered(pa.table(columns, schema=schema))

    def rows(self, statement: str) -> Iterator[dict[str, Any]]:
        """The result's rows; instants are UTC."""
        for batch in self.batches(statement):
            yield from map(in_utc, batch.to_pylist())

    def batches(self, statement: str) -> "Iterator[pa.RecordBatch]":
        """The result as Arrow batches of PAGE_ROWS."""
        with naming_damaged_file(self._tables, self._held), translated("Reading the log"):
            reader = self._connection.sql(statement).to_arrow_reader(PAGE_ROWS)
        while True:
            with naming_damaged_file(self._tables, self._held), translated("Reading the log"):
                batch = next(reader, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def within(self, memory: str) -> Iterator[None]:
        """Inside, the engine keeps to so much memory and spills the rest to disk."""
        import duckdb

        row = self._connection.execute("SELECT current_setting('memory_limit')").fetchone()
        before = row[0] if row else "50%"
        self._connection.execute(f"SET memory_limit = '{memory}'")
        try:
            yield
        finally:
            # a reading that was left half-way may end after the engine itself
            with suppress(duckdb.ConnectionException):
                self._connection.execute(f"SET memory_limit = '{before}'")

    def registered(self, data: Any) -> str:
        """The name under which a statement reads Arrow data."""
        name = f"source_{self._n_registered}"
        self._n_registered += 1
        self._connection.register(name, data)
        return name


def engine() -> "duckdb.DuckDBPyConnection":
    """A DuckDB in this process that goes nowhere: no network, no variables of ours."""
    import duckdb

    spill = Path(tempfile.gettempdir()) / "labelloop-duckdb"
    return duckdb.connect(
        ":memory:",
        config={
            # Extensions would be fetched from the network, and variables of ours read as tables.
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": "50%",
            "temp_directory": str(spill),
            "preserve_insertion_order": "false",
        },
    )


def span_table(spans: Sequence[Span]) -> "pa.Table":
    """Spans as a table with their fields as columns."""
    import pyarrow as pa

    kinds = {"predicted_class": pa.large_string(), "risk_bin": pa.int32()}
    return pa.table(
        {
            f.name: pa.array([getattr(s, f.name) for s in spans], kinds.get(f.name, pa.int64()))
            for f in fields(Span)
        }
    )


@contextmanager
def naming_damaged_file(tables: IcebergTables, files: Sequence[HeldFile]) -> Iterator[None]:
    """A LogError inside names the damaged one of `files`, where that is the cause."""
    try:
        yield
    except LogError as exc:
        found = first_damaged(tables.load("predictions").io, files)
        if found is None:
            raise
        raise LogError(
            f"the log can't be read: {found}",
            remedy=f"{MEND}; what is named comes back from a backup of [state] warehouse. Nothing was "
            "written",
        ) from exc


def _dataset(table: "Table", kind: BatchKind, paths: Sequence[str]) -> Any:
    """The files through Arrow: DuckDB reads no S3 without an extension, and globs some names."""
    from pyarrow import dataset

    from labelloop.adapters.iceberg.file_io import TrustingFileIO

    io = TrustingFileIO(table.io.properties)
    places = [io.parse_location(path) for path in paths]
    scheme, netloc, _ = places[0]
    with translated(f"Reading {len(paths)} files of {kind}"):
        return dataset.dataset(
            [path for _, _, path in places],
            schema=arrow_schema(kind),
            format="parquet",
            filesystem=io.fs_by_scheme(scheme, netloc),
        )


def row_filter(frame: FrameRange | None) -> str:
    """What a file must be able to hold, for pyiceberg."""
    if frame is None:
        return "true"
    parts = [f"batch > {int(frame.batch_after)}", f"batch <= {int(frame.batch_to)}"]
    if frame.since is not None:
        parts.append(f"predicted_at >= '{frame.since.isoformat()}'")
    if frame.until is not None:
        parts.append(f"predicted_at < '{frame.until.isoformat()}'")
    return " and ".join(parts)


def in_utc(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose instant is UTC."""
    if "predicted_at" in row:
        row["predicted_at"] = row["predicted_at"].astimezone(UTC)
    return row
