"""The demonstration's model: a small neural network that reads digits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.demo.digits import Digits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.neural_network import MLPClassifier

HIDDEN_UNITS = 128
MAX_EPOCHS = 1000  # training stops by itself, once the loss no longer falls, long before


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

    def __init__(self, version: str, network: "MLPClassifier") -> None:
        self.version = version
        self._network = network

    def answer(self, images: "NDArray[np.uint8]") -> Answers:
        """The most probable digit of each of (N, 28, 28) images, and its probability."""
        probabilities = self._network.predict_proba(_pixels(images))
        best = probabilities.argmax(axis=1)
        return Answers(classes=self._network.classes_[best], confidences=probabilities.max(axis=1))


def train(version: str, digits: Digits) -> Model:
    """A model that learned from `digits`; the same digits give the same model."""
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    network = MLPClassifier((HIDDEN_UNITS,), max_iter=MAX_EPOCHS, random_state=0)
    # Batches are so small that threads wait for each other: one is up to ten times as fast.
    with threadpool_limits(1):
        network.fit(_pixels(digits.images), digits.labels)
    return Model(version, network)


def _pixels(images: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    return images.reshape(len(images), -1) / 255.0
