import numpy as np
import pytest

from labelloop.demo import digits, model
from labelloop.demo.digits import Split

pytestmark = pytest.mark.xdist_group("demo")
"""One process imports what they share, and makes it."""


@pytest.fixture(scope="module")
def parts() -> Split:
    return digits.split(digits.load(), n_first=300, n_per_day=(400,), seed=5)


def test_drift_lowers_the_accuracy(parts: Split) -> None:
    trained = model.train("forest-1", parts.first)
    day = parts.days[0]
    plain = trained.answer(day.images).accuracy(day.labels)
    tilted = trained.answer(digits.drifted(day).images).accuracy(day.labels)
    assert plain > 0.75
    assert tilted < plain - 0.1


def test_the_same_digits_train_the_same_model(parts: Split) -> None:
    one, other = (model.train("forest-1", parts.first[slice(0, 80)]) for _ in range(2))
    images = parts.days[0].images[:30]
    assert np.array_equal(one.answer(images).classes, other.answer(images).classes)
    assert np.array_equal(one.answer(images).confidences, other.answer(images).confidences)


def test_confidences_are_probabilities(parts: Split) -> None:
    answers = model.train("forest-1", parts.first[slice(0, 80)]).answer(parts.days[0].images)
    assert len(answers.classes) == 400
    assert (answers.confidences > 0).all()
    assert (answers.confidences <= 1).all()
