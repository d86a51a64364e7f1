"""The rule for the time of a prediction: an instant in UTC, in the years 1990 to 2099."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.core.where import instant
from labelloop.errors import ConfigError
from labelloop.reading.column import Values, each, is_number, is_text, plain, texts, unfit
from labelloop.reading.number import number

UNITS_US = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
"""Microseconds in each unit that a number may count since 1970."""

EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""From the first up to, and without, the second: a wrong unit or a sentinel lies outside."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UTC = pa.timestamp("us", tz="UTC")


def timestamp(text: str) -> datetime | None:
    """The instant that a text names in ISO 8601, in UTC; None for a blank one.

    Without an offset it is UTC.

    >>> timestamp("2026-03-01T13:00:00+01:00").isoformat(), timestamp("")
    ('2026-03-01T12:00:00+00:00', None)

    Raises:
        ValueError: it names none, or one outside the years 1990 to 2099.
    """
    if not text.strip():
        return None
    at = instant(text)
    if not EARLIEST <= at < LATEST:
        raise ValueError(f"{text!r} lies outside the years 1990 to 2099")
    return at


def timestamps(column: Any, name: str, unit: str | None) -> Values:
    """The same for a column: of timestamps, of texts, or of numbers that count `unit` since 1970.

    Raises:
        ConfigError: numbers without a unit, or no instants at all.
    """
    column = plain(column)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _in_range(column)
    if is_text(column.type):
        said = texts(column, name)
        if unit is not None:
            counted = each(said, _count, pa.float64())
            found = _since_1970(counted.values, unit)
            return Values(found.values, found.bad | counted.bad)
        if _are_numbers(said):
            raise _without_unit(name)
        return each(said, timestamp, _UTC)
    if not is_number(column.type):
        raise unfit(name, column, "instants: timestamps, ISO 8601 text or an epoch")
    if unit is None:
        raise _without_unit(name)
    return _since_1970(column.cast(pa.float64(), safe=False), unit)


def _in_range(column: Any) -> Values:
    zone = getattr(column.type, "tz", None)
    low, high = (pa.scalar(t if zone else t.replace(tzinfo=None)) for t in (EARLIEST, LATEST))
    inside = pc.and_(
        pc.greater_equal(column, low.cast(column.type)), pc.less(column, high.cast(column.type))
    )
    bad = pc.fill_null(pc.invert(inside), False)
    kept = pc.if_else(bad, pa.scalar(None, column.type), column)
    exact = kept.cast(pa.timestamp("us", tz=zone), safe=False).cast(_UTC)
    return Values(exact, bad.to_numpy(zero_copy_only=False))


def _are_numbers(said: Any) -> bool:
    trimmed = pc.utf8_trim_whitespace(said)
    digits = pc.utf8_is_digit(trimmed)
    return bool(
        pc.any(digits, min_count=1).as_py()
        and pc.all(pc.or_(digits, pc.equal(trimmed, ""))).as_py()
    )


def _count(text: str) -> float | None:
    if not text.strip():
        return None
    counted = number(text)
    if math.isnan(counted):
        raise ValueError(f"{text!r} counts nothing")
    return counted


def _since_1970(counted: Any, unit: str) -> Values:
    values = counted.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # infinity lies outside too
        us = np.rint(np.where(np.isfinite(values), values, 0.0) * UNITS_US[unit])
    low, high = ((t - _EPOCH) / _MICROSECOND for t in (EARLIEST, LATEST))
    unknown = ~((low <= us) & (us < high))
    found = pa.array(np.where(unknown, 0, us).astype(np.int64), pa.int64(), mask=unknown)
    missing = np.isnan(values) if pa.types.is_floating(counted.type) else np.zeros(len(us), bool)
    return Values(found.cast(_UTC), unknown & ~missing)


def _without_unit(name: str) -> ConfigError:
    return ConfigError(
        f'[source.columns] predicted_at = "{name}" contains numbers, and no setting says '
        "their unit",
        remedy='set predicted_at_unit = "seconds", "milliseconds", "microseconds" or '
        '"nanoseconds" in [source]',
    )
