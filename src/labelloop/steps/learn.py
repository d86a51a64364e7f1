"""What earlier rounds tell of the model's errors: the risk that the next blind draw goes by."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.core.queue import Purpose
from labelloop.core.sample import RISK_BINS
from labelloop.ledger import Transaction, rounds
from labelloop.statistics.risk import RiskModel

MIN_LABELS = 100
MIN_OF_EACH = 8
"""Labels, and right and wrong ones among them, below which 1 - confidence is as good a guide."""


@dataclass(frozen=True, slots=True)
class LearnedRisk:
    """A risk, and the rounds whose labels it learned from: frozen before the draw that uses it."""

    model: RiskModel
    rounds: tuple[int, ...]

    def of(self, cells: Sequence[tuple[str, int]]) -> list[float]:
        """The risk of each (predicted class, confidence bin)."""
        import pyarrow as pa

        confidence = [1 - (bin_number + 0.5) / RISK_BINS for _, bin_number in cells]
        features = pa.table({"predicted_class": [name for name, _ in cells]})
        found: list[float] = self.model.predict(confidence, features).tolist()
        return found


def learn(tx: Transaction) -> LearnedRisk | None:
    """The risk that all blind labels so far teach; None where they are too few.

    Extra rounds don't teach: their rows were chosen by date.
    """
    import pyarrow as pa

    regular = {r.round for r in rounds.every(tx) if not r.extra}
    taught = [
        d
        for d in rounds.placed(tx, Purpose.EVALUATION)
        if d.label is not None and d.inclusion is not None and d.round in regular
    ]
    correct = [d.label == d.predicted_class for d in taught]
    if len(taught) < MIN_LABELS or min(sum(correct), len(taught) - sum(correct)) < MIN_OF_EACH:
        return None
    model = RiskModel.fit(
        [float("nan") if d.confidence is None else d.confidence for d in taught],
        correct,
        [d.inclusion or 1.0 for d in taught],
        features=pa.table({"predicted_class": [d.predicted_class for d in taught]}),
    )
    return LearnedRisk(model, tuple(sorted({d.round for d in taught})))
