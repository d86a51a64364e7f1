"""Labels that a model contradicts: confident learning.

A model's probabilities must not have learned from the labels in question: those that it gave when it
served, or out-of-fold ones. Estimand: which labels differ from the true class. Assumption: mistakes
depend on the class, not on the input. Source: Northcutt, Jiang, Chuang 2021, "Confident learning:
estimating uncertainty in dataset labels", Journal of Artificial Intelligence Research 70: equation 2
(the threshold of a class) and the off-diagonals of the confident joint, equation 1; ranked by
self-confidence.
"""

from dataclasses import dataclass

import numpy as np

from labelloop.core.arrays import Bools, Floats, Ints

_ROUNDING = 1e-6
"""A mean of equal probabilities may lie this far above them."""


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """How sure a model is on average of each class, where the label names it.

    by_class
        (K,) float64 in [0, 1]; inf for a class that no label names
    """

    by_class: Floats

    def contradicted(self, labels: Ints, probabilities: Floats) -> tuple[Bools, Ints]:
        """Which labels are contradicted, and the class that the model gives instead.

        A label is contradicted where another class is the most probable one among those that reach
        their thresholds, and more probable than the label.

        labels
            (n,) int64 in [0, K)
        probabilities
            (n, K) float64

        >>> sure = Thresholds(np.array([0.8, 0.7]))
        >>> sure.contradicted(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
        (array([False,  True, False]), array([0, 1, 0]))
        """
        reached = np.where(probabilities >= self.by_class - _ROUNDING, probabilities, -1.0)
        said = reached.argmax(axis=1)
        own = probabilities[np.arange(labels.size), labels]
        return reached.max(axis=1) > own, said


class Sureness:
    """The sums that thresholds are made of, over pages of labels.

    >>> sums = Sureness(2)
    >>> sums.add(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.7, 0.3], [0.3, 0.7]]))
    >>> sums.thresholds().by_class.round(2).tolist()
    [0.8, 0.7]
    """

    def __init__(self, n_classes: int) -> None:
        self._sums: Floats = np.zeros(n_classes)
        self._counts: Ints = np.zeros(n_classes, dtype=np.int64)

    def add(self, labels: Ints, probabilities: Floats) -> None:
        """Count a page: (n,) int64 and (n, K) float64."""
        own = probabilities[np.arange(labels.size), labels]
        self._sums += np.bincount(labels, weights=own, minlength=self._sums.size)
        self._counts += np.bincount(labels, minlength=self._sums.size)

    def thresholds(self) -> Thresholds:
        """The mean self-confidence of each class."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / self._counts
        return Thresholds(np.where(self._counts > 0, means, np.inf))
