"""The tests behind a certificate: which beginning of a list sorted by risk the audit allows.

Let a prefix hold T wrong labels, k of them audited and found, U = T - k unaudited. If U > c then T
>= k + c + 1, and so few findings have at most the probability P(X <= k) with X the number of
audited ones among k + c + 1: hypergeometric for one frame (the audit is a simple random sample of
any prefix), and for several at most binomial with the smallest audited share of any frame
(Hoeffding 1956, theorem 4: a sum of unequal chances is less spread than equal ones). Where that is
at most alpha, U <= c is proven.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from labelloop.core.arrays import Floats, Ints

STEPS = 100
"""Prefixes that a frame is cut into."""
TOO_WRONG = "the model is too often wrong even where it is surest"
_SLACK = 90 / 58.4
"""90 audits where 58.4 without any error would do (5% at 95%): room for a few errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """Prefixes of a list sorted by risk, least risky first: (G,) counts in each.

    size
        samples, rising
    kept
        those whose label would be kept: neither audited nor withheld for another reason
    used, wrong
        audits that count, and those of them on which the model was wrong
    """

    size: Ints
    kept: Ints
    used: Ints
    wrong: Ints

    def at(self, places: Ints) -> "Prefixes":
        """The prefixes at these indices."""
        return Prefixes(self.size[places], self.kept[places], self.used[places], self.wrong[places])


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of a list, and the level of the test.

    n, n_used
        samples in the list, and audits that count
    chance
        the smallest share of any frame that was audited; None: one frame, exactly hypergeometric
    """

    n: int
    n_used: int
    chance: float | None
    alpha: float

    def frame_prefix(self, prefixes: Prefixes, max_error: float) -> tuple[int, str]:
        """How many prefixes may be accepted so that wrong ones are <= max_error n, and why."""
        allowed = math.floor(max_error * self.n)
        # what is surely unaudited rises with what was found, so the largest fit is found by halving
        kappa, beyond = -1, self.n_used + 1
        while beyond - kappa > 1:
            middle = (kappa + beyond) // 2
            p = self._p_value(middle, min(self.n, middle + allowed + 1), self.n, self.n_used)
            kappa, beyond = (middle, beyond) if p <= self.alpha else (kappa, middle)
        if kappa < 0 and allowed < self.n:
            return 0, (
                f"{self.n_used} audits are too few: even without an error they don't prove that at "
                f"most {allowed} of {self.n} are wrong"
            )
        found = int(prefixes.wrong[-1]) if prefixes.wrong.size else 0
        if kappa >= found:
            return prefixes.size.size, (
                f"{found} errors in {self.n_used} audits: the whole frame may be accepted"
            )
        return int(np.searchsorted(prefixes.wrong, kappa, side="right")), (
            f"accepted up to audited error number {kappa + 1} of {found}"
        )

    def kept_prefix(
        self, prefixes: Prefixes, max_error: float, human_labels: int
    ) -> tuple[int, str]:
        """How many prefixes to keep so that wrong ones are <= max_error (kept + human), and why.

        Each prefix is tested in turn, up to the first that fails; which ones are tested depends on
        counts alone. One that would fail even without an error is passed over.
        """
        too_few = (
            f"{self.n_used} audits are too few to prove that at most {max_error:.1%} of kept "
            "labels are wrong"
        )
        if not prefixes.size.size:
            return 0, too_few
        n_tested, n_kept, last = 0, 0, ""
        for size, kept, used, k in zip(
            prefixes.size.tolist(),
            prefixes.kept.tolist(),
            prefixes.used.tolist(),
            prefixes.wrong.tolist(),
            strict=True,
        ):
            allowed = math.floor(max_error * (kept + human_labels))
            n_tested += 1
            if self._fails(0, allowed, size, used):
                continue  # it says nothing of the model: the labels had no say in that
            if self._fails(k, allowed, size, used):
                last = f"{k} errors in the {used} audits of the {size} least risky samples"
                break
            n_kept = n_tested
        if not n_kept:
            return 0, f"{TOO_WRONG}: {last}" if last else too_few
        end = int(prefixes.size[n_kept - 1])
        return n_kept, f"kept the {end} least risky; then {last}" if last else "kept the whole list"

    def _fails(self, k: int, allowed: int, size: int, used: int) -> bool:
        """Whether k errors among the audits of a prefix don't prove that at most `allowed` are left."""
        errors = allowed + k + 1
        return errors <= size and self._p_value(k, errors, size, used) > self.alpha

    def _p_value(self, k: int, errors: int, size: int, used: int) -> float:
        """P(at most k audited) were `errors` of `size` wrong, `used` of them audited."""
        if k >= min(errors, used):
            return 1.0
        if self.chance is None:
            return _hypergeometric(k, size, errors, used)
        from scipy.special import bdtr

        return float(bdtr(k, errors, self.chance))


def tested(sizes: Ints, audit: Audit, max_error: float, human_labels: int) -> Ints:
    """The prefixes that are tested: indices into rising `sizes`, a hundredth of the list apart.

    From the first in which enough audits are expected; the last is always among them. Counts alone
    decide, so the grid is fixed before any label is seen.
    """
    if not sizes.size:
        return np.zeros(0, dtype=np.int64)
    start = first_grid_place(audit.n, audit.n_used, max_error, audit.alpha, human_labels)
    step = max(1, math.ceil(audit.n / STEPS))
    wanted = [*range(start, audit.n, step), audit.n] if start <= audit.n else []
    return np.unique(np.searchsorted(sizes, np.array(wanted, dtype=np.int64)))


def _hypergeometric(k: int, size: int, errors: int, counted: int) -> float:
    """P(X <= k), where X is the number of errors among `counted` of `size` samples with `errors`."""
    from scipy.special import gammaln

    i = np.arange(max(0, counted + errors - size), k + 1)
    rest = size - errors

    def ways(n: int, of: Ints) -> Floats:
        """The logarithm of the number of ways to choose `of` from n."""
        result: Floats = gammaln(n + 1) - gammaln(of + 1) - gammaln(n - of + 1)
        return result

    logs = ways(errors, i) + ways(rest, counted - i) - ways(size, np.array([counted]))
    return float(min(1.0, np.exp(logs).sum()))


def audits_for_half_of_more(
    n: int, n_audits: int, max_error: float, alpha: float, human_labels: int
) -> int | None:
    """Audits with which tests start within the first half of a list that grows with its audits.

    More audits come with more traffic, so the audited share stays what it is; `human_labels` stay as
    they are. None: there is no audit yet, or all of the list is audited, so that nothing is left to
    keep.
    """
    if not 0 < n_audits < n:
        return None
    enough = _enough(n_audits / n, max_error, alpha, human_labels)
    return next(k for k in count(n_audits + 1) if enough(n * k // n_audits // 2))


def first_grid_place(
    n: int, n_audits: int, max_error: float, alpha: float, human_labels: int
) -> int:
    """Where testing starts: the shortest prefix in which enough audits are expected; n + 1 if none
    is.

    It depends on counts alone, so it is fixed before any label is seen.
    """
    if n_audits == 0 or n == 0:
        return n + 1
    enough = _enough(n_audits / n, max_error, alpha, human_labels)
    if not enough(n):
        return n + 1
    # halving: any rule will do that looks at counts alone
    low, high = 1, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _enough(
    rate: float, max_error: float, alpha: float, human_labels: int
) -> Callable[[int], bool]:
    """Whether a prefix has enough audits.

    Enough is 90 at 5% and 95%, and in proportion to what an audit without any error needs
    otherwise; human labels allow more errors and so need fewer audits.
    """

    def enough(place: int) -> bool:
        if place < 1:
            return False
        share = min(0.5, max_error * (place + human_labels) / place)
        return place * rate >= _SLACK * math.log(alpha) / math.log1p(-share)

    return enough
