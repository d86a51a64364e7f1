"""Has the accuracy fallen? A test that may be asked after every window."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from labelloop.core.estimate import Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.accuracy import share_right
from labelloop.statistics.frame import BlindRound


def level_spent(alpha: float, look: int) -> float:
    """The part of `alpha` that the look-th look may spend, counted from 1: they sum to alpha for
    ever.

    6 alpha / (pi^2 look^2). Use it wherever labels come in and a decision is tried again: for the
    drop test, and as the failure probability of each attempt at a certificate.

    Raises:
        ArgumentError: alpha outside (0, 1), or look below 1.

    >>> round(sum(level_spent(0.05, j) for j in range(1, 100_000)), 4)
    0.05
    """
    if not 0 < alpha < 1 or look < 1:
        raise ArgumentError(
            f"alpha = {alpha}, look = {look}: expected a number in (0, 1) and a count from 1",
            remedy="0.05 and 1 for the first look",
        )
    return 6 * alpha / (math.pi**2 * look**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What one look says.

    alarm
        whether the accuracy fell: over all looks, ever, a false one has at most probability alpha
    value, bound
        the fall from before to now, and what it surely exceeds (below 0 where no fall is sure)
    p_value, spent
        of this look, and the part of alpha that it could spend
    false_alarms_a_year
        false alarms to expect, at most, in the 52 looks from this one on: a year of weekly ones
    """

    alarm: bool
    value: float
    bound: float
    p_value: float
    spent: float
    false_alarms_a_year: float


def drop(
    before: list[BlindRound],
    now: list[BlindRound],
    *,
    look: int,
    alpha: float = 0.05,
) -> Drop | Undefined:
    """Whether the accuracy behind the rounds `now` is lower than behind those `before`.

    Estimand: the difference of the two probabilities behind the traffic, not of the two finite
    frames: two windows of one unchanged process differ by luck, and a test of the frames calls that
    a drop in 27% of runs. So the variance is that of fresh traffic, v + m (1 - m) / N.

    look
        how many times the question was asked, this time included, since the watch began. At look j
        the test spends 6 alpha / (pi^2 j^2)

    Assumes what `accuracy` assumes; `before` and `now` share no round. The labels wanted are many:
    with 200 a week a fall of 4 points takes about eight weeks to show (`looks_to_show`).

    Raises:
        ArgumentError: alpha outside (0, 1), or look below 1.
    """
    spent = level_spent(alpha, look)
    earlier = [r for r in before if r.answered.any()]
    later = [r for r in now if r.answered.any()]
    if not earlier or not later:
        return Undefined(f"no labels {'before' if not earlier else 'now'}")
    first = share_right(earlier, level=0.95, fresh=True)
    last = share_right(later, level=0.95, fresh=True)
    fall = first.value - last.value
    deviation = math.sqrt(first.variance + last.variance)
    if deviation == 0:
        return Undefined("the windows are too small to have a spread")
    normal = NormalDist()
    p_value = 1 - normal.cdf(fall / deviation)
    return Drop(
        alarm=p_value <= spent,
        value=fall,
        bound=fall - normal.inv_cdf(1 - spent) * deviation,
        p_value=p_value,
        spent=spent,
        false_alarms_a_year=sum(level_spent(alpha, look + k) for k in range(52)),
    )


def looks_to_show(fall: float, *, accuracy: float, labels: int, alpha: float = 0.05) -> int | None:
    """After how many looks a fall shows with probability one half; None if not within 520.

    fall, accuracy
        the size of the fall, and the accuracy before it
    labels
        labels a look (their effective number): all windows since the fall are pooled, and as many
        as 52 looks before it

    Raises:
        ArgumentError: a fall outside (0, accuracy], or labels below 1.

    >>> looks_to_show(0.04, accuracy=0.9, labels=200)
    8
    """
    if not 0 < fall <= accuracy <= 1 or labels < 1:
        raise ArgumentError(
            f"fall = {fall}, accuracy = {accuracy}, labels = {labels}: expected "
            "0 < fall <= accuracy <= 1 and labels of 1 or more",
            remedy="0.04, 0.9 and 200, say",
        )
    after = accuracy - fall
    for j in range(1, 521):
        variance = accuracy * (1 - accuracy) / (52 * labels) + after * (1 - after) / (j * labels)
        if fall >= NormalDist().inv_cdf(1 - level_spent(alpha, 52 + j)) * math.sqrt(variance):
            return j
    return None
