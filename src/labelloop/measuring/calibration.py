"""Calibration of the rounds whose traffic reaches into a period: their draws and counts, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from labelloop.core.estimate import Undefined
from labelloop.core.outcome import outcome
from labelloop.core.sample import RISK_BINS
from labelloop.ledger import Transaction, confidences
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.blind_frame import BlindFrame, looks_of
from labelloop.statistics.calibration import Calibration, calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The calibration over whole rounds.

    rounds
        their numbers
    n_without
        labelled draws of these that came without a confidence
    """

    rounds: tuple[int, ...]
    calibration: Calibration
    n_without: int


def calibrated(
    tx: Transaction, frames: Sequence[BlindFrame], *, since: datetime, level: float
) -> Calibrated:
    """How far the confidences are off over the regular rounds with a draw predicted at `since` or later.

    These rounds are taken whole, as the counts of confidences are known of whole rounds only.
    """
    recent = [f for f in frames if any(d.predicted_at >= since for d in f.draws)]
    known = confidences.of_rounds(tx, [f.round.round for f in recent])
    used = [f for f in recent if f.n_reached]
    counts = np.zeros(RISK_BINS, dtype=np.int64)
    for f in used:
        for number, n in known.get(f.round.round, {}).items():
            counts[number] += n
    drawn = [
        (d, score, chance)
        for f in used
        for d, score, chance in zip(
            f.reached, _scores(f), f.chances_of(f.reached).tolist(), strict=True
        )
    ]
    told = [
        (d, d.confidence, score, chance)
        for d, score, chance in drawn
        if d.confidence is not None and d.round in known
    ]
    found = Calibration(parts=(), error=Undefined("no label of a prediction with a confidence"))
    if counts.any():
        found = calibration(
            [score for *_, score, _ in told],
            [confidence for _, confidence, *_ in told],
            [chance for *_, chance in told],
            counts,
            answered=[d.label is not None for d, *_ in told],
            n_set_aside=sum(f.n_unread for f in used),
            level=level,
        )
    return Calibrated(
        rounds=tuple(f.round.round for f in used),
        calibration=found,
        n_without=sum(d.label is not None and d.confidence is None for d, *_ in drawn),
    )


def _scores(frame: BlindFrame) -> list[float]:
    """The score of each draw reached; of a round with second looks errors count once confirmed."""
    if frame.round.second_look:
        return looks_of(frame.reached).score
    return [_score(d) for d in frame.reached]


def _score(d: DrawWithLabel) -> float:
    return outcome(d.label, d.predicted_class)
