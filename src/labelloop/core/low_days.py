"""What a look at the newest days finds, beside earlier ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LowDays:
    """What one look at the newest days found.

    before, now
        the mean of the earlier days, and of the newest ones
    n_low, n_now, n_before
        how many of the `n_now` newest days are lower than each of the `n_before` earlier ones
    n_needed
        how many have to be, for an alarm
    false_alarms_a_year
        the probability that a year of daily looks raises a false alarm, at most
    """

    before: float
    now: float
    n_low: int
    n_now: int
    n_before: int
    n_needed: int
    false_alarms_a_year: float

    @property
    def alarm(self) -> bool:
        """Whether enough of the newest days are low."""
        return self.n_low >= self.n_needed
