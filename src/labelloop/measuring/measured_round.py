"""A round with the results that reports need of it; its draws are read only if they are needed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from labelloop.core.round import Round
from labelloop.measuring.accuracy import Accuracy, accuracy_of
from labelloop.measuring.blind_frame import BlindFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """The accuracy of a round, and which models and days its blind draws are of.

    first_at, last_at
        the first and the last prediction among the blind draws; None if the round has none
    """

    accuracy: Accuracy
    models: frozenset[str]
    days: frozenset[date]
    first_at: datetime | None
    last_at: datetime | None


class MeasuredRound:
    """A round with its summary, which is either kept from an earlier time or computed on first use."""

    def __init__(
        self,
        made: Round,
        load: Callable[[], BlindFrame],
        *,
        timezone: str,
        level: float,
        kept: RoundSummary | None = None,
    ) -> None:
        self.round = made
        self.is_new = kept is None
        self._load = load
        self._zone = ZoneInfo(timezone)
        self._level = level
        self._kept = kept

    @cached_property
    def frame(self) -> BlindFrame:
        """The round with its blind draws, read from the ledger on first use."""
        return self._load()

    @cached_property
    def summary(self) -> RoundSummary:
        """The results of the round."""
        if self._kept is not None:
            return self._kept
        times = [d.predicted_at for d in self.frame.draws]
        name = f"round {self.round.round}{' (extra)' if self.round.extra else ''}"
        return RoundSummary(
            accuracy=accuracy_of(name, [self.frame], None, self._level),
            models=frozenset(d.model for d in self.frame.draws),
            days=frozenset(at.astimezone(self._zone).date() for at in times),
            first_at=min(times, default=None),
            last_at=max(times, default=None),
        )

    def reaches(self, since: datetime | None, until: datetime | None) -> bool:
        """True if some of its draws may lie in the period since <= predicted_at < until."""
        first, last = self.summary.first_at, self.summary.last_at
        if first is None or last is None:
            return False
        return (since is None or since <= last) and (until is None or first < until)
