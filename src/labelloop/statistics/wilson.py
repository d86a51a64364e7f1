"""Wilson's score interval for a proportion."""

import math

from labelloop.core.arrays import check_level
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.interval import Interval
from labelloop.statistics.quantiles import normal_quantile


def wilson(
    successes: int, n: int, *, level: float = 0.95, population: int | None = None
) -> Estimate | Undefined:
    """The share of successes in a population, from a simple random sample without replacement.

    Estimand: the share in the finite population of `population` items, or, where that is None, the
    probability behind an endless stream. Assumes that each item had the same chance to be among the
    n and that none was left out for what it is.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; the
    finite population enters through the effective sample size n (N - 1) / (N - n). Covers a little
    less than nominal where fewer than about five of either kind are seen.

    Raises:
        ArgumentError: counts that can't be, or a level outside (0, 1).

    >>> found = wilson(336, 372)
    >>> f"{found.value:.3f} ({found.low:.3f} .. {found.high:.3f})"
    '0.903 (0.869 .. 0.929)'
    >>> wilson(0, 0)
    Undefined(reason='no labels')
    """
    check_counts(successes, n, level, population)
    if n == 0:
        return Undefined("no labels")
    n_effective = effective_size(n, population)
    value = successes / n
    interval = Interval(value, *score_interval(value, n_effective, level), n_effective)
    return interval.estimate(level=level, n=n, method="Wilson, simple random sample")


def effective_size(n: float, population: float | None) -> float:
    """The size of the sample with replacement that is as precise: infinite for a census."""
    if population is None:
        return n
    return math.inf if n >= population else n * (population - 1) / (population - n)


def score_interval(share: float, n_effective: float, level: float) -> tuple[float, float]:
    """Wilson's interval around `share` for an effective sample size; (share, share) for a census."""
    return score_bounds(share, n_effective, normal_quantile((1 + level) / 2))


def score_bounds(share: float, n_effective: float, z: float) -> tuple[float, float]:
    """The same for a quantile `z` of the caller's choice, such as one of Student's t."""
    if math.isinf(n_effective):
        return share, share
    middle = share + z * z / (2 * n_effective)
    half = z * math.sqrt(
        share * (1 - share) / n_effective + z * z / (4 * n_effective * n_effective)
    )
    scale = 1 + z * z / n_effective
    # rounding must not put a bound on the wrong side of the share
    return min(share, max(0.0, (middle - half) / scale)), max(
        share, min(1.0, (middle + half) / scale)
    )


def check_counts(successes: float, n: int, level: float, population: int | None) -> None:
    """Raise ArgumentError unless 0 <= successes <= n <= population and 0 < level < 1."""
    if not 0 <= successes <= n:
        raise ArgumentError(
            f"successes = {successes} of n = {n}: expected 0 <= successes <= n",
            remedy="count both over the same labels",
        )
    check_level(level)
    if population is not None and population < n:
        raise ArgumentError(
            f"population = {population} with n = {n}: a sample can't be larger than its population",
            remedy="pass the number of items that the sample was drawn from",
        )
