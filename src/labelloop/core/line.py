"""The permanent random number of a sample: its place on the line."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LINE_END = 1 << 62
"""Places are integers in [0, LINE_END)."""


def line(sample_id: str, salt: bytes) -> int:
    """The place of a sample on the line: an int in [0, 2**62), uniform over salts.

    It decides every random choice about the sample, on any engine (permanent random numbers:
    Ohlsson 1995, "Coordination of samples using permanent random numbers").

    >>> line("class_07/a.png", b"salt") == line("class_07/a.png", b"salt")
    True
    >>> 0 <= line("", b"salt") < 2**62
    True
    """
    digest = blake2b(sample_id.encode("utf-8", "surrogatepass"), key=salt, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def lines(sample_ids: Iterable[str], salt: bytes) -> "NDArray[np.int64]":
    """The places of many samples, (N,) int64: those of `line`, in two thirds of its time.

    >>> [line(name, b"salt") for name in ("a", "b")] == lines(["a", "b"], b"salt").tolist()
    True
    """
    import numpy as np

    keyed = blake2b(key=salt, digest_size=8)
    digests = []
    for sample_id in sample_ids:
        digest = keyed.copy()  # the key is a block of its own, taken in once
        digest.update(sample_id.encode("utf-8", "surrogatepass"))
        digests.append(digest.digest())
    return (np.frombuffer(b"".join(digests), ">u8") >> np.uint64(2)).astype(np.int64)


def remaining(place: int, floor: int) -> int:
    """`place`, which lies at or above `floor`, stretched to the whole line, so that it is uniform again.

    >>> remaining(LINE_END // 2, LINE_END // 2), remaining(5, 0)
    (0, 5)
    """
    return (place - floor) * LINE_END // (LINE_END - floor)


def lowered(cut: int, floor: int) -> int:
    """The largest place in [floor, LINE_END) whose `remaining` place is at most `cut`.

    >>> lowered(7, 0), lowered(0, 12)
    (7, 12)
    """
    return floor + ((cut + 1) * (LINE_END - floor) - 1) // LINE_END


def chosen(place: int, share: float) -> bool:
    """True for about `share` of any set of samples, chosen at random.

    A hash of the place decides, not the place itself: the draws of a round are the smallest places.

    >>> sum(chosen(place, 0.1) for place in range(10_000))
    1028
    """
    digest = blake2b(place.to_bytes(8, "big"), person=b"second", digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2 < share * LINE_END
