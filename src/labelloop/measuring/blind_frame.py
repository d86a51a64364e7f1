"""The blind draws of a round and the histogram of its frame, from which every estimate is made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from labelloop.core.outcome import outcome
from labelloop.core.queue import Purpose
from labelloop.core.round import Cell, Round
from labelloop.core.row_range import RowRange
from labelloop.core.sample import RISK_BINS
from labelloop.ledger import Transaction, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.sampling import reached_inclusion
from labelloop.statistics.frame import BlindRound, Frame


@dataclass(frozen=True, slots=True)
class BlindFrame:
    """A round with its blind draws, in the order of sending."""

    round: Round
    draws: tuple[DrawWithLabel, ...]
    set_aside: RowRange
    cells: tuple[Cell, ...]

    @property
    def uniform(self) -> bool:
        """True if every draw had the same inclusion probability."""
        return all(d.uniform for d in self.draws)

    @property
    def n_reached(self) -> int:
        """The position of the last draw that was answered, counted from 1; 0 if none was."""
        return max((i for i, d in enumerate(self.draws, start=1) if d.label is not None), default=0)

    @property
    def reached(self) -> tuple[DrawWithLabel, ...]:
        """The draws up to the last one that was answered."""
        return self.draws[: self.n_reached]

    def as_of(self, at: datetime) -> "BlindFrame":
        """The frame with only the labels that tasks had before `at`; later edits of these are kept."""
        return replace(
            self,
            draws=tuple(
                d if d.labelled_at is None or d.labelled_at < at else replace(d, label=None)
                for d in self.draws
            ),
        )

    def blind_round(self, predicted_class: str | None = None) -> BlindRound:
        """The input of the estimators: the draws reached, with the probabilities of being reached.

        With `predicted_class` only the draws and the traffic of this class.
        """
        cells = [c for c in self.cells if predicted_class in (None, c.predicted_class)]
        reached = [d for d in self.reached if predicted_class in (None, d.predicted_class)]
        histogram = Frame(
            np.array([c.n for c in cells], dtype=np.int64),
            np.array([int((c.risk or 0.0) * RISK_BINS) for c in cells], dtype=np.int64),
            self.chances([c.inclusion or 1.0 for c in cells]),
        )
        return BlindRound.checked(
            [outcome(d.label, d.predicted_class) for d in reached],
            [d.risk or 0.0 for d in reached],
            self.chances([d.inclusion or 1.0 for d in reached]),
            histogram,
            answered=[d.label is not None for d in reached],
            n_set_aside=self.set_aside.at_worst,
        )

    def chances(self, inclusion: Sequence[float]) -> npt.NDArray[np.float64]:
        """Inclusion probabilities of the whole draw, reduced to those of being reached."""
        return reached_inclusion(
            inclusion,
            n=self.round.n_frame,
            n_uniform=sum(d.uniform for d in self.draws),
            n_drawn=len(self.draws),
            n_reached=self.n_reached,
        )


def blind_frames(
    tx: Transaction,
    placed: Iterable[DrawWithLabel] | None = None,
    *,
    of_rivals: bool = False,
) -> list[BlindFrame]:
    """Every round with its blind draws, oldest first.

    placed
        the draws, where they were read already
    of_rivals
        the rounds drawn where a candidate differs, which say nothing of an accuracy; else all others
    """
    draws: dict[int, list[DrawWithLabel]] = {}
    for d in rounds.draws_with_labels(tx, Purpose.EVALUATION) if placed is None else placed:
        if d.purpose is Purpose.EVALUATION:
            draws.setdefault(d.round, []).append(d)
    set_aside, cells = rounds.n_rejected(tx), rounds.cells_by_round(tx)
    return [
        _blind_frame(r, draws.get(r.round, ()), set_aside[r.round], cells.get(r.round, ()))
        for r in rounds.every(tx)
        if (r.rival is not None) is of_rivals
    ]


def blind_frame(tx: Transaction, of: Round, set_aside: RowRange) -> BlindFrame:
    """One round with its blind draws."""
    draws = rounds.draws_with_labels(tx, Purpose.EVALUATION, of.round)
    return _blind_frame(of, draws, set_aside, rounds.cells_of(tx, of.round))


def _blind_frame(
    of: Round, draws: Iterable[DrawWithLabel], set_aside: RowRange, cells: Iterable[Cell]
) -> BlindFrame:
    # of a rebuilt ledger: how likely a draw was is lost
    known = tuple(d for d in draws if d.inclusion is not None)
    return BlindFrame(of, known, set_aside, tuple(c for c in cells if c.inclusion is not None))
