"""A queue: a labelling project and the rule that feeds it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from labelloop.core.line import chosen

if TYPE_CHECKING:
    from labelloop.core.where import Where


class Purpose(StrEnum):
    """What the answers of a queue are used for. A sample serves one purpose only."""

    EVALUATION = "evaluation"
    TRAINING = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One `[[queue]]` of labelloop.toml.

    `where` None matches everything; `budget` None labels everything that matches. `annotators` answer
    each sample, and one more a share `overlap` of them.
    `images`: "presign" or "annotator", who signs the links to them, or "gateway". `second_look`: whether
    people are asked again where an answer differs from the prediction (`labelloop.core.looks`). `per_day`:
    how many tasks are sent a day at most.
    """

    name: str
    purpose: Purpose
    where: "Where | None" = None
    budget: int | None = None
    show: tuple[str, ...] = ()
    draw: str = "uniform"
    annotators: int = 1
    overlap: float = 0.0
    images: str = "presign"
    second_look: bool = False
    per_day: int | None = None

    @property
    def blind(self) -> bool:
        """Whether its annotators must not see the prediction."""
        return self.purpose is Purpose.EVALUATION

    @property
    def on_feedback(self) -> bool:
        """True if it draws what feedback was received on, whenever the prediction was made."""
        return self.where is not None and self.where.names_feedback

    @property
    def rule(self) -> str:
        """The rule in words; it is stored with every draw."""
        what = self.where.text if self.where else "all traffic"
        how = f"{self.draw} {self.budget}" if self.budget is not None else "every match"
        people = f", {self.annotators} people each" if self.annotators > 1 else ""
        if self.overlap:
            people = f", two people for {self.overlap:.0%}"
        if self.second_look:
            people = ", with second looks"
        return f"{how} of {what}{people}"

    def answers_wanted(self, place: int) -> int:
        """How many people are asked about the sample at this place on the line."""
        return self.annotators + chosen(place, self.overlap)
