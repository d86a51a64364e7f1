"""What predicted class, margin and attributes say of the risk beyond the confidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelloop.errors import ArgumentError
from labelloop.statistics.frame import Bools, Floats, Ints

if TYPE_CHECKING:
    import pyarrow as pa


_FEWEST = 15
"""A category with fewer labels has no voice of its own."""
_PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths of the penalty that are tried."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the model uses it: categories, or a number's mean and deviation."""

    name: str
    categories: tuple[str, ...]
    mean: float
    deviation: float


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
        """The risk once the features are known: (N,) in (0, 1)."""
        x = _design(risk, features, self.encoding)
        b = np.asarray(self.coefficients)
        result: Floats = 1 / (1 + np.exp(-(b[0] + x @ b[1:])))
        return result

    @classmethod
    def from_dict(cls, read: Mapping[str, list[object]]) -> "FeatureModel":
        """The model from what its JSON held."""
        encoding = tuple(
            Column(
                str(c["name"]),
                tuple(str(v) for v in c["categories"]),
                float(c["mean"]),
                float(c["deviation"]),
            )
            for c in read["encoding"]
            if isinstance(c, dict)
        )
        return cls(encoding, tuple(float(str(v)) for v in read["coefficients"]))


def fit_features(
    features: "pa.Table",
    wrong: Bools,
    weight: Floats,
    held_out: Floats,
    fold: Ints,
) -> FeatureModel | None:
    """The model of features with the least held-out log loss; None where the confidence alone has
    less.

    held_out
        (n,) each label's risk from the confidence, as learned from the other folds: what the
        features must improve on, and what they build on, so that they don't trust a curve that saw
        the label
    """
    if np.unique(wrong).size < 2:
        return None
    encoding = _encoding(features)
    x = _design(held_out, features, encoding)
    if x.shape[1] < 2:
        return None
    losses = {
        penalty: _log_losses(_cross_fitted(x, wrong, weight, fold, penalty), wrong, weight)
        for penalty in _PENALTIES
    }
    best = min(losses, key=lambda penalty: float(losses[penalty].sum()))
    gain = _log_losses(held_out, wrong, weight) - losses[best]
    # less than one standard error is what chance alone often gives
    if gain.mean() <= gain.std() / np.sqrt(gain.size):
        return None
    return FeatureModel(encoding, _fitted(x, wrong, weight, best))


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
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=penalty, max_iter=2000)
    model.fit(x, wrong, sample_weight=weight)
    return (float(model.intercept_[0]), *(float(v) for v in model.coef_[0]))


def _log_losses(risk: Floats, wrong: Bools, weight: Floats) -> Floats:
    p = np.clip(risk, 1e-3, 1 - 1e-3)
    result: Floats = -weight * np.where(wrong, np.log(p), np.log1p(-p))
    return result


def _encoding(features: "pa.Table") -> tuple[Column, ...]:
    """How each column is used: numbers by mean and deviation, all else by its common values."""
    found = []
    for name in features.column_names:
        numbers = _numbers(features, name)
        if numbers is None:
            values = [str(v) for v in features[name].to_pylist() if v is not None]
            common = sorted(v for v in set(values) if values.count(v) >= _FEWEST)
            found.append(Column(name, tuple(common), 0.0, 1.0))
        elif np.isfinite(numbers).any():
            known = numbers[np.isfinite(numbers)]
            deviation = float(known.std())
            found.append(Column(name, (), float(known.mean()), deviation or 1.0))
    return tuple(found)


def _numbers(features: "pa.Table", name: str) -> Floats | None:
    import pyarrow.types as kinds

    kind = features.schema.field(name).type
    if not (kinds.is_integer(kind) or kinds.is_floating(kind)):
        return None
    values: Floats = np.asarray(features[name].to_numpy(), dtype=np.float64)
    return values


def _design(risk: Floats, features: "pa.Table", encoding: tuple[Column, ...]) -> Floats:
    """The log odds of the risk, then each column: indicators, or standardised numbers."""
    p = np.clip(risk, 1e-4, 1 - 1e-4)
    parts = [np.log(p / (1 - p))[:, None]]
    for column in encoding:
        if column.name not in features.column_names:
            raise ArgumentError(
                f"features lacks {column.name!r}, which this risk learned from",
                remedy=f"pass a table with {', '.join(c.name for c in encoding)}",
            )
        if column.categories:
            values = np.asarray([str(v) for v in features[column.name].to_pylist()], dtype=object)
            parts += [(values == one).astype(np.float64)[:, None] for one in column.categories]
        else:
            numbers = _numbers(features, column.name)
            if numbers is not None:
                scaled = (numbers - column.mean) / column.deviation
                parts.append(np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)[:, None])
    return np.column_stack(parts)
