"""The columns of the prediction log's two tables, and rows in that shape."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from labelloop.core.sample import PredictionTable
from labelloop.ports.log import BatchKind, Rows

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def schema(kind: BatchKind) -> "Schema":
    """The Iceberg schema of a table. Columns may only ever be added, and nullable."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import (
        DoubleType,
        FloatType,
        ListType,
        LongType,
        MapType,
        NestedField,
        StringType,
        TimestamptzType,
    )

    def column(number: int, name: str, of: Any, required: bool = True) -> NestedField:
        return NestedField(number, name, of, required=required)

    if kind == "feedback":
        return Schema(
            column(1, "sample_id", StringType()),
            column(2, "kind", StringType()),
            column(3, "value", StringType()),
            column(4, "received_at", TimestamptzType()),
            column(5, "batch", LongType()),
        )
    attributes = MapType(19, StringType(), 20, StringType(), value_required=True)
    return Schema(
        column(1, "sample_id", StringType()),
        column(2, "uri", StringType()),
        column(3, "predicted_at", TimestamptzType()),
        column(4, "model", StringType()),
        column(5, "role", StringType()),
        column(6, "predicted_class", StringType()),
        column(7, "confidence", DoubleType(), required=False),
        column(8, "probabilities", ListType(17, FloatType(), element_required=False), False),
        column(9, "embedding", ListType(18, FloatType(), element_required=False), False),
        column(10, "attributes", attributes),
        column(11, "line", LongType()),
        column(12, "content_hash", StringType()),
        column(13, "size_bytes", LongType()),
        column(14, "batch", LongType()),
        column(15, "indexed_at", TimestamptzType()),
        column(16, "text", StringType(), required=False),
        column(21, "sampling_rate", DoubleType(), required=False),
    )


def arrow_schema(kind: BatchKind, own: "Schema | None" = None) -> Any:
    """The pyarrow schema of a table's files; instants are microseconds in UTC.

    Columns are numbered as in `own`, the schema of the table as its catalog made it.
    """
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return schema_to_pyarrow(own or schema(kind))


def arrow_rows(kind: BatchKind, rows: Rows, batch: int, at: datetime, wanted: Any) -> Any:
    """The rows as a pyarrow Table of the schema `wanted`; a confidence that is NaN becomes null."""
    import pyarrow as pa

    if isinstance(rows, PredictionTable):
        return in_schema(rows.table, wanted, {"batch": batch, "indexed_at": at})
    given: dict[str, list[Any]] = {
        field.name: [getattr(row, field.name, None) for row in rows] for field in wanted
    }
    given["batch"] = [batch] * len(rows)
    if kind == "predictions":
        given["indexed_at"] = [at] * len(rows)
        given["attributes"] = [list(pairs.items()) for pairs in given["attributes"]]
        given["confidence"] = [None if c is None or c != c else c for c in given["confidence"]]
    return pa.table(given, schema=wanted)


def in_schema(table: Any, wanted: Any, same: Mapping[str, Any] = _NOTHING) -> Any:
    """A pyarrow Table in the schema `wanted`: `same` in every row, null what it doesn't have."""
    import pyarrow as pa

    n = table.num_rows
    return pa.table(
        {
            field.name: pa.repeat(pa.scalar(same[field.name], field.type), n)
            if field.name in same
            else table.column(field.name)
            if field.name in table.column_names
            else pa.nulls(n, field.type)
            for field in wanted
        }
    ).cast(wanted)
