"""The rule for a sampling rate: the share of its traffic that the application logged, in (0, 1]."""

from typing import Any

import numpy as np
import pyarrow as pa

from labelloop.reading.column import Values, each, is_number, is_text, plain, texts, unfit
from labelloop.reading.number import number


def sampling_rate(text: str) -> float | None:
    """The rate that a text holds; None where it is blank, or 1: all of it was logged.

    >>> sampling_rate("0.1"), sampling_rate("1.0"), sampling_rate(" ")
    (0.1, None, None)

    Raises:
        ValueError: it holds no number in (0, 1].
    """
    said = text.strip()
    return _checked(number(said)) if said else None


def _checked(value: float) -> float | None:
    if not 0 < value <= 1:
        raise ValueError(f"{value} isn't in (0, 1]")
    return None if value == 1 else value


def sampling_rates(column: Any, name: str) -> Values:
    """The same for a column, as doubles. NaN in a column of numbers is no value, as in pandas.

    Raises:
        ConfigError: the column holds neither numbers nor text.
    """
    column = plain(column)
    if is_text(column.type):
        return each(texts(column, name), sampling_rate, pa.float64())
    if not is_number(column.type):
        raise unfit(name, column, "numbers")
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if column.type in (pa.float32(), pa.float16()):
        values = np.round(values, 7)
    bad = ~np.isnan(values) & ~((values > 0) & (values <= 1))
    return Values(pa.array(values, pa.float64(), mask=np.isnan(values) | bad | (values == 1)), bad)
