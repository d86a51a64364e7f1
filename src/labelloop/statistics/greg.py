"""The mean of a score in [0, 1] over a population, from draws of unequal probability.

GREG with a floor under its variance.

Sources: the generalised regression estimator and its variance by weighted residuals, Sarndal,
Swensson, Wretman 1992, "Model assisted survey sampling", equations 6.4.1 and 6.6.4; the anticipated
variance under the working model, Isaki, Fuller 1982. The larger of the two is used: the residuals
alone miss rare errors in regions that were drawn thinly, and cover 18% to 81% where 95% is claimed.

A score between 0 and 1 varies less than one of 0 and 1 with the same mean: the anticipated variance
and the intervals are then too wide, never too narrow.

With few hits neither residuals nor the normal curve can be trusted: the model is shrunk towards the
smoothed share of hits among the labels, the anticipated variance under it gives an effective sample
size, and the interval is Clopper and Pearson's at that size (Korn, Graubard 1998, "Confidence
intervals for proportions with small expected number of positive counts estimated from survey
data").
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from labelloop.core.arrays import BIN_RISKS, Floats, Ints
from labelloop.core.sample import RISK_BINS
from labelloop.statistics.quantiles import beta_quantile, student_quantile
from labelloop.statistics.wilson import score_bounds

FEW = 8
"""Below this sum of scores, the "hits", the second method is used."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """The labelled draws: score (n,) in [0, 1], stratum (n,) from 0, bins (n,) of risk, inclusion (n,)."""

    score: Floats
    stratum: Ints
    bins: Ints
    inclusion: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The population: n (C,), stratum (C,), bins (C,) of risk, inclusion (C,), one entry a cell.

    unlogged
        (C,) the sum of (1 - s) / s^2 over the logged samples, where a share s of a cell was logged
    """

    n: Floats
    stratum: Ints
    bins: Ints
    inclusion: Floats
    unlogged: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """All that the estimator needs of labels and population: sums by stratum and bin of risk.

    stratum, bins
        (K,) the stratum and the bin of each entry
    rows
        (10, K): of the population samples, (1 - inclusion) / inclusion, and `Cells.unlogged`; of the
        labels how many, their scores y, w = 1 / inclusion, w y, v = (1 - inclusion) / inclusion^2,
        v y and v y^2
    """

    stratum: Ints
    bins: Ints
    rows: Floats

    @classmethod
    def of(cls, drawn: Labelled, cells: Cells) -> "Sums":
        """The sums, with an entry for each stratum and bin that has population or labels."""
        every = np.concatenate([cells.stratum, drawn.stratum]) * RISK_BINS
        every += np.concatenate([cells.bins, drawn.bins])
        keys, place = np.unique(every, return_inverse=True)
        of_cell, of_draw = place[: cells.n.size], place[cells.n.size :]
        y, w = drawn.score, 1 / drawn.inclusion
        v = (1 - drawn.inclusion) * w * w
        spread = cells.n * (1 - cells.inclusion) / cells.inclusion
        rows = [
            *(_binned(of_cell, x, keys.size) for x in (cells.n, spread, cells.unlogged)),
            *(_binned(of_draw, x, keys.size) for x in (np.ones(y.size), y, w, w * y)),
            *(_binned(of_draw, x, keys.size) for x in (v, v * y, v * y * y)),
        ]
        return cls(keys // RISK_BINS, keys % RISK_BINS, np.array(rows))

    @classmethod
    def none(cls) -> "Sums":
        """Nothing, in one stratum with an entry for each bin."""
        return cls(np.zeros(RISK_BINS, dtype=np.int64), np.arange(RISK_BINS), np.zeros(_EMPTY))

    def as_one(self) -> "Sums":
        """The same as one stratum, with an entry for each bin."""
        rows = [_binned(self.bins, values, RISK_BINS) for values in self.rows]
        return replace(Sums.none(), rows=np.array(rows))

    def __add__(self, other: "Sums") -> "Sums":
        """Both together; they must have the same entries."""
        return replace(self, rows=self.rows + other.rows)

    @property
    def n_labels(self) -> int:
        """How many labels there are."""
        return round(float(self.rows[3].sum()))

    @property
    def risk(self) -> Floats:
        """The risk of each entry: the midpoint of its bin."""
        return BIN_RISKS[self.bins]

    def by_fewer(self) -> tuple["Sums", bool]:
        """The sums of the scores or of 1 - score, whichever is less; and whether it is the latter."""
        n, spread, unlogged, labels, hits, w, wy, v, vy, vyy = self.rows
        if 2 * float(hits.sum()) < float(labels.sum()):
            return self, False
        wrong = (labels - hits, w, w - wy, v, v - vy, v - 2 * vy + vyy)
        return replace(self, rows=np.array((n, spread, unlogged, labels, *wrong))), True


_EMPTY = (10, RISK_BINS)


def _binned(place: Ints, values: Floats, size: int) -> Floats:
    """The sum of the values of each place, (size,)."""
    return np.bincount(place, values, size).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval, its variance and its effective sample size."""

    value: float
    low: float
    high: float
    variance: float
    n_effective: float
    few: bool


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean score, and the number of random labels that would be as precise.

    variance
        None: every sample has a label
    freedom
        degrees of freedom
    few
        whether the second method was used
    """

    value: float
    n_effective: float
    variance: float | None
    freedom: int
    few: bool


def mean(of: Sums, *, fresh: bool = False) -> Mean:
    """The mean score of the population.

    Regressors are one intercept a stratum (so each stratum counts with its size) and the risk.
    `fresh` reads the population as itself a sample of an endless stream.
    """
    sizes, spread, unlogged, _, scores, w, wy, v, vy, vyy = of.rows
    population = float(sizes.sum())
    n = of.n_labels
    x = _Regressors.of(of, n)
    inverse = _inverse(x.products(w))
    b = x.times(inverse @ x.sums(wy))
    g = x.times(inverse @ x.sums(sizes))
    m = float((g * wy).sum()) / population
    freedom = max(1, n - x.size)
    # a sample whose chance is 1 adds nothing: all like it were seen
    squares = vyy - 2 * b * vy + b * b * v
    seen = max(0.0, float((g * g * squares).sum())) * n / freedom / population**2
    model = np.clip(b, 0, 1)
    expected = float((spread * (model * (1 - model))).sum()) / population**2
    variance = max(seen, expected)
    value = min(1.0, max(0.0, m))
    hits = float(scores.sum())
    if spread.sum() == 0 and not fresh:
        return Mean(value, math.inf, None, freedom, few=False)
    # the log itself is a sample of the population, and tells the sizes of the cells only so well
    beyond = float(unlogged.sum()) / population**2 + (1 / population if fresh else 0.0)
    if hits >= FEW and 0 < m < 1:
        size = _size(m, variance, beyond)
        return Mean(m, size, m * (1 - m) / size, freedom, few=False)
    model_mean = float((sizes * model).sum()) / population
    lam = hits / (hits + 2)
    shrunk = lam * model + (1 - lam) * max((hits + 1) / (n + 2), model_mean)
    middle = float((sizes * shrunk).sum()) / population
    anticipated = float((spread * (shrunk * (1 - shrunk))).sum()) / population**2
    size = math.inf if anticipated == 0 else middle * (1 - middle) / anticipated
    upper = max(m, model_mean)
    if hits and variance > 0 and 0 < upper < 1:
        size = min(size, upper * (1 - upper) / variance)
    if beyond:
        size = 1 / (1 / size + beyond)
    return Mean(value, size, middle * (1 - middle) / size, freedom, few=True)


def mean_by_fewer(of: Sums, *, fresh: bool = False) -> Mean:
    """`mean`, estimated from the scores or from 1 - score, whichever has the smaller sum."""
    fewer, flipped = of.by_fewer()
    found = mean(fewer, fresh=fresh)
    return replace(found, value=1 - found.value) if flipped else found


def share(of: Sums, *, level: float, fresh: bool = False) -> Share:
    """`mean` with its interval at `level`."""
    found = mean(of, fresh=fresh)
    value, size = found.value, found.n_effective
    if found.variance is None:
        return Share(value, value, value, 0.0, size, few=False)
    if found.few:
        low, high = exact_bounds(value * size, size, level)
    else:
        low, high = score_bounds(value, size, student_quantile(found.freedom, (1 + level) / 2))
    return Share(value, low, high, found.variance, size, few=found.few)


def share_by_fewer(of: Sums, *, level: float, fresh: bool = False) -> Share:
    """`share`, estimated from the scores or from 1 - score, whichever has the smaller sum."""
    fewer, flipped = of.by_fewer()
    found = share(fewer, level=level, fresh=fresh)
    if not flipped:
        return found
    return replace(found, value=1 - found.value, low=1 - found.high, high=1 - found.low)


@dataclass(frozen=True, slots=True, eq=False)
class _Regressors:
    """An intercept for each stratum with labels, and the risk where labels are enough for it.

    The matrix x itself, (K, size), is never made: a row has a 1 and a risk.

    place
        (K,) the column of each entry's intercept, `n_intercepts` if its stratum has no label
    """

    place: Ints
    n_intercepts: int
    slope: Floats | None

    @classmethod
    def of(cls, sums: Sums, n: int) -> "_Regressors":
        sizes, labelled = sums.rows[0], sums.rows[3] > 0
        strata = np.unique(sums.stratum[labelled])
        if n <= len(strata) + 1 or len(strata) == 1:
            place, n_intercepts = np.zeros(sums.bins.size, dtype=np.int64), 1
        else:
            place, n_intercepts = np.searchsorted(strata, sums.stratum), len(strata)
            place[~np.isin(sums.stratum, strata)] = n_intercepts
        risks = sums.risk[labelled]
        if n < 3 or risks.max() - risks.min() < 1e-9:
            return cls(place, n_intercepts, None)
        risk = sums.risk
        centre = float((sizes * risk).sum()) / float(sizes.sum())
        return cls(place, n_intercepts, risk - centre)

    @property
    def size(self) -> int:
        return self.n_intercepts + (self.slope is not None)

    def sums(self, values: Floats) -> Floats:
        """The product of the transposed matrix with `values`, (K,)."""
        if self.n_intercepts == 1:
            own: Floats = np.array([values.sum()])
        else:
            own = _binned(self.place, values, self.n_intercepts)[: self.n_intercepts]
        if self.slope is None:
            return own
        return np.append(own, (values * self.slope).sum())

    def products(self, w: Floats) -> Floats:
        """The product of the transposed matrix, weighted by `w`, with the matrix."""
        found = np.zeros((self.size, self.size))
        at = np.arange(self.n_intercepts)
        own = self.sums(w)
        found[at, at] = own[: self.n_intercepts]
        if self.slope is not None:
            found[-1] = found[:, -1] = self.sums(w * self.slope)
        return found

    def times(self, c: Floats) -> Floats:
        """The product of the matrix with `c`, (size,)."""
        own: Floats = np.append(c[: self.n_intercepts], 0.0)[self.place]
        return own if self.slope is None else own + c[-1] * self.slope


def _inverse(a: Floats) -> Floats:
    """The pseudo-inverse of a symmetric matrix whose diagonal isn't negative."""
    if a.shape == (2, 2):
        (p, q), (_, r) = a.tolist()
        determinant = p * r - q * q
        if determinant > 1e-8 * (p + r) ** 2:
            inverse: Floats = np.array([[r, -q], [-q, p]]) / determinant
            return inverse
    found: Floats = np.linalg.pinv(a, rcond=1e-10, hermitian=True).astype(np.float64)
    return found


def _size(m: float, variance: float, beyond: float) -> float:
    """The effective sample size m (1 - m) / v; `beyond` adds m (1 - m) times itself to v."""
    inverse = variance / (m * (1 - m)) + beyond
    return math.inf if inverse == 0 else 1 / inverse


def exact_bounds(hits: float, size: float, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval for `hits` of `size`, both real numbers.

    >>> low, high = exact_bounds(0, 60, 0.95)
    >>> low, round(high, 4)
    (0.0, 0.0596)
    """
    tail = (1 - level) / 2
    return exact_low(hits, size, tail), exact_high(hits, size, tail)


def exact_low(hits: float, size: float, tail: float) -> float:
    """The lower of these bounds, which is too high with a probability of `tail` at most."""
    return beta_quantile(hits, size - hits + 1, tail) if hits > 0 else 0.0


def exact_high(hits: float, size: float, tail: float) -> float:
    """The upper of these bounds, which is too low with a probability of `tail` at most."""
    return beta_quantile(hits + 1, size - hits, 1 - tail) if size > hits else 1.0
