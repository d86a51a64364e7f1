"""The part of the risk that predicted class, margin and attributes tell beyond the confidence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelloop.core.arrays import Bools, Floats, Ints
from labelloop.errors import ArgumentError

if TYPE_CHECKING:
    import pyarrow as pa


_FEWEST = 15
"""A category with fewer labels, and absence with fewer, has no voice of its own."""
_PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths of the penalty that are tried."""
_MOST_STEPS, _CLOSE = 100, 1e-9
"""Newton steps at most, and the change of a factor that is none any more."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the model uses it.

    categories
        the values that have a coefficient; any other says nothing. Empty for a number
    absent
        whether having no value has a coefficient
    mean, deviation, low, high
        of a number: it is standardised, and counts as no less and no more than labels had
    """

    name: str
    numeric: bool
    categories: tuple[str, ...] = ()
    absent: bool = False
    mean: float = 0.0
    deviation: float = 1.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class FeatureModel:
    """A penalised logistic regression on the log odds of the confidence's risk, and the columns.

    coefficients: the intercept, the factor of the log odds, then one for each regressor.
    """

    encoding: tuple[Column, ...]
    coefficients: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns it needs."""
        return tuple(column.name for column in self.encoding)

    def adjust(self, risk: Floats, features: "pa.Table") -> Floats:
        """The risk once the features are known: (N,) in (0, 1).

        Each sample's is computed apart from all others, so it is the same in any batch.
        """
        intercept, *factors = self.coefficients
        total = np.full(risk.size, intercept)
        for factor, regressor in zip(
            factors, _regressors(risk, features, self.encoding), strict=True
        ):
            total += factor * regressor
        result: Floats = 1 / (1 + np.exp(-total))
        return result

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> "FeatureModel":
        """The model from its parsed JSON."""
        encoding = [Column(**c | {"categories": tuple(c["categories"])}) for c in read["encoding"]]
        return cls(tuple(encoding), tuple(read["coefficients"]))


def fit_features(
    features: "pa.Table",
    wrong: Bools,
    weight: Floats,
    held_out: Floats,
    fold: Ints,
) -> FeatureModel | None:
    """The model of those features that lower the held-out log loss; None where none does.

    Columns are tried in their order, each beside those that were taken before it. One is taken if
    the loss falls by more than its standard error: less is what chance alone often gives.

    held_out
        (n,) each label's risk from the confidence, as learned from the other folds: what the
        features must improve on, and what they build on, so that they don't trust a curve that saw
        the label
    """
    if np.unique(wrong).size < 2:
        return None
    taken: FeatureModel | None = None
    loss = _log_losses(held_out, wrong, weight)
    for column in _encoding(features):
        encoding = (*(taken.encoding if taken else ()), column)
        x = np.column_stack(_regressors(held_out, features, encoding))
        losses = {
            penalty: _log_losses(_cross_fitted(x, wrong, weight, fold, penalty), wrong, weight)
            for penalty in _PENALTIES
        }
        best = min(losses, key=lambda penalty: float(losses[penalty].sum()))
        gain = loss - losses[best]
        if gain.mean() > gain.std() / math.sqrt(gain.size):
            taken = FeatureModel(encoding, _fitted(x, wrong, weight, best))
            loss = losses[best]
    return taken


def as_numbers(values: Sequence[str | None]) -> list[float | None] | None:
    """The numbers that texts stand for; None unless every text does, and there is one.

    >>> as_numbers(["1", None, "2.5"]), as_numbers(["1", "one"]), as_numbers([None])
    ([1.0, None, 2.5], None, None)
    """
    read = [None if value is None else _number(value) for value in values]
    known = [number for number in read if number is not None]
    return read if known and not any(math.isnan(number) for number in known) else None


def _number(text: str) -> float:
    """The finite number that a text stands for; NaN if none."""
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _cross_fitted(x: Floats, wrong: Bools, weight: Floats, fold: Ints, penalty: float) -> Floats:
    result = np.empty(wrong.size)
    for k in np.unique(fold):
        inside, outside = fold != k, fold == k
        if np.unique(wrong[inside]).size < 2:
            result[outside] = wrong[inside].mean()
            continue
        b = np.asarray(_fitted(x[inside], wrong[inside], weight[inside], penalty))
        result[outside] = 1 / (1 + np.exp(-(b[0] + x[outside] @ b[1:])))
    return result


def _fitted(x: Floats, wrong: Bools, weight: Floats, penalty: float) -> tuple[float, ...]:
    """The intercept and the factors of a logistic regression, by Newton's method.

    They minimise `penalty` times the weighted log loss, plus half the sum of the squared factors; the
    intercept is free. The sum is convex, so a step that is halved until it helps gets there.
    """
    design = np.column_stack([np.ones(len(x)), x])
    pull = np.diag([0.0, *np.ones(x.shape[1])]) / penalty
    y = wrong.astype(np.float64)

    def cost(b: Floats) -> float:
        z = design @ b
        return float(weight @ (np.logaddexp(0, z) - y * z) + b @ pull @ b / 2)

    b: Floats = np.zeros(design.shape[1])
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-design @ b))
        gradient = design.T @ (weight * (p - y)) + pull @ b
        curved = np.maximum(weight * p * (1 - p), 1e-12)
        step = np.linalg.solve((design * curved[:, None]).T @ design + pull, gradient)
        before = cost(b)
        while cost(b - step) > before and np.abs(step).max() > _CLOSE:
            step /= 2
        b = b - step
        if np.abs(step).max() <= _CLOSE:
            break
    return tuple(map(float, b))


def _log_losses(risk: Floats, wrong: Bools, weight: Floats) -> Floats:
    p = np.clip(risk, 1e-3, 1 - 1e-3)
    result: Floats = -weight * np.where(wrong, np.log(p), np.log1p(-p))
    return result


def _encoding(features: "pa.Table") -> tuple[Column, ...]:
    """The encoding of each column; columns without information are left out."""
    import pyarrow.types as kinds

    found = []
    for field in features.schema:
        values = features[field.name]
        if kinds.is_integer(field.type) or kinds.is_floating(field.type):
            numbers = _numbers(values)
            known = numbers[~np.isnan(numbers)]
            absent = numbers.size - known.size >= _FEWEST
            if known.size and (known.min() < known.max() or absent):
                found.append(
                    Column(
                        field.name,
                        numeric=True,
                        absent=absent,
                        mean=float(known.mean()),
                        deviation=float(known.std()) or 1.0,
                        low=float(known.min()),
                        high=float(known.max()),
                    )
                )
            continue
        codes, names = _codes(values)
        counts = np.bincount(codes + 1, minlength=len(names) + 1)
        common = sorted(name for name, n in zip(names, counts[1:], strict=True) if n >= _FEWEST)
        absent = bool(counts[0] >= _FEWEST)
        if len(common) + absent > 1 or (common and max(counts) < codes.size):
            found.append(Column(field.name, numeric=False, categories=tuple(common), absent=absent))
    return tuple(found)


def _regressors(risk: Floats, features: "pa.Table", encoding: Sequence[Column]) -> list[Floats]:
    """The log odds of the risk, then those of each column: indicators, or a standardised number."""
    p = np.clip(risk, 1e-4, 1 - 1e-4)
    parts: list[Floats] = [np.log(p / (1 - p))]
    for column in encoding:
        if column.name not in features.column_names:
            raise ArgumentError(
                f"features lacks {column.name!r}, which this risk learned from",
                remedy=f"pass a table with {', '.join(c.name for c in encoding)}",
            )
        values = features[column.name]
        if column.numeric:
            numbers = _numbers(values)
            unknown = np.isnan(numbers)
            inside = np.clip(np.where(unknown, column.mean, numbers), column.low, column.high)
            parts.append((inside - column.mean) / column.deviation)
        else:
            codes, names = _codes(values)
            unknown = codes < 0
            numbered = {name: code for code, name in enumerate(names)}
            # -2 stands for a category that isn't there
            parts += [(codes == numbered.get(c, -2)).astype(np.float64) for c in column.categories]
        if column.absent:
            parts.append(unknown.astype(np.float64))
    return parts


def _numbers(values: "pa.ChunkedArray") -> Floats:
    """The numbers of a column of numbers or of text, NaN for what is none: (n,) float64."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_integer(values.type) or kinds.is_floating(values.type):
        numbers: Floats = values.cast(pa.float64()).to_numpy().copy()
        numbers[~np.isfinite(numbers)] = np.nan
        return numbers
    codes, names = _codes(values)
    # the code -1 of what is absent reads the last entry
    return np.array([*(_number(name) for name in names), np.nan])[codes]


def _codes(values: "pa.ChunkedArray") -> tuple[Ints, list[str]]:
    """Each value as the number of its text, -1 where it is absent: (n,) int64, and the texts."""
    import pyarrow as pa

    encoded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    codes: Ints = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()
