"""DuckDB over some rows of a file: it reads JSON in columns at the speed of its own readers."""

from collections.abc import Sequence
from typing import Any


class Engine:
    """Asks statements of one table, `raw`, which is handed over with each."""

    def __init__(self) -> None:
        self._db: Any = None

    def ask(self, raw: Any, statement: str) -> Any:
        """What a statement says of a pyarrow table, in the order of its rows, as a pyarrow table."""
        import duckdb

        if self._db is None:
            # nothing is fetched from the network, and no variable of ours is read as a table
            self._db = duckdb.connect(
                ":memory:",
                config={
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "python_enable_replacements": "false",
                    "threads": "1",
                },
            )
        self._db.register("raw", raw)
        try:
            return self._db.sql(statement).to_arrow_table()
        finally:
            self._db.unregister("raw")

    def close(self) -> None:
        """Close DuckDB, if anything was asked."""
        if self._db is not None:
            self._db.close()


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Sequence[str]) -> str:
    """A list of texts as SQL writes it."""
    return "[" + ", ".join(map(quoted, texts)) + "]"


def one_array(column: Any) -> Any:
    """A column of a table in one piece."""
    import pyarrow as pa

    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def as_json(column: Any) -> Any:
    """A column of texts; records and lists are written as JSON."""
    import json

    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type):
        as_objects = column.to_pylist(maps_as_pydicts="lossy")
        said = [None if v is None else json.dumps(v, default=str) for v in as_objects]
        return pa.array(said, pa.string())
    return column.cast(pa.string())
