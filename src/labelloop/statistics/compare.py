"""Two models on the same blind labels: the difference in accuracy, and whether it is settled."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, check_level, same_length, scores, truths
from labelloop.core.estimate import Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.accuracy import stacked
from labelloop.statistics.frame import BlindRound
from labelloop.statistics.greg import Share, share
from labelloop.statistics.quantiles import normal_quantile

_MOVES = 0.8416 / 1.96
"""How far the value moves in 4 of 5 cases, in half-widths of the interval."""

_MOST_LABELS = 10**7


class Verdict(StrEnum):
    """Whether an interval for the gain lies above, below or around the gain that was asked for."""

    PASS = "PASS"  # noqa: S105  a verdict, no password
    FAIL = "FAIL"
    NOT_YET = "NOT YET"

    @classmethod
    def of(cls, low: float, high: float, asked: float) -> "Verdict":
        """PASS where the whole interval is above what was asked, FAIL where it is below."""
        if low > asked:
            return cls.PASS
        return cls.FAIL if high < asked else cls.NOT_YET


class HasInterval(Protocol):
    """A number with its interval."""

    @property
    def value(self) -> float:
        """The number."""
        ...

    @property
    def low(self) -> float:
        """Its lower bound."""
        ...

    @property
    def high(self) -> float:
        """Its upper bound."""
        ...


def labels_to_settle(found: HasInterval, n: int, asked: float) -> int | None:
    """How many more labels, beside the `n` of the interval, settle on which side it is, in 4 of 5 cases.

    0 where it is settled. None where value and `asked` are too near for any sensible number (more than
    ten million labels). If the truth is what the value says: the width shrinks as 1 / sqrt(labels), and
    the value moves by the error of the new ones, whose 80% quantile must not take it too near.
    """
    if Verdict.of(found.low, found.high, asked) is not Verdict.NOT_YET:
        return 0
    distance = abs(found.value - asked)
    half = found.value - found.low if found.value > asked else found.high - found.value

    def settled(more: int) -> bool:
        share = n / (n + more)
        return distance > half * math.sqrt(share) * (1 + _MOVES * math.sqrt(1 - share))

    if distance == 0 or not settled(_MOST_LABELS):
        return None
    return bisect_left(range(1, _MOST_LABELS), True, key=settled) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of two accuracies in [-1, 1] with its interval: above 0 the candidate is better.

    n
        labels that it rests on
    gained, lost
        shares of traffic where only the candidate is right, and where only the serving model is
    method
        how it was computed, in words
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    gained: float
    lost: float
    method: str

    def verdict(self, min_gain: float = 0.0) -> Verdict:
        """PASS where the whole interval is above `min_gain`, FAIL where it is below, else NOT YET.

        >>> d = Difference(value=0.04, low=0.01, high=0.07, level=0.95, n=300, gained=0.06,
        ...                lost=0.02, method="")
        >>> d.verdict(), d.verdict(0.02), d.verdict(0.08)
        (<Verdict.PASS: 'PASS'>, <Verdict.NOT_YET: 'NOT YET'>, <Verdict.FAIL: 'FAIL'>)
        """
        return Verdict.of(self.low, self.high, min_gain)

    def labels_to_settle(self, min_gain: float = 0.0) -> int | None:
        """How many more such labels would probably settle it, if the difference is what it looks
        like; None: no sensible number would.
        """
        return labels_to_settle(self, self.n, min_gain)


def compare(
    serving: Sequence[BlindRound],
    candidate_correct: Sequence[npt.ArrayLike],
    *,
    level: float = 0.95,
    trained_on: Sequence[npt.ArrayLike] | None = None,
    n_candidates: int = 1,
) -> Difference | Undefined:
    """The candidate's accuracy less the serving model's, on fresh traffic of the kind of these
    rounds.

    serving
        the blind rounds, `score` telling of the serving model
    candidate_correct
        for each round (n,) bool, or scores in [0, 1]: how far the candidate agrees with the same
        answers
    trained_on
        for each round (n,) bool: draws that the candidate's training or choice has seen. With any
        of them the difference is Undefined: a model is no judge of what it learned by heart, and
        leaving those out would leave another population
    n_candidates
        candidates that these labels have judged, this one included: the level is shared among them
        (Bonferroni), as the best of twelve looks better than it is

    Assumes what `accuracy` assumes. Method: shares of gained and lost samples (or scores) each by
    `labelloop.statistics.greg`, joined by the method of variance estimates recovery with their
    (negative) correlation (Newcombe 1998, "Improved confidence intervals for the difference between
    binomial proportions based on paired data", method 10; Zou, Donner 2008).

    Raises:
        ArgumentError: lengths that differ, n_candidates below 1.
    """
    check_level(level)
    if n_candidates < 1:
        raise ArgumentError(
            f"n_candidates = {n_candidates}: expected 1 or more",
            remedy="count this candidate too: 1 if it is the first",
        )
    judged = [scores("candidate_correct", one) for one in candidate_correct]
    seen = [truths("trained_on", one) for one in trained_on or []]
    if len(judged) != len(serving) or (trained_on is not None and len(seen) != len(serving)):
        raise ArgumentError(
            f"{len(serving)} rounds, {len(judged)} lists of candidate_correct, {len(seen)} of "
            "trained_on: expected one a round",
            remedy="pass the rounds in the same order",
        )
    for r, judgement in zip(serving, judged, strict=True):
        same_length(correct=r.score, candidate_correct=judgement)
    for r, known in zip(serving, seen, strict=bool(seen)) if seen else ():
        same_length(correct=r.score, trained_on=known)
    n_seen = sum(int(one.sum()) for one in seen)
    if n_seen:
        return Undefined(
            f"the candidate was trained on {n_seen} of these {sum(one.size for one in seen)} samples"
        )
    used = [i for i, r in enumerate(serving) if r.answered.any()]
    if not used:
        return Undefined("no labels")
    rounds = [serving[i] for i in used]
    shared = 1 - (1 - level) / n_candidates
    gained = _part(rounds, [np.maximum(judged[i] - serving[i].score, 0) for i in used], shared)
    lost = _part(rounds, [np.maximum(serving[i].score - judged[i], 0) for i in used], shared)
    low, high = _difference_bounds(gained, lost)
    note = f", shared among {n_candidates} candidates" if n_candidates > 1 else ""
    return Difference(
        value=gained.value - lost.value,
        low=low,
        high=high,
        level=level,
        n=sum(int(r.answered.sum()) for r in rounds),
        gained=gained.value,
        lost=lost.value,
        method=f"paired on the same blind labels, fresh traffic{note}",
    )


def where_they_differ(found: Difference, *, n_differ: int, n_both: int) -> Difference:
    """The difference over all traffic, from labels of only those samples that two models answer
    differently.

    found
        the difference on these samples
    n_differ, n_both
        how many samples the models answer differently, of how many that both answered

    Elsewhere both are right or both wrong, so it is `found` times the share that differs. The share
    of fresh traffic is known up to its binomial variance, which is joined by the method of variance
    estimates recovery.

    Raises:
        ArgumentError: counts that aren't 0 <= n_differ <= n_both, n_both above 0.
    """
    value, low, high = of_all_traffic(
        (found.value, found.low, found.high), found.level, n_differ=n_differ, n_both=n_both
    )
    return replace(
        found,
        value=value,
        low=max(-1.0, low),
        high=min(1.0, high),
        gained=n_differ / n_both * found.gained,
        lost=n_differ / n_both * found.lost,
        method=f"{found.method}, drawn where the two models differ",
    )


def of_all_traffic(
    found: tuple[float, float, float], level: float, *, n_differ: int, n_both: int
) -> tuple[float, float, float]:
    """A difference and its bounds over all traffic, from those over samples that two models answer
    differently.

    Raises:
        ArgumentError: as `where_they_differ`.
    """
    if not 0 <= n_differ <= n_both or n_both < 1:
        raise ArgumentError(
            f"n_differ = {n_differ}, n_both = {n_both}: expected 0 <= n_differ <= n_both, and a "
            "sample that both answered",
            remedy="count the samples of one period",
        )
    value, low, high = found
    differing = n_differ / n_both
    z = normal_quantile(0.5 + level / 2)
    doubt = z * abs(value) * math.sqrt(differing * (1 - differing) / n_both)
    mean = differing * value
    return (
        mean,
        mean - math.hypot(differing * (value - low), doubt),
        mean + math.hypot(differing * (high - value), doubt),
    )


def _part(rounds: list[BlindRound], scores: list[Floats], level: float) -> Share:
    return share(stacked(rounds, scores), level=level, fresh=True)


def _difference_bounds(gained: Share, lost: Share) -> tuple[float, float]:
    """Bounds of gained - lost from the bounds of each; the two exclude each other: negative correlation."""
    g, k = gained.value, lost.value
    spread = math.sqrt(g * (1 - g) * k * (1 - k))
    correlation = -g * k / spread if spread > 0 else 0.0
    correlation = max(-1.0, correlation)
    g_down, g_up = g - gained.low, gained.high - g
    k_down, k_up = k - lost.low, lost.high - k
    down = math.sqrt(max(0.0, g_down**2 + k_up**2 - 2 * correlation * g_down * k_up))
    up = math.sqrt(max(0.0, g_up**2 + k_down**2 - 2 * correlation * g_up * k_down))
    return max(-1.0, g - k - down), min(1.0, g - k + up)
