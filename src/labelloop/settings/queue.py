"""[[queue]]: a project and the rule that feeds it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from labelloop.errors import WhereError
from labelloop.settings.values import Section

UNPARSED = "conditions stay unparsed"
"""The context of a validation that takes no time for conditions; `Settings.queues` parses them."""
SHOWABLE = ("predicted_class", "confidence", "corrected_class", "flagged")


def _condition(value: str, info: ValidationInfo) -> str:
    if info.context == UNPARSED:
        return value
    from labelloop.core.where import Where

    try:
        Where.parse(value)
    except WhereError as exc:
        said = exc.args[0].removeprefix(f"where = {value!r}").removeprefix(": ").strip()
        raise ValueError(f"{said}; {exc.remedy}") from exc
    return value


class QueueSettings(Section):
    """A Label Studio project and the rule that feeds it; queues draw in the order of the file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,39}$",
        description="The name of the queue: letters, digits, `.`, `_`, `-` and spaces. A renamed queue "
        "is a new queue.",
    )
    purpose: Literal["evaluation", "training"] = Field(
        description="`evaluation`: blind, feeds accuracies and the evaluation set. `training`: feeds "
        "the training set."
    )
    where: Annotated[str, AfterValidator(_condition)] | None = Field(
        None,
        description="The condition for predictions: comparisons joined by and, or, not. Training "
        "queues only. A tag without a column is `attributes.NAME`. A queue whose condition "
        "uses `flagged` or `corrected_class` draws feedback when it arrives, however old "
        "the prediction is.",
    )
    draw: Literal["auto", "uniform", "uncertainty"] = Field(
        "auto",
        description="How an evaluation queue draws. `auto`: at random until labels have taught where "
        "the model is likely to be wrong, then more often there; as precise with fewer labels. "
        "`uncertainty`: 30% at random, the rest by that risk alone. `uniform`: always at random. A "
        "training queue draws at random among what matches.",
    )
    budget: int | None = Field(
        None,
        ge=1,
        description="How many samples each round draws. A training queue without a budget takes every "
        "match.",
    )
    budget_per_day: int | None = Field(
        None,
        ge=1,
        description="How many tasks are sent to people a day at most, in the project's timezone. The "
        "others are sent on the next days, in the same order.",
    )
    annotators_per_sample: int = Field(
        1,
        ge=1,
        le=25,
        description="How many people answer each sample. With several people the label is the most "
        "frequent answer. If two answers are equally frequent, one more person is asked.",
    )
    overlap: float = Field(
        0.0,
        ge=0,
        le=1,
        description="The share of samples, chosen at random, that a second person answers too, to "
        "measure how often people agree. If they disagree, a third person is asked.",
    )
    second_look: bool = Field(
        False,
        description="Evaluation queues: ask again, as blind, where an answer differs from the prediction, "
        "and for a tenth of the samples where it doesn't; accuracies then count confirmed errors. By a "
        "referee where [people] names one. Rounds keep what they began with.",
    )
    show: list[Literal["predicted_class", "confidence", "corrected_class", "flagged"]] = Field(
        default_factory=list,
        description="What annotators see besides the input. Training queues only.",
    )
    images: Literal["presign", "label-studio", "gateway"] = Field(
        "presign",
        description="How image links are signed. `presign`: labelloop signs them once, for "
        "`presign_life`. `label-studio`: Label Studio signs them at each view, and gets "
        "the keys of [store] for it. `gateway`: `labelloop serve` shows them under random "
        "names, and needs no copies for blind queues.",
    )

    @model_validator(mode="after")
    def _purpose_allows(self) -> "QueueSettings":
        if (
            self.purpose == "training"
            and self.draw != "uniform"
            and "draw" in self.model_fields_set
        ):
            raise ValueError("draw is for evaluation queues; a training queue takes by `where`")
        if self.overlap and self.annotators_per_sample > 1:
            raise ValueError(
                f"overlap is for queues where one person answers a sample; with annotators_per_sample "
                f"= {self.annotators_per_sample} every sample has a second answer: leave overlap out"
            )
        if self.second_look and self.purpose == "training":
            raise ValueError(
                "second_look is for evaluation queues; for a training queue set annotators_per_sample"
            )
        if self.second_look and (self.annotators_per_sample > 1 or self.overlap):
            other = "overlap" if self.overlap else "annotators_per_sample"
            raise ValueError(
                f"second_look asks a second person where it matters, {other} asks them anyway: expected "
                f"one of the two; leave {other} out"
            )
        if self.purpose == "evaluation":
            if self.show:
                raise ValueError(
                    "show isn't allowed in an evaluation queue: its labels must be given blind"
                )
            if self.where is not None:
                raise ValueError(
                    "where isn't allowed in an evaluation queue: its target is all serving traffic"
                )
            if self.budget is None:
                raise ValueError("an evaluation queue needs a budget: labels a round")
        return self
