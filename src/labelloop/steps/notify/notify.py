"""notify: deliver the events of the outbox to their receivers, each at least once, in order a subject."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelloop.core import due
from labelloop.core.notice import Notice
from labelloop.errors import ArgumentError, ReceiverError
from labelloop.ledger import Ledger, Transaction, cursors, outbox, tasks
from labelloop.ledger.database import Lease
from labelloop.ledger.outbox import Delivery, State
from labelloop.ports.clock import Clock
from labelloop.ports.receiver import Receiver

KEPT = timedelta(days=90)
"""How long events are kept that everybody has heard of, or that were given up."""
FAILURES = 3
"""A receiver that failed so often in a row is left in peace until the next run."""
TIME_S = 60.0
"""So long one run delivers, and then leaves the rest to the next."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A receiver with the events that it asked for; `key` names it in the ledger without its URL."""

    key: str
    on: tuple[str, ...]
    receiver: Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """What was delivered in one run.

    n_delivered, n_failed
        tries that ended well, and those that didn't
    n_waiting, n_dead
        deliveries that are still to be tried; those that were given up, in all
    errors
        what receivers that failed came to last, by their masked addresses
    """

    n_delivered: int
    n_failed: int
    n_waiting: int
    n_dead: int
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """An event that a receiver hasn't heard of: it waits for its next try, or was given up."""

    id: str
    event: str
    says: str
    at: datetime
    receiver: str
    state: State
    n_attempts: int
    next_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event that was recorded for others, in a sentence."""

    id: str
    event: str
    subject: str
    at: datetime
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A test event to one receiver: what went wrong, or nothing."""

    receiver: str
    error: str
    remedy: str = ""


class Notify:
    """Delivers the outbox of a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        receivers: Sequence[Subscribed],
        *,
        backlog_after: timedelta,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._receivers = receivers
        self._backlog_after = backlog_after
        self._clock = clock

    def run(self) -> Notified:
        """Deliver what is due. A receiver that fails holds up nobody else, and raises nothing.

        Raises:
            LeaseHeld: another process is delivering.
        """
        keys = [s.key for s in self._receivers]
        n_delivered = n_failed = 0
        errors: dict[str, str] = {}
        until_s = time.monotonic() + TIME_S
        with self._ledger.lease("notify") as lease:
            self._prepare(lease)
            for subscribed in self._receivers:
                delivered, failed, error = self._deliver(lease, subscribed, until_s)
                n_delivered, n_failed = n_delivered + delivered, n_failed + failed
                if error:
                    errors[subscribed.receiver.shown] = error
            with self._ledger.read() as tx:
                n_waiting = outbox.count(tx, keys, State.WAITING)
                n_dead = outbox.count(tx, keys, State.DEAD)
        return Notified(
            n_delivered=n_delivered,
            n_failed=n_failed,
            n_waiting=n_waiting,
            n_dead=n_dead,
            errors=errors,
        )

    def send_again(self, notice_id: str) -> Notified:
        """Deliver an event once more to the receivers that it was for, and what else is due.

        Raises:
            ArgumentError: there is no such event for any of the receivers.
            LeaseHeld: another process is delivering.
        """
        keys = [s.key for s in self._receivers]
        with self._ledger.write_at_once() as tx:
            if not outbox.send_again(tx, notice_id, self._clock.now(), keys):
                raise ArgumentError(
                    f"no event {notice_id!r} belongs to a receiver in [[notify]]",
                    remedy="`labelloop notify` lists the events that weren't delivered",
                )
        return self.run()

    def _prepare(self, lease: Lease) -> None:
        """Write what became true as time passed, and who is to hear of what is new."""
        now = self._clock.now()
        with self._ledger.write(lease) as tx:
            self._watch_backlog(tx, now)
            for subscribed in self._receivers:
                outbox.address(tx, subscribed.key, subscribed.on, now)
            outbox.forget_others(tx, [s.key for s in self._receivers])
            outbox.remove_before(tx, now - KEPT)

    def _watch_backlog(self, tx: Transaction, now: datetime) -> None:
        """Tell of each queue once that its oldest task has waited too long, until it no longer has."""
        for queue, oldest_at in tasks.oldest_with_people(tx).items():
            told, name = cursors.get(tx, f"backlog:{queue}"), f"backlog:{queue}"
            if oldest_at > now - self._backlog_after:
                if told is not None:
                    cursors.clear(tx, name)
            elif told is None:
                at = oldest_at.isoformat(timespec="minutes")
                cursors.put(tx, name, at)
                notice = Notice(
                    name="backlog.old",
                    subject=f"queue {queue}",
                    key=f"{queue} {now.isoformat()}",
                    at=now,
                    data={"queue": queue, "oldest_at": at},
                )
                outbox.record(tx, [notice])

    def _deliver(self, lease: Lease, to: Subscribed, until_s: float) -> tuple[int, int, str]:
        """Deliver to one receiver: tries that ended well, those that didn't, and the last error."""
        n_delivered = n_failed = in_a_row = 0
        last = ""
        while True:
            now = self._clock.now()
            with self._ledger.read() as tx:
                heads = outbox.due(tx, to.key, now)
            if not heads:
                return n_delivered, n_failed, last
            for head in heads:
                if in_a_row == FAILURES or time.monotonic() > until_s:
                    return n_delivered, n_failed, last
                now = self._clock.now()
                error = _told(to.receiver, head.notice, now)
                with self._ledger.write(lease) as tx:
                    self._note(tx, head, now, error)
                if error:
                    n_failed, in_a_row, last = n_failed + 1, in_a_row + 1, error
                else:
                    n_delivered, in_a_row = n_delivered + 1, 0

    def _note(self, tx: Transaction, head: Delivery, now: datetime, error: str) -> None:
        if not error:
            outbox.note_delivered(tx, head, now)
            return
        n = head.n_attempts + 1
        given_up = due.is_given_up(head.first_at or now, n, now)
        next_at = None if given_up else due.next_attempt_at(now, n)
        outbox.note_failed(tx, head, now=now, next_at=next_at, error=error)


def test(receivers: Sequence[Subscribed], now: datetime) -> list[Tried]:
    """Send each receiver an event called `test`; nothing is written."""
    notice = Notice(name="test", subject="test", key="test", at=now, id="evt_test")
    return [_tried(s.receiver, notice, now) for s in receivers]


def events(ledger: Ledger, limit: int) -> list[Happened]:
    """The newest events, newest first, whoever heard of them."""
    with ledger.read() as tx:
        found = outbox.newest(tx, limit)
    return [Happened(id=n.id, event=n.name, subject=n.subject, at=n.at, says=n.says) for n in found]


def unheard(ledger: Ledger, receivers: Sequence[Subscribed]) -> list[Unheard]:
    """The events that receivers haven't heard of, oldest first."""
    shown = {s.key: s.receiver.shown for s in receivers}
    with ledger.read() as tx:
        found = outbox.unheard(tx, list(shown))
    return [
        Unheard(
            id=d.notice.id,
            event=d.notice.name,
            says=d.notice.says,
            at=d.notice.at,
            receiver=shown[d.receiver],
            state=d.state,
            n_attempts=d.n_attempts,
            next_at=d.next_at,
            error=d.error,
        )
        for d in found
    ]


def _tried(receiver: Receiver, notice: Notice, now: datetime) -> Tried:
    try:
        receiver.deliver(notice, at=now)
    except ReceiverError as exc:
        return Tried(receiver=receiver.shown, error=str(exc.args[0])[:500], remedy=exc.remedy)
    return Tried(receiver=receiver.shown, error="")


def _told(receiver: Receiver, notice: Notice, now: datetime) -> str:
    """Tell a receiver; what went wrong, in a line, or nothing."""
    return _tried(receiver, notice, now).error
