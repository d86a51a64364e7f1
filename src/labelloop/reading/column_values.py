"""Columns of any kind that a table may hold -> texts, instants, confidences, truths."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.core.where import instant
from labelloop.errors import ConfigError

UNITS_US = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
"""Microseconds in each unit that an epoch may be counted in."""

_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FLOAT32_DIGITS = 7


def texts(column: Any, name: str) -> Any:
    """The values as a pyarrow array of strings: numbers in digits, truths as true and false.

    Raises:
        ConfigError: the column holds lists or records.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type):
        raise _unfit(name, column, "text or numbers")
    try:
        return column.cast(pa.string())
    except pa.ArrowException as exc:
        raise _unfit(name, column, "UTF-8 text") from exc


def instants(column: Any, name: str, unit: str | None) -> tuple[Any, Any, Any]:
    """Timestamps in UTC, which rows have none, and which ones can't be read.

    An instant without an offset is UTC. A number counts `unit` since 1970, and must lie in
    [1990, 2100): a wrong unit leads outside.

    Raises:
        ConfigError: numbers without a unit, or no instants at all.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    n, kind = len(column), pa.timestamp("us", tz="UTC")
    none = np.zeros(n, bool)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        naive = column.cast(pa.timestamp("us", tz=getattr(column.type, "tz", None)), safe=False)
        return naive.cast(kind), column.is_null().to_numpy(zero_copy_only=False), none
    if _is_text(column.type) or pa.types.is_null(column.type):
        return _from_text(column, name, unit)
    if not _is_number(column.type):
        raise _unfit(name, column, "instants: timestamps, ISO 8601 text or an epoch")
    if unit is None:
        raise _without_unit(name)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    counted = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return _from_epoch(counted, unit)


def _from_epoch(counted: Any, unit: str) -> tuple[Any, Any, Any]:
    missing = np.isnan(counted)
    us = np.where(np.isfinite(counted), counted, 0.0) * UNITS_US[unit]
    low, high = ((t - _EPOCH) / _MICROSECOND for t in (_EARLIEST, _LATEST))
    bad = ~missing & ~((low <= us) & (us < high))
    whole = np.where(missing | bad, 0, np.rint(us)).astype(np.int64)
    return _masked(whole, missing | bad), missing, bad


def _from_text(column: Any, name: str, unit: str | None) -> tuple[Any, Any, Any]:
    said = [None if v is None else v.strip() for v in column.to_pylist()]
    missing = np.array([not v for v in said], bool)
    if unit is not None:
        counted = [_number(v) if v else math.nan for v in said]
        bad = np.array([v is None for v in counted], bool)
        at, _, outside = _from_epoch(np.array([v or math.nan for v in counted], float), unit)
        return at, missing, (bad | outside) & ~missing
    if all(v.isdigit() for v in said if v) and not missing.all():
        raise _without_unit(name)
    us = np.zeros(len(said), np.int64)
    bad = np.zeros(len(said), bool)
    for i, text in enumerate(said):
        if text:
            try:
                us[i] = (instant(text) - _EPOCH) // _MICROSECOND
            except (ValueError, OverflowError):
                bad[i] = True
    return _masked(us, missing | bad), missing, bad


def _masked(us: Any, unknown: Any) -> Any:
    return pa.array(us, pa.int64(), mask=unknown).cast(pa.timestamp("us", tz="UTC"))


def confidences(column: Any, name: str, divisor: float) -> tuple[Any, Any]:
    """Confidences as doubles, null where missing, and which ones are no number in [0, 1].

    A NaN in a column of numbers is a missing value, as pandas writes it. Single precision is
    rounded to its seven digits, so that 0.9 is 0.9.

    Raises:
        ConfigError: the column holds neither numbers nor text.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_text(column.type) or pa.types.is_null(column.type):
        said = [None if v is None else v.strip() for v in column.to_pylist()]
        read = [_number(v) if v else math.nan for v in said]
        bad = np.array([v is None or math.isnan(v) for v in read], bool)
        bad &= np.array([bool(v) for v in said], bool)
        values = np.array([math.nan if v is None else v for v in read], float)
    elif _is_number(column.type):
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        bad = np.zeros(len(column), bool)
    else:
        raise _unfit(name, column, "numbers")
    values = values / divisor
    if column.type in (pa.float32(), pa.float16()):
        values = np.round(values, _FLOAT32_DIGITS)
    bad |= ~np.isnan(values) & ~((values >= 0) & (values <= 1))
    return pa.array(values, pa.float64(), mask=np.isnan(values) | bad), bad


def truths(column: Any, name: str) -> tuple[Any, Any]:
    """(N,) int8: 1 true, 0 false, -1 not said; and which values are neither.

    Raises:
        ConfigError: the column holds neither truths nor text nor numbers.
    """
    if pa.types.is_nested(column.type):
        raise _unfit(name, column, "true and false")
    found = {"true": 1, "1": 1, "false": 0, "0": 0, "": -1}
    said = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(texts(column, name), "")))
    distinct = said.dictionary_encode()
    codes = [found.get(v) for v in distinct.dictionary.to_pylist()]
    places = distinct.indices.to_numpy(zero_copy_only=False)
    flags = np.array([-1 if c is None else c for c in codes], np.int8)[places]
    return flags, np.array([c is None for c in codes], bool)[places]


def probabilities(column: Any, name: str) -> Any:
    """Lists of single-precision numbers; null where there are none.

    Raises:
        ConfigError: the column holds something else.
    """
    kind = pa.list_(pa.float32())
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if _is_text(column.type):
        return pa.array([_numbers(v) for v in column.to_pylist()], kind)
    try:
        return column.cast(kind, safe=False)
    except pa.ArrowException as exc:
        raise _unfit(name, column, "lists of numbers") from exc


def _numbers(text: str | None) -> list[float] | None:
    try:
        held = json.loads(text or "null")
    except ValueError:
        return None
    plain = isinstance(held, list) and all(type(v) in (int, float) for v in held)
    return held if plain else None


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_text(kind: Any) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _without_unit(name: str) -> ConfigError:
    return ConfigError(
        f'[source.columns] predicted_at = "{name}" holds numbers, and nothing says what they count',
        remedy='set predicted_at_unit = "seconds", "milliseconds", "microseconds" or '
        '"nanoseconds" in [source]',
    )


def _unfit(name: str, column: Any, expected: str) -> ConfigError:
    return ConfigError(
        f"the column {name!r} of the source holds {column.type}; expected were {expected}",
        remedy="name another column in [source.columns], or convert it where it is written",
    )
