"""Accuracy from blind uniform draws of one or several frames, some of them unanswered."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.interval import Interval, pooled_note
from labelloop.statistics.wilson import check_counts, effective_size, score_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """The blind uniform draws of one frame, up to the furthest one that was answered.

    n_correct, n_labelled
        answers that agree with the prediction (or the sum of their scores), and answers
    n_missing
        draws before the furthest answered one that have no answer: open or skipped
    population
        rows of the frame (for a part of it, a day or a class: rows of that part)
    n_set_aside
        rows that belong to it but could not be read, so that no draw could reach them; `math.inf`
        where nobody knows how many
    """

    n_correct: float
    n_labelled: int
    population: int
    n_missing: int = 0
    n_set_aside: float = 0


def uniform_accuracy(strata: Sequence[Stratum], *, level: float = 0.95) -> Estimate | Undefined:
    """The share of the pooled traffic of all frames that the model got right.

    Estimand: the finite population of the frames together, sum over h of (N_h / N) m_h; frames without
    any label are left out of it. Assumes that labels are right and that draws without an answer are
    like the others; worst_low and worst_high drop the second assumption and let rows that were set
    aside be all wrong, or all right.

    Method: stratified estimator (Cochran 1977, section 5.3); the interval is Wilson's at the effective
    sample size m (1 - m) / v, v = sum (N_h / N)^2 v_h, with all shares smoothed by one success and one
    failure, and never more than Kish's 1 / sum ((N_h / N)^2 / n_h) allows. For one frame it is
    `wilson` with its finite population.

    Raises:
        ArgumentError: counts that can't be.
    """
    for s in strata:
        check_counts(s.n_correct, s.n_labelled + s.n_missing, level, s.population)
        if s.n_correct > s.n_labelled or min(s.n_missing, s.n_set_aside) < 0:
            raise ArgumentError(f"impossible counts: {s}", remedy="count over the same draws")
    used = [s for s in strata if s.n_labelled]
    if not used:
        return Undefined(_why_nothing(strata))
    own = _interval([(s.n_correct, s.n_labelled, s.population) for s in used], level)
    worst_low = _worst(used, level, lambda found: found.low)
    worst_high = -_worst(used, level, lambda found: -found.high)
    return own.estimate(
        level=level,
        n=sum(s.n_labelled for s in used),
        method="Wilson, blind uniform draws" + pooled_note(len(used)),
        worst=(worst_low, worst_high),
        n_read=sum(s.population for s in used),
        n_unread=sum(s.n_set_aside for s in used),
    )


def _worst(strata: Sequence[Stratum], level: float, bound: Callable[[Interval], float]) -> float:
    """The smallest `bound` over all possible missing answers.

    For one frame that is where all are right, or all wrong. Over several, an answer also changes the
    effective size, so from both ends each frame's missing answers are tried in turn until nothing
    gets worse.
    """

    def at(completion: Sequence[int]) -> float:
        counts = [
            (s.n_correct + more, s.n_labelled + s.n_missing, s.population)
            for s, more in zip(strata, completion, strict=True)
        ]
        return bound(_interval(counts, level))

    worst = math.inf
    for guess in ([0] * len(strata), [s.n_missing for s in strata]):
        reached = at(guess)
        improved = len(strata) > 1
        while improved:
            improved = False
            for i, s in enumerate(strata):
                for more in range(s.n_missing + 1):
                    tried = [*guess[:i], more, *guess[i + 1 :]]
                    found = at(tried)
                    if found < reached:
                        reached, guess, improved = found, tried, True
        worst = min(worst, reached)
    return worst


def _interval(strata: Sequence[tuple[float, int, int]], level: float) -> Interval:
    """The interval from (correct, labelled, population) of each frame."""
    total = sum(size for _, _, size in strata)
    value = sum(k * size / n for k, n, size in strata) / total  # exactly 1 where all are right
    if len(strata) == 1:
        n_effective = effective_size(strata[0][1], total)
    else:
        kish = 1 / sum((size / total) ** 2 / n for _, n, size in strata)
        n_effective = effective_size(kish, total)
        shares = [(k + 1) / (n + 2) for k, n, _ in strata]
        variance = sum(
            (size / total) ** 2 * p * (1 - p) / effective_size(n, size)
            for p, (_, n, size) in zip(shares, strata, strict=True)
        )
        if variance > 0:
            mean = sum(p * size / total for p, (_, _, size) in zip(shares, strata, strict=True))
            n_effective = min(n_effective, mean * (1 - mean) / variance)
    low, high = score_interval(value, n_effective, level)
    return Interval(value, low, high, n_effective)


def _why_nothing(strata: Sequence[Stratum]) -> str:
    if not strata:
        return "nothing was drawn for evaluation"
    if sum(s.population for s in strata) == 0:
        return "no traffic"
    return "no blind draw has an answer"


def needed_by_random_sample(share: float, half_width: float, *, level: float = 0.95) -> int:
    """Labels that a plain random sample of endless traffic needs for an interval this narrow.

    >>> needed_by_random_sample(0.9, 0.03)
    388
    """
    if half_width <= 0:
        raise ArgumentError(
            f"half_width = {half_width}: expected more than 0", remedy="write 0.02 for 2 points"
        )
    low, high = 1, 1 << 40
    while low < high:
        middle = (low + high) // 2
        a, b = score_interval(share, float(middle), level)
        low, high = (low, middle) if (b - a) / 2 <= half_width else (middle + 1, high)
    return low
