"""[costs]: what wrong predictions cost, by pair of classes."""

import math
from difflib import get_close_matches

from pydantic import Field, field_validator, model_validator

from labelloop.core.outcome import is_wrong, outcome
from labelloop.settings.values import Section


class PairSettings(Section):
    """One kind of error, and its cost."""

    label: str = Field(description="The right answer: a class, or one of `extra_answers`.")
    predicted_class: str = Field(description="The class that the model says in its place.")
    cost: float = Field(strict=True, description="The cost of one such error, 0 or more.")

    @field_validator("cost")
    @classmethod
    def _is_a_cost(cls, cost: float) -> float:
        return _cost(cost)

    @model_validator(mode="after")
    def _is_an_error(self) -> "PairSettings":
        if not is_wrong(outcome(self.label, self.predicted_class)):
            raise ValueError(
                f"label and predicted_class are both {self.label!r}: a right prediction costs nothing, so "
                "give only errors a cost"
            )
        return self


class CostSettings(Section):
    """What wrong predictions cost; `measure`, `report` and `compare` then show the mean cost."""

    default: float = Field(
        1.0,
        strict=True,
        description="The cost of an error that no pair names. Costs are in units of your own, such as "
        "minutes or euros.",
    )
    pair: list[PairSettings] = Field(
        default_factory=list,
        description="The errors with another cost, each a table `[[costs.pair]]` with `label`, "
        "`predicted_class` and `cost`.",
    )

    @field_validator("default")
    @classmethod
    def _is_a_cost(cls, cost: float) -> float:
        return _cost(cost)

    @model_validator(mode="after")
    def _fit_together(self) -> "CostSettings":
        named = [(p.label, p.predicted_class) for p in self.pair]
        twice = sorted({pair for pair in named if named.count(pair) > 1})
        if twice:
            raise ValueError(
                f"the pair label = {twice[0][0]!r}, predicted_class = {twice[0][1]!r} is there twice"
            )
        if self.default == 0 and not any(p.cost for p in self.pair):
            raise ValueError("every cost is 0: expected one above 0")
        return self

    def refuse_unknown(self, classes: list[str], extra_answers: list[str]) -> None:
        """Raise ValueError if a pair names what isn't a class, or an answer."""
        for pair in self.pair:
            _known("label", pair.label, [*classes, *extra_answers])
            _known("predicted_class", pair.predicted_class, classes)


def _cost(cost: float) -> float:
    if not (math.isfinite(cost) and cost >= 0):
        raise ValueError("expected a number from 0 that is finite")
    return cost


def _known(key: str, name: str, known: list[str]) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]!r}?" if near else f": expected one of {', '.join(known)}"
        raise ValueError(f"costs.pair: {key} {name!r} is no class of [project]{hint}")
