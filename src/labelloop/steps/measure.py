"""measure: the accuracy of a round, of a day and of the last seven days, from blind draws."""

from datetime import datetime

from labelloop.core.costs import Costs
from labelloop.core.estimate import Estimate
from labelloop.core.notice import Notice
from labelloop.errors import ArgumentError
from labelloop.ledger import Ledger, certificates, cursors, outbox
from labelloop.measuring.gate import Gated
from labelloop.measuring.kept_results import KeptResults
from labelloop.measuring.measured import Measured, measured
from labelloop.ports.clock import Clock
from labelloop.statistics.compare import Verdict


def measure(
    ledger: Ledger,
    *,
    clock: Clock,
    timezone: str,
    level: float = 0.95,
    since: datetime | None = None,
    until: datetime | None = None,
    gate: float | None = None,
    by: str | None = None,
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
    by
        an attribute of predictions, `model` or `predicted_class`: each of its values gets an accuracy
    keep
        whether to keep the new results, and to let others hear of a fall or a gate that fails; else
        nothing is written
    costs
        what errors cost, to tell the mean cost of a prediction

    Raises:
        ArgumentError: `since` isn't before `until`, `gate` isn't between 0 and 1, or no
            prediction has the attribute `by`.
    """
    if since is not None and until is not None and since >= until:
        raise ArgumentError(
            f"--since ({since.isoformat()}) isn't before --until ({until.isoformat()})",
            remedy="choose an earlier --since",
        )
    with ledger.read() as tx:
        kept = KeptResults(tx, timezone=timezone, level=level)
        found = measured(
            *(tx, kept),
            now=clock.now(),
            level=level,
            timezone=timezone,
            since=since,
            until=until,
            gate=gate,
            costs=costs,
            by=by,
        )
    if keep:
        kept.keep(ledger)
        _end_guarantee(ledger, found)
        _tell(ledger, found, clock.now())
    return found


_FAILING = "gate:failing"
"""The cursor that keeps which model fails which gate, so that others hear of it once until it passes."""


def _tell(ledger: Ledger, found: Measured, now: datetime) -> None:
    """Let others hear of new accuracies, of a fall, and of a gate that the model began to fail."""
    with ledger.read() as tx:
        failing = cursors.get(tx, _FAILING)
        news = [
            notice
            for notice in (*_fallen(found), *_accuracies(found, now))
            if not outbox.is_recorded(tx, notice.name, notice.key)
        ]
    gate = found.gate
    passes = gate is None or gate.verdict is Verdict.PASS
    fails = gate is not None and gate.verdict is Verdict.FAIL
    now_failing = f"{gate.model} {gate.required}" if gate is not None and fails else None
    begins = now_failing is not None and now_failing != failing
    if not (news or begins or (passes and failing is not None)):
        return
    with ledger.write_at_once() as tx:
        outbox.record(tx, news)
        if passes:
            cursors.clear(tx, _FAILING)
        if begins and gate is not None and cursors.get(tx, _FAILING) != now_failing:
            cursors.put(tx, _FAILING, str(now_failing))
            outbox.record(tx, [_failed(gate, now)])


def _fallen(found: Measured) -> list[Notice]:
    alarm = found.trend.alarm
    if alarm is None:
        return []
    data = {
        "model": alarm.model,
        "since": alarm.since.isoformat(),
        "fallen_by": alarm.drop.value,
        "surely": alarm.drop.bound,
    }
    return [
        Notice(
            name="accuracy.fallen",
            subject=f"model {alarm.model}",
            key=f"{alarm.model} {alarm.at.isoformat()}",
            at=alarm.at,
            data=data,
        )
    ]


def _accuracies(found: Measured, now: datetime) -> list[Notice]:
    """The accuracy of each model version, as often as it changes by what a person would notice."""
    return [
        Notice(
            name="accuracy.measured",
            subject=f"model {each.name}",
            key=f"{each.name} {e.n} {e.value:.3f} {e.low:.3f} {e.high:.3f}",
            at=now,
            data={
                "model": each.name,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "level": e.level,
                "n": e.n,
                "method": e.method,
            },
        )
        for each in found.by_model
        if isinstance(e := each.estimate, Estimate)
    ]


def _failed(gate: Gated, now: datetime) -> Notice:
    data = {
        "model": gate.model,
        "required": gate.required,
        "low": gate.low,
        "high": gate.high,
        "days": gate.days,
    }
    return Notice(
        name="gate.failed",
        subject=f"model {gate.model}",
        key=f"{gate.model} {gate.required} {now.isoformat()}",
        at=now,
        data=data,
    )


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
