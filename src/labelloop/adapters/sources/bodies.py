"""A Source whose columns hold JSON, with columns of their own for what stands at paths in it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from labelloop.adapters.sources.engine import Engine, as_json, listed, one_array
from labelloop.core.json_path import JsonPath
from labelloop.core.row_range import RowRange
from labelloop.ports.source import Source, SourceColumns, SourceFile, SourceRows, UnreadableRows

_SHOWN = 60


class BodiesSource:
    """The files of another source. Each of `paths` is a column too, under its text.

    Its values are text: numbers in their digits, lists and records as JSON. Of the paths in `lists` they
    are lists of numbers. A row is unreadable if a column that a path leads into holds no JSON.

    DuckDB looks the values up: it reads a JSON text once for all paths.
    """

    def __init__(
        self, source: Source, paths: Sequence[JsonPath], *, lists: Collection[str] = ()
    ) -> None:
        self._source = source
        self._paths = paths
        self._lists = frozenset(lists)
        self._engine = Engine()

    @property
    def rewrites(self) -> bool:
        """Whether the rows of a file that is gone were moved into others."""
        return self._source.rewrites

    @property
    def joins(self) -> bool:
        """Whether what was asked and what was answered stand in rows of their own."""
        return self._source.joins

    def files(self) -> Sequence[SourceFile]:
        """The files that the table has now."""
        return self._source.files()

    def columns(self, file: SourceFile) -> SourceColumns:
        """The columns of a file, and the paths that lead into one of them."""
        found = self._source.columns(file)
        led = tuple(p.text for p in self._paths if p.column in found.names)
        return replace(found, names=(*found.names, *led))

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a file has."""
        return self._source.n_rows(file)

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time."""
        paths = [p for p in self._paths if columns is None or p.text in columns]
        wanted = columns
        if columns is not None:
            texts = {p.text for p in self._paths}
            own = [name for name in columns if name not in texts]
            wanted = sorted({*own, *(p.column for p in paths)})
        for rows in self._source.read(file, wanted):
            yield self._with_values(rows, paths)

    def close(self) -> None:
        """Close the other source, and DuckDB."""
        self._source.close()
        self._engine.close()

    def _with_values(self, rows: SourceRows, paths: Sequence[JsonPath]) -> SourceRows:
        import pyarrow as pa

        places = {name: i for i, name in enumerate(rows.batch.schema.names)}
        led = [p for p in paths if p.column in places]
        if not led:
            return rows
        bodies = {
            name: as_json(rows.batch.column(places[name]))
            for name in dict.fromkeys(p.column for p in led if p.steps)
        }
        values, broken = self._looked_up(bodies, led)
        arrays = [*rows.batch.columns]
        names = [*rows.batch.schema.names]
        for p in led:
            arrays.append(values[p.text] if p.steps else rows.batch.column(places[p.column]))
            names.append(p.text)
        batch = pa.RecordBatch.from_arrays(arrays, names)
        if not broken:
            return replace(rows, batch=batch)
        kept = [i for i in range(batch.num_rows) if i not in broken]
        told = tuple(
            UnreadableRows(rows.numbers[i], f"{name} is no JSON: {shown}")
            for i, (name, shown) in sorted(broken.items())
        )
        return replace(
            rows,
            batch=batch.take(pa.array(kept, pa.int64())),
            numbers=[rows.numbers[i] for i in kept],
            unreadable=(*rows.unreadable, *told),
        )

    def _looked_up(
        self, bodies: dict[str, Any], paths: Sequence[JsonPath]
    ) -> tuple[dict[str, Any], dict[int, tuple[str, str]]]:
        """The values at each path, and the rows whose body is no JSON: which, and how it begins."""
        values: dict[str, Any] = {}
        broken: dict[int, tuple[str, str]] = {}
        for name, column in bodies.items():
            inside = [p for p in paths if p.column == name and p.steps]
            cells = self._ask(column, inside)
            valid = cells.column(0).to_numpy(zero_copy_only=False)
            for i in (~valid).nonzero()[0].tolist():
                broken.setdefault(i, (name, column[i].as_py()[:_SHOWN]))
            for place, p in enumerate(inside, start=1):
                values[p.text] = one_array(cells.column(place))
        return values, broken

    def _ask(self, column: Any, paths: Sequence[JsonPath]) -> Any:
        """Whether each body is JSON, and the value at each path."""
        import pyarrow as pa

        where = listed([_engine_path(p) for p in paths])
        shown = "".join(
            ", " + (_as_list(f"v[{i}]") if p.text in self._lists else f"nullif(v[{i}], 'NaN')")
            for i, p in enumerate(paths, start=1)
        )
        return self._engine.ask(
            pa.table({"body": column}),
            f"""SELECT coalesce(ok, true) {shown} FROM (
                    SELECT json_valid(body) AS ok,
                           CASE WHEN json_valid(body) THEN json_extract_string(body, {where}) END AS v
                    FROM raw)""",  # noqa: S608  paths are quoted, and nothing else is the user's
        )


def _engine_path(path: JsonPath) -> str:
    """The path as DuckDB spells it: a JSON Pointer, or its own JSONPath where it counts from the end.

    >>> _engine_path(JsonPath.parse("$.r.a['b/c'][0]")), _engine_path(JsonPath.parse("$.r.a[-1]"))
    ('/a/b~1c/0', '$."a"[-1]')
    """
    if any(isinstance(s, int) and s < 0 for s in path.steps):
        parts = (
            f"[{s}]" if isinstance(s, int) else '."' + s.replace('"', '\\"') + '"'
            for s in path.steps
        )
        return "$" + "".join(parts)
    return "".join("/" + str(s).replace("~", "~0").replace("/", "~1") for s in path.steps)


def _as_list(text: str) -> str:
    one = f"CASE WHEN try_cast({text} AS DOUBLE) IS NOT NULL THEN [try_cast({text} AS DOUBLE)] END"
    return f"coalesce(try_cast({text} AS DOUBLE[]), {one})"
