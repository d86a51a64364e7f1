"""Accuracy from blind draws of unequal probability."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, check_level, risk_bins, same_length, truths
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.looks import LEAST_RECAPTURES
from labelloop.errors import ArgumentError
from labelloop.statistics.frame import BlindRound, Frame
from labelloop.statistics.greg import Cells, Labelled, Share, Sums, share_by_fewer
from labelloop.statistics.interval import Interval, pooled_note
from labelloop.statistics.people import (
    Corrected,
    Missed,
    by_looks,
    by_recapture,
    less_overlooked,
)


def accuracy(
    correct: npt.ArrayLike,
    risk: npt.ArrayLike,
    inclusion: npt.ArrayLike,
    frame: Frame,
    *,
    uniform: npt.ArrayLike | None = None,
    level: float = 0.95,
    answered: npt.ArrayLike | None = None,
    n_set_aside: float = 0,
    agreed: npt.ArrayLike | None = None,
    recapture: npt.ArrayLike | None = None,
    missed: Missed | None = None,
    fresh: bool = False,
) -> Estimate | Undefined:
    """The share of a frame's samples that the model got right, or the mean score, with its interval.

    correct, risk, inclusion
        (n,) the blind draws: whether the answer equals the prediction (bool, or a score in [0, 1] of
        how far it does), the risk and the inclusion probability as they were when drawn. Where the
        work is unfinished, `inclusion` and `frame` are those of the furthest position reached
        (`labelloop.sampling.reached_inclusion`)
    frame
        the frame's histogram of (risk, inclusion)
    uniform
        (n,) bool: which belong to the simple random part; checked only, the estimator needs none
    answered, n_set_aside
        draws before the furthest reached that have no answer, and rows of the traffic that no draw
        could reach, `math.inf` where nobody knows how many: they widen worst_low and worst_high
    agreed, recapture, missed
        of rounds with second looks, where `correct` is False for confirmed errors alone: (n,) bool,
        whether the first answer was the prediction; (n,) float, for confirmed errors 1.0 if a further
        blind answer agreed with the model, 0.0 if not, NaN if none was asked for, and nothing is taken
        off with fewer than five of them; and what `missed`
        made of the looks at agreeing draws, used in place of `recapture` where it is given
    fresh
        False: the estimand is the share in this finite population. True: the probability behind it,
        for traffic still to come of the same kind

    Assumes: answers are right, or with second looks what `labelloop.statistics.people` says; draws
    without an answer are like those with one in the same fifth of risk (the worst case drops this);
    the risk was fixed before the draw and did not learn from these labels. The risk need not be good:
    a bad one costs width, not coverage.

    Source: see `labelloop.statistics.greg`; with 8 labelled errors and 8 correct ones or more the
    interval is Wilson's at the effective sample size with Student's t, else Clopper and Pearson's.

    Raises:
        ArgumentError: lengths that differ, values out of range.

    >>> frame = Frame.from_arrays([0.1] * 900 + [0.5] * 100, [0.05] * 900 + [0.55] * 100)
    >>> found = accuracy([True] * 43 + [False] * 2 + [True] * 30 + [False] * 25,
    ...                  [0.1] * 45 + [0.5] * 55, [0.05] * 45 + [0.55] * 55, frame)
    >>> f"{found.value:.3f} ({found.low:.3f} .. {found.high:.3f}) from {found.n}"
    '0.915 (0.843 .. 0.955) from 100'
    """
    one = BlindRound.checked(
        correct,
        risk,
        inclusion,
        frame,
        answered=answered,
        n_set_aside=n_set_aside,
        agreed=agreed,
        recapture=recapture,
    )
    if missed is not None and agreed is None:
        raise ArgumentError(
            "missed without agreed: expected whether each first answer was the prediction",
            remedy="pass agreed, (n,) bool",
        )
    if uniform is not None:
        same_length(correct=one.score, uniform=truths("uniform", uniform))
    return pooled([one], level=level, fresh=fresh, missed=missed)


def pooled(
    rounds: Sequence[BlindRound],
    *,
    level: float = 0.95,
    fresh: bool = False,
    missed: Missed | None = None,
) -> Estimate | Undefined:
    """The share of correct predictions among the traffic of all rounds together.

    Estimand: sum over rounds of (N_h / N) m_h, the traffic as it came, a busy day counting more;
    rounds without any label are left out of it. Never weighted by precision: then a day that was
    easy to measure would stand for one that was not, and 95% intervals cover 18% to 33%. With a
    change of model between rounds this is the accuracy of what was served; give each model a line
    of its own as well.

    Assumes what `accuracy` assumes, in each round; the draws of different rounds are independent.

    Source: stratified sampling (Cochran 1977, section 5.3) with the combined regression estimator
    (section 7.10): one intercept a round, one slope.

    Raises:
        ArgumentError: a level outside (0, 1).
    """
    check_level(level)
    used = [r for r in rounds if r.answered.any()]
    if not used:
        return Undefined("no labels" if rounds else "no rounds")
    found = share_right(used, level=level, fresh=fresh)
    worst_low, worst_high = found.low, found.high
    if not all(r.answered.all() for r in used):
        wrong, right = ([_filled(r, right=to) for r in used] for to in (False, True))
        worst_low = share_right(wrong, level=level, fresh=fresh).low
        worst_high = share_right(right, level=level, fresh=fresh).high
    read = sum(r.frame.population for r in used)
    readable = read / (read + sum(r.n_set_aside for r in used))
    n = sum(int(r.answered.sum()) for r in used)
    estimate = Interval(found.value, found.low, found.high, found.n_effective).estimate(
        level=level,
        n=n,
        method=_method(found, len(used), fresh),
        worst=(worst_low, worst_high),
    )
    lower = corrected(used, found, missed, level)
    if lower is not None:
        estimate = less_overlooked(estimate, lower)
    return replace(
        estimate,
        worst_low=estimate.worst_low * readable,
        worst_high=estimate.worst_high * readable + (1 - readable),
    )


def corrected(
    rounds: Sequence[BlindRound], right: Share, missed: Missed | None, level: float
) -> Corrected | None:
    """The accuracy `right` less the errors that people overlooked; None where no look says how many."""
    if missed is not None:
        agreeing = [
            r if r.agreed is None else replace(r, score=r.agreed.astype(np.float64)) for r in rounds
        ]
        return by_looks(right, share_right(agreeing, level=level).value, missed, level)
    again = np.concatenate([_again(r) for r in rounds])
    asked = ~np.isnan(again)
    if asked.sum() < LEAST_RECAPTURES:
        return None
    inclusion = np.concatenate([r.inclusion for r in rounds])
    freedom = max(1, sum(int(r.answered.sum()) for r in rounds) - len(rounds) - 1)
    return by_recapture(right, again[asked], inclusion[asked], freedom, level)


def _again(one: BlindRound) -> npt.NDArray[np.float64]:
    """What further answers said of the round's confirmed errors; NaN elsewhere."""
    none = np.full(one.score.size, np.nan)
    if one.recapture is None:
        return none
    return np.where(one.answered & (one.score < 1), one.recapture, none)


def _method(found: Share, n_rounds: int, fresh: bool) -> str:
    if math.isinf(found.n_effective):
        return "every sample labelled, blind draws"
    kind = "Clopper-Pearson at the effective size" if found.few else "regression estimator"
    return f"{kind}, blind draws{pooled_note(n_rounds)}, {'fresh traffic' if fresh else 'finite population'}"


def share_right(rounds: Sequence[BlindRound], *, level: float, fresh: bool = False) -> Share:
    """The mean score over the pooled frames of rounds."""
    return share_by_fewer(stacked(rounds, [r.score for r in rounds]), level=level, fresh=fresh)


def stacked(rounds: Sequence[BlindRound], scores: Sequence[Floats]) -> Sums:
    """The rounds as strata of one population; inclusion is scaled to the number of labels.

    Fewer labels than the inclusion probabilities sum to, by missing answers or by the luck of the
    draw, mean that each sample's chance was lower, given how many came back: the variance must
    know.
    """
    rates = [response_rates(r) for r in rounds]
    frames = [r.frame for r in rounds]
    strata = np.arange(len(rounds))
    drawn = Labelled(
        np.concatenate([score[r.answered] for r, score in zip(rounds, scores, strict=True)]),
        np.repeat(strata, [np.count_nonzero(r.answered) for r in rounds]),
        np.concatenate([risk_bins(r.risk[r.answered]) for r in rounds]),
        np.concatenate([rate.of_draws[r.answered] for r, rate in zip(rounds, rates, strict=True)]),
    )
    cells = Cells(
        np.concatenate([f.n for f in frames]),
        np.repeat(strata, [f.n.size for f in frames]),
        np.concatenate([f.bins for f in frames]),
        np.concatenate([rate.of_cells for rate in rates]),
        np.concatenate([np.zeros(f.n.size) if f.unlogged is None else f.unlogged for f in frames]),
    )
    return Sums.of(drawn, cells)


FIFTHS = 5
"""Into how many parts by risk a round is divided, to see how far its answers came back unevenly."""

LEAST_ANSWERS = 5
"""How many answers such a part needs; smaller ones are merged with the next."""


class Responding(NamedTuple):
    """The chance to be drawn and answered: of each draw, and of each cell of the frame."""

    of_draws: npt.NDArray[np.float64]
    of_cells: npt.NDArray[np.float64]


def response_rates(one: BlindRound) -> Responding:
    """Inclusion times the response rate, in each fifth of risk where answers are missing.

    Source: weighting within response homogeneity groups, Sarndal, Swensson, Wretman 1992, section
    15.6.
    """
    edges = edges_of_risk(one.risk, one.answered)
    part, cell_part = (np.searchsorted(edges, risk) for risk in (one.risk, one.frame.risk))
    n_parts = len(edges) + 1
    came = np.bincount(part, weights=one.answered, minlength=n_parts)
    expected = np.bincount(cell_part, weights=one.frame.n * one.frame.inclusion, minlength=n_parts)
    rate = came / np.maximum(expected, 1e-300)
    return Responding(
        np.minimum(1.0, one.inclusion * rate[part]),
        np.minimum(1.0, one.frame.inclusion * rate[cell_part]),
    )


def edges_of_risk(risk: npt.NDArray[np.float64], answered: npt.NDArray[np.bool_]) -> list[float]:
    """The largest risk of each part but the last; none where every draw has an answer.

    Parts are fifths by risk: within one, answers that are missing are taken to be like those that came.
    """
    if answered.all():
        return []
    ordered, came = np.sort(risk), risk[answered]
    edges: list[float] = []
    for fifth in range(1, FIFTHS):
        edge = float(ordered[fifth * risk.size // FIFTHS])
        above = edges[-1] if edges else -1.0
        enough = np.count_nonzero((came > above) & (came <= edge)) >= LEAST_ANSWERS
        if enough and np.count_nonzero(came > edge) >= LEAST_ANSWERS:
            edges.append(edge)
    return edges


def _filled(one: BlindRound, *, right: bool) -> BlindRound:
    """The round as if every missing answer were right, or wrong."""
    if one.answered.all():
        return one
    everyone = np.ones_like(one.answered)
    return replace(one, score=np.where(one.answered, one.score, float(right)), answered=everyone)
