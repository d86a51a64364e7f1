"""Which part of the traffic's model labels may be kept, by a test that is valid at every look.

Source: a test by betting, or e-process (Shafer 2021, "Testing by betting"; Waudby-Smith, Ramdas 2024,
"Estimating means of bounded random variables by betting"). Under "the error of the prefix is max_error or
more" the product of ((p / max_error)^wrong ((1 - p) / (1 - max_error))^right over audits is a
supermartingale for each p < max_error, and so is a mixture over p: it ever reaches 1 / failure_probability
with that probability at most (Ville 1939). Prefixes are tested in a fixed sequence, shortest first, each at
the full failure probability (Maurer, Hothorn, Lehmacher 1995).
"""

import math
from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, Ints, probabilities, same_length, truths
from labelloop.errors import ArgumentError

GRID: Floats = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0])
"""The prefixes that are tested, as shares of the traffic: fixed before any audit."""

_BETS = np.array([0.04, 0.2, 0.4, 0.6])
_WEIGHTS = np.array([0.35, 0.25, 0.3, 0.1])
"""The mixture: error rates, as shares of max_error, and their weights."""

_AHEAD = 1.7
"""How many times as long as the prefix under test the one may be in which audits are drawn."""

_SURE = 0.6
"""An estimated error below this share of max_error lets audits be drawn further ahead."""


class SequentialBound:
    """The longest prefix of the traffic, surest first, whose model labels are proven good enough.

    Estimand: for each prefix g, the share of wrong model labels among the share g of the traffic with
    the least risk. Promise: the probability that the kept prefix's error exceeds `max_error` at any
    look is at most `failure_probability`.

    Assumes that each audit was drawn uniformly from the prefix it names, that the choice of the prefix
    used past answers only, that the risk hasn't learned from these audits, and that the traffic's error
    in each prefix stays what it is while audits are gathered. An audit without an answer counts as
    wrong: pass it as wrong, and once it is answered, replay all audits in the order of drawing.

    Raises:
        ArgumentError: max_error or failure_probability outside (0, 1).

    >>> bound = SequentialBound(max_error=0.05, failure_probability=0.05)
    >>> bound.next_prefix
    0.2
    >>> bound.update([0.1] * 60, [False] * 60), bound.update([0.1] * 30, [False] * 30)
    (0.0, 0.2)
    """

    def __init__(self, *, max_error: float = 0.05, failure_probability: float = 0.05) -> None:
        for name, value in (
            ("max_error", max_error),
            ("failure_probability", failure_probability),
        ):
            if not 0 < value < 1:
                raise ArgumentError(
                    f"{name} = {value}: expected a number between 0 and 1",
                    remedy="write 0.05 for 5%",
                )
        self.max_error = max_error
        self.failure_probability = failure_probability
        self._limit = -math.log(failure_probability)
        p = _BETS * max_error
        self._gains = np.log(p / max_error), np.log((1 - p) / (1 - max_error))
        self._n = np.zeros(GRID.size, dtype=np.int64)
        self._wrong = np.zeros(GRID.size, dtype=np.int64)
        self._passed = np.zeros(GRID.size, dtype=bool)

    @property
    def kept(self) -> float:
        """The proven share of the traffic: 0 or a prefix of the grid. It never falls."""
        n = self._n_kept
        return float(GRID[n - 1]) if n else 0.0

    @property
    def stands(self) -> float:
        """The share that all audits so far prove together: as `kept`, and it may fall again.

        It is what may be said of traffic that came in parts, where the error may have changed from
        one part to the next: look once all audits of a part are passed, in proportion to its traffic.
        """
        n = _leading(self._evidence(self._n, self._wrong) >= self._limit)
        return float(GRID[n - 1]) if n else 0.0

    def n_missing(self, prefix: float) -> int | None:
        """How many more audits prove a prefix of the grid, if they are all right; None: too many to say.

        0 if it is proven by all audits so far.
        """
        at = int(np.argmin(np.abs(GRID - prefix)))

        def evidence(more: int) -> float:
            return float(self._evidence(self._n + more, self._wrong)[at])

        most = 10_000
        if evidence(most) < self._limit:
            return None
        return bisect_left(range(most), self._limit, key=evidence)

    @property
    def next_prefix(self) -> float:
        """The share of the traffic, surest first, in which the next audits are to be drawn.

        Audits of a longer prefix count for the shorter ones too, as far as they fall into them; so
        once the first is proven, audits are drawn ahead of the prefix under test, no further than
        what the answers so far bear out.
        """
        tested = min(self._n_kept, GRID.size - 1)
        if tested == 0:
            return float(GRID[0])
        estimated = (self._wrong + 0.5) / (self._n + 30)
        reach = tested
        while (
            reach + 1 < GRID.size
            and GRID[reach + 1] <= _AHEAD * GRID[tested]
            and estimated[reach + 1] <= _SURE * self.max_error
        ):
            reach += 1
        return float(GRID[reach])

    def counts(self, prefix: float) -> tuple[int, int]:
        """How many audits count for a prefix of the grid, and how many of them are wrong."""
        at = int(np.argmin(np.abs(GRID - prefix)))
        return int(self._n[at]), int(self._wrong[at])

    def update(
        self,
        rank: npt.ArrayLike,
        wrong: npt.ArrayLike,
        *,
        drawn_within: npt.ArrayLike | None = None,
    ) -> float:
        """The proven share after more audits, in the order in which they were drawn.

        rank
            (k,) float in (0, 1]: the place of each audit's risk in the traffic, the surest first
        wrong
            (k,) bool: whether the model's label is wrong; True where there is no answer yet
        drawn_within
            (k,) float, or one number: `next_prefix` when each audit was drawn; None: as it is now

        An audit counts for a prefix if its rank lies in it and the prefix lies in the one that it was
        drawn within: only then was it a uniform draw from that prefix.

        Raises:
            ArgumentError: lengths that differ, or an audit outside the prefix it was drawn within.
        """
        places, bad = probabilities("rank", rank), truths("wrong", wrong)
        given = self.next_prefix if drawn_within is None else drawn_within
        within = probabilities(
            "drawn_within", np.broadcast_to(np.asarray(given, float), places.shape)
        )
        same_length(rank=places, wrong=bad, drawn_within=within)
        outside = places > within
        if outside.any():
            first = int(np.argmax(outside))
            raise ArgumentError(
                f"rank[{first}] = {places[first]}, drawn within {within[first]}: expected a rank "
                "inside that prefix",
                remedy="pass as drawn_within what next_prefix was when the audit was drawn",
            )
        counts = (places[:, None] <= GRID) & (within[:, None] + 1e-9 >= GRID)
        n = self._n + counts.cumsum(axis=0)
        n_wrong = self._wrong + (counts & bad[:, None]).cumsum(axis=0)
        if places.size:
            self._passed |= (self._evidence(n, n_wrong) >= self._limit).any(axis=0)
            self._n, self._wrong = n[-1], n_wrong[-1]
        return self.kept

    def _evidence(self, n: Ints, n_wrong: Ints) -> Floats:
        """The logarithm of each prefix's e-process; (..., GRID.size), as the counts are."""
        gain_wrong, gain_right = self._gains
        logs = np.log(_WEIGHTS) + n_wrong[..., None] * gain_wrong
        found: Floats = np.logaddexp.reduce(logs + (n - n_wrong)[..., None] * gain_right, axis=-1)
        return found

    @property
    def _n_kept(self) -> int:
        """How many prefixes have passed with all before them."""
        return _leading(self._passed)


def _leading(passed: Bools) -> int:
    """How many of the first entries are True."""
    return int(np.argmin(passed)) if not passed.all() else passed.size
