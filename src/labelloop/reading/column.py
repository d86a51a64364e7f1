"""A column of a table as texts, and the rule for one text applied to all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.errors import ConfigError

_WHOLE_UP_TO = {pa.float64(): 2.0**53, pa.float32(): 2.0**24, pa.float16(): 2.0**11}
"""Up to here a float of each type holds every whole number."""


@dataclass(frozen=True, slots=True)
class Values:
    """What a column says: null in rows that say nothing, and in those that can't be read.

    bad
        (N,) bool: the rows that say something that can't be read
    """

    values: Any
    bad: Any

    @property
    def missing(self) -> Any:
        """(N,) bool: the rows that say nothing."""
        return self.values.is_null().to_numpy(zero_copy_only=False) & ~self.bad


def texts(column: Any, name: str) -> Any:
    """The values as a pyarrow array of strings: numbers in digits, truths as true and false.

    A whole number is written without a point, whatever its type. NaN is no value, as in pandas.

    Raises:
        ConfigError: the column holds lists or records.
    """
    column = plain(column)
    if pa.types.is_nested(column.type):
        raise unfit(name, column, "text or numbers")
    try:
        if pa.types.is_floating(column.type):
            return _digits(column)
        return column.cast(pa.string())
    except pa.ArrowException as exc:
        raise unfit(name, column, "UTF-8 text") from exc


def _digits(column: Any) -> Any:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known, size = ~np.isnan(values), np.abs(values)
    exact = size <= _WHOLE_UP_TO[column.type]
    whole = known & exact & (np.floor(values) == values)
    said = pc.if_else(pa.array(known), column.cast(pa.string()), None)
    rounded = known & ~exact & np.isfinite(values)
    for i in np.flatnonzero(rounded):  # its last digits would be made up: it has an exponent
        told = np.format_float_scientific(values[i], unique=True)
        said = pc.if_else(pa.array(np.arange(len(values)) == i), told, said)
    digits = pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole).cast(pa.string())
    return pc.coalesce(digits, said)


def each(column: Any, rule: Callable[[str], object], kind: Any) -> Values:
    """What `rule` makes of each text, as values of the pyarrow type `kind`.

    The rule returns None for a text that says nothing, and raises ValueError for one that can't be
    read. It is asked once for each different text.
    """
    encoded = column.dictionary_encode()
    values: list[object] = []
    bad: list[bool] = []
    for text in encoded.dictionary.to_pylist():
        try:
            values.append(rule(text))
            bad.append(False)
        except ValueError:
            values.append(None)
            bad.append(True)
    places = encoded.indices
    refused = pc.fill_null(pa.array(bad, pa.bool_()).take(places), False)
    return Values(pa.array(values, kind).take(places), refused.to_numpy(zero_copy_only=False))


def fault_of(rule: Callable[[str], object], text: str) -> str:
    """Why the rule for one text refuses it; empty where it doesn't."""
    try:
        rule(text)
    except ValueError as exc:
        return str(exc)
    return ""


def plain(column: Any) -> Any:
    """The column, its dictionary undone."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_number(kind: Any) -> bool:
    """Whether a type holds numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def is_text(kind: Any) -> bool:
    """Whether a type holds texts, or nothing at all."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_null(kind)
    )


def unfit(name: str, column: Any, expected: str) -> ConfigError:
    """The error of a column whose type can't mean what it is said to mean."""
    return ConfigError(
        f"the column {name!r} of the source has the type {column.type}; expected: {expected}",
        remedy="choose another column in [source.columns], or write the column with that type; if "
        "it means something else, turn it off there, for example `role = false`",
    )
