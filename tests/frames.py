"""Blind frames made by hand: a round of uniform draws whose answers are given as right or wrong."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from labelloop.core.queue import Purpose
from labelloop.core.round import FrameRange, Round
from labelloop.core.row_range import NO_ROWS
from labelloop.core.task import TaskState
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.blind_frame import BlindFrame, Histogram
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.measuring.trend import Trend, trend


def blind_frame(
    number: int,
    at: datetime,
    right: Sequence[bool],
    *,
    n_frame: int = 1_000,
    model: str = "v1",
    answered_after: timedelta = timedelta(hours=3),
) -> BlindFrame:
    """A round drawn at `at`, every draw of it answered some time later."""
    draws = tuple(
        DrawWithLabel(
            round=number,
            queue="accuracy",
            sample_id=f"{number}-{i}",
            task_key=f"{number}-{i}",
            purpose=Purpose.EVALUATION,
            predicted_at=at,
            predicted_class="cat",
            confidence=0.9,
            model=model,
            content_hash=f"{number}-{i}",
            line=i,
            margin=None,
            attributes={},
            risk=0.1,
            inclusion=len(right) / n_frame,
            uniform=True,
            position=i,
            state=TaskState.RESOLVED,
            label="cat" if said else "dog",
            labelled_at=at + answered_after,
        )
        for i, said in enumerate(right)
    )
    cell = ("cat", 102, n_frame, 0.1, len(right) / n_frame)
    frame = FrameRange(batch_after=number - 1, batch_to=number)
    made = Round(
        round=number, frame=frame, extra=False, n_frame=n_frame, snapshot=None, created_at=at
    )
    return BlindFrame(made, draws, NO_ROWS, Histogram.of([cell]))


def trend_of(frames: Sequence[BlindFrame], *, now: datetime, timezone: str = "UTC") -> Trend:
    rounds = [
        MeasuredRound(f.round, lambda f=f: f, timezone=timezone, level=0.95)  # type: ignore[misc]
        for f in frames
    ]
    return trend(rounds, now=now, timezone=timezone)[0]
