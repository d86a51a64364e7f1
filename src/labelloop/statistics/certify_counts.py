"""Certificates from counts by bin of risk, for lists of any size.

An engine counts the list by bins of risk; only the audits are looked at one by one. Prefixes end
where a bin ends, so samples of one bin are kept together or not at all, and ties need no breaking.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Ints, same_length, truths
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ArgumentError
from labelloop.statistics.audit import Audit, Prefixes, audits_for_half_of_more, first_grid_place
from labelloop.statistics.certify import (
    Promise,
    audits_needed,
    check_bounds,
    decided,
    promise_named,
)


@dataclass(frozen=True, slots=True, eq=False)
class ListCounts:
    """One frame's list of samples whose model label might be kept, and its audit.

    n, n_kept
        (1024,) samples in each risk bin, and those whose label would be kept: neither audited nor
        withheld (see `certify`)
    bins, lines, wrong
        (K,) of each audited sample: its risk bin, its place, whether the model was wrong there; an
        unanswered audit counts as wrong
    """

    n: Ints
    n_kept: Ints
    bins: Ints
    lines: Ints
    wrong: Bools

    @classmethod
    def checked(
        cls,
        n: npt.ArrayLike,
        n_kept: npt.ArrayLike,
        *,
        bins: npt.ArrayLike,
        lines: npt.ArrayLike,
        wrong: npt.ArrayLike,
    ) -> "ListCounts":
        """The counts of a frame.

        Raises:
            ArgumentError: counts that contradict each other, lengths that differ.
        """
        size, kept = np.asarray(n, dtype=np.int64), np.asarray(n_kept, dtype=np.int64)
        audited, places = np.asarray(bins, dtype=np.int64), np.asarray(lines, dtype=np.int64)
        same_length(bins=audited, lines=places, wrong=truths("wrong", wrong))
        if size.shape != (RISK_BINS,) or kept.shape != size.shape:
            raise ArgumentError(
                f"n has shape {size.shape}, n_kept {kept.shape}: expected {RISK_BINS} counts each",
                remedy="count the list by min(1023, floor(1024 risk))",
            )
        surplus = kept + np.bincount(audited, minlength=RISK_BINS) - size
        if (kept < 0).any() or (surplus > 0).any():
            where = int(np.argmax(surplus))
            raise ArgumentError(
                f"bin {where}: {kept[where]} kept and the audits are more than {size[where]} samples",
                remedy="audited samples are in the list, and are never kept",
            )
        return cls(size, kept, audited, places, truths("wrong", wrong))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsCertificate:
    """Which risk bins' model labels may be kept, and what is promised of them.

    n_bins
        the labels of the first `n_bins` bins, the least risky, may be kept; 0: none
    n_accepted, n_listed
        labels that this keeps, of so many in the list
    error_bound, n_audited, n_wrong, reason, n_audits_needed
        as in `Certificate`
    """

    n_bins: int
    n_accepted: int
    n_listed: int
    error_bound: float
    n_audited: int
    n_wrong: int
    reason: str
    n_audits_needed: int | None


def certify_counts(
    frames: Sequence[ListCounts],
    *,
    max_error: float = 0.05,
    failure_probability: float = 0.05,
    promise: str = "training-set",
    human_labels: int = 0,
) -> CountsCertificate:
    """The bins whose model labels may be kept under the promise.

    The arguments are those of `certify`. With several frames the audits of each are thinned to its
    smallest places, the same share everywhere.

    Asking again as answers come in is safe: until it is answered an audit counts as wrong, so an
    earlier decision keeps nothing that a later one, with the same audits, would not.

    Raises:
        ArgumentError: values out of range, an unknown promise.

    >>> import numpy as np
    >>> n = np.zeros(1024, dtype=int)
    >>> n[[10, 500]] = 800, 200
    >>> audits = {"bins": [10] * 160 + [500] * 40, "wrong": [False] * 160 + [True] * 40}
    >>> kept = n.copy()
    >>> kept[[10, 500]] -= 160, 40
    >>> one = ListCounts.checked(n, kept, lines=range(200), **audits)
    >>> found = certify_counts([one])
    >>> found.n_bins, found.n_accepted
    (11, 640)
    """
    kind = promise_named(promise)
    check_bounds(max_error, failure_probability, human_labels, kind)
    n = _summed([f.n for f in frames])
    n_kept = _summed([f.n_kept for f in frames])
    share = audited_share([(int(f.n.sum()), f.bins.size) for f in frames])
    used = [_thinned(f, share) if len(frames) > 1 else f for f in frames]
    bins = np.concatenate([f.bins for f in used]) if used else np.zeros(0, dtype=np.int64)
    wrong = np.concatenate([f.wrong for f in used]) if used else np.zeros(0, dtype=bool)
    at = np.flatnonzero(n)
    prefixes = Prefixes(
        size=np.cumsum(n)[at],
        kept=np.cumsum(n_kept)[at],
        used=np.cumsum(np.bincount(bins, minlength=RISK_BINS))[at],
        wrong=np.cumsum(np.bincount(bins[wrong], minlength=RISK_BINS))[at],
    )
    n_listed = int(n.sum())
    audit = Audit(n_listed, bins.size, _chance(frames, used), failure_probability)
    end, reason = decided(audit, prefixes, kind, max_error, human_labels)
    last = int(np.searchsorted(prefixes.size, end)) if end else -1
    n_accepted = int(prefixes.kept[last]) if end else 0
    return CountsCertificate(
        n_bins=int(at[last]) + 1 if end else 0,
        n_accepted=n_accepted,
        n_listed=n_listed,
        error_bound=max_error if n_accepted else 0.0,
        n_audited=int(bins.size),
        n_wrong=int(wrong.sum()),
        reason=reason,
        n_audits_needed=None if end else audits_needed(audit, max_error, human_labels, kind),
    )


def audited_share(frames: Sequence[tuple[int, int]]) -> float:
    """The share of every frame that counts as audited: the least of (samples, audits).

    >>> audited_share([(1000, 100), (4000, 100)])
    0.025
    """
    return min((k / n for n, k in frames if n), default=0.0)


def _thinned(one: ListCounts, share: float) -> ListCounts:
    # floor: exact for shares such as 50/1000, which a float may put a hair below
    wanted = math.floor(share * int(one.n.sum()) + 1e-9)
    used = np.argsort(one.lines, kind="stable")[:wanted]
    return ListCounts(one.n, one.n_kept, one.bins[used], one.lines[used], one.wrong[used])


def _chance(frames: Sequence[ListCounts], used: Sequence[ListCounts]) -> float | None:
    """The least chance of a sample to be an audit that counts; None for a single frame."""
    if len(frames) < 2:
        return None
    return audited_share([(int(f.n.sum()), f.bins.size) for f in used])


def _summed(counts: Sequence[Ints]) -> Ints:
    result = np.zeros(RISK_BINS, dtype=np.int64)
    for one in counts:
        result += one
    return result


@dataclass(frozen=True, slots=True)
class AuditsToClose:
    """Whether a certificate's audits suffice; if not, how many in all would, where that is known."""

    enough: bool
    n_needed: int | None


def audits_to_close(
    frames: Sequence[tuple[int, int]],
    *,
    max_error: float,
    failure_probability: float,
    promise: str,
    human_labels: int,
) -> AuditsToClose:
    """Whether the audits of the frames, given as (samples, audits), suffice for a test; if not, how
    many it takes in all, where rounds of this kind go on.

    They suffice when tests can start within the first half of the list. Counts alone decide, so
    this may say when a certificate's audits are complete.
    """
    n = sum(size for size, _ in frames)
    share = audited_share(frames)
    used = sum(math.floor(share * size + 1e-9) for size, _ in frames)
    kind = promise_named(promise)
    if kind is Promise.FRAME:
        # if none of so many is wrong, max_error is proven
        needed = math.ceil(math.log(failure_probability) / math.log1p(-max_error))
        return AuditsToClose(used >= needed, _drawn(frames, needed, used))
    place = first_grid_place(n, used, max_error, failure_probability, human_labels)
    if used and place <= n / 2:
        return AuditsToClose(enough=True, n_needed=None)
    needed_used = audits_for_half_of_more(n, used, max_error, failure_probability, human_labels)
    return AuditsToClose(
        enough=False,
        n_needed=None if needed_used is None else _drawn(frames, needed_used, used),
    )


def _drawn(frames: Sequence[tuple[int, int]], needed: int, used: int) -> int | None:
    """How many audits to draw in all so that `needed` of them count: frames thin each other out."""
    drawn = sum(k for _, k in frames)
    return math.ceil(needed * drawn / used) if used else None
