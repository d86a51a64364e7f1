"""Which parts of the traffic are worse than the rest, among many that are looked at."""

from math import exp, lgamma

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, probabilities, same_length, scores, truths

FALSE_DISCOVERIES = 0.05
"""The expected share of false ones among the parts that are called worse."""


def worse_than_rest(
    correct: npt.ArrayLike, inclusion: npt.ArrayLike, inside: npt.ArrayLike
) -> float:
    """The p-value of "this part of the traffic is no worse than the rest", against "it is worse".

    correct
        (n,) bool or scores, of the labelled blind draws of all traffic
    inclusion
        (n,) float in (0, 1], the chance to be drawn and answered
    inside
        (n,) bool: the draws of the part

    Source: Fisher's exact test, one-sided, of errors at the effective sizes of part and rest (Rao and
    Scott 1984, "On chi-squared tests for multiway contingency tables"). Counts are rounded against a
    finding, so it errs on the safe side; 1.0 where either has no label.

    >>> worse_than_rest([False] * 8 + [True] * 92, [0.1] * 100, [True] * 10 + [False] * 90) < 1e-6
    True
    """
    right, part = scores("correct", correct), truths("inside", inside)
    given = probabilities("inclusion", inclusion)
    same_length(correct=right, inclusion=given, inside=part)
    if part.all() or not part.any():
        return 1.0
    wrong = 1 - right
    errors_here, n_here = _effective(wrong[part], given[part])
    errors_rest, n_rest = _effective(wrong[~part], given[~part])
    return _fisher(int(errors_here + 1e-9), n_here, -int(-errors_rest + 1e-9), n_rest)


def benjamini_yekutieli(p_values: npt.ArrayLike, rate: float = FALSE_DISCOVERIES) -> Bools:
    """Which of the hypotheses are rejected, (m,) bool, with an expected share of false ones up to `rate`.

    Holds however the tests depend on each other. Source: Benjamini and Yekutieli 2001, "The control of
    the false discovery rate in multiple testing under dependency", theorem 1.3.

    >>> benjamini_yekutieli([0.001, 0.3, 0.02, 0.9]).tolist()
    [True, False, False, False]
    """
    p: Floats = np.asarray(p_values, dtype=np.float64)
    m = p.size
    order = np.argsort(p, kind="stable")
    places = np.arange(1, m + 1)
    passes = np.flatnonzero(p[order] * m * (1 / places).sum() <= places * rate)
    found = np.zeros(m, dtype=bool)
    if passes.size:
        found[order[: passes[-1] + 1]] = True
    return found


def _effective(wrong: Floats, inclusion: Floats) -> tuple[float, int]:
    """The weighted share of errors as a count at the effective sample size, and that size."""
    w = 1 / inclusion
    share = float(w @ wrong) / w.sum()
    size = float(w.sum() ** 2 / (w**2).sum())
    variance = float(((w * (wrong - share)) ** 2).sum() / w.sum() ** 2)
    if 0 < share < 1 and variance > 0:
        size = min(size, share * (1 - share) / variance)
    n = max(1, int(size + 1e-9))
    return share * n, n


def _fisher(errors_here: int, n_here: int, errors_rest: int, n_rest: int) -> float:
    """The chance of as many errors or more among n_here, of all that there are."""
    errors, n = errors_here + errors_rest, n_here + n_rest
    every = _log_choose(n, n_here)
    tail = sum(
        exp(_log_choose(errors, k) + _log_choose(n - errors, n_here - k) - every)
        for k in range(errors_here, min(errors, n_here) + 1)
        if n_here - k <= n - errors
    )
    return min(1.0, tail)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
