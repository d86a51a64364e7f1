"""An interval around a proportion, and the Estimate that it becomes."""

from typing import NamedTuple

from labelloop.core.estimate import Estimate


class Interval(NamedTuple):
    """A proportion with its bounds; `n_effective` is as in Estimate."""

    value: float
    low: float
    high: float
    n_effective: float

    def estimate(
        self,
        *,
        level: float,
        n: int,
        method: str,
        worst: tuple[float, float] = (1.0, 0.0),
        n_read: float = 1,
        n_unread: float = 0,
    ) -> Estimate:
        """The estimate from `n` labels.

        worst
            the bounds once each missing answer is taken the worst way; by default none is missing
        n_read, n_unread
            rows that the interval speaks of, and rows that could not be read: all of these may be
            wrong, or all right
        """
        share = n_read / (n_read + n_unread)
        return Estimate(
            value=self.value,
            low=self.low,
            high=self.high,
            level=level,
            n=n,
            n_effective=self.n_effective,
            method=method,
            worst_low=min(self.low, worst[0]) * share,
            worst_high=max(self.high, worst[1]) * share + (1 - share),
        )


def pooled_note(n_rounds: int) -> str:
    """What a method's name adds where it rests on several rounds."""
    return f", {n_rounds} rounds pooled by traffic" if n_rounds > 1 else ""
