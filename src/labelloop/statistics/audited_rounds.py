"""The model labels that a sequential test proves good enough, over rounds of traffic.

Each prefix is audited in the same proportion to its traffic in every round, so at the end of a round the
audits of a prefix are a random sample of that prefix in all rounds audited so far; a look is taken there and
nowhere else. Where the error changes from round to round the product of bets still has at most the
mean 1 under "the error over these rounds is max_error or more": by the inequality of arithmetic and
geometric means it is largest where the error is the same in all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.statistics.sequential_bound import GRID, SequentialBound


@dataclass(frozen=True, slots=True, eq=False)
class AuditedRound:
    """The audits of one round, in the order of drawing.

    traffic
        samples of the round
    within
        the longest prefix that they were drawn in
    rank, wrong
        (k,) the prefix of the grid that holds each, and whether it is wrong; True without an answer
    each_within
        (k,) the longest prefix that each counts for, where shorter ones are audited more closely; None:
        `within`
    """

    number: int
    traffic: int
    within: float
    rank: npt.ArrayLike
    wrong: npt.ArrayLike
    each_within: npt.ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProvenPart:
    """What is proven: the labels of a prefix in some rounds.

    kept, rounds
        of all parts that any look proved the one with the most traffic, so more audits never keep less;
        0 and none where nothing is proven
    bound
        the test after all audits
    """

    kept: float
    rounds: tuple[int, ...]
    bound: SequentialBound


def proven_part(
    rounds: Sequence[AuditedRound], *, max_error: float, failure_probability: float
) -> ProvenPart:
    """The proven part of the traffic of `rounds`, in the order in which they were audited.

    A prefix is proven for the rounds that were audited in it up to a look.
    """
    bound = SequentialBound(max_error=max_error, failure_probability=failure_probability)
    most, kept = 0.0, 0.0
    covered: tuple[int, ...] = ()
    for i, one in enumerate(rounds):
        each = one.within if one.each_within is None else one.each_within
        bound.update(one.rank, one.wrong, drawn_within=each)
        for g in GRID[: int(np.searchsorted(GRID, bound.stands, side="right"))].tolist():
            audited = [r for r in rounds[: i + 1] if r.within >= g]
            traffic = g * sum(r.traffic for r in audited)
            if traffic > most:
                most, kept, covered = traffic, g, tuple(r.number for r in audited)
    return ProvenPart(kept, covered, bound)
