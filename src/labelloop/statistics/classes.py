"""Precision, recall, F1 and true share of every class, from blind draws.

Each draw is weighted by 1 / inclusion, and within each predicted class the weights are scaled to that
class's known count in the traffic: ratio estimators, post-stratified (Sarndal, Swensson, Wretman 1992,
sections 5.6 and 7.6). Variances are linearised (section 5.5) within the predicted classes; the interval
is Wilson's at the effective size. For precision, recall and F1 that is never larger than Kish's effective
number of the labels that they are a share of. For numbers over all classes the variance is never smaller
than with each class's labels smoothed by one more: else mistakes that no draw happened to show count as
impossible.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, check_level, probabilities, same_length
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.wilson import score_interval

LEAST_LABELS = 5
"""A number that is a share of fewer labels says too little to be shown."""


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
        the share that the model called so: counted, not estimated
    n_labels
        blind labels of this class
    """

    name: str
    precision: Estimate | Undefined
    recall: Estimate | Undefined
    f1: Estimate | Undefined
    share: Estimate | Undefined
    share_predicted: float
    n_labels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """Every class by name, and the mean of their F1."""

    rows: tuple[ClassRow, ...]
    macro_f1: Estimate | Undefined


def by_class(
    label: npt.ArrayLike,
    predicted: npt.ArrayLike,
    inclusion: npt.ArrayLike,
    totals: Mapping[str, int],
    *,
    level: float = 0.95,
) -> ClassTable:
    """Precision, recall, F1 and true share of each class, and macro-F1.

    label, predicted
        (n,) str: people's answers and the model's, of the blind draws with an answer
    inclusion
        (n,) float in (0, 1], as they were drawn; scaled to the answers that came back
    totals
        the frame's count of each predicted class

    Estimand: the numbers of the finite population of the frame. Assumes what `accuracy` assumes. A
    class that people answered and the model never said has a row too.

    Raises:
        ArgumentError: lengths that differ, an inclusion outside (0, 1], a predicted class without a
            total, or a total below the draws of that class.

    >>> table = by_class(["cat"] * 45 + ["dog"] * 45 + ["cat"] * 10, ["cat"] * 45 + ["dog"] * 55,
    ...                  [0.1] * 100, {"cat": 450, "dog": 550})
    >>> [f"{row.name} {row.recall.value:.3f} of {row.share.value:.3f}" for row in table.rows]
    ['cat 0.818 of 0.550', 'dog 1.000 of 0.450']
    """
    check_level(level)
    true, said = (np.asarray(values, dtype=str) for values in (label, predicted))
    given = probabilities("inclusion", inclusion)
    same_length(label=true, predicted=said, inclusion=given)
    _check_totals(said, totals)
    sample = _Sample.of(true, said, given, totals)
    names = sorted({*totals, *true.tolist()})
    rows = tuple(sample.row(name, totals.get(name, 0), level) for name in names)
    return ClassTable(rows=rows, macro_f1=sample.macro_f1(rows, level))


def _check_totals(said: npt.NDArray[np.str_], totals: Mapping[str, int]) -> None:
    for name, n in zip(*np.unique(said, return_counts=True), strict=True):
        if totals.get(str(name), 0) < n:
            raise ArgumentError(
                f"totals[{str(name)!r}] = {totals.get(str(name))}: expected at least the {n} draws "
                "of that predicted class",
                remedy="pass the frame's count of each predicted class",
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """The labelled draws with their weights; within a predicted class these sum to its count.

    Classes that the model said and no draw tells of are left out of `population`. Behind the draws stand
    imagined ones without weight, one for each pair of label and predicted class: `chance` is how likely
    each is within its predicted class, smoothed.
    """

    true: npt.NDArray[np.str_]
    said: npt.NDArray[np.str_]
    weight: Floats
    unseen: Floats
    chance: Floats
    population: float

    @classmethod
    def of(
        cls,
        true: npt.NDArray[np.str_],
        said: npt.NDArray[np.str_],
        inclusion: Floats,
        totals: Mapping[str, int],
    ) -> "_Sample":
        weight = 1 / inclusion
        labels, classes = np.unique(true), np.unique(said)
        chance = np.zeros((classes.size, labels.size))
        overall = np.array([weight[true == name].sum() for name in labels]) / weight.sum()
        for at, name in enumerate(classes):
            of_it = said == name
            weight[of_it] *= totals[str(name)] / weight[of_it].sum()
            share = np.array([weight[of_it & (true == label)].sum() for label in labels])
            n = int(of_it.sum())
            chance[at] = (n * share / share.sum() + overall) / (n + 1)
        nothing = np.zeros(chance.size)
        return cls(
            np.concatenate([true, np.tile(labels, classes.size)]),
            np.concatenate([said, np.repeat(classes, labels.size)]),
            np.concatenate([weight, nothing]),
            np.concatenate([np.clip(1 - 1 / weight, 0.0, 1.0), nothing]),
            np.concatenate([np.zeros(weight.size), chance.ravel()]),
            float(weight.sum()),
        )

    def row(self, name: str, n_predicted: int, level: float) -> ClassRow:
        is_so, called_so = self.true == name, self.said == name
        hit = is_so & called_so
        return ClassRow(
            name=name,
            precision=self._ratio(hit, called_so, level, "predicted"),
            recall=self._ratio(hit, is_so, level, "labelled"),
            f1=self._f1(name, level),
            share=self._share(is_so, level),
            share_predicted=n_predicted / self.population if self.population else 0.0,
            n_labels=int((is_so & (self.weight > 0)).sum()),
        )

    def macro_f1(self, rows: tuple[ClassRow, ...], level: float) -> Estimate | Undefined:
        missing = [row.name for row in rows if isinstance(row.f1, Undefined)]
        if missing:
            return Undefined(f"F1 of {missing[0]!r} isn't known: too few labels")
        found = [self._f1_parts(row.name) for row in rows]
        value = float(np.mean([f1 for f1, _ in found]))
        influence = np.mean([z for _, z in found], axis=0)
        return self._over_all(value, influence, level, "mean of F1 by class")

    def _share(self, is_so: Bools, level: float) -> Estimate | Undefined:
        if not self.weight.any():
            return Undefined("no labels")
        value, influence = self._ratio_parts(is_so.astype(np.float64), np.ones(is_so.size))
        return self._over_all(value, influence, level, "share")

    def _over_all(self, value: float, influence: Floats, level: float, method: str) -> Estimate:
        """A number over all classes, with the variance that is the larger: seen, or smoothed."""
        variance = max(self._variance(influence), self._smoothed_variance(influence))
        size = value * (1 - value) / variance if variance > 0 else math.inf
        return self._made(value, size, int((self.weight > 0).sum()), level, method)

    def _smoothed_variance(self, influence: Floats) -> float:
        total = 0.0
        for name in np.unique(self.said):
            of_it = self.said == name
            p, z = self.chance[of_it], influence[of_it]
            spread = float(p @ z**2 - (p @ z) ** 2)
            total += float((self.unseen[of_it] * self.weight[of_it] ** 2).sum()) * spread
        return total

    def _f1(self, name: str, level: float) -> Estimate | Undefined:
        either = (self.true == name) | (self.said == name)
        n = int((either & (self.weight > 0)).sum())
        if n < LEAST_LABELS:
            return Undefined(f"{n} labels: expected {LEAST_LABELS} or more")
        value, influence = self._f1_parts(name)
        return self._estimate(value, influence, either, level, "ratio estimator")

    def _f1_parts(self, name: str) -> tuple[float, Floats]:
        is_so, called_so = self.true == name, self.said == name
        return self._ratio_parts(
            2 * (is_so & called_so).astype(np.float64), is_so.astype(np.float64) + called_so
        )

    def _ratio(self, hit: Bools, of: Bools, level: float, kind: str) -> Estimate | Undefined:
        n = int((of & (self.weight > 0)).sum())
        if n < LEAST_LABELS:
            return Undefined(f"{n} {kind} so: expected {LEAST_LABELS} or more")
        value, influence = self._ratio_parts(hit.astype(np.float64), of.astype(np.float64))
        return self._estimate(value, influence, of, level, "ratio estimator")

    def _ratio_parts(self, top: Floats, bottom: Floats) -> tuple[float, Floats]:
        """A ratio of two weighted sums, and each draw's influence on it."""
        below = float(self.weight @ bottom)
        value = float(self.weight @ top) / below
        return value, (top - value * bottom) / below

    def _estimate(
        self, value: float, influence: Floats, of: Bools, level: float, method: str
    ) -> Estimate:
        variance = self._variance(influence)
        spread = float((self.unseen * self.weight**2)[of].sum())
        size = float(self.weight[of].sum() ** 2) / spread if spread else math.inf
        if variance > 0 and 0 < value < 1:
            size = min(size, value * (1 - value) / variance)
        return self._made(value, size, int((of & (self.weight > 0)).sum()), level, method)

    def _made(self, value: float, size: float, n: int, level: float, method: str) -> Estimate:
        low, high = score_interval(value, size, level)
        return Estimate(
            value=value,
            low=low,
            high=high,
            level=level,
            n=n,
            n_effective=size,
            method=f"{method}, post-stratified by predicted class, Wilson at the effective size",
            worst_low=low,
            worst_high=high,
        )

    def _variance(self, influence: Floats) -> float:
        """The variance of a sum weighted by `weight`, linearised to `influence`, in strata."""
        total = 0.0
        for name in np.unique(self.said):
            of_it = self.said == name
            w, z = self.weight[of_it], influence[of_it]
            rest = z - float(w @ z) / w.sum()
            n = int((w > 0).sum())
            total += n / max(1, n - 1) * float((self.unseen[of_it] * (w * rest) ** 2).sum())
        return total
