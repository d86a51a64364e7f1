"""The mean cost of a prediction, and the difference of two models in it, from blind draws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, check_level, same_length
from labelloop.core.estimate import Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.accuracy import corrected, share_right, stacked
from labelloop.statistics.compare import of_all_traffic
from labelloop.statistics.frame import BlindRound, Frame
from labelloop.statistics.greg import FEW, share
from labelloop.statistics.interval import Interval, pooled_note
from labelloop.statistics.part import LEAST_EFFECTIVE, PartRound, part_overlooked, part_share
from labelloop.statistics.people import Corrected, Missed


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanCost:
    """The mean cost of a prediction, 0 for a right one, with its interval at `level`.

    n
        labels that it rests on
    worst_low, worst_high
        the interval widened by every answer that is missing and every row that was rejected: free, or
        as costly as an error can be
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    method: str
    worst_low: float
    worst_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostDifference:
    """The candidate's mean cost less the serving model's: below 0 the candidate costs less."""

    value: float
    low: float
    high: float
    level: float
    n: int
    method: str


def mean_cost(
    cost: npt.ArrayLike,
    risk: npt.ArrayLike,
    inclusion: npt.ArrayLike,
    frame: Frame,
    *,
    possible: Sequence[float],
    answered: npt.ArrayLike | None = None,
    n_set_aside: float = 0,
    level: float = 0.95,
) -> MeanCost | Undefined:
    """The mean cost of a frame's predictions.

    cost
        (n,) of the blind draws: 0 for a right prediction, else one of `possible`
    possible
        every cost that an error may have, those too that no label shows: the interval allows for them
    risk, inclusion, frame, answered, n_set_aside
        as for `accuracy`

    Estimand: the mean over this finite population. Assumes what `accuracy` assumes.

    Method: the share of predictions with each cost is estimated as `accuracy` estimates the share of
    errors, by regression on the risk. Costs that fewer than eight labels show, or none, are taken
    together, as shares of the largest of them. The mean is the sum of costs times shares; the bounds are
    joined by the method of variance estimates recovery, with the correlation of shares that exclude each
    other (Zou, Donner 2008).

    Raises:
        ArgumentError: lengths that differ, values out of range, a cost that isn't 0 or in `possible`.

    >>> frame = Frame.from_arrays([0.1] * 900 + [0.5] * 100, [0.05] * 900 + [0.55] * 100)
    >>> found = mean_cost([0.0] * 43 + [1.0] * 2 + [0.0] * 30 + [1.0] * 15 + [5.0] * 10,
    ...                   [0.1] * 45 + [0.5] * 55, [0.05] * 45 + [0.55] * 55, frame, possible=[1, 5])
    >>> f"{found.value:.2f} ({found.low:.2f} .. {found.high:.2f}) from {found.n}"
    '0.16 (0.11 .. 0.24) from 100'
    """
    given = np.asarray(cost, dtype=np.float64)
    one = BlindRound.checked(
        given == 0, risk, inclusion, frame, answered=answered, n_set_aside=n_set_aside
    )
    return pooled_cost([one], [given], possible=possible, level=level)


def pooled_cost(
    rounds: Sequence[BlindRound],
    costs: Sequence[npt.ArrayLike],
    *,
    possible: Sequence[float],
    level: float = 0.95,
    missed: Missed | None = None,
) -> MeanCost | Undefined:
    """The mean cost over the traffic of all rounds together; `costs` has (n,) for each round.

    missed
        as for `pooled`: of rounds with second looks, whose costs are those of confirmed errors

    Estimand, method and errors as for `mean_cost`; rounds are put together as by `pooled`. Errors that
    people overlooked are added as in an accuracy, at the mean cost of those that were confirmed.
    """
    check_level(level)
    given = _checked(rounds, costs, ("",), possible)
    used = [(r, c) for r, c in zip(rounds, given, strict=True) if r.answered.any()]
    if not used:
        return Undefined("no labels" if rounds else "no rounds")
    most, strata = max(possible), [r for r, _ in used]

    def of(missing: float | None) -> Interval:
        filled = strata if missing is None else [_all_answered(r) for r in strata]
        own = [c if missing is None else np.where(r.answered, c, missing) for r, c in used]
        return _mean(filled, own, possible, _shares(filled, level))

    found, worst = of(None), (of(0.0).low, of(most).high)
    read = sum(r.frame.population for r in strata)
    made = _made(
        *(found, worst, most),
        readable=read / (read + sum(r.n_set_aside for r in strata)),
        level=level,
        n=sum(int(r.answered.sum()) for r in strata),
        method=f"regression estimator, blind draws{pooled_note(len(used))}, finite population",
    )
    right = share_right(strata, level=level)
    return _with_overlooked(made, right.value, corrected(strata, right, missed, level), most)


def part_cost(
    rounds: Sequence[PartRound],
    costs: Sequence[npt.ArrayLike],
    *,
    possible: Sequence[float],
    level: float = 0.95,
    missed: Missed | None = None,
) -> MeanCost | Undefined:
    """The mean cost of a part of the traffic whose size is known only from the draws, as `part_accuracy`."""
    check_level(level)
    given = [np.asarray(c, dtype=np.float64) for c in costs]
    heard = [np.asarray(r.answered, dtype=bool) for r in rounds]
    used = [(r, c, h) for r, c, h in zip(rounds, given, heard, strict=True) if h.any()]
    if not used:
        return Undefined("no blind draw of it has an answer")
    n = sum(int(h.sum()) for *_, h in used)
    size = part_share([replace(r, correct=np.zeros(c.size)) for r, c, _ in used], level=level)
    weights = np.concatenate([1 / np.asarray(r.inclusion, dtype=np.float64)[h] for r, _, h in used])
    if size.n_effective < LEAST_EFFECTIVE and weights.max() > 1.01 * weights.min():
        return Undefined(
            f"{n} labels of it count as {size.n_effective:.0f}: too few, drawn unevenly"
        )
    most = max(possible)

    def of(missing: float | None) -> Interval:
        own = [c if missing is None else np.where(h, c, missing) for _, c, h in used]
        parts = [r if missing is None else replace(r, answered=np.ones_like(h)) for r, _, h in used]
        heard = [h if missing is None else np.ones_like(h) for *_, h in used]

        def shares(scores: list[Floats]) -> Interval:
            return part_share(
                [replace(r, correct=s) for r, s in zip(parts, scores, strict=True)], level=level
            )

        return _levels(own, heard, possible, shares)

    found, worst = of(None), (of(0.0).low, of(most).high)
    read = float(weights.sum())
    made = _made(
        *(found, worst, most),
        readable=read / (read + sum(r.n_set_aside for r, *_ in used)),
        level=level,
        n=n,
        method=f"Hajek ratio, Wilson at the effective size{pooled_note(len(used))}",
    )
    right, overlooked = part_overlooked([r for r, *_ in used], level=level, missed=missed)
    return _with_overlooked(made, right, overlooked, most)


def cost_difference(
    rounds: Sequence[BlindRound],
    serving: Sequence[npt.ArrayLike],
    candidate: Sequence[npt.ArrayLike],
    *,
    possible: Sequence[float],
    level: float = 0.95,
    n_candidates: int = 1,
) -> CostDifference | Undefined:
    """The candidate's mean cost less the serving model's, on fresh traffic of the kind of these rounds.

    serving, candidate
        for each round (n,), what the prediction of each model costs by the same answers
    possible, n_candidates
        as for `mean_cost`, and as for `compare`, with whose `trained_on` this has to be read

    Method: as for `mean_cost`, over the differences of two costs.

    Raises:
        ArgumentError: as `mean_cost`.
    """
    check_level(level)
    ours = _checked(rounds, serving, (" of the serving model",), possible)
    theirs = _checked(rounds, candidate, (" of the candidate",), possible)
    used = [i for i, r in enumerate(rounds) if r.answered.any()]
    if not used:
        return Undefined("no labels")
    strata = [rounds[i] for i in used]
    either = (0.0, *possible)
    differences = {a - b for a in either for b in either} - {0.0}
    shared = 1 - (1 - level) / n_candidates
    found = _mean(
        *(strata, [theirs[i] - ours[i] for i in used], sorted(differences)),
        _shares(strata, shared, fresh=True),
    )
    note = f", shared among {n_candidates} candidates" if n_candidates > 1 else ""
    return CostDifference(
        value=found.value,
        low=found.low,
        high=found.high,
        level=level,
        n=sum(int(r.answered.sum()) for r in strata),
        method=f"paired on the same blind labels, fresh traffic{note}",
    )


def cost_where_they_differ(found: CostDifference, *, n_differ: int, n_both: int) -> CostDifference:
    """The difference over all traffic, from labels of only those samples that two models answer
    differently; see `where_they_differ`.
    """
    value, low, high = of_all_traffic(
        (found.value, found.low, found.high), found.level, n_differ=n_differ, n_both=n_both
    )
    method = f"{found.method}, drawn where the two models differ"
    return replace(found, value=value, low=low, high=high, method=method)


Shares = Callable[[list[Floats]], Interval]
"""The mean of a score in [0, 1], given for each round, with its interval."""


def _shares(rounds: Sequence[BlindRound], level: float, *, fresh: bool = False) -> Shares:
    def of(scores: list[Floats]) -> Interval:
        found = share(stacked(rounds, scores), level=level, fresh=fresh)
        return Interval(found.value, found.low, found.high, found.n_effective)

    return of


def _mean(
    rounds: Sequence[BlindRound],
    values: Sequence[Floats],
    possible: Sequence[float],
    shares: Shares,
) -> Interval:
    return _levels(values, [r.answered for r in rounds], possible, shares)


def _levels(
    values: Sequence[Floats],
    answered: Sequence[npt.NDArray[np.bool_]],
    possible: Sequence[float],
    shares: Shares,
) -> Interval:
    """The mean of values of which each is 0 or possible: the sum of values times their shares."""
    heard = np.concatenate([v[a] for v, a in zip(values, answered, strict=True)])
    scales: list[float] = []
    found: list[Interval] = []
    for sign in (1.0, -1.0):
        sizes = sorted({abs(p) for p in possible if p * sign > 0})
        often = [s for s in sizes if np.count_nonzero(heard == sign * s) >= FEW]
        for size in often:
            scales.append(sign * size)
            found.append(shares([(v == sign * size).astype(np.float64) for v in values]))
        rare = [s for s in sizes if s not in often]
        if rare:
            scales.append(sign * rare[-1])
            is_rare = [np.isin(sign * v, rare) for v in values]
            scores = [
                np.where(r, sign * v, 0) / rare[-1] for r, v in zip(is_rare, values, strict=True)
            ]
            found.append(shares(scores))
    scale, value = np.array(scales), np.array([f.value for f in found])
    down, up = value - [f.low for f in found], np.array([f.high for f in found]) - value
    odds = np.sqrt(value / np.maximum(1 - value, 1e-12))
    joint = -np.outer(odds, odds)
    np.fill_diagonal(joint, 1.0)
    joint = np.clip(joint, -1, 1)
    below, above = scale * np.where(scale > 0, down, up), scale * np.where(scale > 0, up, down)
    mean = float(scale @ value)
    return Interval(
        mean,
        max(min(0.0, float(scale.min())), mean - math.sqrt(max(0.0, below @ joint @ below))),
        min(max(0.0, float(scale.max())), mean + math.sqrt(max(0.0, above @ joint @ above))),
        min(f.n_effective for f in found),
    )


def _made(
    found: Interval,
    worst: tuple[float, float],
    most: float,
    *,
    readable: float,
    level: float,
    n: int,
    method: str,
) -> MeanCost:
    """The mean cost; rows that could not be read may be free, or cost `most`."""
    return MeanCost(
        value=found.value,
        low=found.low,
        high=found.high,
        level=level,
        n=n,
        method=method,
        worst_low=min(found.low, worst[0]) * readable,
        worst_high=max(found.high, worst[1]) * readable + most * (1 - readable),
    )


def _with_overlooked(
    cost: MeanCost, right: float, found: Corrected | None, most: float
) -> MeanCost:
    """The mean cost with overlooked errors added, `right` being the share without confirmed ones."""
    if found is None:
        return cost
    off = max(0.0, right - found.value)
    each = cost.value / (1 - right) if right < 1 else most
    value = cost.value + off * each
    low = value - math.hypot(cost.value - cost.low, (off - found.off_low) * each)
    high = value + math.hypot(cost.high - cost.value, (found.off_high - off) * each)
    return replace(
        cost,
        value=min(most, value),
        low=max(0.0, low),
        high=min(most, high),
        method=f"{cost.method}, {found.basis}",
        worst_low=max(0.0, min(low, cost.worst_low + found.off_low * each)),
        worst_high=min(most, max(high, cost.worst_high + found.off_high * each)),
    )


def _all_answered(one: BlindRound) -> BlindRound:
    return replace(one, answered=np.ones_like(one.answered))


def _checked(
    rounds: Sequence[BlindRound],
    costs: Sequence[npt.ArrayLike],
    whose: tuple[str],
    possible: Sequence[float],
) -> list[Floats]:
    """The costs as arrays; ArgumentError for what none can be."""
    levels = np.asarray(possible, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not (np.isfinite(levels) & (levels > 0)).all():
        raise ArgumentError(
            f"possible = {list(possible)}: expected finite numbers above 0",
            remedy="list each cost that an error may have",
        )
    given = [np.asarray(c, dtype=np.float64) for c in costs]
    if len(given) != len(rounds):
        raise ArgumentError(
            f"{len(rounds)} rounds, {len(given)} lists of costs{whose[0]}: expected one a round",
            remedy="pass the rounds in the same order",
        )
    for r, c in zip(rounds, given, strict=True):
        same_length(correct=r.score, cost=c)
        strange = r.answered & ~np.isin(c, [0.0, *levels.tolist()])
        if strange.any():
            raise ArgumentError(
                f"cost{whose[0]} {c[np.argmax(strange)]}: expected 0 or one of {levels.tolist()}",
                remedy="list it in possible",
            )
    return given
