"""The rule of quotas: how a budget is shared among classes and sources."""

import heapq
from collections import Counter
from collections.abc import Sequence

from labelloop.core.queue import Quotas
from labelloop.core.ranked import Ranked


def fill(ranked: Sequence[Ranked], budget: int, quotas: Quotas) -> list[Ranked]:
    """At most `budget` rows, the first ones that the quotas allow, in the order of `ranked`.

    1. Floors: the first rows of each value that has fewer than its floor.
    2. The rest by rank; with `balance`, always for a value of which the fewest were taken.
    No value exceeds its ceiling, whatever the floors are. A row without a value counts as a value of
    its own.

    ranked
        the rows, the best first; `groups` are their values in `quotas.columns`
    """
    filling = _Filling(ranked, budget, quotas)
    filling.floors()
    filling.rest()
    return [row for i, row in enumerate(ranked) if i in filling.taken]


class _Filling:
    """What is taken so far."""

    def __init__(self, ranked: Sequence[Ranked], budget: int, quotas: Quotas) -> None:
        columns = quotas.columns
        self._ranked, self._budget = ranked, budget
        self._ceilings = [(columns.index(name), most) for name, most in quotas.max_per]
        self._floors = [(columns.index(name), least) for name, least in quotas.min_per]
        self._balance = columns.index(quotas.balance) if quotas.balance else None
        self._counts: list[Counter[str | None]] = [Counter() for _ in columns]
        self.taken: set[int] = set()

    def floors(self) -> None:
        """Take the first rows of each value below its floor."""
        for i, row in enumerate(self._ranked):
            if any(self._counts[c][row.groups[c]] < least for c, least in self._floors):
                self._take(i, row)

    def rest(self) -> None:
        """Take the first rows; with `balance`, the next row of a value of which the fewest are taken."""
        if self._balance is None:
            for i, row in enumerate(self._ranked):
                self._take(i, row)
            return
        waiting: dict[str | None, list[int]] = {}
        for i in range(len(self._ranked) - 1, -1, -1):
            if i not in self.taken:
                waiting.setdefault(self._ranked[i].groups[self._balance], []).append(i)
        counts = self._counts[self._balance]
        turns = [(counts[value], places[-1], value) for value, places in waiting.items()]
        heapq.heapify(turns)
        while turns and len(self.taken) < self._budget:
            _, i, value = heapq.heappop(turns)
            self._take(i, self._ranked[i])
            waiting[value].pop()
            if waiting[value]:
                heapq.heappush(turns, (counts[value], waiting[value][-1], value))

    def _take(self, i: int, row: Ranked) -> None:
        full = any(self._counts[c][row.groups[c]] >= most for c, most in self._ceilings)
        if i in self.taken or full or len(self.taken) >= self._budget:
            return
        self.taken.add(i)
        for count, value in zip(self._counts, row.groups, strict=True):
            count[value] += 1
