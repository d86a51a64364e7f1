"""One table of demands, then details: docs/explanation/benchmarks-statistics.md.

python -m bench.estimates [--write] [--runs N] [--only coverage,savings,...]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from bench.alarm import alarms
from bench.claims import claims
from bench.classes import classes
from bench.default_draw import default_draw
from bench.demands import HEADS, LEAST_RUNS, Demand
from bench.gates import gates
from bench.guarantees import guarantees
from bench.real_predictions import CHUNKS, Course, Traffic, courses, employment, installed
from bench.second_looks import second_looks, skips
from tests.property.populations import KINDS, Design, Population, population

from labelloop.core.line import LINE_END
from labelloop.sampling import draw, inclusion_probabilities
from labelloop.statistics import (
    ConfidenceSequence,
    Estimate,
    RiskModel,
    accuracy,
    wilson,
)
from labelloop.statistics.greg import exact_bounds

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".bench"
Table = tuple[str, list[str], list[list[str]]]
"""Words above it, its heads, its rows."""
Floats = npt.NDArray[np.float64]


def coverage(runs: int) -> list[Table]:
    """Share of intervals that hold, and their width against Clopper-Pearson on random samples."""
    rows, every = [], defaultdict(list)
    worst_width = 0.0
    below = 0
    for kind in (*KINDS, "inverted", "constant"):
        for n in (50, 100, 300, 1000):
            held: dict[float, list[float]] = {0.9: [], 0.95: []}
            widths = []
            for rate in (0.005, 0.02, 0.05, 0.1, 0.2, 0.4):
                traffic = population(kind, rate, seed=1)
                design, rng = Design(traffic, n), np.random.default_rng(2)
                covered, width, plain = defaultdict(int), 0.0, 0.0
                for _ in range(runs):
                    s = design.label(rng)
                    for level in held:
                        found = accuracy(s.correct, s.risk, s.inclusion, design.frame, level=level)
                        assert isinstance(found, Estimate)
                        covered[level] += found.low <= traffic.accuracy <= found.high
                    width += found.high - found.low
                    n_wrong = int(traffic.wrong.sum())
                    k = int(rng.hypergeometric(n_wrong, traffic.wrong.size - n_wrong, n))
                    low, high = exact_bounds(k, n, 0.95)
                    plain += high - low
                for level in held:
                    held[level].append(covered[level] / runs)
                    slack = 2.5 * np.sqrt(level * (1 - level) / runs)
                    below += covered[level] / runs < level - 0.02 - slack
                widths.append(width / plain)
            for level in held:
                every[level] += held[level]
            worst_width = max(worst_width, *widths)
            rows.append(
                [kind, str(n)]
                + [f"{np.mean(held[v]):.1%} ({min(held[v]):.1%})" for v in held]
                + [f"{np.mean(widths):.2f} ({max(widths):.2f})"]
            )
    words = (
        f"Frames of 20,000 with 0.5, 2, 5, 10, 20 and 40% errors, {runs} draws of each; 30% of "
        "each draw uniform. Mean over the error rates, the worst in brackets; width at 95% as a "
        "multiple of Clopper-Pearson's on a random sample of as many labels. Over all cells: mean "
        f"coverage {np.mean(every[0.9]):.2%} at 90% (lowest {min(every[0.9]):.1%}) and "
        f"{np.mean(every[0.95]):.2%} at 95% (lowest {min(every[0.95]):.1%}); {below} of "
        f"{len(every[0.9]) * 2} below nominal - 2 points - 2.5 standard errors; widest "
        f"{worst_width:.2f}."
    )
    return [(words, ["confidence", "n", "cover at 90%", "cover at 95%", "width"], rows)]


def random_sample_size(variance: float, m: float, size: int) -> float:
    """The random sample without replacement whose share has this variance."""
    return m * (1 - m) * size / (variance * (size - 1) + m * (1 - m))


def best_saving(now: Traffic, n: int) -> float:
    """Saved by the optimal allocation if the true error rate at each confidence were known."""
    from scipy.optimize import isotonic_regression

    wrong = ~now.correct
    _, inverse = np.unique(now.confidence, return_inverse=True)
    counts = np.bincount(inverse)
    rate = isotonic_regression(
        np.bincount(inverse, wrong) / counts, weights=counts, increasing=False
    ).x[inverse]
    deviation = np.sqrt(rate * (1 - rate))
    capped = np.zeros(wrong.size, dtype=bool)
    while True:
        scale = (n - capped.sum()) / deviation[~capped].sum()
        over = ~capped & (scale * deviation > 1)
        if not over.any():
            break
        capped |= over
    chance = np.where(capped, 1.0, scale * deviation)
    some = deviation > 0
    variance = float(
        ((1 - chance[some]) / chance[some] * deviation[some] ** 2).sum() / wrong.size**2
    )
    return 1 - n / random_sample_size(variance, float(wrong.mean()), wrong.size)


def learned(course: Course, n: int, rng: np.random.Generator, *, features: bool) -> RiskModel:
    """The risk after three rounds, each drawn with what the ones before it taught."""
    from pyarrow import array, concat_tables

    model: RiskModel | None = None
    sure, right, chance, tables = [], [], [], []
    for frame in course.earlier:
        risk = risk_of(model, frame)
        inclusion = inclusion_probabilities(risk, budget=n, n_uniform=round(0.3 * n))
        places = rng.integers(0, LINE_END, risk.size)
        picked = draw(inclusion, places, n_uniform=round(0.3 * n)).picked
        sure.append(frame.confidence[picked])
        right.append(frame.correct[picked])
        chance.append(inclusion[picked])
        tables.append(frame.features.filter(array(picked)))
        model = RiskModel.fit(
            np.concatenate(sure),
            np.concatenate(right),
            np.concatenate(chance),
            features=concat_tables(tables) if features else None,
        )
    assert model is not None
    return model


def risk_of(model: RiskModel | None, frame: Traffic) -> Floats:
    if model is None:
        return 1 - frame.confidence
    return model.predict(frame.confidence, frame.features if model.features else None)


def savings(runs: int) -> list[Table]:
    """Labels saved at n = 300 against a random sample, in variance and in width of the interval."""
    n, repetitions = 300, 17
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rng = np.random.default_rng(11)
    per_course = max(10, runs // 8)
    for course in courses(repetitions, CACHE):
        now, cell = course.now, found[course.name]
        limit = best_saving(now, n)
        cell["limit"].append(limit)
        models = {
            "confidence": None,
            "learned": learned(course, n, rng, features=False),
            "with features": learned(course, n, rng, features=True),
        }
        cell["features used"].append(models["with features"].features is not None)
        truth, m = float(now.correct.mean()), float((~now.correct).mean())
        for name, model in models.items():
            design = Design(Population(~now.correct, risk_of(model, now)), n)
            errors, widths, covered = [], [], 0
            for _ in range(per_course):
                s = design.label(rng)
                got = accuracy(s.correct, s.risk, s.inclusion, design.frame)
                assert isinstance(got, Estimate)
                errors.append((got.value - truth) ** 2)
                widths.append(got.high - got.low)
                covered += got.low <= truth <= got.high
            cell[name].append(1 - n / random_sample_size(exact_variance(design), m, m_size(now)))
            cell[f"{name} mse"].append(float(np.mean(errors)))
            cell[f"{name} mse wanted"].append(m * (1 - m) / n)
            plain = wilson(round(truth * n), n)
            assert isinstance(plain, Estimate)
            cell[f"{name} width"].append(
                1 - (float(np.mean(widths)) / (plain.high - plain.low)) ** 2
            )
            cell[f"{name} cover"].append(covered / per_course)
    rows = []
    ratios: dict[str, list[float]] = defaultdict(list)
    for name, cell in found.items():
        limit = float(np.mean(cell["limit"]))
        row = [name, f"{limit:.0%}"]
        for kind in ("confidence", "learned", "with features"):
            saved = float(np.mean(cell[kind]))
            ratios[kind].append(saved / limit)
            seen = 1 - sum(cell[f"{kind} mse"]) / sum(cell[f"{kind} mse wanted"])
            row.append(
                f"{saved:.0%} = {saved / limit:.0%} of it; seen {seen:.0%}; by width "
                f"{np.mean(cell[f'{kind} width']):.0%}; cover {np.mean(cell[f'{kind} cover']):.1%}"
            )
        rows.append([*row, f"{np.mean(cell['features used']):.0%}"])
    means = {kind: float(np.mean(values)) for kind, values in ratios.items()}
    words = (
        f"n = {n}, 30% uniform; {repetitions} courses of each data set, {per_course} draws of "
        "each. The limit is the optimal allocation with the true error rate at each confidence. "
        "`learned`: from three earlier rounds of 300, by confidence; with features (class, margin, "
        "attributes) it is what `select` does. Saved in exact design variance, as a share "
        "of the limit; as seen in the spread of the estimates; by the width of the 95% interval "
        "against Wilson's on 300 random labels; coverage. Of the limit on average over the three: "
        + ", ".join(f"{kind} {value:.1%}" for kind, value in means.items())
        + "."
    )
    heads = [
        "data",
        "limit",
        "1 - confidence",
        "learned",
        "learned, with features",
        "features used",
    ]
    return [(words, heads, rows)]


def m_size(now: Traffic) -> int:
    return int(now.correct.size)


def exact_variance(design: Design) -> float:
    """The variance of the regression estimator over draws, by linearisation on the whole frame."""
    from labelloop.sampling import BIN_RISKS, risk_bins

    risk = BIN_RISKS[risk_bins(design.traffic.risk)]
    x = np.column_stack([np.ones_like(risk), risk])
    wrong = design.traffic.wrong.astype(float)
    residual = wrong - x @ np.linalg.lstsq(x, wrong, rcond=None)[0]
    chance = design.inclusion
    return float(((1 - chance) / chance * residual**2).sum() / wrong.size**2)


def over_years(runs: int) -> list[Table]:
    """Employment, 20 chunks of time: 300 labels a chunk against an estimate without labels."""
    from scipy.optimize import isotonic_regression

    chunks = employment(CACHE)
    rng = np.random.default_rng(12)
    # label-free: confidence calibrated on the reference year, the first five chunks, then averaged
    # (confidence-based performance estimation, as nannyml does)
    sure = np.concatenate([c.confidence for c in chunks[:5]])
    right = np.concatenate([c.correct for c in chunks[:5]]).astype(float)
    order = np.argsort(sure)
    curve = isotonic_regression(right[order]).x
    off: dict[str, list[float]] = defaultdict(list)
    repeats, covered, total = max(3, runs // 50), 0, 0
    for _ in range(repeats):
        for h in range(5, CHUNKS):
            now = chunks[h]
            truth = float(now.correct.mean())
            model = learned(
                Course("employment", tuple(chunks[h - 3 : h]), now), 300, rng, features=False
            )
            design = Design(Population(~now.correct, risk_of(model, now)), 300)
            s = design.label(rng)
            found = accuracy(s.correct, s.risk, s.inclusion, design.frame)
            assert isinstance(found, Estimate)
            covered += found.low <= truth <= found.high
            total += 1
            off["ours"].append(abs(found.value - truth))
            off["width"].append(found.high - found.low)
            off["random"].append(
                abs(float(now.correct[rng.permutation(truth_size(now))[:300]].mean()) - truth)
            )
            off["free"].append(
                abs(float(np.interp(now.confidence, sure[order], curve).mean()) - truth)
            )
    rows = [
        [
            "300 labels, risk learned",
            f"{np.mean(off['ours']):.2%}",
            f"{max(off['ours']):.2%}",
            f"{covered / total:.1%} (mean width {np.mean(off['width']):.1%})",
        ],
        [
            "300 labels, random sample",
            f"{np.mean(off['random']):.2%}",
            f"{max(off['random']):.2%}",
            "-",
        ],
        [
            "no labels: calibrated confidence",
            f"{np.mean(off['free']):.2%}",
            f"{max(off['free']):.2%}",
            "none promised",
        ],
    ]
    words = (
        f"Chunks 6 to 20, {repeats} times. How far each is off the true accuracy of its chunk. The "
        "estimate without labels was calibrated on the truth of all "
        f"{sum(c.correct.size for c in chunks[:5]):,} samples of chunks 1 to 5. Here, where that "
        "calibration stays true for years, it beats 300 labels. It can't know when it has moved, "
        "and has no interval that would say so: compare the last column."
    )
    return [(words, ["estimate", "off on average", "at most", "covered at 95%"], rows)]


def truth_size(now: Traffic) -> int:
    return int(now.correct.size)


def repeated_looks(runs: int) -> list[Table]:
    """Runs in which an interval misses the truth at any of 60 looks."""
    rng = np.random.default_rng(14)
    repeats = max(200, runs * 2)
    rows = []
    for p in (0.8, 0.9, 0.97):
        missed = {"plain": 0, "running": 0}
        width = {"plain": 0.0, "running": 0.0}
        for _ in range(repeats):
            running, k, bad = ConfidenceSequence(), 0, {"plain": False, "running": False}
            for look in range(1, 61):
                right = int(rng.binomial(20, p))
                k += right
                for name, found in (
                    ("running", running.update(right, 20)),
                    ("plain", wilson(k, 20 * look)),
                ):
                    assert isinstance(found, Estimate)
                    bad[name] |= not found.low <= p <= found.high
                    if look == 60:
                        width[name] += found.high - found.low
            for name in bad:
                missed[name] += bad[name]
        rows.append(
            [f"{p:.0%}"]
            + [
                f"{missed[k] / repeats:.1%} (width at the end {width[k] / repeats:.1%})"
                for k in missed
            ]
        )
    words = f"20 labels a look, 95%, {repeats} runs."
    return [(words, ["true accuracy", "Wilson at each look", "confidence sequence"], rows)]


def against_glide(runs: int) -> list[Table]:
    """Coverage and width beside glide-py's active statistical inference."""
    package = installed("glide-py", CACHE)
    rows = []
    for kind in ("calibrated", "over-confident", "permuted"):
        for rate in (0.01, 0.05, 0.2):
            for n in (100, 300):
                traffic = population(kind, rate, size=5_000, seed=1)
                design, rng = Design(traffic, n), np.random.default_rng(15)
                covered, width = 0, 0.0
                for _ in range(runs):
                    s = design.label(rng)
                    found = accuracy(s.correct, s.risk, s.inclusion, design.frame)
                    assert isinstance(found, Estimate)
                    covered += found.low <= traffic.accuracy <= found.high
                    width += found.high - found.low
                theirs = glide(package, traffic, n, runs)
                rows.append(
                    [
                        kind,
                        f"{rate:.0%}",
                        str(n),
                        f"{covered / runs:.1%}",
                        f"{theirs[0]:.1%}",
                        f"{width / runs:.1%}",
                        f"{theirs[1]:.1%}",
                    ]
                )
    words = (
        "glide-py 0.11.0, ActiveSampler with ASIMeanEstimator, uncertainty sqrt(f (1 - f)) and "
        "proxy f with f kept within 0.001 and 0.999, in a folder of its own; frames of 5,000, "
        f"{runs} runs, 95%. Where no drawn sample was wrong it gives no interval: not covered."
    )
    heads = ["confidence", "errors", "n", "cover", "glide's", "width", "glide's"]
    return [(words, heads, rows)]


def glide(package: Path, traffic: Population, n: int, runs: int) -> tuple[float, float]:
    with tempfile.NamedTemporaryFile(suffix=".npz") as held:
        np.savez(held, risk=traffic.risk, wrong=traffic.wrong)
        held.flush()
        done = subprocess.run(
            [sys.executable, "-P", str(HERE / "glide_side.py"), held.name, str(n), str(runs), "0"],
            env={**os.environ, "PYTHONPATH": str(package)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    covered, width, _ = json.loads(done.stdout)
    return covered, width


PARTS: dict[str, tuple[str, Callable[[int], list[Table]]]] = {
    "coverage": ("Coverage and width", coverage),
    "savings": ("Labels saved", savings),
    "years": ("Employment over the years, against an estimate without labels", over_years),
    "looks": ("Sixty looks", repeated_looks),
    "glide": ("Beside glide-py", against_glide),
}


DEMANDS: dict[str, Callable[[int], list[Demand]]] = {
    "people": second_looks,
    "skips": skips,
    "draw": default_draw,
    "guarantees": guarantees,
    "gates": gates,
    "alarms": alarms,
    "claims": claims,
    "classes": classes,
}
"""By subject: the lines of the one table of demands."""


def demands(runs: int, names: Iterable[str], *, again: bool) -> Table:
    """One line a demand: asked, measured, met or not; `again` False: kept lines of as many runs do."""
    runs = max(runs, LEAST_RUNS)
    rows = []
    for name in names:
        began = time.monotonic()
        kept = CACHE / f"demands-{name}-{runs}.json"
        if again or not kept.exists():
            kept.write_text(json.dumps([d.row for d in DEMANDS[name](runs)]))
        found = json.loads(kept.read_text())
        rows += found
        print(f"{name}: {len(found)} demands, {time.monotonic() - began:.0f} s", flush=True)
    words = (
        f"{len(rows)} demands, {sum(row[-1] == 'NO' for row in rows)} of them not met. In brackets: the "
        "standard error of the simulation. A number that misses what is asked by less than 2.5 of it is "
        "`within error`. What each line simulates stands in bench/, in the function that makes it."
    )
    return words, HEADS, rows


def wrapped(words: str) -> str:
    return textwrap.fill(words, 100, break_long_words=False, break_on_hyphens=False)


def rendered(table: Table) -> str:
    words, heads, rows = table
    lines = [wrapped(words), "", " | ".join(["", *heads, ""]).strip(), "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument(
        "--write", action="store_true", help="write docs/explanation/benchmarks-statistics.md"
    )
    asked.add_argument("--runs", type=int, default=400, help="simulated draws a cell")
    asked.add_argument("--only", default=",".join([*DEMANDS, *PARTS]), help="parts, by commas")
    asked.add_argument("--kept", action="store_true", help="demands: lines measured before will do")
    given = asked.parse_args()
    CACHE.mkdir(exist_ok=True)
    pages = [
        "# Benchmarks of the statistics",
        "*Explanation*",
        wrapped(
            f"Made by `make bench-statistics`: {given.runs} runs a cell unless said otherwise, "
            "with the seeds that stand in bench/estimates.py: the same numbers come out again "
            "with the same versions of NumPy and SciPy."
        ),
    ]
    only = given.only.split(",")
    if asked_of := [name for name in only if name in DEMANDS]:
        pages.append(
            f"## Demands\n\n{rendered(demands(given.runs, asked_of, again=not given.kept))}"
        )
        print(f"{pages[-1]}\n", flush=True)
    for name in [name for name in only if name in PARTS]:
        title, part = PARTS[name]
        began = time.monotonic()
        page = "\n\n".join([f"## {title}", *(rendered(table) for table in part(given.runs))])
        print(f"{page}\n\n({time.monotonic() - began:.0f} s)\n", flush=True)
        pages.append(page)
    if given.write:
        (HERE.parent / "docs" / "explanation" / "benchmarks-statistics.md").write_text(
            "\n\n".join(pages) + "\n"
        )


if __name__ == "__main__":
    main()
