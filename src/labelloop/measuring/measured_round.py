"""A round with the results that reports need of it; its draws are read only if they are needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from labelloop.core.round import Round
from labelloop.measuring.accuracy import Accuracy, accuracy_of
from labelloop.measuring.blind_frame import BlindFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The blind draws of a round that one model predicted on one day; `first_at` is the earliest."""

    model: str
    day: date
    n_drawn: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """The accuracy of a round, and which models and days its blind draws are of."""

    accuracy: Accuracy
    served: tuple[Served, ...]

    @property
    def models(self) -> frozenset[str]:
        """The models that predicted its blind draws."""
        return frozenset(s.model for s in self.served)

    @property
    def days(self) -> frozenset[date]:
        """The days of these predictions."""
        return frozenset(s.day for s in self.served)


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
        name = f"round {self.round.round}{' (extra)' if self.round.extra else ''}"
        return RoundSummary(
            accuracy=accuracy_of(name, [self.frame], None, self._level),
            served=tuple(self._served()),
        )

    def _served(self) -> Iterator[Served]:
        times: dict[tuple[str, date], list[datetime]] = {}
        for d in self.frame.draws:
            day = d.predicted_at.astimezone(self._zone).date()
            times.setdefault((d.model, day), []).append(d.predicted_at)
        for (model, day), at in times.items():
            yield Served(model=model, day=day, n_drawn=len(at), first_at=min(at), last_at=max(at))

    def reaches(self, since: datetime | None, until: datetime | None) -> bool:
        """True if some of its draws may lie in the period since <= predicted_at < until."""
        return any(
            (since is None or since <= s.last_at) and (until is None or s.first_at < until)
            for s in self.summary.served
        )
