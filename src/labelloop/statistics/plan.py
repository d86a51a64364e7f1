"""The expected width of an interval, before anything is labelled."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, check_level, in_range, same_length
from labelloop.errors import ArgumentError
from labelloop.statistics.frame import Frame
from labelloop.statistics.greg import FEW, exact_bounds
from labelloop.statistics.quantiles import student_quantile
from labelloop.statistics.wilson import effective_size, score_bounds, score_interval


def uniform_half_width(share: float, n: int, population: int, *, level: float = 0.95) -> float:
    """Half the width of Wilson's interval for `n` labels of a random sample of the population.

    >>> round(uniform_half_width(0.9, 388, 10**9), 3)
    0.03
    """
    low, high = score_interval(share, effective_size(n, population), level)
    return (high - low) / 2


def expected_half_width(frame: Frame, error: npt.ArrayLike, *, level: float = 0.95) -> float:
    """Half the width of the interval that `accuracy` will give for a draw that isn't labelled yet.

    frame
        the histogram that the draw goes by, with the inclusion probabilities of all of it
    error
        (C,) for each cell of the frame the chance that the model is wrong there, as far as known

    Method: the anticipated variance sum (1 - pi) / pi f (1 - f) / N^2 under the given errors
    (Isaki, Fuller 1982) gives the effective sample size, and the interval is what
    `labelloop.statistics.greg` makes of it at the errors expected. Real draws scatter around it.

    Raises:
        ArgumentError: not one error a cell, or one outside [0, 1].
    """
    check_level(level)
    wrong = in_range("error", error, np.greater_equal, "[0, 1]")
    same_length(frame=frame.bins, error=wrong)
    population = frame.population
    chance = frame.inclusion
    n = float(frame.n @ chance)
    m = float(frame.n @ wrong) / population
    if (chance == 1).all():
        return 0.0
    seen = float(frame.n @ (chance * wrong))
    hits = min(seen, n - seen)
    if hits >= FEW:
        t = student_quantile(max(1.0, n - 2), (1 + level) / 2)
        low, high = score_bounds(m, _size(frame, wrong), t)
        return (high - low) / 2
    rare = wrong if seen == hits else 1 - wrong
    # the estimator, too, trusts the risk the less, the fewer errors it has seen
    trust = hits / (hits + 2)
    mean = float(frame.n @ rare) / population
    shrunk = trust * rare + (1 - trust) * max((hits + 1) / (n + 2), mean)
    size = _size(frame, shrunk)
    low, high = exact_bounds(mean * size, size, level)
    return (high - low) / 2


def shifted_to(risk: npt.ArrayLike, n: npt.ArrayLike, share: float) -> Floats:
    """The risks (C,) of cells of `n` (C,) samples, all moved by one amount on the logit scale so
    that their mean is `share`: their order stays, their level becomes what labels say.

    Raises:
        ArgumentError: a risk or a share outside (0, 1).

    >>> shifted_to([0.1, 0.4], [90, 10], 0.2).round(3).tolist()
    [0.162, 0.538]
    """
    risks = in_range("risk", risk, np.greater, "(0, 1)")
    sizes = np.asarray(n, dtype=np.float64)
    same_length(risk=risks, n=sizes)
    if not 0 < share < 1 or (risks >= 1).any():
        raise ArgumentError(
            f"share = {share}: expected the share and all risks to be between 0 and 1",
            remedy="if no error was found yet, use the middle of the interval as share",
        )
    logits = np.log(risks) - np.log1p(-risks)
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float(sizes @ _expit(logits + middle)) / float(sizes.sum())
        low, high = (low, middle) if mean > share else (middle, high)
    return _expit(logits + (low + high) / 2)


def fewest(half_width_of: Callable[[int], float], wanted: float, *, at_most: int) -> int:
    """The fewest labels from 1 to `at_most` whose interval is no wider than wanted on either side.

    `half_width_of` falls as labels rise; at `at_most`, a census, it counts as narrow enough.

    >>> fewest(lambda n: 1 / n**0.5, 0.1, at_most=1000)
    100
    """
    if not (math.isfinite(wanted) and 0 < wanted < 1):
        raise ArgumentError(
            f"half_width = {wanted}: expected a number between 0 and 1",
            remedy="write 0.02 for 2 points",
        )
    low, high = 1, max(1, at_most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if half_width_of(middle) <= wanted else (middle + 1, high)
    return low


def _size(frame: Frame, error: Floats) -> float:
    """The size of the random sample, with replacement, that is as precise as the draw."""
    chance = frame.inclusion
    mean = float(frame.n @ error) / frame.population
    spread = frame.n * (1 - chance) / chance
    variance = float(spread @ (error * (1 - error))) / frame.population**2
    return mean * (1 - mean) / variance if variance > 0 else float(frame.n @ chance)


def _expit(x: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-x))
    return result
