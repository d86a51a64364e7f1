"""measure: the accuracy of a round, of a day and of the last seven days, from blind draws."""

from datetime import datetime

from labelloop.core.costs import Costs
from labelloop.errors import ArgumentError
from labelloop.ledger import Ledger, certificates
from labelloop.measuring.kept_results import KeptResults
from labelloop.measuring.measured import Measured, measured
from labelloop.ports.clock import Clock


def measure(
    ledger: Ledger,
    *,
    clock: Clock,
    timezone: str,
    level: float = 0.95,
    since: datetime | None = None,
    until: datetime | None = None,
    gate: float | None = None,
    keep: bool = False,
    costs: Costs | None = None,
) -> Measured:
    """The accuracies that the ledger's blind labels support now.

    Results kept from an earlier time are used where nothing has changed since; the numbers are the
    same to the last digit.

    since, until
        a period of predictions, since <= predicted_at < until
    gate
        an accuracy that the model which serves must exceed; the verdict is in the result
    keep
        whether to keep the new results; nothing else is written
    costs
        what errors cost, to tell the mean cost of a prediction

    Raises:
        ArgumentError: `since` isn't before `until`, or `gate` isn't between 0 and 1.
    """
    if since is not None and until is not None and since >= until:
        raise ArgumentError(
            f"since {since.isoformat()} isn't before until {until.isoformat()}",
            remedy="choose an earlier --since",
        )
    with ledger.read() as tx:
        kept = KeptResults(tx, timezone=timezone, level=level)
        found = measured(
            *(tx, kept),
            now=clock.now(),
            level=level,
            since=since,
            until=until,
            gate=gate,
            costs=costs,
        )
    if keep:
        kept.keep(ledger)
        _end_guarantee(ledger, found)
    return found


def _end_guarantee(ledger: Ledger, found: Measured) -> None:
    """Let the open guarantee take no more rounds once an alarm says that the accuracy fell."""
    alarm = found.trend.alarm
    if alarm is None:
        return
    with ledger.read() as tx:
        open_one = certificates.open_one(tx)
    if open_one is not None and open_one.registered_at < alarm.at:
        with ledger.write_at_once() as tx:
            certificates.end(tx, open_one, "the accuracy has fallen")
