import numpy as np
import pytest

from labelloop.demo import digits
from labelloop.demo.digits import Digits

pytestmark = pytest.mark.xdist_group("demo")
"""One process imports what they share, and makes it."""


@pytest.fixture(scope="module")
def all_digits() -> Digits:
    return digits.load()


def test_a_split_is_disjoint_and_the_same_for_the_same_seed(all_digits: Digits) -> None:
    one, again, other = (
        digits.split(all_digits, n_first=50, n_per_day=(100, 70), seed=s) for s in (1, 1, 2)
    )
    assert [len(part) for part in (one.first, *one.days)] == [50, 100, 70]
    assert np.array_equal(one.days[1].images, again.days[1].images)
    assert not np.array_equal(one.days[1].images, other.days[1].images)
    seen = [image.tobytes() for part in (one.first, *one.days) for image in part.images]
    assert len(set(seen)) == 220


def test_a_split_larger_than_the_digits_is_refused(all_digits: Digits) -> None:
    with pytest.raises(ValueError, match=r"4000 .* 5000 there"):
        digits.split(all_digits, n_first=4000, n_per_day=(1001,), seed=0)


def test_drift_changes_the_images_and_keeps_the_truth(all_digits: Digits) -> None:
    some = all_digits[slice(0, 20)]
    tilted = digits.drifted(some)
    assert tilted.images.shape == some.images.shape
    assert tilted.images.dtype == np.uint8
    assert np.array_equal(tilted.labels, some.labels)
    assert tilted.images.max() <= 0.8 * 255
    assert np.array_equal(tilted.images, digits.drifted(some).images)


def test_a_png_gives_its_image_back(all_digits: Digits) -> None:
    image = all_digits.images[3]
    data = digits.to_png(image)
    assert data.startswith(b"\x89PNG")
    assert data == digits.to_png(image)
    assert np.array_equal(digits.from_png(data), image)
