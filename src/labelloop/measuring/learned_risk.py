"""The risk learned from the labels of earlier rounds, by which the next blind draw is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.core.outcome import is_wrong, outcome
from labelloop.core.queue import Purpose
from labelloop.core.round import FrameRange
from labelloop.core.sample import RISK_BINS
from labelloop.ledger import Transaction, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.statistics.risk import RiskModel
from labelloop.statistics.risk_features import as_numbers

if TYPE_CHECKING:
    import pyarrow as pa

MIN_LABELS = 100
MIN_OF_EACH = 8
"""Labels, and right and wrong ones among them, below which 1 - confidence is as good a guide."""

ATTRIBUTE = "attributes."
"""How the name of a feature begins that is an attribute, as in a scan of the log."""


@dataclass(frozen=True, slots=True)
class LearnedRisk:
    """A risk model and the rounds whose labels it learned from; frozen before the draw that uses it."""

    model: RiskModel
    rounds: tuple[int, ...]

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the attributes that the model uses."""
        columns = self.model.features.columns if self.model.features else ()
        return tuple(c.removeprefix(ATTRIBUTE) for c in columns if c.startswith(ATTRIBUTE))

    def of(self, cells: Sequence[tuple[str, int]]) -> list[float]:
        """The risk of each (predicted class, confidence bin), for a model without other features."""
        import pyarrow as pa

        confidence = [1 - (bin_number + 0.5) / RISK_BINS for _, bin_number in cells]
        features = pa.table({"predicted_class": [name for name, _ in cells]})
        found: list[float] = self.model.predict(confidence, features).tolist()
        return found


def learn(tx: Transaction) -> LearnedRisk | None:
    """The risk by confidence and predicted class, learned from all blind labels so far.

    None if there are too few labels. Extra rounds are left out: their rows were chosen by date.
    """
    import pyarrow as pa

    taught = _taught(tx)
    return _fitted(taught, pa.table({"predicted_class": [d.predicted_class for d in taught]}))


def learn_for(tx: Transaction, frame: FrameRange) -> LearnedRisk | None:
    """The risk for a draw from `frame`: as `learn`, with margin and attributes if they help.

    Labels of samples that the frame may hold are left out, so that no draw depends on its own answer:
    an extra round may hold samples that were labelled before.
    """
    taught = [d for d in _taught(tx) if not _within(d, frame)]
    return _fitted(taught, _features(taught))


def _taught(tx: Transaction) -> list[DrawWithLabel]:
    regular = {r.round for r in rounds.every(tx) if not r.extra}
    return [
        d
        for d in rounds.draws_with_labels(tx, Purpose.EVALUATION)
        if d.label is not None and d.inclusion is not None and not d.audit_only
        if d.round in regular
    ]


def _within(d: DrawWithLabel, frame: FrameRange) -> bool:
    """True if the frame may hold the draw; a frame that begins after a batch holds no earlier draw."""
    return (
        frame.batch_after == 0
        and (frame.since is None or frame.since <= d.predicted_at)
        and (frame.until is None or d.predicted_at < frame.until)
    )


def _fitted(taught: Sequence[DrawWithLabel], features: "pa.Table") -> LearnedRisk | None:
    correct = [not is_wrong(outcome(d.label, d.predicted_class)) for d in taught]
    if len(taught) < MIN_LABELS or min(sum(correct), len(taught) - sum(correct)) < MIN_OF_EACH:
        return None
    model = RiskModel.fit(
        [float("nan") if d.confidence is None else d.confidence for d in taught],
        correct,
        [d.inclusion or 1.0 for d in taught],
        features=features,
    )
    return LearnedRisk(model, tuple(sorted({d.round for d in taught})))


def _features(taught: Sequence[DrawWithLabel]) -> "pa.Table":
    """Class, margin and attributes of draws. An attribute that is a number wherever it is there
    counts as one.
    """
    import pyarrow as pa

    columns = {
        "predicted_class": pa.array([d.predicted_class for d in taught], pa.string()),
        "margin": pa.array([d.margin for d in taught], pa.float64()),
    }
    for name in sorted({name for d in taught for name in d.attributes}):
        values = [d.attributes.get(name) for d in taught]
        numbers = as_numbers(values)
        columns[ATTRIBUTE + name] = (
            pa.array(values, pa.string()) if numbers is None else pa.array(numbers, pa.float64())
        )
    return pa.table(columns)
