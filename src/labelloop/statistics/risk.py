"""How likely the model is to be wrong on a sample, learned from the blind labels of earlier rounds.

Estimand: P(wrong | confidence), and with features P(wrong | confidence, features). Half of it is an
isotonic regression (Ayer et al. 1955), which follows any falling curve but is blind between its
steps; half is logistic in the logit of the confidence (Platt 1999; Cox 1958), which is smooth and
never 0. Both weight each label by 1 / inclusion, so the curve is that of the traffic and not that
of the draws.

Assumes only that it is fixed before the draw in which it is used, and that the labels of that draw
take no part in it. A risk that is wrong costs width, never coverage.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, probabilities, same_length, truths
from labelloop.core.probability import unrounded
from labelloop.errors import ArgumentError
from labelloop.statistics.risk_features import FeatureModel, fit_features

if TYPE_CHECKING:
    import pyarrow as pa

_UNKNOWN = 0.5
"""The risk of a sample without a confidence before any such sample was labelled."""


@dataclass(frozen=True, slots=True)
class RiskModel:
    """A calibrated error model: `fit` learns it, `predict` gives risks, `to_json` freezes it.

    knots, steps
        the isotonic half: risk at rising logits of confidence, straight between them
    intercept, slope
        the logistic half
    missing
        the risk of samples without a confidence
    features
        what class, margin and attributes add; None where held-out labels did not favour them
    n
        labels that it learned from

    >>> right = [True, True, True, False]
    >>> model = RiskModel.fit([0.99, 0.9, 0.6, 0.5] * 20, right * 20, [0.1] * 80)
    >>> model.predict([0.99, 0.55, float("nan")]).round(2).tolist()
    [0.0, 0.51, 0.5]
    """

    knots: tuple[float, ...]
    steps: tuple[float, ...]
    intercept: float
    slope: float
    missing: float
    n: int
    features: FeatureModel | None = None

    @classmethod
    def fit(
        cls,
        confidence: npt.ArrayLike,
        correct: npt.ArrayLike,
        inclusion: npt.ArrayLike,
        *,
        features: "pa.Table | None" = None,
    ) -> "RiskModel":
        """The model learned from labelled blind draws of earlier rounds.

        confidence
            (n,) float64 in [0, 1], NaN where missing
        correct
            (n,) bool: whether the answer equals the prediction
        inclusion
            (n,) float64 in (0, 1], as drawn
        features
            a pyarrow Table of n rows: numbers are numbers, all else are categories. A column is used
            only if cross-validation says that it lowers the log loss, tried in the table's order

        Raises:
            ArgumentError: no labels, lengths that differ, values out of range.
        """
        sure = _confidences(confidence)
        wrong = ~truths("correct", correct)
        given = probabilities("inclusion", inclusion)
        same_length(confidence=sure, correct=wrong, inclusion=given)
        if wrong.size == 0:
            raise ArgumentError(
                "correct: there are no labels to learn from",
                remedy="use 1 - confidence as the risk until there are labels",
            )
        weight = 1 / given
        weight *= weight.size / weight.sum()
        base = _fit_confidence(sure, wrong, weight)
        if features is None:
            return base
        if features.num_rows != wrong.size:
            raise ArgumentError(
                f"features has {features.num_rows} rows where correct has {wrong.size}",
                remedy="pass the same samples in each",
            )
        held_out = np.empty(wrong.size)
        fold = np.arange(wrong.size) % _FOLDS
        for k in range(_FOLDS):
            inside, outside = fold != k, fold == k
            part = _fit_confidence(sure[inside], wrong[inside], weight[inside])
            held_out[outside] = part.predict(sure[outside])
        found = fit_features(features, wrong, weight, held_out, fold)
        return cls(base.knots, base.steps, base.intercept, base.slope, base.missing, base.n, found)

    def predict(self, confidence: npt.ArrayLike, features: "pa.Table | None" = None) -> Floats:
        """The probability that the model is wrong: (N,) float64 in [0, 1]. NaN confidence is
        missing.

        Raises:
            ArgumentError: confidence outside [0, 1]; features absent where the model learned from
            them,
                or without a column that it learned from.
        """
        sure = _confidences(confidence)
        x = _logit(sure)
        smooth = 1 / (1 + np.exp(-(self.intercept + self.slope * x)))
        stepped = np.interp(x, self.knots, self.steps) if self.knots else smooth
        risk = np.where(np.isnan(sure), self.missing, (smooth + stepped) / 2)
        if self.features is not None:
            if features is None or features.num_rows != risk.size:
                raise ArgumentError(
                    "features: this risk learned from " + ", ".join(self.features.columns),
                    remedy="pass a table with these columns and one row for each sample",
                )
            risk = self.features.adjust(risk, features)
        return np.clip(risk, 0.0, 1.0)

    def to_json(self) -> str:
        """The model as JSON; the same model gives the same text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "RiskModel":
        """The model that `to_json` wrote."""
        read = json.loads(text)
        features = read.pop("features")
        read["knots"], read["steps"] = tuple(read["knots"]), tuple(read["steps"])
        return cls(**read, features=FeatureModel.from_dict(features) if features else None)


_FOLDS = 5


def _confidences(confidence: npt.ArrayLike) -> Floats:
    given = unrounded(confidence)
    known = given[~np.isnan(given)]
    if given.ndim != 1 or not ((known >= 0) & (known <= 1)).all():
        raise ArgumentError(
            f"confidence: expected a list of numbers in [0, 1] or NaN, got shape {given.shape}",
            remedy="pass NaN for a missing confidence",
        )
    return given


def _logit(confidence: Floats) -> Floats:
    """The log odds, 0 for NaN; capped at six nines, or one sample would dominate the fit."""
    inside = np.clip(np.nan_to_num(confidence, nan=0.5), 1e-6, 1 - 1e-6)
    result: Floats = np.log(inside / (1 - inside))
    return result


def _fit_confidence(sure: Floats, wrong: Bools, weight: Floats) -> RiskModel:
    known = ~np.isnan(sure)
    x, y, w = _logit(sure[known]), wrong[known].astype(np.float64), weight[known]
    blank = ~known
    # one label's worth of doubt at 0.5 keeps the risk of a kind that was rarely seen off 0 and 1
    missing = (float(weight[blank] @ wrong[blank]) + _UNKNOWN) / (float(weight[blank].sum()) + 1)
    if x.size == 0:
        return RiskModel((), (), _log_odds(missing), 0.0, missing, wrong.size)
    intercept, slope = _logistic(x, y, w)
    knots, steps = _isotonic(x, y, w)
    return RiskModel(knots, steps, intercept, slope, missing, wrong.size)


def _log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _logistic(x: Floats, y: Floats, w: Floats) -> tuple[float, float]:
    """Intercept and slope by Newton's method.

    Two made-up labels at the mean give an answer even if all are right, or all wrong. The slope is
    drawn weakly towards -1, that of a calibrated model.
    """
    design = np.column_stack([np.ones_like(x), x])
    start = np.array([0.0, -1.0])
    pull = np.diag([0.0, 1.0])
    centre = np.array([1.0, float(w @ x / w.sum())])
    b = start.copy()
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ b))
        q = float(1 / (1 + np.exp(-centre @ b)))
        gradient = design.T @ (w * (y - p)) + centre * 2 * (0.5 - q) - pull @ (b - start)
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design
        hessian += np.outer(centre, centre) * 2 * q * (1 - q) + pull
        step = np.linalg.solve(hessian, gradient)
        b = b + step * min(1.0, 2.0 / float(np.abs(step).max() + 1e-300))
        if np.abs(step).max() < 1e-10:
            break
    return float(b[0]), float(b[1])


def _isotonic(x: Floats, y: Floats, w: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The falling isotonic curve: the logits of its corners, rising, and their risks."""
    places, inverse = np.unique(x, return_inverse=True)
    total = np.bincount(inverse, weights=w).astype(np.float64)
    mean = np.bincount(inverse, weights=w * y) / total
    risks = _falling(mean, total)
    ends = np.ones(places.size, dtype=bool)
    ends[1:-1] = (risks[1:-1] != risks[:-2]) | (risks[1:-1] != risks[2:])
    return _floats(places[ends]), _floats(risks[ends])


def _falling(mean: Floats, weight: Floats) -> Floats:
    """The never rising values closest to `mean`, by weighted squares: neighbours that rise are pooled.

    Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions, 1972. SciPy
    has it too, in a module that takes longer to import than a report takes to work out.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of places
    for value, w in zip(mean.tolist(), weight.tolist(), strict=True):
        pool = (value, w, 1)
        while pools and pools[-1][0] <= pool[0]:
            before, heavy, n = pools.pop()
            both = heavy + pool[1]
            pool = ((before * heavy + pool[0] * pool[1]) / both, both, n + pool[2])
        pools.append(pool)
    values = np.array([value for value, _, _ in pools])
    return np.repeat(values, [n for _, _, n in pools])


def _floats(values: Sequence[float] | Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
