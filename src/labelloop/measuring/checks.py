"""Looks at draws whose first answer agreed: how often do people overlook an error?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labelloop.core.looks import (
    CHECKED_SHARE,
    ENOUGH_LOOKS,
    POOLED_ROUNDS,
    Asked,
    Look,
    found_error,
)
from labelloop.core.queue import Purpose
from labelloop.ledger import Transaction, looks, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.statistics.people import Missed, missed

NOBODY = ""
"""Who answered about a sample that was forgotten since: it may have been anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A look at an agreeing draw.

    first_by
        whose first answer it looked at
    found
        whether it found an error
    inclusion
        the chance of the draw times that of the look
    """

    round: int
    model: str
    first_by: str
    found: bool
    inclusion: float


@dataclass(frozen=True, slots=True)
class Checks:
    """All of them, of regular rounds; `rounds`: those that have second looks, oldest first."""

    every: tuple[Check, ...] = ()
    rounds: tuple[int, ...] = ()

    @classmethod
    def read(cls, tx: Transaction) -> "Checks":
        """Those that the ledger holds."""
        with_looks = looks.rounds_with(tx)
        if not with_looks:
            return cls()
        regular = [r.round for r in rounds.every(tx) if r.round in with_looks and not r.extra]
        numbers = frozenset(regular)
        looked_at = rounds.draws_with_labels(tx, Purpose.EVALUATION, looked_at_again=True)
        return cls(tuple(_checks(d for d in looked_at if d.round in numbers)), tuple(regular))

    def pool(self, newest: int) -> frozenset[int]:
        """The rounds whose looks are pooled for an accuracy up to this round."""
        return frozenset([r for r in self.rounds if r <= newest][-POOLED_ROUNDS:])

    def with_those_that_pool(self, changed: Iterable[int]) -> frozenset[int]:
        """Some rounds, and those whose accuracy rests on looks of one of them."""
        own = frozenset(changed)
        return own | {r for r in self.rounds if self.pool(r) & own}

    def of(self, draws: Sequence[DrawWithLabel]) -> tuple[Check, ...]:
        """The looks that say how often the errors of these draws were overlooked: those of the last ten
        rounds, at the first answers of the same people to the same models.
        """
        answered = [d for d in draws if d.replies and Look.FIRST in d.replies]
        if not answered:
            return ()
        pool = self.pool(max(d.round for d in answered))
        models = {d.model for d in answered}
        people = {d.replies[Look.FIRST].by for d in answered if d.replies}
        people.add(NOBODY)
        return tuple(
            c for c in self.every if c.round in pool and c.model in models and c.first_by in people
        )

    def missed(self, draws: Sequence[DrawWithLabel]) -> Missed | None:
        """The share of overlooked errors among the agreeing draws; None while looks are too few."""
        found = self.of(draws)
        if len(found) < ENOUGH_LOOKS:
            return None
        return missed([c.found for c in found], [c.inclusion for c in found])


def _checks(draws: Iterable[DrawWithLabel]) -> Iterable[Check]:
    for d in draws:
        if d.replies is None or d.inclusion is None or d.audit_only:
            continue
        found = found_error(d.replies, Asked(d.predicted_class, d.line))
        if found is not None:
            yield Check(
                round=d.round,
                model=d.model,
                first_by=d.replies[Look.FIRST].by,
                found=found,
                inclusion=d.inclusion * CHECKED_SHARE * d.sampling_rate,
            )
