"""A confidence sequence: an interval that stays valid when it is looked at after every label."""

import math
from collections.abc import Callable

from labelloop.core.arrays import check_level
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.interval import Interval
from labelloop.statistics.quantiles import log_beta, normal_quantile

_HALVINGS = 60


class ConfidenceSequence:
    """A running interval for a probability, valid at every look: one that misses ever does so with
    1 - level.

    Estimand: the probability of success behind an endless stream, the same all the time. Assumes
    that batches are simple random samples of it; the next batch's size may depend on what was seen.

    Source: the beta-binomial mixture (Robbins 1970; Ville's inequality; Howard et al. 2021, section
    3). Keeps p while log B(k + a, n - k + b) - log B(a, b) - k log p - (n - k) log(1 - p) < log(1 /
    alpha), with Beta(9, 1): narrowest for accuracies around 0.9. Sixty looks at a plain 95%
    interval miss in 33% of all runs; this one in about 2%.

    >>> running = ConfidenceSequence()
    >>> first = running.update(45, 50)
    >>> later = running.update(90, 100)
    >>> later.n, round(later.low, 3), round(later.high, 3)
    (150, 0.812, 0.957)
    """

    def __init__(self, *, level: float = 0.95, prior: tuple[float, float] = (9.0, 1.0)) -> None:
        check_level(level)
        if not min(prior) > 0:
            raise ArgumentError(
                f"prior = {prior}: expected two numbers above 0", remedy="use (9, 1) for accuracies"
            )
        self._level = level
        self._prior = prior
        self._successes = 0
        self._n = 0

    def update(self, successes: int, n: int) -> Estimate | Undefined:
        """The estimate after a new batch with `successes` of `n`; Undefined while there are no
        labels.

        Raises:
            ArgumentError: not 0 <= successes <= n.
        """
        if not 0 <= successes <= n:
            raise ArgumentError(
                f"successes = {successes} of n = {n}: expected 0 <= successes <= n",
                remedy="pass the counts of the new batch alone",
            )
        self._successes += successes
        self._n += n
        if self._n == 0:
            return Undefined("no labels")
        low, high = self._bounds()
        value = self._successes / self._n
        z = normal_quantile((1 + self._level) / 2)
        half = (high - low) / 2
        # looking at will costs: the simple sample, looked at once, that would be as narrow
        as_narrow = max(value * (1 - value), 0.25 / self._n) * (z / half) ** 2
        return Interval(value, low, high, min(float(self._n), as_narrow)).estimate(
            level=self._level,
            n=self._n,
            method="beta-binomial confidence sequence, valid at every look",
        )

    def _bounds(self) -> tuple[float, float]:
        k, n = self._successes, self._n
        a, b = self._prior
        evidence = log_beta(k + a, n - k + b) - log_beta(a, b)
        limit = -math.log(1 - self._level)

        def excess(p: float) -> float:
            """Above 0 if p is rejected."""
            likelihood = (k * math.log(p) if k else 0.0) + (
                (n - k) * math.log1p(-p) if n > k else 0.0
            )
            return evidence - likelihood - limit

        least, most, best = 1e-300, 1 - 1e-16, min(1 - 1e-16, max(1e-300, k / n))
        low = 0.0 if k == 0 or excess(least) <= 0 else _crossing(excess, least, best)
        high = 1.0 if k == n or excess(most) <= 0 else _crossing(excess, most, best)
        return low, high


def _crossing(excess: Callable[[float], float], above: float, below: float) -> float:
    """Where `excess` is 0: it is above 0 at `above` and not at `below`."""
    for _ in range(_HALVINGS):
        middle = (above + below) / 2
        if excess(middle) > 0:
            above = middle
        else:
            below = middle
    return below
