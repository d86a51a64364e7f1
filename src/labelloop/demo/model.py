"""The demonstration's model: a forest of random trees that reads digits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.demo.digits import Digits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.ensemble import ExtraTreesClassifier

TREES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model said of N images: classes (N,) int64, confidences (N,) float64 in [0, 1]."""

    classes: "NDArray[np.int64]"
    confidences: "NDArray[np.float64]"

    def accuracy(self, labels: "NDArray[np.int64]") -> float:
        """The part of the answers that equals `labels`."""
        return float((self.classes == labels).mean())


class Model:
    """A trained classifier; `version` is its name in the tags."""

    def __init__(self, version: str, forest: "ExtraTreesClassifier") -> None:
        self.version = version
        self._forest = forest

    def answer(self, images: "NDArray[np.uint8]") -> Answers:
        """The most probable digit of each of (N, 28, 28) images, and its probability."""
        probabilities = self._forest.predict_proba(_pixels(images))
        best = probabilities.argmax(axis=1)
        return Answers(classes=self._forest.classes_[best], confidences=probabilities.max(axis=1))


def train(version: str, digits: Digits) -> Model:
    """A model that learned from `digits`; the same digits give the same model."""
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(TREES, random_state=0)
    forest.fit(_pixels(digits.images), digits.labels)
    return Model(version, forest)


def _pixels(images: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    return images.reshape(len(images), -1) / 255.0
