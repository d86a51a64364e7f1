"""Which samples are drawn: places on the line are compared with inclusion probabilities, in integers.

The n_uniform smallest places come first; the last of them is the cut. What lies above the cut is
uniform again, v = (place - cut) / (1 - cut), and is drawn if v < p. Source: permanent random
numbers (Ohlsson 1995) with Poisson sampling (Hajek 1964) above the cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, Ints
from labelloop.core.line import LINE_END
from labelloop.errors import ArgumentError

# Far more than the rounding of a double division, far less than the distance between most places:
# only rows this near to their limit are compared in exact integers.
_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which samples were drawn: picked (N,) bool; uniform (N,) bool, the simple random part."""

    picked: Bools
    uniform: Bools


def draw(inclusion: npt.ArrayLike, line: npt.ArrayLike, *, n_uniform: int) -> Drawn:
    """Draw samples by their places on the line; the same frame always gives the same draw.

    inclusion
        (N,) float64 in (0, 1], from `inclusion_probabilities` with the same n_uniform
    line
        (N,) int64 in [0, 2**62): each sample's permanent place

    n_uniform + the rest is the budget on average. Where places tie at the cut, all of them are
    drawn.

    Raises:
        ArgumentError: lengths that differ, places off the line, probabilities outside (0, 1] or
        below
            what the uniform part alone gives.

    >>> drawn = draw([0.5, 0.5, 1.0], [2**61, 5, 2**61 + 9], n_uniform=1)
    >>> drawn.picked.tolist(), drawn.uniform.tolist()
    ([False, True, True], [False, True, False])
    """
    places = _places(line)
    given = _probabilities(inclusion, places.size, n_uniform)
    n = places.size
    if n_uniform >= n:
        return Drawn(np.ones(n, dtype=bool), np.ones(n, dtype=bool))
    cut = uniform_cut(places, n_uniform=n_uniform)
    uniform = np.zeros(n, dtype=bool) if cut is None else places <= cut
    floor = cut or 0
    p = (given * n - n_uniform) / (n - n_uniform)
    v = (places - floor) / (LINE_END - floor)
    picked = v < p
    for i in np.flatnonzero(np.abs(v - p) <= _NEAR):
        picked[i] = places[i] <= _last_place(float(given[i]), n, n_uniform, cut)
    return Drawn(picked | uniform, uniform)


def uniform_cut(line: npt.ArrayLike, *, n_uniform: int) -> int | None:
    """The n_uniform-th smallest place; None if n_uniform is 0, the end of the line if it exceeds N."""
    places = np.asarray(line, dtype=np.int64)
    if n_uniform <= 0:
        return None
    if n_uniform > places.size:
        return LINE_END - 1
    return int(np.partition(places, n_uniform - 1)[n_uniform - 1])


def bin_cuts(inclusion: Sequence[float], *, n: int, n_uniform: int, cut: int | None) -> list[int]:
    """The largest place that is drawn in each bin; -1 where none is.

    With `inclusion` from `bin_inclusion`, n samples in the frame and `cut` their `uniform_cut`, the
    rows whose place is at most their bin's are exactly those that `draw` picks from arrays. The
    cuts rise with `cut`, so a `cut` that is surely large enough gives rows among which the draw
    surely lies.

    Raises:
        ArgumentError: as `draw`.
    """
    given = _probabilities(inclusion, len(inclusion), n_uniform, n=n)
    if n_uniform >= n:
        return [LINE_END - 1] * len(inclusion)
    return [_last_place(float(one), n, n_uniform, cut) for one in given]


def _last_place(inclusion: float, n: int, n_uniform: int, cut: int | None) -> int:
    """The largest place drawn, in whole numbers: the largest with place - cut < p (end - cut)."""
    floor = cut or 0
    above, below = inclusion.as_integer_ratio()
    limit = (above * n - n_uniform * below) * (LINE_END - floor)
    last = floor - 1 + max(0, -(-limit // (below * (n - n_uniform))))
    return min(LINE_END - 1, last if cut is None else max(last, cut))


def reached_inclusion(
    inclusion: npt.ArrayLike, *, n: int, n_uniform: int, n_drawn: int, n_reached: int
) -> Floats:
    """The inclusion probabilities of what people have reached: the first n_reached of n_drawn
    positions.

    inclusion
        (k,) float64, of any samples or bins of the frame, from the whole draw
    n
        samples in the frame
    n_reached
        the furthest position with an answer, counted from 1; open and skipped ones before it count

    Within the uniform part everything has n_reached / n; after it, the share of the rest that was
    reached multiplies p. Pass the result to `accuracy` and to its Frame.

    Raises:
        ArgumentError: n_reached outside 1..n_drawn, and as `draw`.
    """
    given = np.asarray(inclusion, dtype=np.float64)
    given = _probabilities(given, given.size, min(n_uniform, n), n=n)
    if not 1 <= n_reached <= n_drawn <= n:
        raise ArgumentError(
            f"n_reached = {n_reached}, n_drawn = {n_drawn}, n = {n}: expected them in rising order",
            remedy="count positions from 1; without any answer there is nothing to estimate",
        )
    if n_reached <= n_uniform:
        return np.full(given.size, n_reached / n)
    done = (n_reached - n_uniform) / (n_drawn - n_uniform)
    share = n_uniform / n
    result: Floats = np.minimum(1.0, share + (given - share) * done)
    return result


def _places(line: npt.ArrayLike) -> Ints:
    given = np.asarray(line)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ArgumentError(
            f"line: expected a list of whole numbers, got shape {given.shape} of {given.dtype}",
            remedy="pass labelloop.core.line.line of each sample, as int64",
        )
    bad = (given < 0) | (given >= LINE_END)
    if bad.any():
        where = int(np.argmax(bad))
        raise ArgumentError(
            f"line[{where}] = {given[where]}: expected a place in [0, 2**62)",
            remedy="pass labelloop.core.line.line of each sample",
        )
    return given.astype(np.int64)


def _probabilities(
    inclusion: npt.ArrayLike, size: int, n_uniform: int, *, n: int | None = None
) -> Floats:
    given = np.asarray(inclusion, dtype=np.float64)
    total = size if n is None else n
    if given.shape != (size,):
        raise ArgumentError(
            f"inclusion has shape {given.shape} where line has {size} places",
            remedy="pass one probability a sample",
        )
    if n_uniform < 0:
        raise ArgumentError(
            f"n_uniform = {n_uniform}: expected 0 or more", remedy="write 0 for none"
        )
    # a little below the uniform share is rounding; more means that it belongs to another draw
    least = min(1.0, n_uniform / total) * (1 - 1e-9) if total else 0.0
    bad = ~((given > 0) & (given <= 1) & (given >= least))
    if bad.any():
        where = int(np.argmax(bad))
        raise ArgumentError(
            f"inclusion[{where}] = {given[where]}: expected a probability in (0, 1], "
            f"at least n_uniform / N = {n_uniform}/{total}",
            remedy="pass what inclusion_probabilities gave for the same n_uniform",
        )
    return given
