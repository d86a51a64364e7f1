"""May a candidate be shipped? What the last comparisons said, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from labelloop.ledger.verdicts import KeptVerdict
from labelloop.views.gate import to_settle
from labelloop.views.wording import counted, plain, points

_SAYS = {
    "PASS": "Yes",
    "FAIL": "No",
    "NOT YET": "Not yet known",
    None: "Can't be said",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shippable:
    """The answer, and why. `verdict` is "PASS", "FAIL", "NOT YET" or nothing.

    `by_itself`: nobody asked.
    """

    candidate: str
    verdict: str
    answer: str
    why: str
    at: datetime
    by_itself: bool


def shippable(found: Sequence[KeptVerdict]) -> tuple[Shippable, ...]:
    """What was found of each candidate, the newest first."""
    return tuple(
        Shippable(
            candidate=plain(PurePath(v.candidate).name),
            verdict=v.verdict or "",
            answer=_SAYS.get(v.verdict, v.verdict or ""),
            why=_why(v),
            at=v.at,
            by_itself=v.by_itself,
        )
        for v in found
    )


def _why(v: KeptVerdict) -> str:
    if v.value is None or v.low is None or v.high is None:
        return v.reason
    holds = "holds at every look" if v.every_look else f"{v.level:.0%} interval"
    text = (
        f"{100 * v.value:+.1f} points against {plain(v.serving_model)} ({100 * v.low:+.1f} to "
        f"{100 * v.high:+.1f}, {holds}), {counted(v.n, 'blind label')}; asked for: a gain above "
        f"{points(v.min_gain)}"
    )
    if v.verdict == "NOT YET":
        text += f"; {to_settle(v.more_labels, ())}"
    if v.n_candidates > 1:
        text += f"; {v.n_candidates:,} candidates were judged by these labels"
    return text
