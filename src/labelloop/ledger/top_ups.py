"""Top-ups: which rounds were drawn from again, and the chances that their draws have by now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from labelloop.core.top_up import TopUp, raised
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class TopUps:
    """Every top-up, by its own number; oldest first."""

    every: Mapping[int, TopUp] = field(default_factory=dict)

    @classmethod
    def read(cls, tx: Transaction) -> "TopUps":
        """Those that the ledger holds."""
        c = t.rounds.c
        asked = sa.select(c.round, c.tops_up, c.scale, c.at_random).where(c.tops_up.is_not(None))
        return cls(
            {
                r.round: TopUp(round=r.round, of=r.tops_up, scale=r.scale, at_random=r.at_random)
                for r in tx.execute(asked.order_by(c.round))
            }
        )

    def of(self, number: int) -> tuple[TopUp, ...]:
        """The top-ups of a round, oldest first."""
        return tuple(one for one in self.every.values() if one.of == number)

    def round_of(self, number: int) -> int:
        """The round that a number of the ledger belongs to: its own, or the one that it continues."""
        return self.every[number].of if number in self.every else number

    def with_own(self, numbers: Collection[int]) -> list[int]:
        """Some rounds and their top-ups, by number."""
        return sorted({*numbers, *(n for n, one in self.every.items() if one.of in numbers)})

    def inclusion(self, number: int, at_draw: float | None) -> float | None:
        """The chance that a draw has by now, from the one that it had when `number` drew it."""
        own = self.of(self.round_of(number)) if self.every else ()
        if not own or at_draw is None or own[-1].round == number:
            return at_draw
        before = self.every[number].scale if number in self.every else 1.0
        # what was capped at 1 stays there, and all else rises in proportion
        return raised(at_draw, own[-1].scale / before, at_random=own[-1].at_random)
