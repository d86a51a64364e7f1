"""Calibration: how often the model is right, by the confidence that it claimed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import ceil, inf

from labelloop.core.estimate import Estimate, Undefined
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.accuracy import accuracy_of
from labelloop.measuring.blind_frame import BlindFrame

MOST_BINS = 10
FEWEST_LABELS = 20
"""Labels that a bin holds at least, where there are as many: below, an interval says little."""
FEWEST_UNEVEN = 60
"""The same where draws had unequal chances: they count as fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceBin:
    """The traffic whose confidence lies in [low, high], as the labelled draws show it.

    mean_confidence
        what the model claimed on average over the bin's traffic
    estimate
        the share of the bin's traffic that it got right
    """

    low: float
    high: float
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
class Calibration:
    """The bins from the least confident on. `n_without`: labelled draws that came without one."""

    bins: tuple[ConfidenceBin, ...]
    n_without: int


def calibration(frames: Sequence[BlindFrame], *, since: datetime, level: float) -> Calibration:
    """The confidence claimed and the share right, of the frames' traffic predicted at `since` or later.

    Bins hold about equally many labels, so that their intervals are about equally wide; draws of one
    confidence stay together. Each share is estimated as `measure` estimates any part of the traffic.
    """
    recent = [f for f in frames if any(d.predicted_at >= since for d in f.draws)]
    labelled = [
        d for f in recent for d in f.draws if d.label is not None and d.predicted_at >= since
    ]
    claimed = sorted(d.confidence for d in labelled if d.confidence is not None)
    fewest = FEWEST_LABELS if all(f.uniform for f in recent) else FEWEST_UNEVEN
    spans = _spans(claimed, fewest)
    # a draw without an answer belongs to the bin that its answer would have been counted in
    edges = [-inf, *(low for low, _ in spans[1:]), inf]
    bins = tuple(
        _bin(recent, since, span, edges=(edges[i], edges[i + 1]), level=level)
        for i, span in enumerate(spans)
    )
    return Calibration(bins=bins, n_without=len(labelled) - len(claimed))


def _bin(
    frames: Sequence[BlindFrame],
    since: datetime,
    span: tuple[float, float],
    *,
    edges: tuple[float, float],
    level: float,
) -> ConfidenceBin:
    low, high = span

    def inside(d: DrawWithLabel) -> bool:
        found = d.confidence is not None and edges[0] <= d.confidence < edges[1]
        return found and d.predicted_at >= since

    weighted = [
        (d.confidence or 0.0, weight)
        for f in frames
        for d, weight in zip(f.reached, _weights(f), strict=True)
        if d.label is not None and inside(d)
    ]
    return ConfidenceBin(
        low=low,
        high=high,
        mean_confidence=sum(c * w for c, w in weighted) / sum(w for _, w in weighted),
        estimate=accuracy_of("", frames, inside, level).estimate,
    )


def _weights(frame: BlindFrame) -> list[float]:
    """The number of rows of the frame that each draw reached represents."""
    if frame.uniform:
        return [frame.round.n_frame / max(1, frame.n_reached)] * frame.n_reached
    return [1 / float(p) for p in frame.chances([d.inclusion or 1.0 for d in frame.reached])]


def _spans(claimed: Sequence[float], fewest: int) -> list[tuple[float, float]]:
    """The lowest and the highest confidence of each bin, from sorted ones.

    >>> _spans([0.5] * 30 + [0.9] * 30, 20)
    [(0.5, 0.5), (0.9, 0.9)]
    """
    wanted = max(fewest, ceil(len(claimed) / MOST_BINS))
    spans: list[tuple[float, float]] = []
    sizes: list[int] = []
    for value, same in groupby(claimed):
        n = sum(1 for _ in same)
        if sizes and sizes[-1] < wanted:
            spans[-1] = (spans[-1][0], value)
            sizes[-1] += n
        else:
            spans.append((value, value))
            sizes.append(n)
    if len(spans) > 1 and sizes[-1] < wanted / 2:
        spans[-2:] = [(spans[-2][0], spans[-1][1])]
    return spans
