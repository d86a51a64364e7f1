"""[training]: which model labels may train."""

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field

from labelloop.settings.values import Duration, Section

if TYPE_CHECKING:
    from labelloop.core.certificate import Terms


class TrainingSettings(Section):
    """What goes into the training set beside people's labels: what a guarantee keeps of the model's."""

    max_error: float = Field(
        0.05, gt=0, lt=1, description="The largest share of wrong labels that a guarantee allows."
    )
    failure_probability: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="The probability, for each guarantee, that it is ever untrue.",
    )
    confidence: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Also keep the model's own labels at or above this confidence, in rounds without a "
        "guarantee. Nothing bounds how many of them are wrong. Default: keep only labels "
        "with a guarantee.",
    )

    release_evaluation_after: Duration | None = Field(
        None,
        ge=timedelta(days=7),
        description="The next `build` releases rounds older than this: their evaluation labels go into "
        "the training set, and no model is compared on them from then on. Default: "
        "evaluation labels never train.",
    )

    retrain_after: int = Field(
        500,
        ge=1,
        description="After so many more labels by people in the training set, the event `training.grown` "
        "is sent: retraining may pay.",
    )

    def terms(self) -> "Terms":
        """What is asked of guarantees."""
        from labelloop.core.certificate import Terms

        return Terms(max_error=self.max_error, failure_probability=self.failure_probability)
