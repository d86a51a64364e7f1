"""Tests for a fall of the accuracy, which may be repeated after every week and every day."""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from labelloop.core.estimate import Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics.accuracy import stacked
from labelloop.statistics.frame import BlindRound
from labelloop.statistics.greg import Sums, exact_bounds, exact_high, exact_low, mean_by_fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The result of one test.

    alarm
        whether the accuracy surely fell: whether `bound` is above 0
    value, bound
        the fall from before to now, and what it surely exceeds; below 0: no fall is sure
    before, now
        the two accuracies behind the traffic
    n_before, n_now
        labels that they rest on
    n_windows
        how many of the newest windows are the `now`
    spent
        the chance of a false alarm that this look allowed itself
    """

    alarm: bool
    value: float
    bound: float
    before: float
    now: float
    n_before: int
    n_now: int
    n_windows: int
    spent: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The labels of some rounds together, all of them one stratum; each round counts with its traffic.

    sums
        with an entry for each bin of risk
    n
        how many labels there are
    """

    sums: Sums
    n: int

    @classmethod
    def of(cls, rounds: Sequence[BlindRound]) -> "Window":
        """The window of all rounds that have labels, which may be none."""
        used = [r for r in rounds if r.answered.any()]
        if not used:
            return cls(Sums.none(), 0)
        sums = stacked(used, [r.score for r in used]).as_one()
        return cls(sums, sums.n_labels)

    @classmethod
    def joined(cls, windows: Iterable["Window"]) -> "Window":
        """Some windows as one."""
        parts = list(windows)
        return cls(sum((w.sums for w in parts), Sums.none()), sum(w.n for w in parts))


def latest_drop(windows: Sequence[Window], *, spent: float) -> Drop | Undefined:
    """Whether the accuracy fell at some time: the newest 1, 2, 4, ... windows against all before.

    Estimand: the difference of the two probabilities behind the traffic, not of the two finite
    frames: two windows of one unchanged process differ by luck, and a test of the frames calls that
    a drop in 27% of runs. So the variance is that of fresh traffic, v + m (1 - m) / N.

    spent
        the chance of an alarm where nothing fell; when it fell is not known, so the splits share it
        evenly

    Returns the split whose fall is surest. Windows without a label are passed over.

    Assumes what `accuracy` assumes; no round is in two windows. Source: Clopper and Pearson's bound
    of either side at its effective size, each at its part of `spent`, joined by the method of
    variance estimates recovery (Zou, Donner 2008). Neither the normal curve nor Wilson's bounds
    hold that far out in the tail: with 60 labels a window and a test a week for a year, Wilson's
    raise a false alarm in up to 11% of years instead of 5%, the normal curve in up to 80%.

    Raises:
        ArgumentError: spent outside (0, 1).
    """
    if not 0 < spent < 1:
        raise ArgumentError(
            f"spent = {spent}: expected a number in (0, 1)",
            remedy="use 0.05 / 52 for one test a week and one false alarm in 20 years",
        )
    used = [w for w in windows if w.n]
    if len(used) < 2:
        return Undefined("two windows with labels are needed")
    sizes = splits(len(used))
    return replace(_surest(used, sizes, spent / len(sizes)), spent=spent)


NEWEST_DAYS = (1, 2, 3, 4)
"""How many of the newest days a look by day compares with the days before."""

SPENT_BY_DAY = 5.4e-4
"""The part of a year's chance of a false alarm that each comparison of a look by day may spend.

Set by simulation, so that a look a day together with a look a week (`latest_drop`, each with a 52nd
of that chance) raises a false alarm in at most the stated share of years: `bench/alarm.py`.
"""


def sudden_drop(days: Sequence[Window], *, false_alarms: float = 0.05) -> Drop | Undefined:
    """Whether the accuracy fell in the last days: the newest 1, 2, 3, 4 days against all before.

    It finds a deep fall within days; `latest_drop` by week finds a slow or small one. Estimand,
    assumptions and bounds are those of `latest_drop`.

    false_alarms
        the chance of a false alarm in 365 looks by day and 52 by week, however many models they
        watch. Looks at neighbouring days share most of their labels, so what each may spend is not
        their even part of it but `SPENT_BY_DAY`, found by simulation.

    Days without a label are passed over.

    Raises:
        ArgumentError: false_alarms outside (0, 1).
    """
    if not 0 < false_alarms < 1:
        raise ArgumentError(
            f"false_alarms = {false_alarms}: expected a number in (0, 1)",
            remedy="0.05 for one false alarm in 20 years",
        )
    used = [w for w in days if w.n]
    sizes = [size for size in NEWEST_DAYS if size <= len(used) // 2]
    if not sizes:
        return Undefined("two days with labels are needed")
    return _surest(used, sizes, SPENT_BY_DAY * false_alarms)


def _surest(used: Sequence[Window], sizes: Sequence[int], spent: float) -> Drop:
    """The split whose fall is surest; each may spend `spent`. Sizes rise."""
    before = dict(_added(used, [len(used) - size for size in sizes]))
    now = dict(_added(used[::-1], sizes))
    found = [
        _drop(_side(before[len(used) - size]), _side(now[size]), spent, size) for size in sizes
    ]
    return max(found, key=lambda one: (one.bound, one.value))


def _added(windows: Sequence[Window], counts: Collection[int]) -> Iterator[tuple[int, Sums]]:
    """The sums of the first windows, for each of some counts of them."""
    rows = Sums.none().rows
    for n, window in enumerate(windows[: max(counts)], start=1):
        rows += window.sums.rows
        if n in counts:
            yield n, replace(window.sums, rows=rows.copy())


def splits(n_windows: int) -> list[int]:
    """The numbers of newest windows that are compared with the earlier ones: 1, 2, 4, ...

    >>> splits(2), splits(9)
    ([1], [1, 2, 4])
    """
    return [1 << i for i in range(max(0, n_windows // 2).bit_length())]


def days_to_show(
    fall: float, *, accuracy: float, labels_a_week: float, n_weeks: int, false_alarms: float = 0.05
) -> int | None:
    """The days after which a look a day and a look a week find a fall, with probability 1/2.

    None: more than ten years.

    fall, accuracy
        the size of the fall, and the accuracy before it
    labels_a_week, n_weeks
        labels a week (their effective number), and weeks before the fall
    false_alarms
        the chance of a false alarm in a year

    Raises:
        ArgumentError: a fall outside (0, accuracy], labels_a_week or n_weeks not above 0.

    >>> days_to_show(0.04, accuracy=0.9, labels_a_week=200, n_weeks=52)
    35
    >>> days_to_show(0.1, accuracy=0.9, labels_a_week=490, n_weeks=52)
    3
    """
    if not 0 < fall <= accuracy <= 1 or not labels_a_week > 0 or n_weeks < 1:
        raise ArgumentError(
            f"fall = {fall}, accuracy = {accuracy}, labels_a_week = {labels_a_week}, "
            f"n_weeks = {n_weeks}: expected 0 < fall <= accuracy <= 1, labels above 0 and a week "
            "before",
            remedy="use for example 0.04, 0.9, 200 and 52",
        )
    before, after = n_weeks * labels_a_week, accuracy - fall
    level = 1 - 2 * SPENT_BY_DAY * false_alarms
    below = accuracy - exact_bounds(accuracy * before, before, level)[0]
    for n_days in NEWEST_DAYS:
        if _shows(fall, below, after, labels_a_week / 7, level, n_days):
            return n_days
    for n_splits, waits in groupby(range(1, 521), lambda j: len(splits(n_weeks + j))):
        level = 1 - 2 * false_alarms / 52 / n_splits
        below = accuracy - exact_bounds(accuracy * before, before, level)[0]
        shows = partial(_shows, fall, below, after, labels_a_week, level)
        # at one level a longer wait only sharpens the view: halve the waits instead of trying each
        alike = list(waits)
        found = bisect_left(alike, True, key=shows)
        if found < len(alike):
            return 7 * alike[found]
    return None


def _shows(
    fall: float, below: float, after: float, labels: float, level: float, n_windows: int
) -> bool:
    """Whether the fall exceeds its bound, `n_windows` windows after it."""
    size = n_windows * labels
    return fall >= math.hypot(below, exact_bounds(after * size, size, level)[1] - after)


@dataclass(frozen=True, slots=True)
class Side:
    """The accuracy behind some windows, as precise as `size` random labels of fresh traffic."""

    value: float
    size: float
    n: int


def side(windows: Sequence[Window]) -> Side:
    """The accuracy behind windows that have labels, all of them as one stratum."""
    return _side(Window.joined(windows).sums)


def _side(of: Sums) -> Side:
    found = mean_by_fewer(of, fresh=True)
    return Side(found.value, found.n_effective, of.n_labels)


def _drop(before: Side, now: Side, spent: float, n_windows: int) -> Drop:
    low = exact_low(before.value * before.size, before.size, spent)
    high = exact_high(now.value * now.size, now.size, spent)
    fall = before.value - now.value
    bound = fall - math.hypot(before.value - low, high - now.value)
    return Drop(
        alarm=bound > 0,
        value=fall,
        bound=bound,
        before=before.value,
        now=now.value,
        n_before=before.n,
        n_now=now.n,
        n_windows=n_windows,
        spent=spent,
    )
