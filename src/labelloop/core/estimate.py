"""An estimate with its interval, or the reason why there is none."""

from dataclasses import dataclass
from typing import Annotated

MAY_BE_INFINITE = "may be infinite"
"""Marks a number that JSON then shows as null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A proportion in [0, 1] with its interval.

    value, low, high
        the estimate and its confidence interval at `level`
    n, n_effective
        labels it rests on; size of the simple random sample (with replacement) that would be as precise,
        infinite where every sample has a label
    method
        how it was computed, in words
    worst_low, worst_high
        the interval widened by every answer that is missing and every row that was rejected,
        each taken the worst way; equal to low and high where nothing is missing
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    n_effective: Annotated[float, MAY_BE_INFINITE]
    method: str
    worst_low: float
    worst_high: float


@dataclass(frozen=True, slots=True)
class Undefined:
    """The reason why a number can't be estimated. It is never shown as 0 or NaN."""

    reason: str
