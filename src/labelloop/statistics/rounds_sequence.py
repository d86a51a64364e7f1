"""A running interval for the mean accuracy of rounds, valid at every look."""

import math
from dataclasses import dataclass

from labelloop.core.arrays import check_level
from labelloop.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class RoundsSequence:
    """A running interval for the mean accuracy of the rounds so far, valid at every look.

    Estimand: the mean over rounds of their true accuracies, (theta_1 + ... + theta_t) / t; each
    round may have its own. Assumes unbiased estimates m_t with variances v_t, in each round given
    the past, and tails no heavier than normal.

    Source: the normal mixture boundary, Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon 2021,
    "Time-uniform, nonparametric, nonasymptotic confidence sequences", equation 14:
    abs(sum (m_t - theta_t)) <= sqrt((V + rho^2) log((V + rho^2) / (rho^2 alpha^2))), V = sum v_t.

    rho
        fixed ahead: the interval is tightest where V is about rho squared; sqrt(7 v_t) suits a
        week's daily rounds
    """

    rho: float
    level: float = 0.95
    n_rounds: int = 0
    total: float = 0.0
    total_variance: float = 0.0

    def __post_init__(self) -> None:
        check_level(self.level)
        if not self.rho > 0:
            raise ArgumentError(
                f"rho = {self.rho}: expected more than 0",
                remedy="use sqrt(7 v), where v is the variance of a usual round",
            )

    def update(self, value: float, variance: float) -> "RoundsSequence":
        """The sequence with one more round: its estimate and the variance of that.

        Raises:
            ArgumentError: a value that isn't a number, or a variance that is negative.
        """
        if not math.isfinite(value) or not (math.isfinite(variance) and variance >= 0):
            raise ArgumentError(
                f"value = {value}, variance = {variance}: expected a number, and a variance of 0 or "
                "more",
                remedy="leave out rounds that are undefined",
            )
        return RoundsSequence(
            self.rho,
            self.level,
            self.n_rounds + 1,
            self.total + value,
            self.total_variance + variance,
        )

    def interval(self) -> tuple[float, float]:
        """The bounds of the mean over all rounds so far.

        >>> low, high = RoundsSequence(rho=0.05).update(0.9, 0.0004).update(0.88, 0.0004).interval()
        >>> round(low, 3), round(high, 3)
        (0.818, 0.962)
        """
        if self.n_rounds == 0:
            return 0.0, 1.0
        scale = self.total_variance + self.rho**2
        alpha = 1 - self.level
        half = math.sqrt(scale * math.log(scale / (self.rho**2 * alpha**2)))
        mean = self.total / self.n_rounds
        return max(0.0, mean - half / self.n_rounds), min(1.0, mean + half / self.n_rounds)
