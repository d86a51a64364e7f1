"""Files of predictions in a folder or a bucket as a Source: Parquet, JSON lines or CSV."""

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal
from urllib.parse import unquote

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.access import checked, file_system, readable, translated
from labelloop.errors import SourceFileBad
from labelloop.ports.source import SourceColumns, SourceFile, SourceRows
from labelloop.reading.json_object import NotAnObject, json_object

Kind = Literal["parquet", "jsonl", "csv"]
ENDINGS: dict[Kind, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"),
    "csv": (".csv", ".csv.gz"),
}
_ROWS = 16_384
_LOOKED_AT = 1_000
_LONGEST = 1 << 26
"""Of a line in bytes, and of a field in characters: a zipped file may hold any length of nothing."""


class FilesSource:
    """The files of one kind below `uri`, a folder, s3://bucket/prefix, or one file.

    Names that begin with `.` or `_` are passed over, as what is being written usually has one. The
    parts of a path that read `name=value` are columns, where the file itself has no such column.
    """

    rewrites = False

    def __init__(self, uri: str, kind: Kind, *, s3: S3Access | None = None) -> None:
        self._kind = kind
        self._fs, self._root, self._scheme = file_system(uri, s3)
        self._uri = uri

    def files(self) -> Sequence[SourceFile]:
        """The files there are now, in the order of their last change."""
        from pyarrow import fs

        with translated(f"Listing {self._uri}"):
            found = self._fs.get_file_info(self._root)
            if found.type == fs.FileType.File:
                infos = [found]
            else:
                selector = fs.FileSelector(self._root, recursive=True, allow_not_found=False)
                infos = [i for i in self._fs.get_file_info(selector) if self._is_one(i)]
        infos.sort(key=lambda i: (i.mtime_ns or 0, i.path))
        return [
            SourceFile(uri=self._scheme + i.path, version=f"{i.size} bytes of {i.mtime_ns}")
            for i in infos
        ]

    def columns(self, file: SourceFile) -> SourceColumns:
        """The columns of a file; of JSON lines those of its first 1,000 rows.

        Raises:
            SourceFileBad: it can't be read.
        """
        partition = tuple(self._partition(file))
        with self._opened(file) as stream:
            if self._kind == "parquet":
                import pyarrow.parquet as pq

                names = tuple(pq.read_schema(stream).names)
                return SourceColumns(names=(*names, *partition))
            if self._kind == "csv":
                header: list[str] = next(_csv(stream), [])
                return SourceColumns(names=(*header, *partition))
            found: dict[str, None] = {}
            for line in islice(_lines(stream), _LOOKED_AT):
                row, _ = _json_row(line)
                found.update(dict.fromkeys(row or ()))
            return SourceColumns(names=(*found, *partition), sparse=True)

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time.

        Raises:
            SourceFileBad: it can't be read, or not to its end.
        """
        with self._opened(file) as stream:
            if self._kind == "parquet":
                yield from self._read_parquet(file, stream, columns)
            elif self._kind == "csv":
                yield from self._read_csv(file, stream, columns)
            else:
                yield from self._read_json(file, stream, columns)

    def close(self) -> None:
        """Nothing is kept open."""

    def _is_one(self, info: Any) -> bool:
        from pyarrow import fs

        below = info.path.removeprefix(self._root).strip("/")
        hidden = any(part.startswith((".", "_")) for part in below.split("/") if "=" not in part)
        return (
            info.type == fs.FileType.File
            and not hidden
            and info.path.lower().endswith(ENDINGS[self._kind])
        )

    def _partition(self, file: SourceFile) -> dict[str, str]:
        below = file.uri.removeprefix(self._scheme).removeprefix(self._root)
        parts = (part.partition("=") for part in below.split("/")[:-1])
        return {name: unquote(value) for name, equals, value in parts if equals and name}

    @contextmanager
    def _opened(self, file: SourceFile) -> Iterator[Any]:
        """The file's bytes; what is wrong with them is SourceFileBad."""
        path = file.uri.removeprefix(self._scheme)
        with translated(f"Reading {file.uri}"), readable():
            if self._kind == "parquet":
                with self._fs.open_input_file(path) as stream:
                    yield stream
                return
            with self._fs.open_input_stream(path, compression=None) as raw:
                plain = io.BufferedReader(raw)
                zipped = path.endswith(".gz")
                yield gzip.GzipFile(fileobj=plain) if zipped else plain

    # --- Parquet ------------------------------------------------------------------------------

    def _read_parquet(
        self, file: SourceFile, stream: Any, columns: Sequence[str] | None
    ) -> Iterator[SourceRows]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(stream) as parquet:
            there = parquet.schema_arrow.names
            wanted = there if columns is None else [n for n in there if n in set(columns)]
            partition = self._partition(file)
            n = 0
            for batch in parquet.iter_batches(_ROWS, columns=wanted):
                numbers = range(n + 1, n + 1 + batch.num_rows)
                n += batch.num_rows
                whole = _with_partition(batch, partition, columns)
                yield checked(SourceRows(batch=whole, numbers=numbers))

    # --- text ---------------------------------------------------------------------------------

    def _read_csv(
        self, file: SourceFile, stream: Any, columns: Sequence[str] | None
    ) -> Iterator[SourceRows]:
        """Every value is text; an empty one is none."""
        reader = _csv(stream)
        header: list[str] = next(reader, [])
        wanted = [i for i, n in enumerate(header) if columns is None or n in columns]

        def rows() -> Iterator[tuple[int, dict[str, str | None] | None, str]]:
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    why = f"{len(row)} fields, and the header has {len(header)}"
                    yield reader.line_num, None, why
                else:
                    yield reader.line_num, {header[i]: row[i] or None for i in wanted}, ""

        yield from self._gathered(file, rows(), columns)

    def _read_json(
        self, file: SourceFile, stream: Any, columns: Sequence[str] | None
    ) -> Iterator[SourceRows]:
        """Every value is text: numbers in their digits, lists and records as JSON."""
        wanted = None if columns is None else frozenset(columns)

        def rows() -> Iterator[tuple[int, dict[str, str | None] | None, str]]:
            for number, line in enumerate(_lines(stream), start=1):
                if not line.strip():
                    continue
                row, why = _json_row(line)
                if row is not None and wanted is not None:
                    row = {k: v for k, v in row.items() if k in wanted}
                yield number, row, why

        yield from self._gathered(file, rows(), columns)

    def _gathered(
        self,
        file: SourceFile,
        rows: Iterator[tuple[int, dict[str, str | None] | None, str]],
        columns: Sequence[str] | None,
    ) -> Iterator[SourceRows]:
        import pyarrow as pa

        partition = self._partition(file)
        while some := list(islice(rows, _ROWS)):
            good = [row for _, row, _ in some if row is not None]
            names = dict.fromkeys(name for row in good for name in row)
            held = {name: pa.array([r.get(name) for r in good], pa.string()) for name in names}
            # a batch without a column would have no rows
            batch = pa.RecordBatch.from_pydict({**held, "": pa.nulls(len(good))})
            yield SourceRows(
                batch=_with_partition(batch, partition, columns),
                numbers=[number for number, row, _ in some if row is not None],
                unreadable=tuple((number, why) for number, row, why in some if row is None),
            )


def _lines(stream: Any) -> Iterator[Any]:
    """The lines of a stream of bytes, or of text; each is held in memory.

    Raises:
        SourceFileBad: one is too long for that.
    """
    while line := stream.readline(_LONGEST + 1):
        if len(line) > _LONGEST:
            raise SourceFileBad(f"a line of more than {_LONGEST:,} bytes")
        yield line


def _csv(stream: Any) -> Any:
    csv.field_size_limit(_LONGEST)
    text = io.TextIOWrapper(stream, "utf-8-sig", "replace", newline="")
    return csv.reader(_lines(text), strict=True)


def _json_row(line: bytes) -> tuple[dict[str, str | None] | None, str]:
    """The values of a line as text; or why it can't be read."""
    try:
        return json_object(line), ""
    except NotAnObject as exc:
        return None, str(exc)


def _with_partition(batch: Any, partition: dict[str, str], columns: Sequence[str] | None) -> Any:
    import pyarrow as pa

    for name, value in partition.items():
        if name not in batch.schema.names and (columns is None or name in columns):
            batch = batch.append_column(name, pa.repeat(pa.scalar(value), batch.num_rows))
    return batch
