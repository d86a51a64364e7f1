"""The numbers of every class, and the slices that are called worse: one line a demand."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from bench.demands import Demand, share
from tests.property.sets import CIFAR, NEWS, Drawing, drawing, learned, served

from labelloop.statistics import ClassTable, Estimate, Undefined, by_class
from labelloop.statistics.accuracy import pooled
from labelloop.statistics.frame import BlindRound, Frame
from labelloop.statistics.slices import benjamini_yekutieli, worse_than_rest

SIZE, CLASSES, LEVEL = 20_000, 10, 0.95
SKEW = {CIFAR: 0.0, NEWS: 0.7}
"""Class i is as frequent as 1 / (i + 1) ** skew."""
NUMBERS = ("precision", "recall", "f1", "share")
SITES = 20

Texts = npt.NDArray[np.str_]


def classes(runs: int) -> list[Demand]:
    """Precision, recall, F1 and share of ten classes: how often they are shown, and hold the truth.

    On CIFAR-10-like traffic the classes are equally frequent, on 20news-like traffic the rarest is a fifth
    of the most frequent; three of four mistakes are for a neighbour. Draws are uniform, and by "auto" with a
    risk that was learned over three rounds. "A part" are 40% of the traffic, as of a site.
    """
    found: list[Demand] = []
    precise: list[bool] = []
    every: dict[str, list[float]] = defaultdict(list)
    macro: dict[str, float] = {}
    regressed: list[float] = []
    shown: list[bool] = []
    for name in (CIFAR, NEWS):
        for n in (200, 700):
            for told, even in (("uniform", True), ("auto", False)):
                for of_part in (False, True) if n == 700 else (False,):
                    where = f"{name}, n = {n}, {told}{', a part' if of_part else ''}"
                    cell = _cell(name, n, runs, even=even, of_part=of_part)
                    every[where] = cell.coverage()
                    regressed += cell.regressed
                    if cell.macro:
                        macro[where] = float(np.mean(cell.macro))
                    if n == 200:
                        precise += cell.precise
                    elif not of_part:
                        shown += cell.shown
    found.append(share("class numbers shown, n = 700, 10 classes", shown, 0.9))
    found.append(share("precision of a class known, n = 200, 10 classes", precise, 1.0))
    found += _holding("class numbers", every, runs)
    worst = min(macro, key=lambda where: macro[where])
    found.append(_lowest("macro-F1", macro[worst], runs, worst))
    lowest = float(np.min(regressed))
    found.append(_lowest("precision by regression, whole rounds by auto", lowest, runs, ""))
    return found + list(_slices(runs))


def _holding(what: str, every: dict[str, list[float]], runs: int) -> Iterator[Demand]:
    """The mean coverage over all cells, and the lowest."""
    coverage = np.concatenate([np.array(held) for held in every.values()])
    error = float(np.sqrt(LEVEL * (1 - LEVEL) / runs))
    yield Demand(
        what=f"{what} at 95%: mean coverage",
        asked=LEVEL - error,
        measured=float(coverage.mean()),
        error=0.0,
        runs=runs,
        beside=f"{coverage.size} numbers",
    )
    where = min(every, key=lambda cell: min(every[cell]))
    yield _lowest(what, float(coverage.min()), runs, where)


def _lowest(what: str, measured: float, runs: int, where: str) -> Demand:
    """Nominal less two points; 2.5 standard errors are those of every demand."""
    return Demand(
        what=f"{what} at 95%: lowest coverage",
        asked=LEVEL - 0.02,
        measured=measured,
        error=float(np.sqrt(LEVEL * (1 - LEVEL) / runs)),
        runs=runs,
        beside=where,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """What the runs of one design gave."""

    held: dict[tuple[str, str], list[bool]]
    shown: list[bool]
    precise: list[bool]
    macro: list[bool]
    regressed: list[float]

    def coverage(self) -> list[float]:
        return [float(np.mean(held)) for held in self.held.values()]


def _cell(name: str, n: int, runs: int, *, even: bool, of_part: bool) -> _Cell:
    rng = np.random.default_rng(5)
    model = None if even else learned(name, n, rng)
    design = drawing(served(name, SIZE, rng), n, model)
    true, said = _classes(design, SKEW[name], rng)
    inside = rng.random(SIZE) < (0.4 if of_part else 1.0)
    labels, counts = np.unique(said, return_counts=True)
    totals = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    whole = by_class(true, said, np.ones(SIZE), totals, inside=inside)
    truths = {row.name: row for row in whole.rows}
    cell = _Cell(defaultdict(list), [], [], [], [])
    held_precision: dict[str, list[bool]] = defaultdict(list)
    for _ in range(runs):
        at = design.draw(rng)
        table = by_class(true[at], said[at], design.inclusion[at], totals, inside=inside[at])
        _count(table, whole, cell)
        if not (even or of_part):
            for of in totals:
                found = _by_regression(design, said, true, at, of)
                if isinstance(found, Estimate):
                    real = truths[of].precision
                    assert isinstance(real, Estimate)
                    held_precision[of].append(found.low <= real.value <= found.high)
    cell.regressed.extend(float(np.mean(held)) for held in held_precision.values())
    return cell


def _classes(design: Drawing, skew: float, rng: np.random.Generator) -> tuple[Texts, Texts]:
    """People's answers and the model's."""
    weights = 1 / np.arange(1, CLASSES + 1) ** skew
    code = rng.choice(CLASSES, SIZE, p=weights / weights.sum())
    mistaken = (code + rng.choice([1, 1, 1, 5], SIZE)) % CLASSES
    said = np.where(design.traffic.wrong, mistaken, code)
    names = np.array([f"class {i}" for i in range(CLASSES)])
    return names[code], names[said]


def _count(table: ClassTable, whole: ClassTable, cell: _Cell) -> None:
    rows = {row.name: row for row in table.rows}
    for truth in whole.rows:
        for number in NUMBERS:
            row = rows.get(truth.name)
            found, real = getattr(row, number, None), getattr(truth, number)
            cell.shown.append(isinstance(found, Estimate))
            if number == "precision":
                cell.precise.append(isinstance(found, Estimate))
            if isinstance(found, Estimate):
                covers = found.low <= real.value <= found.high
                cell.held[truth.name, number].append(covers)
    if isinstance(table.macro_f1, Estimate):
        assert isinstance(whole.macro_f1, Estimate)
        real, found = whole.macro_f1.value, table.macro_f1
        cell.macro.append(found.low <= real <= found.high)


def _by_regression(
    design: Drawing, said: Texts, true: Texts, at: npt.NDArray[np.int64], of: str
) -> Estimate | Undefined:
    """Precision as `measure` makes it of whole rounds that were drawn unevenly."""
    frame = Frame.from_arrays(design.risk[said == of], design.inclusion[said == of])
    own = at[said[at] == of]
    one = BlindRound.checked(true[own] == of, design.risk[own], design.inclusion[own], frame)
    return pooled([one])


def _slices(runs: int) -> Iterator[Demand]:
    """Twenty sites, 700 labels: what is called worse where nothing is, and where one site is."""
    rng = np.random.default_rng(6)
    none = [bool(_worse(rng, 0.92).any()) for _ in range(runs)]
    yield share(f"no slice of {SITES} is worse, n = 700: one is named", none, 0.05, most=True)
    one = [_worse(rng, 0.65) for _ in range(runs)]
    n_named = sum(int(worse.sum()) for worse in one)
    n_false = sum(int(worse[1:].sum()) for worse in one)
    yield share(
        "one site of 20 (a tenth of the traffic) with 65% against 92%: it is named",
        [bool(worse[0]) for worse in one],
        0.8,
        beside=f"{n_false} of {n_named} named falsely",
    )


def _worse(rng: np.random.Generator, first: float) -> npt.NDArray[np.bool_]:
    chance = np.array([0.1, *[0.9 / (SITES - 1)] * (SITES - 1)])
    site = rng.choice(SITES, 700, p=chance)
    correct = rng.random(700) < np.where(site == 0, first, 0.92)
    p_values = [worse_than_rest(correct, np.full(700, 0.035), site == s) for s in range(SITES)]
    return benjamini_yekutieli(p_values)
