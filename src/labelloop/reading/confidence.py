"""The rule for a confidence: a number in [0, 1], or none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from labelloop.core.probability import ROUNDING
from labelloop.reading.column import Values, each, fault_of, is_number, is_text, plain, texts, unfit
from labelloop.reading.number import number

PERCENT = 100.0

_FLOAT32_DIGITS = 7


def confidence(text: str, divisor: float | None = None) -> float | None:
    """The confidence that a text holds; None for a blank one.

    divisor
        what the settings say that it is divided by. Then a decimal comma is a point, and a sign of
        percent is taken where it is 100; without it `0,5` could as well be two values

    >>> confidence("0.915"), confidence("91,5 %", divisor=100), confidence(" ")
    (0.915, 0.915, None)

    Raises:
        ValueError: it holds no number in [0, divisor].
    """
    said = text.strip()
    if not said:
        return None
    if divisor is None:
        return share(number(said))
    if divisor == PERCENT:
        said = said.removesuffix("%")
    return share(number(said.replace(",", ".")) / divisor)


def share(value: float) -> float:
    """The value, if it lies in [0, 1], or so near that rounding led outside: then 0 or 1.

    >>> share(1.0000001), share(-1e-9)
    (1.0, 0.0)

    Raises:
        ValueError: it doesn't.
    """
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise ValueError(f"{value} isn't in [0, 1]")
    return min(1.0, max(0.0, value))


def divisor_of(held: Sequence[str]) -> float | None:
    """What most are to be divided by to be confidences; None where they are, or nothing helps.

    >>> divisor_of(["44.5%", "91"]), divisor_of(["0,445"]), divisor_of(["0.445"]), divisor_of(["x"])
    (100.0, 1.0, None, None)
    """

    def fit(divisor: float | None) -> bool:
        n = sum(not fault_of(lambda text: confidence(text, divisor), text) for text in held)
        return 2 * n > len(held)

    return next((d for d in (None, 1.0, PERCENT) if fit(d)), None)


def confidences(column: Any, name: str, divisor: float | None = None) -> Values:
    """The same for a column, as doubles.

    NaN in a column of numbers is no value, as in pandas. Single precision is rounded to its seven
    digits, so that 0.9 is 0.9.

    Raises:
        ConfigError: the column holds neither numbers nor text.
    """
    column = plain(column)
    if is_text(column.type):
        return each(texts(column, name), lambda text: confidence(text, divisor), pa.float64())
    if not is_number(column.type):
        raise unfit(name, column, "numbers")
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / (divisor or 1.0)
    if column.type in (pa.float32(), pa.float16()):
        values = np.round(values, _FLOAT32_DIGITS)
    bad = np.zeros(len(values), bool)
    for i in np.flatnonzero((values < 0) | (values > 1)):
        try:
            values[i] = share(float(values[i]))
        except ValueError:
            bad[i] = True
    return Values(pa.array(values, pa.float64(), mask=np.isnan(values) | bad), bad)
