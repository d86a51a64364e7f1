"""A queue: a labelling project and the rule that feeds it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from labelloop.core.line import chosen

if TYPE_CHECKING:
    from labelloop.core.where import Where

SUSPECTS = "suspects"
"""The `pick` of a queue that asks again about labels."""


class Purpose(StrEnum):
    """What the answers of a queue are used for. A sample serves one purpose only."""

    EVALUATION = "evaluation"
    TRAINING = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """How a training queue shares its budget; columns are "predicted_class" or "attributes.NAME".

    balance
        the column whose values get equal parts
    min_per, max_per
        columns with the least and the most rows of each of their values
    """

    balance: str | None = None
    min_per: tuple[tuple[str, int], ...] = ()
    max_per: tuple[tuple[str, int], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is named, each once."""
        named = [self.balance] if self.balance else []
        return tuple(dict.fromkeys([*named, *(n for n, _ in (*self.min_per, *self.max_per))]))

    @property
    def in_words(self) -> str:
        """The quotas, as they follow a rule."""
        parts = [f"balanced by {_short(self.balance)}"] if self.balance else []
        parts += [f"at least {n} for each {_short(name)}" for name, n in self.min_per]
        parts += [f"at most {n} for each {_short(name)}" for name, n in self.max_per]
        return "".join(f", {part}" for part in parts)


def _short(column: str) -> str:
    return column.removeprefix("attributes.").replace("predicted_class", "predicted class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One `[[queue]]` of labelloop.toml.

    `where` None matches everything; `budget` None labels everything that matches. `annotators` answer
    each sample, and one more a share `overlap` of them.
    `images`: "presign" or "annotator", who signs the links to them, or "gateway". `second_look`: whether
    people are asked again where an answer differs from the prediction (`labelloop.core.looks`). `per_day`:
    how many tasks are sent a day at most. `pick`: how a training queue picks among what matches, one of
    `labelloop.sampling.picks` or SUSPECTS; `quotas`: how it shares its budget; `near_duplicates`: by what
    rows count as near-duplicates, of which one is labelled. `embed`: how embeddings
    are computed that the log lacks. `prefill`: whether the model's answer is
    filled in for its annotators.
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
    pick: str = "random"
    quotas: Quotas = Quotas()
    prefill: bool = False
    near_duplicates: str | None = None
    embed: str | None = None

    @property
    def chooses(self) -> bool:
        """True if it draws what is useful, and so with no known chance."""
        picks = self.pick not in {"random", SUSPECTS}
        return picks or bool(self.quotas.columns or self.near_duplicates)

    @property
    def asks_again(self) -> bool:
        """True if it asks again about labels of the training set that a model contradicts."""
        return self.pick == SUSPECTS

    @property
    def evaluates(self) -> bool:
        """True if an accuracy is measured from its answers."""
        return self.purpose is Purpose.EVALUATION

    @property
    def blind(self) -> bool:
        """Whether its annotators must not see the prediction."""
        return self.evaluates or self.asks_again

    @property
    def on_feedback(self) -> bool:
        """True if it draws what feedback was received on, whenever the prediction was made."""
        return self.where is not None and self.where.names_feedback

    @property
    def rule(self) -> str:
        """The rule in words; it is stored with every draw."""
        what = self.where.text if self.where else "all traffic"
        if self.asks_again:
            what = "the training set's labels"
        draw = self.pick if self.chooses or self.asks_again else self.draw
        how = f"{draw} {self.budget}" if self.budget is not None else "every match"
        people = f", {self.annotators} people each" if self.annotators > 1 else ""
        if self.overlap:
            people = f", two people for {self.overlap:.0%}"
        if self.second_look:
            people = ", with second looks"
        alike = (
            f", one of each near-duplicate {self.near_duplicates}" if self.near_duplicates else ""
        )
        return f"{how} of {what}{self.quotas.in_words}{alike}{people}"

    def answers_wanted(self, place: int) -> int:
        """How many people are asked about the sample at this place on the line."""
        return self.annotators + chosen(place, self.overlap)
