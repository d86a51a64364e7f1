"""How often the looks at a steady accuracy raise a false alarm, and how soon they find a fall.

    python -m bench.alarm [--years 20000]

Plain counts of right answers stand for the estimates, so that many years can be simulated: each day
has `labels` answers, right with the stated chance. A year has 364 looks by day (`sudden_drop`) and
52 by week (`latest_drop`). One table for false alarms, also where five model versions share the
year, one for the delay; beside both the look by week alone. It says where `SPENT_BY_DAY` is from.
"""

import argparse

import numpy as np
import numpy.typing as npt
from bench.demands import Demand, mean, share
from scipy.special import betaincinv

from labelloop.statistics.drop import NEWEST_DAYS, SPENT_BY_DAY, splits

NEVER = 10**6
ALPHA = 0.05
MOST_DAYS, MOST_WEEKS = 56, 52


def surely_above_zero(
    right: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], n: tuple[int, int], spent: float
) -> npt.NDArray[np.bool_]:
    """Whether the fall from before to now exceeds its bound, as `labelloop.statistics.drop` has it."""
    before, now = right[0] / n[0], right[1] / n[1]
    low = np.where(
        right[0] > 0, betaincinv(np.maximum(right[0], 1e-9), n[0] - right[0] + 1, spent), 0
    )
    high = np.where(
        right[1] < n[1], betaincinv(right[1] + 1, np.maximum(n[1] - right[1], 1e-9), 1 - spent), 1
    )
    return before - now > np.hypot(before - low, high - now)


def first_alarms(counts: npt.NDArray[np.float64], labels: int, by: str) -> npt.NDArray[np.int64]:
    """The window at whose close each run first raises an alarm; `NEVER` if none does."""
    sums = np.concatenate([np.zeros((len(counts), 1)), counts.cumsum(1)], axis=1)
    first = np.full(len(counts), NEVER)
    most = MOST_DAYS if by == "day" else MOST_WEEKS
    for t in range(2, sums.shape[1]):
        begin = max(0, t - most)
        sizes = (
            [s for s in NEWEST_DAYS if s <= (t - begin) // 2] if by == "day" else splits(t - begin)
        )
        spent = SPENT_BY_DAY * ALPHA if by == "day" else ALPHA / 52 / len(sizes)
        for size in sizes:
            open_ = np.flatnonzero(first == NEVER)
            now = sums[open_, t] - sums[open_, t - size]
            before = sums[open_, t - size] - sums[open_, begin]
            n = ((t - size - begin) * labels, size * labels)
            # a fall of less than two standard errors exceeds no such bound: spare the beta quantiles
            fall, mean = before / n[0] - now / n[1], (before + now) / sum(n)
            steep = fall > 2 * np.sqrt(mean * (1 - mean) * (1 / n[0] + 1 / n[1]))
            sure = surely_above_zero((before[steep], now[steep]), n, spent)
            first[open_[steep][sure]] = t
    return first


def looks(right: npt.NDArray[np.float64], labels: int) -> tuple[npt.NDArray[np.int64], ...]:
    """The first day with an alarm by week alone, and by day and week together."""
    whole = right[:, : right.shape[1] // 7 * 7]
    weekly = first_alarms(whole.reshape(len(right), -1, 7).sum(2), 7 * labels, "week")
    weekly = np.where(weekly < NEVER, 7 * weekly, NEVER)
    return weekly, np.minimum(weekly, first_alarms(right, labels, "day"))


def alarms(runs: int) -> list[Demand]:
    """False alarms in a year of steady accuracy, and how soon a fall from 90% shows.

    Ten years a run for the false alarms, four courses a run for the delay. Days are counted from answered
    labels, after so many days of one version. Versions that share a year spend what one would, look by
    look, so a fall of the fifth shows as soon as one of the first.
    """
    rng = np.random.default_rng(1)
    found = []
    for labels in (10, 29, 70):
        for accuracy in (0.8, 0.9, 0.97):
            right = rng.binomial(labels, accuracy, (10 * runs, 364)).astype(float)
            versions = np.array_split(right[:, :360], 5, axis=1)
            shared = np.min([looks(part, labels)[1] for part in versions], axis=0)
            false = looks(right, labels)[1] < NEVER
            found.append(
                share(
                    f"false alarm in a year at {accuracy:.0%}, {labels} labels a day",
                    false,
                    ALPHA,
                    most=True,
                    beside=f"five versions {np.mean(shared < NEVER):.1%}",
                )
            )
            if labels == 70:
                what = f"the same, five versions in the year, at {accuracy:.0%}"
                found.append(share(what, shared < NEVER, ALPHA, most=True))
    return found + _delays(runs, rng)


def _delays(runs: int, rng: np.random.Generator) -> list[Demand]:
    found, later = [], []
    for labels in (10, 29, 70):
        for after in (0.86, 0.8):
            for before in (28, 182):
                weekly, both = _days_to_show(labels, after, before, 4 * runs, rng)
                later.append(float(np.median(both) - np.median(weekly)))
                if (labels, after, before) == (70, 0.8, 28):
                    what = "90% falls to 80% after 28 days, 70 labels a day: shown within"
                    median = f"median {np.median(both):.0f} days, by week {np.median(weekly):.0f}"
                    found.append(share(f"{what} 3 days", both <= 3, 0.5, beside=median))
                    found.append(
                        share(
                            f"{what} 4 days, of five versions in a year",
                            both <= 4,
                            0.5,
                            beside=median,
                        )
                    )
    slowest = [max(later)] * runs
    what = "median days slower than by week alone, the worst of 12 scenarios"
    return [*found, mean(what, slowest, 1.0, most=True, shown=".1f")]


def _days_to_show(
    labels: int, after: float, before: int, runs: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Days until a fall from 90% shows, by week alone and by day and week; no run with a false alarm."""
    chance = np.where(np.arange(before + 280) < before, 0.9, after)
    right = rng.binomial(labels, chance, (runs, chance.size)).astype(float)
    weekly, both = (f[f > before] - before for f in looks(right, labels))
    return weekly.astype(float), both.astype(float)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=20_000)
    years = parser.parse_args().years
    rng = np.random.default_rng(1)
    print(f"false alarms a year, {years:,} years a row (asked: at most {ALPHA:.3f})")
    print(
        f"{'labels a day':>12} {'accuracy':>9} {'by week':>8} {'both':>8} {'5 versions':>11} {'+-':>7}"
    )
    for labels in (10, 29, 70):
        for accuracy in (0.6, 0.8, 0.9, 0.97):
            right = rng.binomial(labels, accuracy, (years, 364)).astype(float)
            weekly, both = (float(np.mean(f < NEVER)) for f in looks(right, labels))
            versions = np.array_split(right[:, :360], 5, axis=1)
            shared = np.min([looks(part, labels)[1] for part in versions], axis=0)
            print(
                f"{labels:>12} {accuracy:>9} {weekly:>8.4f} {both:>8.4f} "
                f"{np.mean(shared < NEVER):>11.4f} {np.sqrt(both * (1 - both) / years):>7.4f}",
                flush=True,
            )
    print("\nmedian days until a fall from 90% shows; the share of runs within 3 days")
    print(
        f"{'labels a day':>12} {'to':>5} {'days before':>12} {'by week':>8} {'both':>8} {'within 3':>9}"
    )
    for labels in (10, 29, 70):
        for after in (0.86, 0.8):
            for before in (28, 182):
                weekly, both = _days_to_show(labels, after, before, years // 10, rng)
                said = [
                    f"{m:.0f}" if (m := np.median(f)) < 280 else "> 280" for f in (weekly, both)
                ]
                print(
                    f"{labels:>12} {after:>5} {before:>12} {said[0]:>8} {said[1]:>8} "
                    f"{np.mean(both <= 3):>9.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
