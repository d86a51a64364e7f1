"""Precision, recall, F1 and true share of every class, from blind draws.

Each draw is weighted by 1 / inclusion, and within each predicted class the weights are scaled to that
class's known count in the traffic: ratio estimators, post-stratified (Sarndal, Swensson, Wretman 1992,
sections 5.6 and 7.6); predicted classes with few draws are one stratum together. Variances are
linearised (section 5.5) within the strata; the interval is Wilson's at the effective size, or Clopper
and Pearson's where few labels are of either kind. For precision, recall and F1 the effective size is
never larger than Kish's effective number of the labels that they are a share of. For numbers over all
classes the variance is never smaller than with each class's labels smoothed by one more: else mistakes
that no draw happened to show count as impossible.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import (
    Bools,
    Floats,
    Ints,
    check_level,
    probabilities,
    same_length,
    truths,
)
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.greg import exact_bounds
from labelloop.statistics.wilson import score_interval

LEAST_IN_STRATUM = 5
"""A predicted class with fewer draws than this shares a stratum with the others that have few."""
LEAST_FOR_MEAN = 5
"""Macro-F1 needs as many labels of each class, called so by people or by the model."""
FEW = 8
"""With fewer labels than this of either kind the interval is Clopper and Pearson's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One class: how good the model is at it, and how much of the traffic it truly is.

    precision
        of what the model called so, the share that is
    recall
        of what is so, the share that the model called so
    f1
        their harmonic mean
    share
        the share of the traffic that is so, whatever the model said
    share_predicted
        the share that the model called so: counted; of a part of the traffic, estimated
    n_labels, n_predicted
        blind labels of this class, and blind labels of what the model called so
    """

    name: str
    precision: Estimate | Undefined
    recall: Estimate | Undefined
    f1: Estimate | Undefined
    share: Estimate | Undefined
    share_predicted: float
    n_labels: int
    n_predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """Every class by name, and the mean of their F1."""

    rows: tuple[ClassRow, ...]
    macro_f1: Estimate | Undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """Traffic that no label speaks for: it widens worst_low and worst_high.

    by_predicted
        the traffic behind draws without an answer, by predicted class
    n_set_aside
        rows that no draw could reach, `math.inf` where nobody knows how many
    """

    by_predicted: Mapping[str, float] = field(default_factory=dict)
    n_set_aside: float = 0

    def of(self, name: str | None = None) -> float:
        """The traffic without an answer that the model called so; of any class without a name."""
        if name is not None:
            return self.by_predicted.get(name, 0.0)
        return sum(self.by_predicted.values())


def by_class(
    label: npt.ArrayLike,
    predicted: npt.ArrayLike,
    inclusion: npt.ArrayLike,
    totals: Mapping[str, int],
    *,
    level: float = 0.95,
    inside: npt.ArrayLike | None = None,
    unheard: Unheard | None = None,
) -> ClassTable:
    """Precision, recall, F1 and true share of each class, and macro-F1.

    label, predicted
        (n,) str: people's answers and the model's, of the blind draws with an answer
    inclusion
        (n,) float in (0, 1], as they were drawn; scaled to the answers that came back
    totals
        the frame's count of each predicted class
    inside
        (n,) bool: the draws of the part of the traffic, such as a site or a day, that the numbers speak
        of; None: all of it. The other arguments are those of the whole frame
    unheard
        what draws without an answer and unread rows could change

    Estimand: the numbers of the finite population of the frame, or of the part. Assumes what `accuracy`
    assumes. A class that people answered and the model never said has a row too. A number is Undefined
    only where no label belongs to what it is a share of; macro-F1, where some F1 rests on fewer than 5.

    Raises:
        ArgumentError: lengths that differ, an inclusion outside (0, 1], a predicted class without a
            total, or a total below the draws of that class.

    >>> table = by_class(["cat"] * 45 + ["dog"] * 45 + ["cat"] * 10, ["cat"] * 45 + ["dog"] * 55,
    ...                  [0.1] * 100, {"cat": 450, "dog": 550})
    >>> [f"{row.name} {row.recall.value:.3f} of {row.share.value:.3f}" for row in table.rows]
    ['cat 0.818 of 0.550', 'dog 1.000 of 0.450']
    """
    check_level(level)
    # no arrays of text: NumPy's lose what ends in a null
    true, said = (np.asarray(values, dtype=object).tolist() for values in (label, predicted))
    names = sorted({*totals, *true, *said})
    place = {name: k for k, name in enumerate(names)}
    true_codes = np.array([place[name] for name in true], dtype=np.int64)
    said_codes = np.array([place[name] for name in said], dtype=np.int64)
    given = probabilities("inclusion", inclusion)
    part = np.ones(given.size, dtype=bool) if inside is None else truths("inside", inside)
    same_length(label=true_codes, predicted=said_codes, inclusion=given, inside=part)
    _check_totals(Counter(said), totals)
    counts = np.array([totals.get(name, 0) for name in names], dtype=np.float64)
    sample = _Sample.of(true_codes, said_codes, given, part, counts)
    numbers = _Numbers(sample, names, level, unheard or Unheard())
    shown = [
        k
        for k in range(len(names))
        if inside is None or ((sample.true == k) | (sample.said == k))[part].any()
    ]
    rows = tuple(numbers.row(k) for k in shown)
    return ClassTable(rows=rows, macro_f1=numbers.macro_f1(rows, shown))


def _check_totals(drawn: Mapping[str, int], totals: Mapping[str, int]) -> None:
    for name, n in sorted(drawn.items()):
        if totals.get(name, 0) < n:
            raise ArgumentError(
                f"totals[{name!r}] = {totals.get(name)}: expected at least the {n} draws "
                "of that predicted class",
                remedy="pass the frame's count of each predicted class",
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """The labelled draws, with codes of classes and weights that sum to the count of their stratum.

    true, said
        (n,) the places of the classes in their list
    stratum
        (n,) the predicted class; one for all that have few draws
    unseen
        (n,) how much of a draw's weight stands for samples that were not drawn: 0 in a census
    totals
        (k,) the count of each predicted class
    """

    true: Ints
    said: Ints
    stratum: Ints
    weight: Floats
    unseen: Floats
    inside: Bools
    totals: Floats

    @classmethod
    def of(
        cls, true: Ints, said: Ints, inclusion: Floats, inside: Bools, totals: Floats
    ) -> "_Sample":
        few = np.bincount(said, minlength=totals.size) < LEAST_IN_STRATUM
        stratum = np.where(few[said], totals.size, said)
        population = np.append(np.where(few, 0.0, totals), totals[few].sum())
        sums = np.bincount(stratum, weights=1 / inclusion, minlength=population.size)
        weight = population[stratum] / sums[stratum] / inclusion
        unseen = np.where(
            weight < 1 + 1e-9, 0.0, 1 - 1 / weight
        )  # rounding leaves no sample unseen
        return cls(true, said, stratum, weight, unseen, inside, totals)

    def total(self, of: Floats) -> float:
        """The total of a variable over the part."""
        return float(self.weight @ (of * self.inside))

    @property
    def labels(self) -> Floats:
        """(k,) the share of all traffic that is in the part and of each class, by the labels."""
        of_part = self.weight * self.inside / self.weight.sum()
        return np.bincount(self.true, weights=of_part, minlength=self.totals.size).astype(
            np.float64
        )

    def variance(self, influence: Floats) -> float:
        """The variance of a total over the part, linearised to `influence`, in strata."""
        z = influence * self.inside
        n = np.bincount(self.stratum)
        squares = self.unseen * (self.weight * (z - self._means(z)[self.stratum])) ** 2
        return float((n / np.maximum(1, n - 1)) @ np.bincount(self.stratum, weights=squares))

    def smoothed_variance(self, influence: Floats, more: Floats, more_square: Floats) -> float:
        """The same if each stratum had one more label, like those of all traffic.

        more, more_square
            (n,) the mean influence of such a label, and of its square, at the draw's predicted class
        """
        z = influence * self.inside
        n = np.bincount(self.stratum)
        mean = (n * self._means(z) + self._means(more)) / (n + 1)
        square = (n * self._means(z**2) + self._means(more_square)) / (n + 1)
        spread = np.bincount(self.stratum, weights=self.unseen * self.weight**2)
        return float(spread @ np.maximum(0.0, square - mean**2))

    def effective(self, of: Bools) -> float:
        """Kish's effective number of some labels: infinite in a census."""
        spread = float((self.unseen * self.weight**2)[of].sum())
        return float(self.weight[of].sum() ** 2) / spread if spread else math.inf

    def _means(self, values: Floats) -> Floats:
        """The weighted mean in each stratum."""
        sums = np.maximum(np.bincount(self.stratum, weights=self.weight), 1e-300)
        found: Floats = np.bincount(self.stratum, weights=self.weight * values) / sums
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """The numbers of each class, by its place in `names`."""

    sample: _Sample
    names: list[str]
    level: float
    unheard: Unheard

    @property
    def _n_traffic(self) -> float:
        return self.sample.total(np.ones(self.sample.true.size))

    def row(self, k: int) -> ClassRow:
        is_so, called_so = self.sample.true == k, self.sample.said == k
        hit, name = is_so & called_so, self.names[k]
        inside = self.sample.inside
        return ClassRow(
            name=name,
            precision=self._ratio(hit, called_so, "the model called so", name),
            recall=self._ratio(hit, is_so, "that people called so"),
            f1=self._f1(is_so, called_so),
            share=self._share(is_so),
            share_predicted=self._share_predicted(k),
            n_labels=int((is_so & inside).sum()),
            n_predicted=int((called_so & inside).sum()),
        )

    def macro_f1(self, rows: tuple[ClassRow, ...], places: list[int]) -> Estimate | Undefined:
        known = {r.name: 0 if isinstance(r.f1, Undefined) else r.f1.n for r in rows}
        few = next((name for name, n in known.items() if n < LEAST_FOR_MEAN), None)
        if few is not None or not rows:
            return Undefined(
                f"labels of {few!r}: {known[few]}, called so by people or the model; expected "
                f"{LEAST_FOR_MEAN} or more of each class"
                if few is not None
                else "no labels"
            )
        f1, below = np.zeros(len(self.names)), np.full(len(self.names), math.inf)
        for k in places:
            is_so, called_so = self.sample.true == k, self.sample.said == k
            below[k] = self.sample.total(is_so + called_so.astype(np.float64))
            f1[k] = 2 * self.sample.total((is_so & called_so).astype(np.float64)) / below[k]
        lost = f1 / below
        # of a pair: predicted class, label
        z = (np.diag(2 / below) - lost[None, :] - lost[:, None]) / len(places)
        said, labels = self.sample.said, self.sample.labels
        own, more, square = z[said, self.sample.true], (z @ labels)[said], (z**2 @ labels)[said]
        found = self._over_all(
            float(f1.sum()) / len(places), (own, more, square), "mean of F1 by class"
        )
        return _no_narrower(found, [row.f1 for row in rows if isinstance(row.f1, Estimate)])

    def _share_predicted(self, k: int) -> float:
        if self.sample.inside.all():
            every = float(self.sample.totals.sum())
            return float(self.sample.totals[k]) / every if every else 0.0
        of_it = self.sample.total((self.sample.said == k).astype(np.float64))
        return of_it / self._n_traffic if of_it else 0.0

    def _share(self, is_so: Bools) -> Estimate | Undefined:
        if not self.sample.inside.any():
            return Undefined("no labels")
        every = self._n_traffic
        value = self.sample.total(is_so.astype(np.float64)) / every
        labels = self.sample.labels
        so, other = (1 - value) / every, -value / every
        share_so = float(labels[self.sample.true[is_so][:1]].sum())
        share_other = float(labels.sum()) - share_so
        more = np.full(is_so.size, share_so * so + share_other * other)
        square = np.full(is_so.size, share_so * so**2 + share_other * other**2)
        n_so = int((is_so & self.sample.inside).sum())
        return self._over_all(value, (np.where(is_so, so, other), more, square), "share", n_so)

    def _over_all(
        self,
        value: float,
        influence: tuple[Floats, Floats, Floats],
        method: str,
        hits: int | None = None,
    ) -> Estimate:
        """A number over all classes, with the variance that is the larger: seen, or smoothed."""
        own, more, square = influence
        variance = max(self.sample.variance(own), self.sample.smoothed_variance(own, more, square))
        inside = self.sample.inside
        n, most = int(inside.sum()), self.sample.effective(inside)
        few = hits is not None and min(hits, n - hits) < FEW
        size = _size(value, variance, most)
        if few:
            size = min(size, most)
        return self._estimate(value, size, n, method, self._n_traffic, few=few)

    def _f1(self, is_so: Bools, called_so: Bools) -> Estimate | Undefined:
        return self._of(
            2 * (is_so & called_so).astype(np.float64),
            is_so.astype(np.float64) + called_so,
            "of either",
        )

    def _ratio(
        self, hit: Bools, of: Bools, kind: str, name: str | None = None
    ) -> Estimate | Undefined:
        return self._of(hit.astype(np.float64), of.astype(np.float64), kind, name)

    def _of(
        self, top: Floats, bottom: Floats, kind: str, name: str | None = None
    ) -> Estimate | Undefined:
        """A ratio of two totals, as a share of the labels that the lower one counts."""
        of = (bottom > 0) & self.sample.inside
        n = int(of.sum())
        if n == 0:
            return Undefined(f"no label {kind}")
        below = self.sample.total(bottom)
        value = self.sample.total(top) / below
        variance = self.sample.variance((top - value * bottom) / below)
        most = self.sample.effective(of)
        size = min(most, _size(value, variance, most))
        hits = int((top[of] > 0).sum())
        few = min(hits, n - hits) < FEW
        return self._estimate(value, size, n, "ratio estimator", below, name, few=few)

    def _estimate(
        self,
        value: float,
        size: float,
        n: int,
        method: str,
        below: float,
        name: str | None = None,
        *,
        few: bool,
    ) -> Estimate:
        """The estimate; at worst all that wasn't heard belongs to what it is a share of."""
        if few and not math.isinf(size):
            kind, bounds = "Clopper-Pearson", exact_bounds(value * size, size, self.level)
        else:
            kind, bounds = "Wilson", score_interval(value, size, self.level)
        # rounding must not put a bound on the wrong side of the value
        low, high = min(bounds[0], value), max(bounds[1], value)
        missing, unread = self.unheard.of(name), self.unheard.n_set_aside
        heard = below * (1 - missing / max(missing, below if name else self._n_traffic, 1e-300))
        heard_share = heard / (heard + missing + unread) if missing or unread else 1.0
        return Estimate(
            value=value,
            low=low,
            high=high,
            level=self.level,
            n=n,
            n_effective=size,
            method=f"{method}, post-stratified by predicted class, {kind} at the effective size",
            worst_low=low * heard_share,
            worst_high=high * heard_share + (1 - heard_share),
        )


def _size(value: float, variance: float, otherwise: float) -> float:
    """The effective size that a variance stands for: infinite where only rounding is left of it."""
    if not (0 < value < 1 and variance > 0):
        return otherwise
    size = value * (1 - value) / variance
    return size if size < 1e12 else math.inf


def _no_narrower(mean: Estimate, parts: list[Estimate]) -> Estimate:
    """A mean that is at least as uncertain as its parts are, if these were independent.

    With few labels of some classes the linearised variance of the mean is too small. Source: MOVER,
    Zou and Donner 2008, "Construction of confidence limits about effect measures".
    """
    down = math.sqrt(sum((p.value - p.low) ** 2 for p in parts)) / len(parts)
    up = math.sqrt(sum((p.high - p.value) ** 2 for p in parts)) / len(parts)
    low = min(mean.low, max(0.0, mean.value - down))
    high = max(mean.high, min(1.0, mean.value + up))
    return replace(
        mean,
        low=low,
        high=high,
        worst_low=min(mean.worst_low, low),
        worst_high=max(mean.worst_high, high),
    )
