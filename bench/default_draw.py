"""What the default draw saves, what it costs where risk says nothing, and what it does to `compare`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from bench.demands import Demand
from tests.property.sets import (
    CIFAR,
    IMAGENET,
    NEWS,
    Drawing,
    drawing,
    learned,
    limit,
    saved,
    served,
)

from labelloop.statistics import Difference, Estimate, accuracy, compare, wilson

Bools = npt.NDArray[np.bool_]
N, SIZE = 200, 20_000


def default_draw(runs: int) -> list[Demand]:
    """What `draw = "auto"` saves and costs, with 200 labels a round from frames of 20,000.

    Each run has a risk of its own, learned over three rounds. Saved: labels, in the exact design variance of
    the estimate, against the optimal allocation with the true error rates. Widths are against Wilson's on a
    random sample of as many labels; of `compare`, against a uniform draw with the same risk.
    """
    found = [_saved(name, runs) for name in (CIFAR, NEWS, IMAGENET)]
    found += [_cost(name, runs) for name in (CIFAR, NEWS, IMAGENET)]
    return found + _compared(runs)


@dataclass(frozen=True, slots=True)
class _Found:
    """Means over runs: labels saved in variance, and width against Wilson's; with standard errors."""

    saved: float
    saved_error: float
    width: float
    width_error: float
    covered: float


def _found(name: str, runs: int, *, told: bool) -> _Found:
    rng = np.random.default_rng(21)
    less, ours, theirs, covered = [], [], [], 0
    for _ in range(runs):
        model = learned(name, N, rng, told=told)
        design = drawing(served(name, SIZE, rng, told=told), N, model)
        truth, picked = design.traffic.accuracy, design.draw(rng)
        right = ~design.traffic.wrong[picked]
        found = accuracy(right, design.risk[picked], design.inclusion[picked], design.frame)
        plain = wilson(int(rng.binomial(N, truth)), N)
        assert isinstance(found, Estimate)
        assert isinstance(plain, Estimate)
        less.append(saved(design, N))
        ours.append(found.high - found.low)
        theirs.append(plain.high - plain.low)
        covered += found.low <= truth <= found.high
    root, width = np.sqrt(runs), float(np.mean(theirs))
    return _Found(
        float(np.mean(less)),
        float(np.std(less) / root),
        float(np.mean(ours)) / width,
        float(np.std(ours) / width / root),
        covered / runs,
    )


def _saved(name: str, runs: int) -> Demand:
    found, most = _found(name, runs, told=True), limit(name)
    return Demand(
        what=f"labels saved, of the {most:.0%} that the optimal draw saves, {name}",
        asked=0.7,
        measured=found.saved / most,
        error=found.saved_error / most,
        runs=runs,
        beside=f"saved by width {1 - found.width**2:.1%}, coverage {found.covered:.1%}",
    )


def _cost(name: str, runs: int) -> Demand:
    found = _found(name, runs, told=False)
    return Demand(
        what=f"width where risk says nothing, {name}",
        asked=1.05,
        measured=found.width,
        error=found.width_error,
        runs=runs,
        most=True,
        beside=f"coverage {found.covered:.1%}",
        shown=".3f",
    )


Change = Callable[[np.random.Generator, Drawing], tuple[Bools, Bools]]


def fixes(rng: np.random.Generator, at: Drawing) -> tuple[Bools, Bools]:
    """A candidate that fixes 30% of the errors and breaks 0.5% of what was right."""
    return rng.random(at.risk.size) < 0.3, rng.random(at.risk.size) < 0.005


def anywhere(rng: np.random.Generator, at: Drawing) -> tuple[Bools, Bools]:
    """A candidate that fixes 30% of the errors and breaks as many right ones, wherever they lie."""
    wrong = float(at.traffic.wrong.mean())
    broken = 0.3 * wrong / (1 - wrong)
    return rng.random(at.risk.size) < 0.3, rng.random(at.risk.size) < broken


def breaks_surest(rng: np.random.Generator, at: Drawing) -> tuple[Bools, Bools]:
    """A candidate that breaks 4% of the surer half and fixes nothing: the worst for an uneven draw."""
    sure = at.risk <= np.median(at.risk)
    return np.zeros(at.risk.size, dtype=bool), sure & (rng.random(at.risk.size) < 0.04)


CANDIDATES: dict[str, tuple[Change, float]] = {
    "mostly fixes": (fixes, 1.0),
    "changes anywhere": (anywhere, 1.1),
    "breaks what was sure": (breaks_surest, 1.1),
}


def _compared(runs: int) -> list[Demand]:
    found: list[Demand] = []
    for what, (change, most) in CANDIDATES.items():
        lines = [
            Demand(
                what=f"`compare`, a candidate that {what}, {name}",
                asked=most,
                measured=width,
                error=error,
                runs=runs,
                most=True,
                beside=f"coverage {covered:.1%}",
                shown=".3f",
            )
            for name in (CIFAR, NEWS, IMAGENET)
            for width, error, covered in [_gain(name, change, runs)]
        ]
        found += [_averaged(lines, what)] if most == 1 else lines
    return found


def _averaged(lines: list[Demand], what: str) -> Demand:
    """No wider on average over the sets."""
    return Demand(
        what=f"`compare`, a candidate that {what}, on average",
        asked=1.0,
        measured=float(np.mean([d.measured for d in lines])),
        error=float(np.sqrt(np.sum([d.error**2 for d in lines])) / len(lines)),
        runs=lines[0].runs,
        most=True,
        beside=", ".join(f"{d.measured:.3f} {d.what.rpartition(', ')[2]}" for d in lines),
        shown=".3f",
    )


def _gain(name: str, change: Change, runs: int) -> tuple[float, float, float]:
    """Mean width of `compare` against that of a uniform draw at the same places, and the coverage."""
    rng = np.random.default_rng(22)
    widths: tuple[list[float], list[float]] = ([], [])
    covered = 0
    for _ in range(runs):
        model = learned(name, N, rng)
        traffic = served(name, SIZE, rng)
        auto = drawing(traffic, N, model)
        chance = np.full(SIZE, N / SIZE)
        even = Drawing(traffic, auto.risk, chance, type(auto.frame).from_arrays(auto.risk, chance))
        fixed, broken = change(rng, auto)
        right = np.where(traffic.wrong, fixed, ~broken)
        gain = float(right.mean()) - traffic.accuracy
        place = rng.random(SIZE)
        for design, width in zip((auto, even), widths, strict=True):
            picked = np.flatnonzero(place < design.inclusion)
            found = compare([design.round(picked)], [right[picked]])
            assert isinstance(found, Difference)
            width.append(found.high - found.low)
            if design is auto:
                covered += found.low <= gain <= found.high
    ours, theirs = (np.array(w) for w in widths)
    ratio = float(ours.mean() / theirs.mean())
    error = float((ours - ratio * theirs).std() / theirs.mean() / np.sqrt(runs))
    return ratio, error, covered / runs
