"""Files of predictions in a folder or a bucket as a Source: Parquet, JSON lines or CSV."""

import csv
import gzip
import io
import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.access import (
    checked,
    content_faults,
    file_system,
    opening,
    skipping,
    translated,
)
from labelloop.core.row_range import RowRange
from labelloop.errors import SourceFileBad
from labelloop.ports.source import SourceColumns, SourceFile, SourceRows, UnreadableRows
from labelloop.reading.json_object import NotAnObject, json_object

Kind = Literal["parquet", "jsonl", "csv"]
ENDINGS: dict[Kind, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"),
    "csv": (".csv", ".csv.gz"),
}
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""The part of a path in place of a value that is null."""

_RECORDS = 16_384
"""Of a text file that breaks off, so many readable rows at most are lost."""

_ROWS = 65_536
_BYTES = 32 << 20
"""Of rows that are read together, in memory: long lists and texts come in smaller parts."""
_LOOKED_AT = 1_000
_LONGEST = 1 << 26
"""Of a line in bytes, and of a field in characters: a zipped file may hold any length of nothing."""

_LARGEST = 1 << 29
"""Of a file that is one list, in bytes: it is held in memory."""
_BETWEEN = re.compile(r"[\s,]*")


class _TextRow(NamedTuple):
    """A row of a text file, or why it can't be read.

    cut
        whether it ends without the end of a line: it may still be being written
    """

    number: int
    values: dict[str, str | None] | None
    why: str
    cut: bool


class FilesSource:
    """The files of one kind below `uri`, a folder, s3://bucket/prefix, or one file.

    Names that begin with `.` or `_` are passed over, as what is being written usually has one. The
    parts of a path that read `name=value` are columns, where the file itself has no such column.
    """

    rewrites = False
    joins = False

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
            SourceFile(
                uri=self._scheme + i.path,
                version=f"{i.size} bytes of {i.mtime_ns}",
                size_bytes=i.size,
                changed_at=i.mtime,
            )
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
                records = _CsvRecords(stream)
                _, header, _ = next(records.records(), (0, [], ""))
                begun = not header or (records.cut and not file.uri.endswith(".gz"))
                return SourceColumns(names=() if begun else (*header, *partition))
            found: dict[str, None] = {}
            for _, line in islice(_json_lines(stream), _LOOKED_AT):
                row, _ = _json_row(line)
                found.update(dict.fromkeys(row or ()))
            return SourceColumns(names=(*found, *partition) if found else (), sparse=True)

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a file has: as its footer says, or as many as its text has records."""
        try:
            with self._opened(file) as stream:
                if self._kind == "parquet":
                    import pyarrow.parquet as pq

                    return RowRange.exactly(sum(_group_sizes(pq.read_metadata(stream))))
                if self._kind == "csv":
                    n_records = sum(1 for _ in _CsvRecords(stream).records())
                    return RowRange.exactly(max(0, n_records - 1))  # the first is the header
                return RowRange.exactly(sum(1 for _ in _json_lines(stream)))
        except SourceFileBad:
            return RowRange(1, None)

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

    def _partition(self, file: SourceFile) -> dict[str, str | None]:
        below = file.uri.removeprefix(self._scheme).removeprefix(self._root)
        parts = (part.partition("=") for part in below.split("/")[:-1])
        return {
            name: None if value == HIVE_NULL else unquote(value)
            for name, equals, value in parts
            if equals and name
        }

    @contextmanager
    def _opened(self, file: SourceFile) -> Iterator[Any]:
        """The file's bytes; what is wrong with them is SourceFileBad."""
        path = file.uri.removeprefix(self._scheme)
        with opening(file.uri):
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
            _refuse_twins(there, columns)
            wanted = there if columns is None else [n for n in there if n in set(columns)]
            partition = self._partition(file)
            for rows in _by_group(parquet, wanted):
                whole = _with_partition(rows.batch, partition, columns)
                yield replace(rows, batch=whole)

    # --- text ---------------------------------------------------------------------------------

    def _read_csv(
        self, file: SourceFile, stream: Any, columns: Sequence[str] | None
    ) -> Iterator[SourceRows]:
        """Every value is text; an empty one is none."""
        lines = _CsvRecords(stream)
        _, header, why = next(lines.records(), (0, [], ""))
        if why:
            raise SourceFileBad(f"the header can't be read: {why}")
        _refuse_twins(header, columns)
        wanted = [i for i, n in enumerate(header) if columns is None or n in columns]

        def rows() -> Iterator[_TextRow]:
            for number, row, why in lines.records():
                if not why and len(row) != len(header):
                    why = f"{len(row)} fields, and the header has {len(header)}"
                values = None if why else {header[i]: row[i] or None for i in wanted}
                yield _TextRow(number, values, why, cut=lines.cut)

        yield from self._gathered(file, rows(), columns)

    def _read_json(
        self, file: SourceFile, stream: Any, columns: Sequence[str] | None
    ) -> Iterator[SourceRows]:
        """Every value is text: numbers in their digits, lists and records as JSON."""
        wanted = None if columns is None else frozenset(columns)

        def rows() -> Iterator[_TextRow]:
            for number, line in _json_lines(stream):
                row, why = _json_row(line)
                if row is not None and wanted is not None:
                    row = {k: v for k, v in row.items() if k in wanted}
                # the beginning of an object is never an object itself
                yield _TextRow(number, row, why, cut=row is None and not line.endswith(b"\n"))

        yield from self._gathered(file, rows(), columns)

    def _gathered(
        self,
        file: SourceFile,
        rows: Iterator[_TextRow],
        columns: Sequence[str] | None,
    ) -> Iterator[SourceRows]:

        partition = self._partition(file)
        whole = file.uri.endswith(".gz")
        while some := list(islice(rows, _RECORDS)):
            last = [] if whole or not some[-1].cut else [some.pop()]
            for part in filter(None, (some, last)):
                yield self._as_rows(part, partition, columns, cut=part is last)

    def _as_rows(
        self,
        some: Sequence[_TextRow],
        partition: dict[str, str | None],
        columns: Sequence[str] | None,
        *,
        cut: bool,
    ) -> SourceRows:
        import pyarrow as pa

        good = [row.values for row in some if row.values is not None]
        names = dict.fromkeys(name for row in good for name in row)
        held = {name: pa.array([r.get(name) for r in good], pa.string()) for name in names}
        # a batch without a column would have no rows
        batch = pa.RecordBatch.from_pydict({**held, "": pa.nulls(len(good))})
        return SourceRows(
            batch=_with_partition(batch, partition, columns),
            numbers=[row.number for row in some if row.values is not None],
            unreadable=tuple(
                UnreadableRows(row.number, row.why) for row in some if row.values is None
            ),
            cut=cut,
        )


def _group_sizes(metadata: Any) -> list[int]:
    """How many rows each row group of a Parquet file has, by its footer."""
    return [max(0, metadata.row_group(i).num_rows) for i in range(metadata.num_row_groups)]


def _rows_together(group: Any) -> int:
    """How many rows of a row group are read together."""
    row_bytes = int(group.total_byte_size) // max(1, int(group.num_rows))
    return max(1, min(_ROWS, _BYTES // max(1, row_bytes)))


def _by_group(parquet: Any, wanted: Sequence[str]) -> Iterator[SourceRows]:
    """The rows of a Parquet file; of a row group that breaks off, how many rows are missing.

    Raises:
        SourceFileBad: no row of any group can be read.
    """
    n_read = end = 0
    broken: list[SourceRows] = []
    for group, size in enumerate(_group_sizes(parquet.metadata)):
        n, end = end, end + size
        said = "it ends early"
        try:
            with content_faults():
                together = _rows_together(parquet.metadata.row_group(group))
                for given in parquet.iter_batches(together, row_groups=[group], columns=wanted):
                    batch = given.slice(0, end - n)  # an altered page may claim more rows
                    numbers = range(n + 1, n + 1 + batch.num_rows)
                    yield checked(SourceRows(batch=batch, numbers=numbers))
                    n += batch.num_rows
                    n_read += batch.num_rows
        except SourceFileBad as exc:
            said = exc.args[0]
        if n < end:
            why = f"row group {group + 1} of {parquet.num_row_groups} breaks off: {said}"
            broken.append(skipping(n + 1, why, end - n, wanted))
    if broken and not n_read:
        raise SourceFileBad(broken[0].unreadable[0].why)
    yield from broken


def _lines(stream: Any) -> Iterator[Any]:
    """The lines of a stream of bytes, or of text; each is held in memory.

    Raises:
        SourceFileBad: one is too long for that.
    """
    while line := stream.readline(_LONGEST + 1):
        if len(line) > _LONGEST:
            raise SourceFileBad(f"a line of more than {_LONGEST:,} bytes")
        yield line


class _CsvRecords:
    """The records of a CSV file. A line with a stray quote costs itself, not what follows it."""

    def __init__(self, stream: Any) -> None:
        csv.field_size_limit(_LONGEST)
        text = io.TextIOWrapper(stream, "utf-8-sig", "replace", newline="")
        self._lines = enumerate(_lines(text), start=1)
        self._again: deque[tuple[int, str]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._reader = csv.reader(self, strict=True)

    def __iter__(self) -> "_CsvRecords":
        return self

    def __next__(self) -> str:
        """The next line, for the reader."""
        numbered = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(numbered)
        return numbered[1]

    def records(self) -> Iterator[tuple[int, list[str], str]]:
        """Each record beside its last line, or why that line can't be read."""
        while True:
            self._taken.clear()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as exc:
                # a quote that nothing closes takes all lines to the next one: they are read again
                (number, _), *others = self._taken
                self._again.extendleft(reversed(others))
                del self._taken[1:]
                yield number, [], f"a stray quote: {exc}"
            else:
                if row:
                    yield self._taken[-1][0], row, ""

    @property
    def cut(self) -> bool:
        """Whether the record at hand ends without the end of a line."""
        return not self._taken[-1][1].endswith(("\n", "\r"))


def _json_lines(stream: Any) -> Iterator[tuple[int, bytes]]:
    """The lines that hold something, each with its number.

    Raises:
        SourceFileBad: they are one document.
    """
    lines = ((n, line) for n, line in enumerate(_lines(stream), start=1) if line.strip())
    beginning = list(islice(lines, 2))
    if beginning and _begins_a_document(*(line for _, line in beginning)):
        raise SourceFileBad(
            "it is one JSON document, not JSON lines: write one object a line "
            "(for a list: jq -c '.[]')"
        )
    yield from beginning
    yield from lines


def _begins_a_document(first: bytes, second: bytes = b"") -> bool:
    begins = first.strip() == b"{" or first.lstrip(b" \t\xef\xbb\xbf").startswith(b"[")
    return begins and _json_row(second)[0] is None


def _refuse_twins(names: Sequence[str], wanted: Sequence[str] | None) -> None:
    """Refuse columns that nobody can tell apart.

    Raises:
        SourceFileBad: two columns that are read have one name.
    """
    read = Counter(name for name in names if name and (wanted is None or name in wanted))
    twins = [name for name, n in read.items() if n > 1]
    if twins:
        raise SourceFileBad(
            f"{read[twins[0]]} columns are called {twins[0]!r}: name each otherwise"
        )


def _json_row(line: bytes) -> tuple[dict[str, str | None] | None, str]:
    """The values of a line as text; or why it can't be read."""
    try:
        return json_object(line), ""
    except NotAnObject as exc:
        return None, str(exc)


def _with_partition(
    batch: Any, partition: dict[str, str | None], columns: Sequence[str] | None
) -> Any:
    import pyarrow as pa

    for name, value in partition.items():
        if name not in batch.schema.names and (columns is None or name in columns):
            batch = batch.append_column(name, pa.repeat(pa.scalar(value, pa.string()), len(batch)))
    return batch


class LinesSource(FilesSource):
    """Files of JSON, each record as it is written: one column, `line`. A file may also hold one list."""

    def __init__(self, uri: str, *, s3: S3Access | None = None) -> None:
        super().__init__(uri, "jsonl", s3=s3)

    def columns(self, file: SourceFile) -> SourceColumns:
        """The one column, if the file has a record yet."""
        with self._opened(file) as stream:
            some = next(_records(stream), None)
        return SourceColumns(names=() if some is None else ("line",))

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many records a file has."""
        try:
            with self._opened(file) as stream:
                return RowRange.exactly(sum(1 for _ in _records(stream)))
        except SourceFileBad:
            return RowRange(1, None)

    def _read_json(
        self,
        file: SourceFile,
        stream: Any,
        columns: Sequence[str] | None,  # noqa: ARG002  there is one
    ) -> Iterator[SourceRows]:
        import pyarrow as pa

        whole = file.uri.endswith(".gz")
        records = _records(stream)
        while some := list(islice(records, _ROWS)):
            # the beginning of an object is never an object itself
            n, last = some[-1]
            begun = not whole and not last.endswith(b"\n") and _json_row(last)[0] is None
            for part in filter(None, (some[:-1], some[-1:]) if begun else (some,)):
                lines = pa.array([line for _, line in part], pa.binary()).cast(
                    pa.string(), safe=False
                )
                batch = pa.RecordBatch.from_pydict({"line": lines})
                rows = SourceRows(batch=batch, numbers=[n for n, _ in part])
                yield replace(checked(rows), cut=begun and part[-1][0] == n)


def _records(stream: Any) -> Iterator[tuple[int, bytes]]:
    """The lines that hold something, each with its number; of a file that is one list its items.

    Raises:
        SourceFileBad: the list breaks off.
    """
    start = stream.peek(64).lstrip(b" \t\r\n\xef\xbb\xbf")
    if not start.startswith(b"["):
        for n, line in enumerate(_lines(stream), start=1):
            if line.strip():
                yield n, line
        return
    held = stream.read(_LARGEST + 1)
    if len(held) > _LARGEST:
        raise SourceFileBad(f"one list of more than {_LARGEST:,} bytes: write one object a line")
    text = held.decode("utf-8-sig")
    decoder = json.JSONDecoder()
    at, n = _skip(text, text.index("[") + 1), 0
    try:
        while text[at : at + 1] != "]":
            _, end = decoder.raw_decode(text, at)
            n += 1
            yield n, text[at:end].encode() + b"\n"
            at = _skip(text, end)
    except (ValueError, RecursionError) as exc:
        raise SourceFileBad(f"its list breaks off at item {n + 1:,}: {exc}") from exc


def _skip(text: str, at: int) -> int:
    """The place of what comes next, behind blanks and a comma."""
    found = _BETWEEN.match(text, at)
    return at if found is None else found.end()
