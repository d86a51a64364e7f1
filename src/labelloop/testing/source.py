"""A table of predictions in memory."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from labelloop.core.row_range import RowRange
from labelloop.errors import SourceFileBad
from labelloop.ports.source import SourceColumns, SourceFile, SourceRows

Row = Mapping[str, object]


class MemorySource:
    """A source that holds its files in a dictionary: `put` them, then hand it to a step.

    >>> source = MemorySource()
    >>> source.put("monday", [{"sample_id": "a", "predicted_class": "Bread"}])
    >>> [(file.uri, *source.columns(file).names) for file in source.files()]
    [('memory://monday', 'sample_id', 'predicted_class')]
    """

    joins = False

    def __init__(self, *, rewrites: bool = False, rows_at_a_time: int = 1000) -> None:
        self._files: dict[str, tuple[str, Sequence[Row] | SourceFileBad]] = {}
        self._rewrites = rewrites
        self._rows_at_a_time = rows_at_a_time
        self._versions = count(1)

    # --- for tests -----------------------------------------------------------------------------

    def put(self, name: str, rows: Sequence[Row] | SourceFileBad) -> None:
        """Write a file anew: its rows, or why it can't be read."""
        self._files.pop(name, None)
        self._files[name] = (f"v{next(self._versions)}", rows)

    def drop(self, name: str) -> None:
        """Delete a file."""
        del self._files[name]

    # --- the port ------------------------------------------------------------------------------

    @property
    def rewrites(self) -> bool:
        """Whether the rows of a file that is gone were moved into others."""
        return self._rewrites

    def files(self) -> Sequence[SourceFile]:
        """The files there are now, the newest last."""
        return [
            SourceFile(uri=f"memory://{name}", version=version, size_bytes=len(repr(rows)))
            for name, (version, rows) in self._files.items()
        ]

    def columns(self, file: SourceFile) -> SourceColumns:
        """The columns that any row of the file has."""
        return SourceColumns(names=tuple(dict.fromkeys(n for row in self._held(file) for n in row)))

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a file has; of one that can't be read nobody knows."""
        _, rows = self._files[file.uri.removeprefix("memory://")]
        if isinstance(rows, SourceFileBad):
            return RowRange(1, None)
        return RowRange.exactly(len(rows))

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time."""
        import pyarrow as pa

        rows = self._held(file)
        names = [n for n in self.columns(file).names if columns is None or n in columns]
        for start in range(0, len(rows), self._rows_at_a_time):
            some = rows[start : start + self._rows_at_a_time]
            held = {name: pa.array([row.get(name) for row in some]) for name in names}
            yield SourceRows(
                batch=pa.RecordBatch.from_pydict({**held, "": pa.nulls(len(some))}),
                numbers=range(start + 1, start + 1 + len(some)),
            )

    def close(self) -> None:
        """Nothing has to be given back."""

    def _held(self, file: SourceFile) -> Sequence[Row]:
        _, rows = self._files[file.uri.removeprefix("memory://")]
        if isinstance(rows, SourceFileBad):
            raise rows
        return rows
