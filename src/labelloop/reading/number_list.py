"""The rule for probabilities and embeddings: a list of numbers, or none."""

import json
from typing import Any

import pyarrow as pa

from labelloop.reading.column import is_text, texts, unfit

_LIST = pa.list_(pa.float32())


def number_list(text: str) -> list[float] | None:
    """The numbers that a JSON list holds; None for anything else.

    >>> number_list("[0.25, 0.75]"), number_list("")
    ([0.25, 0.75], None)
    """
    try:
        held = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    numbers = isinstance(held, list) and all(type(v) in (int, float) for v in held)
    return held if numbers else None


def number_lists(column: Any, name: str) -> Any:
    """The same for a column, in single precision.

    Raises:
        ConfigError: the column holds something else.
    """
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), _LIST)
    if is_text(column.type):
        said = texts(column, name).to_pylist()
        return pa.array([None if v is None else number_list(v) for v in said], _LIST)
    try:
        return column.cast(_LIST, safe=False)
    except pa.ArrowException as exc:
        raise unfit(name, column, "lists of numbers") from exc
