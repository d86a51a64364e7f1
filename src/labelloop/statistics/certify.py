"""The model labels that may be kept, with a proven bound on how many of them are wrong.

Three promises, each with probability at least 1 - failure_probability over the audit:

frame          wrong kept labels <= max_error N: all else in the frame gets human labels. The
setting of
               PAC labelling (Candes, Ilyas, Zrnic 2025, "Probably approximately correct labels")
training-set   wrong kept labels <= max_error (kept + human training labels)
model-labels   wrong kept labels <= max_error kept

All rest on an audit: a simple random sample that people labelled blind. Samples are sorted by risk,
least first. `frame` accepts what comes before one audited error too many; the other two test one
growing prefix after another on a grid fixed beforehand and stop at the first failure
(fixed-sequence testing, Maurer, Hothorn, Lehmacher 1995), so no correction for many tests is due.
What stands behind each test is `labelloop.statistics.audit`.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Ints, in_range, same_length, truths
from labelloop.errors import ArgumentError
from labelloop.statistics.audit import Audit, Prefixes, first_grid_place, tested


class Promise(StrEnum):
    """What a certificate bounds; the module explains each."""

    TRAINING_SET = "training-set"
    MODEL_LABELS = "model-labels"
    FRAME = "frame"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """The model labels to keep, and the bound on their errors.

    accepted
        (N,) bool: model labels to keep; audited samples are never among them
    threshold
        the largest risk among the accepted; None where none is
    error_bound
        the proven bound: max_error where anything is accepted (no smaller one that was looked up
        afterwards would hold), 0 where nothing is
    n_audited, n_wrong
        audits used, after thinning, and those on which the model was wrong
    reason
        why so many are accepted, or none, in words
    n_audits_needed
        where nothing is accepted: about how many audits in all would let labels be kept; None where
        more of them would not help, or where some are accepted
    """

    accepted: Bools
    threshold: float | None
    error_bound: float
    promise: Promise
    max_error: float
    failure_probability: float
    human_labels: int
    n_audited: int
    n_wrong: int
    reason: str
    n_audits_needed: int | None

    @property
    def n_accepted(self) -> int:
        """How many model labels are kept."""
        return int(self.accepted.sum())


def certify(
    risk: npt.ArrayLike,
    audited: npt.ArrayLike,
    wrong: npt.ArrayLike,
    *,
    max_error: float = 0.05,
    failure_probability: float = 0.05,
    promise: str = "training-set",
    human_labels: int = 0,
    line: npt.ArrayLike | None = None,
    frame: npt.ArrayLike | None = None,
    withheld: npt.ArrayLike | None = None,
) -> Certificate:
    """The model labels that may be kept under the promise.

    risk
        (N,) in [0, 1]; it only orders. It must not have seen the labels of this audit: one that was
        fitted on them breaks the promise in every run
    audited, wrong
        (K,) indices of a simple random sample without replacement, of each frame if there are
        several; (K,) bool, whether the model was wrong there. An unanswered audit counts as wrong.
        K is fixed before the labels are seen; who tries again as they come in passes
        `level_spent(failure_probability, attempt)` each time
    human_labels
        for training-set: human labels of training draws beside the kept ones, counted beforehand,
        none of them from the audit
    line, frame
        (N,) int64: each sample's place, and the number of its frame. Ties in risk are broken by a
        number mixed from the place, as the audit itself is the smallest places. With several frames
        only the f N_h smallest audited places of each count, f = min K_h / N_h: audits merely
        poured together break the promise when the frames differ
    withheld
        (N,) bool: samples that will not stand under the model's label for a reason that the line
        had a part in (drawn for people, twins of what was drawn). They stay in the list, or the
        audit would be denser where they were taken out, and are never accepted. What leaves for any
        other reason is left out of the list beforehand

    Raises:
        ArgumentError: repeated or impossible audit indices, lengths that differ, values out of
            range, an unknown promise, several frames without line.

    >>> import numpy as np
    >>> risk = np.linspace(0, 1, 1000)
    >>> audited = np.arange(0, 1000, 4)
    >>> found = certify(risk, audited, risk[audited] > 0.8)
    >>> found.n_accepted, round(found.threshold, 2), found.error_bound
    (608, 0.81, 0.05)
    """
    kind = promise_named(promise)
    risks = in_range("risk", risk, np.greater_equal, "[0, 1]")
    chosen, bad = _audits(audited, wrong, risks.size)
    check_bounds(max_error, failure_probability, human_labels, kind)
    places = None if line is None else np.asarray(line, dtype=np.int64)
    frames = np.zeros(risks.size, dtype=np.int64) if frame is None else np.asarray(frame)
    same_length(risk=risks, frame=frames, **({} if places is None else {"line": places}))
    used, chance, single = _thinned(chosen, frames, places)
    order = np.lexsort((_mixed(places, risks.size), risks))
    is_audited = marked(risks.size, chosen)
    is_withheld = is_audited | _withheld(withheld, risks.size)
    is_used = marked(risks.size, used)
    is_wrong = marked(risks.size, chosen[bad])
    prefixes = Prefixes(
        size=np.arange(1, risks.size + 1),
        kept=np.cumsum(~is_withheld[order]),
        used=np.cumsum(is_used[order]),
        wrong=np.cumsum((is_used & is_wrong)[order]),
    )
    audit = Audit(risks.size, used.size, None if single else chance, failure_probability)
    end, reason = decided(audit, prefixes, kind, max_error, human_labels)
    accepted = np.zeros(risks.size, dtype=bool)
    accepted[order[:end]] = True
    accepted &= ~is_withheld
    some = bool(accepted.any())
    return Certificate(
        accepted=accepted,
        threshold=float(risks[accepted].max()) if some else None,
        error_bound=max_error if some else 0.0,
        promise=kind,
        max_error=max_error,
        failure_probability=failure_probability,
        human_labels=human_labels,
        n_audited=int(is_used.sum()),
        n_wrong=int((is_used & is_wrong).sum()),
        reason=reason,
        n_audits_needed=None if some else audits_needed(audit, max_error, human_labels, kind),
    )


def decided(
    audit: Audit, prefixes: Prefixes, promise: Promise, max_error: float, human_labels: int
) -> tuple[int, str]:
    """How many samples from the front are accepted under the promise, and why."""
    if promise is Promise.FRAME:
        end, reason = audit.frame_prefix(prefixes, max_error)
    else:
        places = tested(prefixes.size, audit, max_error, human_labels)
        end, reason = audit.kept_prefix(prefixes.at(places), max_error, human_labels)
        end = int(places[end - 1]) + 1 if end else 0
    return (int(prefixes.size[end - 1]) if end else 0), reason


def marked(size: int, places: Ints) -> Bools:
    """(size,) bool: True at `places`."""
    result = np.zeros(size, dtype=bool)
    result[places] = True
    return result


def _thinned(
    chosen: Ints, frames: npt.NDArray[np.generic], places: Ints | None
) -> tuple[Ints, float, bool]:
    """The audits that count, the least chance of being one, and whether there is only one frame."""
    numbers, inverse = np.unique(frames, return_inverse=True)
    sizes = np.bincount(inverse, minlength=numbers.size)
    drawn = np.bincount(inverse[chosen], minlength=numbers.size)
    if numbers.size <= 1:
        return chosen, float(drawn.sum() / max(1, sizes.sum())), True
    if places is None:
        raise ArgumentError(
            f"line is missing with {numbers.size} frames: their audits are thinned by place",
            remedy="pass each sample's place on the line",
        )
    share = float((drawn / sizes).min())
    # floor: exact for shares such as 50/1000, which a float may put a hair below
    wanted = np.floor(share * sizes + 1e-9).astype(np.int64)
    kept = []
    for h in range(numbers.size):
        mine = chosen[inverse[chosen] == h]
        kept.append(mine[np.argsort(places[mine], kind="stable")[: wanted[h]]])
    return np.concatenate(kept), float((wanted / sizes).min()), False


def _mixed(places: Ints | None, size: int) -> npt.NDArray[np.uint64]:
    """A hash of each place, to break ties independently of the place (the finaliser of splitmix64)."""
    x = (np.arange(size) if places is None else places).astype(np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def audits_needed(
    audit: Audit, max_error: float, human_labels: int, promise: Promise
) -> int | None:
    """Audits with which tests could start at half the traffic; None if errors are the cause."""
    n, k, alpha = audit.n, audit.n_used, audit.alpha
    if promise is Promise.FRAME or n == 0:
        return None
    if first_grid_place(n, k, max_error, alpha, human_labels) <= n and k:
        return None
    return audits_for_half(audit, max_error, human_labels)


def audits_for_half(audit: Audit, max_error: float, human_labels: int) -> int | None:
    """Audits with which tests start within the first half of the list; None: not even all would do."""
    low, high = audit.n_used, audit.n
    while low < high:
        middle = (low + high) // 2
        # half of the traffic kept is worth an audit
        place = first_grid_place(audit.n, middle, max_error, audit.alpha, human_labels)
        low, high = (low, middle) if place <= audit.n / 2 else (middle + 1, high)
    place = first_grid_place(audit.n, low, max_error, audit.alpha, human_labels)
    return low if audit.n_used < low and place <= audit.n / 2 else None


def _withheld(withheld: npt.ArrayLike | None, size: int) -> Bools:
    given = np.zeros(size, dtype=bool) if withheld is None else truths("withheld", withheld)
    same_length(risk=np.empty(size), withheld=given)
    return given


def promise_named(promise: str) -> Promise:
    """The promise of that name.

    Raises:
        ArgumentError: there is none.
    """
    try:
        return Promise(promise)
    except ValueError as exc:
        raise ArgumentError(
            f"promise = {promise!r}: expected one of {', '.join(Promise)}",
            remedy='"training-set" suits most',
        ) from exc


def _audits(audited: npt.ArrayLike, wrong: npt.ArrayLike, size: int) -> tuple[Ints, Bools]:
    given = np.asarray(audited)
    if given.size == 0:
        given = given.astype(np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ArgumentError(
            f"audited: expected a list of indices, got shape {given.shape} of {given.dtype}",
            remedy="pass numpy.flatnonzero of the audited samples",
        )
    chosen, bad = given.astype(np.int64), truths("wrong", wrong)
    same_length(audited=chosen, wrong=bad)
    outside = (chosen < 0) | (chosen >= size)
    if outside.any():
        raise ArgumentError(
            f"audited holds {chosen[outside][0]}: expected indices from 0 to {size - 1}",
            remedy="pass indices into risk",
        )
    values, times = np.unique(chosen, return_counts=True)
    if (times > 1).any():
        raise ArgumentError(
            f"audited holds {values[times > 1][0]} {times.max()} times: expected each index once",
            remedy="an audit is a sample without replacement",
        )
    return chosen, bad


def check_bounds(max_error: float, alpha: float, human_labels: int, kind: Promise) -> None:
    """Raise ArgumentError for bounds that no promise can have."""
    for name, value in (("max_error", max_error), ("failure_probability", alpha)):
        if not 0 < value < 1:
            raise ArgumentError(
                f"{name} = {value}: expected a number between 0 and 1", remedy="write 0.05 for 5%"
            )
    if human_labels < 0 or (human_labels and kind is not Promise.TRAINING_SET):
        raise ArgumentError(
            f"human_labels = {human_labels} with promise {kind}: expected 0 or more, and 0 but for "
            "training-set",
            remedy="only training-set counts human labels",
        )
