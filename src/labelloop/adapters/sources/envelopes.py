"""What the logs of serving platforms have in common: rows that wrap a request and its response."""

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from labelloop.adapters.sources.access import checked
from labelloop.adapters.sources.engine import Engine, as_json, listed, one_array
from labelloop.core.row_range import RowRange
from labelloop.core.sample import RejectReason
from labelloop.ports.source import (
    BEGINS,
    EXPECTED,
    PAIR,
    Source,
    SourceColumns,
    SourceFile,
    SourceRows,
    UnreadableRows,
)

_NEVER = datetime.min.replace(tzinfo=UTC)

FAILED = "failed: "
"""How the fault of a request begins that the platform refused or failed to answer."""


class EnvelopeSource(ABC):
    """The files of a platform's log; the columns are the same in each, whatever the files call theirs.

    A statement makes them. Its first three columns are the row's place `n`, its `fault` if it is no
    prediction, and `time_text`, which is shown where `time` can't be read as an instant.
    """

    names: ClassVar[tuple[str, ...]]
    """The columns."""
    joins: bool = False
    """Whether requests and responses are rows of their own; then the statement says which, as `pair`,
    `begins` and `expected`."""

    def __init__(self, raw: Sequence[Source]) -> None:
        self._raw = raw
        self._of: dict[str, Source] = {}
        self._engine = Engine()

    @abstractmethod
    def statement(self, file: SourceFile, columns: Sequence[str]) -> str:
        """The statement over `raw`, whose columns are `n` and those of the file."""

    @property
    def rewrites(self) -> bool:
        """Whether the rows of a file that is gone were moved into others."""
        return self._raw[0].rewrites

    def files(self) -> Sequence[SourceFile]:
        """The files of every kind that the platform writes, in the order of their last change."""
        found: list[tuple[SourceFile, Source]] = []
        for source in self._raw:
            found += [(file, source) for file in source.files()]
        if len(self._raw) > 1:
            found.sort(key=lambda f: (f[0].changed_at or _NEVER, f[0].uri))
        self._of = {file.uri: source for file, source in found}
        return [file for file, _ in found]

    def columns(self, file: SourceFile) -> SourceColumns:
        """The columns; none where the file has no row yet."""
        there = self._of[file.uri].columns(file).names
        return SourceColumns(names=self.names if there else ())

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a file has."""
        return self._of[file.uri].n_rows(file)

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time."""
        for rows in self._of[file.uri].read(file, None):
            yield self._unwrapped(rows, file, columns)

    def close(self) -> None:
        """Close what is open."""
        for source in self._raw:
            source.close()
        self._engine.close()

    def raw_table(self, rows: SourceRows) -> Any:
        """The rows of a file as they are asked, with their places as `n`."""
        import pyarrow as pa

        given = dict(zip(rows.batch.schema.names, map(_plain, rows.batch.columns), strict=True))
        return pa.table({**given, "n": pa.array(rows.numbers, pa.int64())})

    def _unwrapped(
        self, rows: SourceRows, file: SourceFile, columns: Sequence[str] | None
    ) -> SourceRows:
        import pyarrow as pa

        raw = self.raw_table(rows)
        found = self._engine.ask(raw, self.statement(file, raw.column_names))
        numbers = found.column("n").to_pylist()
        faults = found.column("fault").to_pylist()
        good = [i for i, fault in enumerate(faults) if fault is None]
        told = tuple(
            _told(numbers[i], fault) for i, fault in enumerate(faults) if fault is not None
        )
        if told:
            found = found.take(pa.array(good, pa.int64()))
        wanted = [name for name in self.names if columns is None or name in columns]
        arrays = {name: one_array(found.column(name)) for name in wanted}
        if "time" in arrays:
            arrays["time"] = _instants(arrays["time"], one_array(found.column("time_text")))
        if self.joins:
            named = zip((PAIR, BEGINS, EXPECTED), ("pair", "begins", "expected"), strict=True)
            arrays |= {name: one_array(found.column(own)) for name, own in named}
        batch = pa.RecordBatch.from_pydict({**arrays, "": pa.nulls(len(good))})
        return checked(
            replace(
                rows,
                batch=batch,
                numbers=[numbers[i] for i in good],
                unreadable=(*rows.unreadable, *told),
            )
        )


def _plain(column: Any) -> Any:
    """Instants in UTC without saying so, records as JSON, and bytes in base64: no setting alters those."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us"), safe=False)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        coded = [None if b is None else b64encode(b).decode() for b in column.to_pylist()]
        return pa.array(coded, pa.string())
    return as_json(column) if pa.types.is_nested(kind) else column


def _told(number: int, fault: str) -> UnreadableRows:
    if fault.startswith(FAILED):
        return UnreadableRows(number, fault.removeprefix(FAILED), reason=RejectReason.FAILED)
    return UnreadableRows(number, fault)


def _instants(times: Any, said: Any) -> Any:
    """The instants; the texts, where one of them names none, so that it can be shown."""
    unread = times.is_null().to_numpy(zero_copy_only=False)
    some = said.is_valid().to_numpy(zero_copy_only=False)
    return said if (unread & some).any() else times


def body(data: str, encoding: str, media_type: str) -> str:
    """SQL for the JSON of a body: `encoding` says how it is written, `media_type` what it is.

    CSV becomes a list of lines, each a list of texts; JSON lines become a list. An image stays in base64.
    """
    decoded = (
        f"CASE WHEN upper({encoding}) = 'BASE64' AND NOT coalesce({media_type} LIKE 'image/%', false)"
        f" THEN coalesce(try(decode(from_base64({data}))), {data}) ELSE {data} END"
    )
    lines = f"string_split_regex(trim({decoded}, E' \\r\\n\\t'), '\\r?\\n')"
    return (
        f"CASE WHEN upper({encoding}) = 'CSV' OR {media_type} LIKE 'text/csv%'"
        f" THEN CAST(to_json(list_transform({lines}, lambda x: string_split(x, ','))) AS VARCHAR)"
        f" WHEN {media_type} LIKE '%jsonlines%' OR {media_type} LIKE '%ndjson%'"
        f" THEN '[' || array_to_string({lines}, ',') || ']'"
        f" ELSE {decoded} END"
    )


def instant(text: str) -> str:
    """SQL for the instant, in UTC, that a text names."""
    return f"try_cast({text} AS TIMESTAMP)"


def fields(wanted: Mapping[str, tuple[str, ...]], columns: Sequence[str]) -> str:
    """SQL for fields that have one of several names, in the JSON of `line` or in columns; as text."""
    if "line" in columns:
        paths = [f"/{name}" for names in wanted.values() for name in names]
        numbers = iter(range(1, len(paths) + 1))
        shown = [
            f"coalesce({', '.join(f'v[{next(numbers)}]' for _ in names)}) AS {field}"
            for field, names in wanted.items()
        ]
        return f"""
            SELECT n, ok, {", ".join(shown)}
            FROM (SELECT n, json_valid(line) AS ok,
                         CASE WHEN json_valid(line)
                         THEN json_extract_string(line, {listed(paths)}) END AS v
                  FROM raw)"""  # noqa: S608  only names of fields
    there = {
        field: [f'CAST("{name}" AS VARCHAR)' for name in names if name in columns]
        for field, names in wanted.items()
    }
    shown = [f"coalesce({', '.join([*some, 'NULL::VARCHAR'])}) AS {f}" for f, some in there.items()]
    return f"SELECT n, true AS ok, {', '.join(shown)} FROM raw"  # noqa: S608  only names of fields
