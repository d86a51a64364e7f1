"""The tests behind a certificate: how far along a list sorted by risk the audit allows to go.

Let a prefix hold T wrong labels, k of them audited and found, U = T - k unaudited. If U > c then T
>= k + c + 1, and so few findings have at most the probability P(X <= k) with X the number of
audited ones among k + c + 1: hypergeometric for one frame (the audit is a simple random sample of
any prefix), and for several at most binomial with the smallest audited share of any frame
(Hoeffding 1956, theorem 4: a sum of unequal chances is less spread than equal ones). Where that is
at most alpha, U <= c is proven.
"""

import math
from dataclasses import dataclass

import numpy as np

from labelloop.statistics.frame import Bools, Floats, Ints

_STEPS = 100
"""Prefixes that a frame is cut into."""
_SLACK = 90 / 58.4
"""90 audits where 58.4 without any error would do (5% at 95%): room for a few errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """A list sorted by risk: which samples were audited, which audits count, which were wrong.

    chance
        the smallest share of any frame that was audited; None: one frame, exactly hypergeometric
    """

    audited: Bools
    used: Bools
    wrong: Bools
    chance: float | None
    alpha: float

    def frame_prefix(self, max_error: float) -> tuple[int, str]:
        """How many samples from the front may be accepted so that wrong ones are <= max_error N."""
        n, k_used = self.used.size, int(self.used.sum())
        allowed = math.floor(max_error * n)
        found = np.flatnonzero(self.used & self.wrong)
        # what is surely unaudited rises with what was found, so the largest fit is found by halving
        kappa, beyond = -1, k_used + 1
        while beyond - kappa > 1:
            middle = (kappa + beyond) // 2
            p = self._p_value(middle, min(n, middle + allowed + 1), n, k_used)
            kappa, beyond = (middle, beyond) if p <= self.alpha else (kappa, middle)
        if kappa < 0 and allowed < n:
            return 0, (
                f"{k_used} audits are too few: even without an error they don't prove that at most "
                f"{allowed} of {n} are wrong"
            )
        if kappa >= found.size:
            return n, f"{found.size} errors in {k_used} audits: the whole frame may be accepted"
        return int(found[kappa]), f"accepted up to audited error number {kappa + 1} of {found.size}"

    def kept_prefix(self, max_error: float, human_labels: int) -> tuple[int, str]:
        """How many from the front to keep so that wrong ones are <= max_error (kept + human)."""
        n, k_used = self.used.size, int(self.used.sum())
        start = first_grid_place(n, k_used, max_error, self.alpha, human_labels)
        if start > n:
            return 0, (
                f"{k_used} audits are too few to prove that at most {max_error:.1%} of kept labels "
                "are wrong"
            )
        audits, counted = np.cumsum(self.audited), np.cumsum(self.used)
        found = np.cumsum(self.used & self.wrong)
        kept, last = 0, ""
        grid = [*range(start, n, max(1, math.ceil(n / _STEPS))), n]
        for j in grid:
            k = int(found[j - 1])
            allowed = math.floor(max_error * (j - int(audits[j - 1]) + human_labels))
            p = self._p_value(k, min(j, allowed + k + 1), j, int(counted[j - 1]))
            if allowed + k + 1 <= j and p > self.alpha:
                last = f"{k} errors in the {counted[j - 1]} audits of the {j} least risky samples"
                break
            kept = j
        if not kept:
            return 0, f"the model is too often wrong even where it is surest: {last}"
        return kept, f"kept the {kept} least risky; then {last}" if last else "kept the whole list"

    def _p_value(self, k: int, errors: int, size: int, counted: int) -> float:
        """P(at most k audited) were `errors` of `size` wrong, `counted` of them audited."""
        if k >= min(errors, counted):
            return 1.0
        if self.chance is None:
            return _hypergeometric(k, size, errors, counted)
        from scipy.special import bdtr

        return float(bdtr(k, errors, self.chance))


def _hypergeometric(k: int, size: int, errors: int, counted: int) -> float:
    """P(X <= k), X the errors among `counted` samples drawn of `size` that hold `errors`."""
    from scipy.special import gammaln

    i = np.arange(max(0, counted + errors - size), k + 1)
    rest = size - errors

    def ways(n: int, of: Ints) -> Floats:
        """The logarithm of the number of ways to choose `of` from n."""
        result: Floats = gammaln(n + 1) - gammaln(of + 1) - gammaln(n - of + 1)
        return result

    logs = ways(errors, i) + ways(rest, counted - i) - ways(size, np.array([counted]))
    return float(min(1.0, np.exp(logs).sum()))


def first_grid_place(
    n: int, n_audits: int, max_error: float, alpha: float, human_labels: int
) -> int:
    """Where testing starts: the shortest prefix in which enough audits are expected; n + 1 if none
    is.

    Enough is 90 at 5% and 95%, and in proportion to what an audit without any error needs
    otherwise; human labels allow more errors and so need fewer audits. It depends on counts alone,
    so it is fixed before any label is seen.
    """
    if n_audits == 0 or n == 0:
        return n + 1
    places = np.arange(1, n + 1)
    share = np.minimum(0.5, max_error * (places + human_labels) / places)
    needed = _SLACK * math.log(alpha) / np.log1p(-share)
    enough = places * (n_audits / n) >= needed
    return int(np.argmax(enough)) + 1 if enough.any() else n + 1
