"""Which answers an accuracy rests on, and what it would be if people were wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.looks import Look, agreed, is_unconfirmed, recaptured
from labelloop.core.outcome import is_wrong, outcome
from labelloop.ledger import Transaction, classes
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.checks import Check
from labelloop.statistics.people import assuming_errors

ASSUMED_ERRORS = (0.01, 0.02, 0.05)
"""The shares of wrong answers that a band is told for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestsOn:
    """The answers behind an accuracy.

    n_differing
        first answers, of draws with second looks, that differ from the prediction
    n_confirmed, n_refuted, n_unconfirmed
        of these: where a second look found the model wrong too, where it found the model right, and where
        none was given yet, which count as errors until then
    n_checked, n_overlooked
        looks at agreeing draws that are reckoned with, of the last ten rounds, and errors that they found
    n_recaptured
        further answers to confirmed errors
    n_single
        answers of draws without second looks: taken for right
    n_people
        people who gave the first answers
    """

    n_differing: int
    n_confirmed: int
    n_refuted: int
    n_unconfirmed: int
    n_checked: int
    n_overlooked: int
    n_recaptured: int
    n_single: int
    n_people: int

    @property
    def second_looks(self) -> bool:
        """Whether anybody was asked again."""
        return self.n_confirmed + self.n_refuted + self.n_checked > 0

    @classmethod
    def of(cls, draws: Sequence[DrawWithLabel], checks: Sequence[Check]) -> "RestsOn":
        """What the answers of some draws are; `checks`: the looks at agreeing draws reckoned with."""
        answered = [d for d in draws if d.label is not None]
        looked = [(d, d.replies) for d in answered if d.replies is not None]
        differing = [(d, r) for d, r in looked if not agreed(r, d.predicted_class)]
        waiting = sum(is_unconfirmed(r, d.predicted_class) for d, r in differing)
        wrong = sum(is_wrong(outcome(d.label, d.predicted_class)) for d, _ in differing)
        return cls(
            n_differing=len(differing),
            n_confirmed=wrong - waiting,
            n_refuted=len(differing) - wrong,
            n_unconfirmed=waiting,
            n_checked=len(checks),
            n_overlooked=sum(c.found for c in checks),
            n_recaptured=sum(recaptured(r, d.predicted_class) is not None for d, r in differing),
            n_single=len(answered) - len(looked),
            n_people=len({r[Look.FIRST].by for _, r in looked if Look.FIRST in r}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IfWrong:
    """The interval of an accuracy if people were wrong in `error` of cases, each by themselves."""

    error: float
    low: float
    high: float


def if_people_err(
    tx: Transaction, estimate: Estimate | Undefined, rests_on: RestsOn
) -> tuple[IfWrong, ...]:
    """The band of an accuracy whose answers nobody looked at again; empty where somebody did."""
    n_classes = classes.n_live(tx)
    if isinstance(estimate, Undefined) or rests_on.second_looks or n_classes < 2:
        return ()
    found = []
    for error in ASSUMED_ERRORS:
        low, high = assuming_errors(estimate, error, n_classes=n_classes)
        found.append(IfWrong(error=error, low=low, high=high))
    return tuple(found)
