"""How many labels a round still needs, and which rounds can be topped up by so many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.core.estimate import Estimate
from labelloop.core.top_up import raised
from labelloop.measuring.accuracy import Accuracy, accuracy_of
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.sampling import BIN_RISKS
from labelloop.sampling.top_up import scale_for
from labelloop.statistics.frame import Frame
from labelloop.statistics.plan import expected_half_width, fewest, shifted_to, uniform_half_width

MOST_ROUNDS = 12
"""More than these nobody tops up: the labels come with the next rounds."""


def rounds_for(frames: Sequence[BlindFrame], labels: int | None) -> tuple[int, ...]:
    """The rounds of these frames if they hold `labels` more, each its part; else none."""
    if not labels or not 0 < len(frames) <= MOST_ROUNDS:
        return ()
    total = sum(f.round.n_frame for f in frames)
    for f in frames:
        by_now = [f.by_now(q) for q in f.cells.inclusion.tolist()]
        left = float(f.cells.n @ (1 - np.array(by_now)))
        if labels * f.round.n_frame / total + 1 > left:
            return ()
    return tuple(f.round.round for f in frames)


@dataclass(frozen=True, slots=True)
class NewestRound:
    """A round with its accuracy, to be topped up until its interval is narrow enough."""

    frame: BlindFrame
    accuracy: Accuracy
    estimate: Estimate

    @classmethod
    def of(cls, frame: BlindFrame, level: float) -> "NewestRound | None":
        """The round, if it has an accuracy that a top-up could make narrower."""
        found = accuracy_of("", [frame], None, level)
        e = found.estimate
        if not isinstance(e, Estimate) or not 0 < e.value < 1 or e.high <= e.low:
            return None
        return cls(frame, found, e)

    def to_add(self, half_width: float) -> int | None:
        """How many draws make the interval so narrow in 4 of 5 cases; None: all the round has left."""
        now = (self.estimate.high - self.estimate.low) / 2
        n, most = self.estimate.n, self.frame.round.n_frame
        if now <= half_width:
            return 0
        errors = max(1.0, n * (1 - self.estimate.value))
        alone = self._shape(n)

        def predicted(labels: int) -> float:
            more = max(labels, n)
            doubt = 0.8416 * _SCATTER / math.sqrt(errors) * math.sqrt(1 - n / more)
            return now * self._shape(more) / alone * (1 + doubt)

        wanted = fewest(predicted, half_width, at_most=most)
        answered = self.accuracy.n_labelled / (self.accuracy.n_labelled + self.accuracy.n_skipped)
        added = math.ceil((wanted - n) / answered) - self.accuracy.n_waiting
        left = most - len(self.frame.draws)
        return None if added > left else max(0, added)

    def _shape(self, n: int) -> float:
        """The half-width that n labels of this round lead to, as far as it is known before."""
        e, frame = self.estimate, self.frame
        if n >= frame.round.n_frame:
            return 0.0
        if frame.uniform:
            return uniform_half_width(e.value, n, frame.round.n_frame, level=e.level)
        first, sizes = frame.cells.inclusion, frame.cells.n
        at_random = sum(d.uniform for d in frame.draws) / frame.round.n_frame
        drawn = float(sizes @ first)
        scale = 1.0
        if n > drawn:
            more = min(n - drawn, float(sizes.sum()) - drawn)
            scale = scale_for(first, sizes, more, at_random=at_random)
        chances = np.array([raised(q, scale, at_random=at_random) for q in first.tolist()])
        errors = shifted_to(BIN_RISKS[frame.cells.bins], sizes, 1 - e.value)
        histogram = Frame(sizes.astype(np.float64), frame.cells.bins, chances)
        return expected_half_width(histogram, errors, level=e.level)


_SCATTER = 0.75
"""How far half-widths scatter around what is expected, times the root of the errors seen."""
