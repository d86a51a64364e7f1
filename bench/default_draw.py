"""What the default draw saves, what it costs where risk says nothing, and what it does to `compare`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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
Row = list[str]


def default_draw(runs: int) -> list[tuple[str, list[str], list[Row]]]:
    """One line a demand: asked, measured, met or not."""
    runs = max(runs, 500)
    rows = [_saved(name, runs) for name in (CIFAR, NEWS, IMAGENET)]
    rows += [_cost(name, runs) for name in (CIFAR, NEWS, IMAGENET)]
    rows += _compared(runs)
    words = (
        f'`draw = "auto"`, {N} labels a round from frames of {SIZE:,}, {runs} runs a line, each with a '
        "risk of its own, learned over three rounds. Saved: labels, in the exact design variance of the "
        "estimate, the limit being the optimal allocation with the true error rates; and by the width of "
        "the 95% interval. Widths are against Wilson's on a random sample of as many labels. "
        "`compare`: width against a uniform draw with the same risk. In brackets: standard errors."
    )
    return [(words, ["demand", "asked", "measured", "saved by width", "coverage", "met"], rows)]


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


def _saved(name: str, runs: int) -> Row:
    found, most = _found(name, runs, told=True), limit(name)
    return [
        f"labels saved, {name}",
        f"70% of the limit's {most:.0%}",
        f"{found.saved:.1%} = {found.saved / most:.0%} of it ({found.saved_error / most:.1%})",
        f"{1 - found.width**2:.1%}",
        f"{found.covered:.1%}",
        "yes" if found.saved >= 0.7 * most else "NO",
    ]


def _cost(name: str, runs: int) -> Row:
    found = _found(name, runs, told=False)
    return [
        f"width where risk says nothing, {name}",
        "at most 1.05",
        f"{found.width:.3f} ({found.width_error:.3f})",
        "",
        f"{found.covered:.1%}",
        "yes" if found.width <= 1.05 else "NO",
    ]


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


def _compared(runs: int) -> list[Row]:
    rows: list[Row] = []
    for what, (change, most) in CANDIDATES.items():
        ratios = []
        for name in (CIFAR, NEWS, IMAGENET):
            width, error, covered = _gain(name, change, runs)
            ratios.append(width)
            rows.append(
                [
                    f"`compare`, a candidate that {what}, {name}",
                    f"at most {most:.2f}" if most > 1 else "on average no wider",
                    f"{width:.3f} ({error:.3f})",
                    "",
                    f"{covered:.1%}",
                    ("yes" if width <= most else "NO") if most > 1 else "",
                ]
            )
        if most == 1:
            mean = float(np.mean(ratios))
            rows.append(
                [
                    f"the three on average, {what}",
                    "at most 1.00",
                    f"{mean:.3f}",
                    "",
                    "",
                    "yes" if mean <= 1 else "NO",
                ]
            )
    return rows


def _gain(name: str, change: Change, runs: int) -> tuple[float, float, float]:
    """Mean width of `compare` against that of a uniform draw, and the coverage."""
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
        for design, width in zip((auto, even), widths, strict=True):
            picked = design.draw(rng)
            found = compare([design.round(picked)], [right[picked]])
            assert isinstance(found, Difference)
            width.append(found.high - found.low)
            if design is auto:
                covered += found.low <= gain <= found.high
    ours, theirs = (np.array(w) for w in widths)
    error = float(ours.std() / theirs.mean() / np.sqrt(runs))
    return float(ours.mean() / theirs.mean()), error, covered / runs
