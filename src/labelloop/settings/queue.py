"""[[queue]]: a project and the rule that feeds it."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, ValidationInfo, model_validator

from labelloop.core.queue import SUSPECTS, Quotas
from labelloop.errors import ArgumentError, WhereError
from labelloop.settings.values import Section

ATTRIBUTE = "attributes."
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
        raise ArgumentError(said, remedy=exc.remedy) from exc
    return value


def _embedding(value: str) -> str:
    if value in {"image", "text"} or re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        return value
    raise ValueError(
        f"{value!r} isn't a way to compute embeddings: expected 'image', 'text' or "
        "'package.module:function'"
    )


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
    pick: Literal[
        "random",
        "least-confident",
        "margin",
        "entropy",
        "disagreement",
        "diverse",
        "likely-wrong",
        "suspects",
    ] = Field(
        "random",
        description="What a training queue picks among what matches; a rule other than `random` needs a "
        "budget. `random`: by chance. `least-confident`: the lowest confidence. `margin`: the smallest "
        "difference of the two largest probabilities. `entropy`: the most even probabilities. "
        "`disagreement`: models that answer differently, the serving one and those that run beside it. "
        "`diverse`: a small margin, and embeddings that differ from each other. "
        "`likely-wrong`: the highest risk that was learned from labels of evaluation queues; until one "
        "is learned, the lowest confidence. A prediction that lacks what the rule needs is not picked. "
        "`suspects`: not traffic, but labels of the training set that a model contradicts; people are "
        "asked about them once more, blind.",
    )
    balance: str | None = Field(
        None,
        description="Training queues with a budget: give each value of this column an equal part, as far "
        "as there are enough. `predicted_class` or the name of an attribute.",
    )
    min_per: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="Training queues with a budget: how many of each value of a column are picked first, "
        "as far as there are enough: `{ predicted_class = 5 }`.",
    )
    max_per: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="Training queues with a budget: how many of each value of a column are picked at most: "
        "`{ camera = 20 }`.",
    )
    near_duplicates: Literal["embedding", "text", "image"] | None = Field(
        None,
        description="Training queues with a budget: label one of each group of near-duplicates a round, and "
        "record how many it stands for. `embedding`: embeddings of the log with a cosine of 0.95 or more. "
        "`text`: texts of the log that share 70% of their shingles. `image`: images whose small "
        "pictures have a cosine of 0.9 or more; needs the extra `images`.",
    )
    embed: Annotated[str, AfterValidator(_embedding)] | None = Field(
        None,
        description="How to compute embeddings of the candidates where the log has none. `image`: colours "
        "of 16 x 16 cells; needs the extra `images`. `text`: hashed words and pairs of words. "
        "`package.module:function`: your own, which takes a list of images (bytes) or texts and returns a "
        "vector for each; its module may lie beside the settings.",
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
    prefill: bool = Field(
        False,
        description="Training queues in Label Studio: fill the model's answer in, with its confidence and "
        "the model's version, so that people confirm or correct it. People agree more often with an "
        "answer that stands there already, so labels lean to the model.",
    )
    images: Literal["presign", "label-studio", "gateway"] = Field(
        "presign",
        description="How image links are signed. `presign`: labelloop signs them once, for "
        "`presign_life`. `label-studio`: Label Studio signs them at each view, and gets "
        "the keys of [store] for it. `gateway`: `labelloop serve` shows them under random "
        "names, and needs no copies for blind queues.",
    )

    annotator: Literal["label-studio", "labelling-page"] | None = Field(
        None,
        description="Where people label this queue. Default: Label Studio where [label_studio] is set, "
        "else the labelling page. A queue may move: open tasks stay where they are, new ones go to the "
        "new place.",
    )
    description: str = Field(
        "", max_length=2000, description="What the labelling page says of the queue, in a sentence."
    )
    guidelines: Path | None = Field(
        None,
        description="A Markdown file with what people should know, such as examples of each class. The "
        "labelling page shows it, with the images beside it that it names.",
    )
    show_when: Literal["before", "after"] = Field(
        "before",
        description="When the labelling page shows what `show` names: with the input, or after the "
        "answer.",
    )

    @model_validator(mode="after")
    def _purpose_allows(self, info: ValidationInfo) -> "QueueSettings":
        if (
            self.purpose == "training"
            and self.draw != "uniform"
            and "draw" in self.model_fields_set
        ):
            raise ValueError("draw is for evaluation queues; a training queue takes by `where`")
        self._check_pick(info)
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
            if self.prefill:
                raise ValueError(
                    "prefill isn't allowed in an evaluation queue: its labels must be given blind"
                )
            if self.where is not None:
                raise ValueError(
                    "where isn't allowed in an evaluation queue: its target is all serving traffic"
                )
            if self.budget is None:
                raise ValueError("an evaluation queue needs a budget: labels a round")
        return self

    def _check_asks_again(self) -> None:
        """Return if the queue sets nothing that what asks again, blind, can't have.

        Raises:
            ValueError: it does.
        """
        for name in (
            "where",
            "show",
            "prefill",
            "balance",
            "min_per",
            "max_per",
            "near_duplicates",
        ):
            if getattr(self, name):
                why = (
                    "its labels must be given blind"
                    if name in {"show", "prefill"}
                    else ("it picks labels of the training set, not traffic")
                )
                raise ValueError(f"{name} isn't allowed with pick = {SUSPECTS!r}: {why}")

    def quotas(self) -> Quotas:
        """How the queue shares its budget."""
        return Quotas(
            balance=_column(self.balance) if self.balance else None,
            min_per=tuple((_column(name), n) for name, n in self.min_per.items()),
            max_per=tuple((_column(name), n) for name, n in self.max_per.items()),
        )

    def _check_pick(self, info: ValidationInfo) -> None:
        """Return if the queue may pick as it says.

        Raises:
            ValueError: it may not.
        """
        given = [
            name
            for name in ("balance", "min_per", "max_per", "near_duplicates", "embed")
            if getattr(self, name)
        ]
        if self.pick != "random":
            given.insert(0, f"pick = {self.pick!r}")
        if not given:
            return
        if self.purpose == "evaluation":
            raise ValueError(
                f"{given[0]} isn't allowed in an evaluation queue: an accuracy needs draws with a known "
                "chance; set it in a training queue"
            )
        if self.budget is None:
            raise ValueError(
                f"{given[0]} needs a budget: without one the queue takes every match, and there is nothing "
                "to pick"
            )
        if self.pick == SUSPECTS:
            self._check_asks_again()
        if self.embed and self.pick != "diverse" and self.near_duplicates != "embedding":
            raise ValueError(
                "embed computes embeddings, which pick = 'diverse' and near_duplicates = 'embedding' use: "
                "set one of them, or leave embed out"
            )
        if self.where is None or info.context == UNPARSED:
            return
        from labelloop.core.where import Where

        if Where.parse(self.where).names_feedback:
            raise ValueError(
                f"{given[0]} isn't allowed where `where` names feedback: such a queue takes what people "
                "flagged or corrected, in the order of the line"
            )


def _column(name: str) -> str:
    """A column of the log: the name of an attribute may stand without `attributes.`.

    >>> _column("camera"), _column("predicted_class")
    ('attributes.camera', 'predicted_class')
    """
    return name if name == "predicted_class" or name.startswith(ATTRIBUTE) else ATTRIBUTE + name
