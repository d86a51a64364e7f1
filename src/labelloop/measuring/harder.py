"""Does the traffic look harder? A hint from the model's confidences alone, which is no accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from labelloop.core.estimate import Undefined
from labelloop.core.low_days import LowDays
from labelloop.ledger import Transaction, confidences
from labelloop.ledger.confidences import Claimed

NOW, BEFORE = timedelta(days=7), timedelta(days=28)
"""A look compares the newest days with those before them."""
SHOWN = timedelta(days=28)
"""How long a hint is shown: once its low days are among those before, no later look repeats it."""
NO_LOOK = Undefined("no day of the last four weeks has closed with a round that tells confidences")


@dataclass(frozen=True, slots=True, kw_only=True)
class Harder:
    """The newest hint of the last four weeks, or else the newest look.

    model
        whose confidences they are: days of another version don't count
    on
        the last day of the look, in the project's time zone
    days
        the mean confidence of the newest seven days, against the four weeks before
    """

    model: str
    on: date
    days: LowDays

    @property
    def alarm(self) -> bool:
        """Whether the traffic looks harder."""
        return self.days.alarm


def harder(tx: Transaction, *, now: datetime, timezone: str) -> Harder | Undefined:
    """Whether the confidences of the traffic are lower than in the four weeks before; a look a day.

    A day is the rounds drawn on it; the day of now isn't over, and doesn't count.
    """
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    found = confidences.claimed(tx, now - SHOWN - NOW - BEFORE - timedelta(days=1))
    model, of_model = _of_newest_model(tx, found)
    by_day = _means(of_model, zone)
    newest: Harder | Undefined | None = None
    for back in range(1, SHOWN.days + 1):
        on = today - timedelta(days=back)
        if on not in by_day:
            continue
        look = _look(model, by_day, on)
        if isinstance(look, Harder) and look.alarm:
            return look
        newest = newest or look
    return newest or NO_LOOK


def _look(model: str, by_day: Mapping[date, float], on: date) -> Harder | Undefined:
    from labelloop.statistics.low_days import low_days  # `status` does without where it has no days

    start = on - NOW
    days = low_days(
        [mean for day, mean in by_day.items() if start - BEFORE < day <= start],
        [mean for day, mean in by_day.items() if start < day <= on],
    )
    return days if isinstance(days, Undefined) else Harder(model=model, on=on, days=days)


def _of_newest_model(tx: Transaction, found: list[Claimed]) -> tuple[str, list[Claimed]]:
    """The rounds that the newest model alone served, and its name."""
    served = confidences.models(tx, [c.round for c in found])
    alone = [(c, next(iter(own))) for c in found if len(own := served.get(c.round, set())) == 1]
    model = alone[-1][1] if alone else ""
    return model, [c for c, own in alone if own == model]


def _means(found: list[Claimed], zone: ZoneInfo) -> dict[date, float]:
    """The mean confidence of each day's traffic."""
    sums: dict[date, tuple[int, float]] = {}
    for c in found:
        day = c.created_at.astimezone(zone).date()
        n, total = sums.get(day, (0, 0.0))
        sums[day] = (n + c.n, total + c.n * c.mean)
    return {day: total / n for day, (n, total) in sums.items()}
