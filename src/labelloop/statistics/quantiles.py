"""Quantiles of the normal, Student's and the beta distribution, without SciPy, which takes 140 MB.

Press, Teukolsky, Vetterling, Flannery, Numerical Recipes (2007), sections 6.4 and 6.14.8: the
incomplete beta function as a continued fraction, and Halley's method on it.
"""

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_STEPS = 60
_EXACT = 1e-15
_NEAR = 1e-6
"""A step this small in relation: Halley's error is its cube."""
_TINY = 1e-300


def normal_quantile(p: float) -> float:
    """The standard normal quantile of `p` in (0, 1)."""
    return _NORMAL.inv_cdf(p)


def normal_below(x: float) -> float:
    """The probability of a standard normal number below `x`."""
    return math.erfc(-x / math.sqrt(2)) / 2


@lru_cache(4096)
def student_quantile(freedom: float, p: float) -> float:
    """The quantile of `p` in (0, 1) of Student's t with `freedom` > 0 degrees of freedom.

    >>> round(student_quantile(10, 0.975), 6)
    2.228139
    """
    if p < 0.5:
        return -student_quantile(freedom, 1 - p)
    beyond = 2 * (1 - p)
    share = beta_quantile(freedom / 2, 0.5, beyond)  # of freedom / (freedom + t^2)
    if share > 0.5:  # t is small beside the freedom: its own share loses no digits
        other = beta_quantile(0.5, freedom / 2, 1 - beyond)
        return math.sqrt(freedom * other / (1 - other))
    return math.sqrt(freedom * (1 - share) / share) if share else math.inf


def beta_quantile(a: float, b: float, p: float) -> float:
    """The quantile of `p` in (0, 1) of the beta distribution with `a` and `b` > 0.

    >>> round(beta_quantile(1, 60, 0.975), 6)
    0.059629
    """
    constant = log_beta(a, b)
    x = _first_guess(a, b, p)
    for _ in range(_STEPS):
        if x <= _TINY or x >= 1:
            return min(1.0, max(0.0, x))
        density = math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - constant)
        if density == 0:
            return x
        step = (_below(x, a, b, constant) - p) / density
        step /= 1 - 0.5 * min(1.0, step * ((a - 1) / x - (b - 1) / (1 - x)))
        before, x = x, x - step
        if x <= 0:
            x = before / 2
        elif x >= 1:
            x = (before + 1) / 2
        if abs(x - before) < _NEAR * min(x, 1 - x):
            break
    return x


def log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _first_guess(a: float, b: float, p: float) -> float:
    if a >= 1 and b >= 1:  # Abramowitz, Stegun 26.5.22
        z = -_NORMAL.inv_cdf(p)
        size = 2 / (1 / (2 * a - 1) + 1 / (2 * b - 1))
        scale = (z * z - 3) / 6
        w = z * math.sqrt(size + scale) / size - (1 / (2 * b - 1) - 1 / (2 * a - 1)) * (
            scale + 5 / 6 - 2 / (3 * size)
        )
        return a / (a + b * math.exp(2 * w))
    left = math.exp(a * math.log(a / (a + b))) / a
    right = math.exp(b * math.log(b / (a + b))) / b
    whole = left + right
    if p < left / whole:
        return float((a * whole * p) ** (1 / a))
    return 1 - float((b * whole * (1 - p)) ** (1 / b))


def _below(x: float, a: float, b: float, constant: float) -> float:
    """The regularised incomplete beta function."""
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - constant)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Its continued fraction, by Lentz's method."""
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < _EXACT:
            break
    return value


def _apart(x: float) -> float:
    """`x`, or a number beside 0 that can be divided by."""
    return x if abs(x) > _TINY else _TINY
