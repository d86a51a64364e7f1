"""Where a candidate's answers differ from those that were served: what decides between the two."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from labelloop.core.outcome import outcome
from labelloop.core.round import Count, FrameRange
from labelloop.core.sample import risk_bin
from labelloop.ports.log import PredictionLog
from labelloop.steps.compare.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Differing:
    """The samples of a frame that two models answer differently.

    n_both, n
        how many samples both answered, and how many of them differently
    counts
        the latter by predicted class and risk bin
    first
        of the latter those with the smallest places on the line
    """

    n_both: int
    n: int
    counts: tuple[Count, ...]
    first: tuple[str, ...]


def differing(
    log: PredictionLog, frame: FrameRange, candidate: Candidate, *, n_first: int
) -> Differing:
    """Read both answers of the whole frame, a batch at a time."""
    n_both = 0
    counted: Counter[tuple[str, int]] = Counter()

    def places() -> Iterator[tuple[int, str]]:
        nonlocal n_both
        for sample_id, line, served, confidence, said in _answers(log, frame, candidate):
            n_both += 1
            if outcome(said, served) < 1:
                counted[served, risk_bin(confidence)] += 1
                yield line, sample_id

    first = heapq.nsmallest(n_first, places())
    counts = tuple(
        Count(predicted_class=of, risk_bin=number, pattern=0, n=n)
        for (of, number), n in sorted(counted.items())
    )
    return Differing(n_both, counted.total(), counts, tuple(sample_id for _, sample_id in first))


Answers = tuple[str, int, str, float | None, str]
"""sample_id, place on the line, the class that was served, its confidence, the candidate's class."""


def _answers(log: PredictionLog, frame: FrameRange, candidate: Candidate) -> Iterator[Answers]:
    if candidate.in_log:
        for batch in log.beside(frame, candidate.name):
            columns = (batch.column(i).to_pylist() for i in range(5))
            yield from zip(*columns, strict=True)
        return
    said = candidate.answers
    for batch in log.scan(frame, (), ()):
        names = ("sample_id", "line", "predicted_class", "confidence")
        for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
            if row[0] in said:
                yield (*row, said[row[0]])
