"""The gate: is the accuracy of the model that serves above what is required, by labels so far?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.measuring.accuracy import for_fresh_traffic
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.measuring.more_labels import rounds_for
from labelloop.statistics.compare import Verdict, labels_to_settle
from labelloop.statistics.gate import daily_level

WINDOWS = (7, 28, 91, 365)
"""The periods that a gate looks at, in days until now. The shortest that decides, decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """The verdict on the model that serves.

    required
        the accuracy that it must exceed
    model
        the model of the newest predictions; None before the first round
    days
        how many days before now the rounds reach back that `estimate` rests on
    estimate, low, high
        its accuracy with the usual interval; the bounds that decide, which hold at every look
    more_labels
        labels that settle a NOT YET in 4 of 5 cases, if the accuracy is what it looks like; None: no
        sensible number would
    top_up
        the rounds that hold so many more, to be topped up; none where they don't
    reason
        why the verdict is NOT YET though the bounds would pass, or why there is no estimate
    """

    verdict: Verdict
    required: float
    model: str | None
    days: int
    estimate: Estimate | Undefined
    low: float
    high: float
    more_labels: int | None
    reason: str = ""
    top_up: tuple[int, ...] = ()


def gated(
    regular: Sequence[MeasuredRound],
    required: float,
    *,
    now: datetime,
    level: float,
    much_missing: bool,
) -> Gated:
    """Whether the model of the newest regular round is more accurate than `required`.

    Judged by rounds that it served alone, read for fresh traffic of their kind: what passes is the
    model, not the few samples that came. Asked every day, a model exactly at the gate passes, and
    fails, in at most 2% of years.

    much_missing
        whether the accuracy doesn't speak for much of the present traffic: then nothing passes

    Raises:
        ArgumentError: `required` isn't between 0 and 1.
    """
    if not 0 < required < 1:
        raise ArgumentError(
            f"gate = {required}: expected an accuracy between 0 and 1",
            remedy="write 0.9 for 90%",
        )
    served = [r for r in regular if r.summary.models]
    model = _newest_model(served[-1].frame) if served else None
    alone = [r for r in served if r.summary.models == {model}]
    found: Gated | None = None
    for days in WINDOWS:
        since = now - timedelta(days=days)
        frames = [r.frame for r in alone if r.round.created_at > since]
        found = _within(frames, model, days, required, level)
        if found.verdict is not Verdict.NOT_YET:
            break
    assert found is not None  # noqa: S101  there are windows
    if found.verdict is Verdict.PASS and much_missing:
        return replace(
            found,
            verdict=Verdict.NOT_YET,
            more_labels=None,
            top_up=(),
            reason="over 5% of the last 7 days' predictions are missing from the accuracy",
        )
    return found


def _newest_model(frame: BlindFrame) -> str:
    return max(frame.draws, key=lambda d: (d.predicted_at, d.model)).model


def _within(
    frames: Sequence[BlindFrame], model: str | None, days: int, required: float, level: float
) -> Gated:
    """What the rounds of one window say."""
    estimate = for_fresh_traffic(frames, level)
    bounds = for_fresh_traffic(frames, daily_level(len(WINDOWS)))
    verdict, low, high, more = Verdict.NOT_YET, 0.0, 1.0, None
    if isinstance(bounds, Estimate):
        low, high = bounds.low, bounds.high
        verdict = Verdict.of(low, high, required)
        more = labels_to_settle(bounds, bounds.n, required)
    return Gated(
        verdict=verdict,
        required=required,
        model=model,
        days=days,
        estimate=estimate,
        low=low,
        high=high,
        more_labels=more,
        top_up=rounds_for(frames, more),
        reason=f"{estimate.reason} in the last {days} days that it served alone"
        if isinstance(estimate, Undefined)
        else "",
    )
