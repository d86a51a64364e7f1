"""Calibration: how far the confidences that a model claims are from how often it is right."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import (
    BIN_RISKS,
    Bools,
    Floats,
    Ints,
    check_level,
    probabilities,
    risk_bins,
    same_length,
    scores,
    truths,
)
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ArgumentError
from labelloop.statistics.interval import Interval
from labelloop.statistics.quantiles import normal_below, normal_quantile
from labelloop.statistics.wilson import score_bounds

PARTS = 10
"""Into how many parts of equal traffic the confidences are divided."""

MOST_BIAS = 0.5
"""The bias, in half-widths, above which a calibration error is told as an upper bound only."""

_FOLDED = math.sqrt(2 / math.pi)
"""The mean of the absolute value of a standard normal number."""

_LEFT = 2 * _FOLDED - 2 / math.sqrt(math.pi)
"""What the correction of `_surplus` leaves of it, where there is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidencePart:
    """The traffic whose confidence lies in [low, high], a tenth of it or more.

    share
        of the traffic that came with a confidence
    mean_confidence
        what the model claimed on average over the part's traffic
    estimate
        the share of the part's traffic that it got right
    """

    low: float
    high: float
    share: float
    mean_confidence: float
    estimate: Estimate | Undefined

    @property
    def off(self) -> int:
        """-1 if the mean confidence is above the interval (over-confident), 1 if below, 0 if inside."""
        if isinstance(self.estimate, Undefined):
            return 0
        if self.mean_confidence > self.estimate.high:
            return -1
        return 1 if self.mean_confidence < self.estimate.low else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationError:
    """The mean distance in [0, 1] between what a model claims and how often it is right.

    value
        None where only the upper bound `high` can be told from perfect calibration; `low` is then 0
    n
        labels that it rests on
    """

    value: float | None
    low: float
    high: float
    level: float
    n: int
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The parts from the least confident on, and the calibration error over them."""

    parts: tuple[ConfidencePart, ...]
    error: CalibrationError | Undefined


def calibration(
    correct: npt.ArrayLike,
    confidence: npt.ArrayLike,
    inclusion: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    answered: npt.ArrayLike | None = None,
    n_set_aside: float = 0,
    level: float = 0.95,
) -> Calibration:
    """How often the model is right by the confidence that it claimed, and how far off that is.

    correct, confidence, inclusion
        (n,) the blind draws that came with a confidence: whether the answer equals the prediction (bool,
        or a score in [0, 1]), what the model claimed, and the chance of the draw
    counts
        (1024,) the traffic that came with a confidence, by bin of 1 - confidence. The ten parts of equal
        traffic are cut from it, so they don't depend on the labels; predictions of one bin stay together,
        so there may be fewer parts
    answered, n_set_aside
        as for `accuracy`

    Estimand of `error`: the sum over the parts of their share of the traffic times the distance between
    the mean confidence and the share right (expected calibration error, Naeini, Cooper, Hauskrecht 2015,
    over parts of equal traffic). Assumes what `accuracy` assumes; answers that are missing are like those
    that came in the same part.

    Method: each part's mean of (correct - confidence) is Hajek's ratio; its interval is Wilson's at the
    effective size. By chance alone the absolute values are above 0, so `value` is the sum less the surplus
    that normal errors of this size add to each. `high` adds the parts' bounds as the root of squared
    distances (Zou, Donner 2008), and needs no correction, as chance adds to the sum on average. `low` is
    the larger of two bounds, each at half the level: that of the sum less what perfect calibration would
    add, and that of the mean difference over all traffic, which the error can't be below.

    Raises:
        ArgumentError: lengths that differ, values out of range, no counts.

    >>> counts = np.zeros(1024, dtype=int)
    >>> counts[[51, 302]] = 600, 400
    >>> found = calibration([True] * 45 + [False] * 15 + [True] * 20 + [False] * 20,
    ...                     [0.95] * 60 + [0.705] * 40, [0.1] * 100, counts)
    >>> [(f"{p.share:.0%}", f"{p.mean_confidence:.3f}", f"{p.estimate.value:.2f}") for p in found.parts]
    [('40%', '0.705', '0.50'), ('60%', '0.950', '0.75')]
    >>> e = found.error
    >>> f"{e.value:.3f} ({e.low:.3f} .. {e.high:.3f})"
    '0.202 (0.111 .. 0.292)'
    """
    check_level(level)
    score, claimed = scores("correct", correct), scores("confidence", confidence)
    heard = np.ones(score.size, bool) if answered is None else truths("answered", answered)
    drawn = _Drawn(score, claimed, probabilities("inclusion", inclusion), heard)
    same_length(
        correct=score, confidence=claimed, inclusion=drawn.inclusion, answered=drawn.answered
    )
    sizes = _checked(counts)
    found = [
        _Part.of(drawn.within(part), part, sizes, n_set_aside=n_set_aside, level=level)
        for part in _parts(sizes)
    ]
    parts = tuple(p.shown for p in found)
    n = sum(p.estimate.n for p in parts if isinstance(p.estimate, Estimate))
    error = _error(found, level, n) if n else Undefined("no labels")
    return Calibration(parts=parts, error=error)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """The blind draws, or those within a part: each (n,)."""

    score: Floats
    confidence: Floats
    inclusion: Floats
    answered: Bools

    def within(self, part: range) -> "_Drawn":
        """Those whose confidence lies in these bins."""
        bins = risk_bins(1 - self.confidence)
        return self.only((part.start <= bins) & (bins < part.stop))

    def only(self, kept: Bools) -> "_Drawn":
        """Those that are kept."""
        return _Drawn(
            self.score[kept], self.confidence[kept], self.inclusion[kept], self.answered[kept]
        )

    def filled(self, right: float) -> "_Drawn":
        """The draws as if every missing answer were right (1.0), or wrong (0.0)."""
        return replace(
            self,
            score=np.where(self.answered, self.score, right),
            answered=np.ones_like(self.answered),
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """A part, how far it is off, and its variances: as seen, and if it were perfectly calibrated."""

    shown: ConfidencePart
    gap: float
    size: float
    variance: float
    expected: float

    @classmethod
    def of(
        cls, drawn: _Drawn, part: range, sizes: Ints, *, n_set_aside: float, level: float
    ) -> "_Part":
        bins = np.arange(part.start, part.stop)
        inside, total = sizes[bins], int(sizes.sum())
        claimed = float(1 - inside @ BIN_RISKS[bins] / inside.sum())
        shown = ConfidencePart(
            low=1 - part.stop / RISK_BINS,
            high=1 - part.start / RISK_BINS,
            share=float(inside.sum()) / total,
            mean_confidence=claimed,
            estimate=Undefined("no blind draw of it has an answer"),
        )
        if not drawn.answered.any():
            return cls(shown, 0.0, 0.0, 0.0, 0.0)
        gap, size, variance, expected = _gap(drawn.only(drawn.answered), claimed)
        worst = [_gap(drawn.filled(right), claimed) for right in (0.0, 1.0)]
        right = _right(gap, claimed)
        estimate = Interval(right, *_wilson(right, size, level), size).estimate(
            level=level,
            n=int(drawn.answered.sum()),
            method="Hajek ratio, Wilson at the effective size",
            worst=(
                _wilson(_right(worst[0][0], claimed), worst[0][1], level)[0],
                _wilson(_right(worst[1][0], claimed), worst[1][1], level)[1],
            ),
            n_read=float(inside.sum()),
            n_unread=n_set_aside,
        )
        return cls(replace(shown, estimate=estimate), gap, size, variance, expected)

    def off(self, level: float) -> float:
        """How far `gap` may lie from the truth, at `level`."""
        claimed = self.shown.mean_confidence
        if self.size == 0:
            return max(claimed, 1 - claimed)
        right = _right(self.gap, claimed)
        low, high = _wilson(right, self.size, level)
        return max(right - low, high - right)


def _gap(drawn: _Drawn, claimed: float) -> tuple[float, float, float, float]:
    """The mean of correct - confidence, its effective size and variance, and that if calibrated."""
    w = 1 / drawn.inclusion
    total = float(w.sum())
    off = drawn.score - drawn.confidence
    gap = float(w @ off) / total
    # 1 - inclusion: what was sure to be drawn adds nothing
    spread = (1 - drawn.inclusion) * (w / total) ** 2
    n = drawn.score.size
    variance = float(spread @ (off - gap) ** 2) * n / max(1, n - 1)
    alone = float(spread.sum())
    size = 1 / alone if alone > 0 else math.inf
    right = _right(gap, claimed)
    if 0 < right < 1 and variance > 0:
        size = min(size, right * (1 - right) / variance)
    return gap, size, variance, float(spread @ (drawn.confidence * (1 - drawn.confidence)))


def _right(gap: float, claimed: float) -> float:
    return min(1.0, max(0.0, claimed + gap))


def _wilson(share: float, size: float, level: float) -> tuple[float, float]:
    return (share, share) if math.isinf(size) else score_bounds(share, size, _quantile(level))


def _quantile(level: float) -> float:
    """The standard normal quantile of a two-sided interval."""
    return normal_quantile(0.5 + level / 2)


def _error(parts: Sequence[_Part], level: float, n: int) -> CalibrationError:
    share = np.array([p.shown.share for p in parts])
    gap = np.abs([p.gap for p in parts])
    deviation = np.sqrt([max(p.variance, p.expected) for p in parts])
    calibrated = np.sqrt([p.expected for p in parts])
    seen = float(share @ gap)
    high = min(1.0, seen + _root(share, [p.off(level) for p in parts]))
    half = 1 - (1 - level) / 2  # two lower bounds share what one of them may fail
    by_chance = _FOLDED * float(share @ deviation) + _quantile(half) * _root(share, deviation)
    low = max(0.0, seen - by_chance, _mean_gap(parts, share, deviation, half))
    surplus = [_surplus(g, s) for g, s in zip(gap, deviation, strict=True)]
    value = min(high, max(low, seen - float(share @ surplus)))
    bias = _LEFT * float(share @ calibrated)
    told = low > 0 or bias <= MOST_BIAS * high / 2
    return CalibrationError(
        value=value if told else None,
        low=low,
        high=high,
        level=level,
        n=n,
        method=f"{len(parts)} parts of the traffic by confidence, blind draws, finite population",
    )


def _mean_gap(parts: Sequence[_Part], share: Floats, deviation: Floats, level: float) -> float:
    """A lower bound of the distance between the mean confidence and the accuracy, over all parts."""
    claimed = float(share @ [p.shown.mean_confidence for p in parts])
    right = float(share @ [_right(p.gap, p.shown.mean_confidence) for p in parts])
    variance = _root(share, deviation) ** 2
    size = right * (1 - right) / variance if variance > 0 else math.inf
    low, high = _wilson(right, size, level) if size > 0 else (0.0, 1.0)
    return max(low - claimed, claimed - high)


def _root(share: Floats, distances: npt.ArrayLike) -> float:
    return float(np.sqrt(((share * np.asarray(distances)) ** 2).sum()))


def _surplus(gap: float, deviation: float) -> float:
    """By how much the absolute value of a normal number is above that of its mean `gap`, on average."""
    if deviation == 0:
        return 0.0
    t = gap / deviation
    return 2 * deviation * (math.exp(-t * t / 2) / math.sqrt(2 * math.pi) - t * normal_below(-t))


def _parts(sizes: Ints) -> Iterator[range]:
    """The bins of 1 - confidence of each part, the least confident first."""
    below = np.cumsum(sizes[::-1])[::-1]  # the traffic of a bin and of all less confident ones
    stop = int(np.flatnonzero(sizes).max()) + 1
    least = int(np.flatnonzero(sizes).min())
    for tenth in range(1, PARTS + 1):
        reached = np.flatnonzero(below >= tenth * below[0] / PARTS - 1e-9)
        start = least if tenth == PARTS else int(reached.max())
        if start < stop and sizes[start:stop].any():
            yield range(start, stop)
            stop = start


def _checked(counts: npt.ArrayLike) -> Ints:
    sizes = np.asarray(counts)
    whole = sizes.shape == (RISK_BINS,) and sizes.dtype.kind in "iu"
    if not whole or (sizes < 0).any() or not sizes.any():
        raise ArgumentError(
            f"counts: expected {RISK_BINS} whole numbers from 0, not all of them 0, got shape "
            f"{sizes.shape} of {sizes.dtype}",
            remedy="count the traffic by min(1023, floor(1024 (1 - confidence)))",
        )
    return sizes.astype(np.int64)
