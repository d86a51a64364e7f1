"""The traffic of a period that its accuracy doesn't speak for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelloop.core.row_range import RowRange
from labelloop.core.task import TaskState
from labelloop.ledger import Transaction, rejects, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.accuracy import Accuracy, Keep, n_logged_of
from labelloop.measuring.measured_round import MeasuredRound

WINDOW = timedelta(days=7)
SKEW = timedelta(minutes=5)
"""Clocks differ by a little: what is dated so far ahead isn't in the future."""
MUCH = 0.05
"""The share of a period's traffic that may be missing before its accuracy is told after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The predictions that came in during a period, and those that its accuracy doesn't speak for.

    n_rejected, n_rejected_most
        rejected: at least so many, and at most; None where nobody can tell how many a file hides
    n_future
        dated in the future, as estimated from the blind draws
    n_too_old
        skipped by the first round, as they are older than `[rounds] first_window`; or dated over seven
        days before their round, as estimated from the blind draws
    n_lost
        whose input is gone or overwritten, or can't be shown, as estimated from the blind draws
    n_in_all
        all that came in, missing or not; None where nobody can tell
    much
        whether more than 5% of all may be missing
    """

    n_rejected: int
    n_rejected_most: int | None
    n_future: int
    n_too_old: int
    n_lost: int
    n_in_all: int | None
    much: bool

    @property
    def rejected(self) -> RowRange:
        """The rejected predictions."""
        return RowRange(self.n_rejected, self.n_rejected_most)

    @property
    def n_others(self) -> int:
        """What is missing and wasn't rejected."""
        return self.n_future + self.n_too_old + self.n_lost


def missing(
    tx: Transaction, regular: Sequence[MeasuredRound], recent: Accuracy, *, now: datetime
) -> Missing:
    """What the accuracy of the last seven days, `recent`, doesn't speak for."""
    since = now - WINDOW
    fresh = [r for r in regular if r.round.created_at > since]
    reaching = [r for r in regular if r.reaches(since, now + SKEW)]
    latest = regular[-1].round.created_at if regular else since
    rejected = RowRange.total(
        [
            *(r.frame.set_aside for r in regular if r in fresh or r in reaching),
            rejects.outside_frames(tx, max(latest, since)),
        ]
    )
    n_future = _n(fresh, lambda d: d.predicted_at >= now + SKEW)
    n_too_old = sum(
        _n([r], lambda d, r=r: d.predicted_at < r.round.created_at - WINDOW)  # type: ignore[misc]
        for r in fresh
    )
    skipped = rounds.skipped(tx)
    if skipped is not None and skipped.at > since:
        n_too_old += skipped.n
    return of_counts(
        rejected,
        n_future=n_future,
        n_too_old=n_too_old,
        n_lost=_n(reaching, lambda d: since <= d.predicted_at < now + SKEW and _is_lost(d)),
        n_traffic=recent.n_traffic if recent.n_logged is None else recent.n_logged,
    )


def of_counts(
    rejected: RowRange, *, n_future: int, n_too_old: int, n_lost: int, n_traffic: int
) -> Missing:
    """What is missing; the accuracy speaks for `n_traffic` predictions, the lost ones among them."""
    n_known = n_traffic + n_future + n_too_old
    in_all = None if rejected.most is None else n_known + rejected.most
    at_most = rejected.at_worst + n_future + n_too_old + n_lost
    return Missing(
        n_rejected=rejected.least,
        n_rejected_most=rejected.most,
        n_future=n_future,
        n_too_old=n_too_old,
        n_lost=n_lost,
        n_in_all=in_all,
        much=in_all is None or at_most > MUCH * in_all,
    )


def _n(found: Iterable[MeasuredRound], keep: Keep) -> int:
    """How many predictions the blind draws stand for that `keep` names."""
    return sum(n_logged_of(r.frame, keep) for r in found)


def _is_lost(d: DrawWithLabel) -> bool:
    return d.state is TaskState.UNAVAILABLE and not d.forgotten
