"""[training]: which model labels may train."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from labelloop.core.certificate import Terms
from labelloop.settings.values import Duration, Section


class TrainingSettings(Section):
    """What goes into the training set beside people's labels: what a certificate keeps of the model's."""

    max_error: float = Field(
        0.05, gt=0, lt=1, description="The share of wrong labels that a certificate allows."
    )
    failure_probability: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="The probability that any certificate of the project is ever untrue.",
    )
    promise: Literal["training-set", "model-labels", "frame"] = Field(
        "training-set",
        description="Of what max_error is a share: of the kept model labels and people's training "
        "labels together, of the kept model labels, or of all traffic.",
    )
    confidence: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Keep the model's own label at or above this confidence where no certificate keeps "
        "any. No bound on how many are wrong comes with it. Left out: certified labels only.",
    )

    release_evaluation_after: Duration | None = Field(
        None,
        ge=timedelta(days=7),
        description="Rounds older than this are released at the next `build`: their evaluation labels go "
        "into the training set, and judge no model from then on. Left out: evaluation labels never train.",
    )

    def terms(self) -> Terms:
        """What is asked of certificates."""
        return Terms(
            max_error=self.max_error,
            failure_probability=self.failure_probability,
            promise=self.promise,
        )
