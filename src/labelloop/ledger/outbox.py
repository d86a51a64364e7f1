"""The outbox: what others are to hear, written with what it tells of, and how far each has heard."""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from labelloop.core.notice import Notice
from labelloop.ledger import cursors
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import max_of


class State(StrEnum):
    """How far a receiver has heard of an event; DEAD: it was given up, and a person may send it again."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to a receiver.

    receiver
        the receiver's key in the ledger, which doesn't tell its URL
    n_attempts, first_at, next_at
        tries so far; the first of them, and the next
    error
        what the last try came to, where it failed
    """

    notice: Notice
    number: int
    receiver: str
    state: State
    n_attempts: int
    first_at: datetime | None
    next_at: datetime
    error: str


def record(tx: Transaction, notices: Collection[Notice]) -> int:
    """Write events that aren't there yet, by their names and keys; returns how many."""
    n = 0
    for notice in notices:
        if is_recorded(tx, notice.name, notice.key):
            continue
        n += 1
        tx.execute(
            t.outbox.insert().values(
                notice_id=f"evt_{secrets.token_hex(12)}",
                name=notice.name,
                subject=notice.subject,
                key=notice.key,
                at=notice.at,
                data_json=json.dumps(notice.data),
            )
        )
    return n


def is_recorded(tx: Transaction, name: str, key: str) -> bool:
    """Whether an event was written before."""
    found = sa.select(t.outbox.c.id).where(t.outbox.c.name == name, t.outbox.c.key == key)
    return tx.execute(found).first() is not None


def register(tx: Transaction, receivers: Collection[str]) -> None:
    """Let receivers hear of all that is recorded from now on; those known already hear on."""
    for receiver in receivers:
        if cursors.get(tx, _cursor(receiver)) is None:
            cursors.put(tx, _cursor(receiver), str(max_of(tx, t.outbox.c.id)))


def unregistered(tx: Transaction, receivers: Collection[str]) -> list[str]:
    """Those of the receivers that the ledger doesn't know yet."""
    return [r for r in receivers if cursors.get(tx, _cursor(r)) is None]


def address(tx: Transaction, receiver: str, names: Collection[str], now: datetime) -> None:
    """Make a delivery of each event with one of these names that was recorded since the last call.

    Events are numbered in the order of their commits, as writers go one at a time.
    """
    after, newest = int(cursors.get(tx, _cursor(receiver)) or 0), max_of(tx, t.outbox.c.id)
    if newest <= after:
        return
    numbers = tx.execute(
        sa.select(t.outbox.c.id)
        .where(t.outbox.c.id > after, t.outbox.c.name.in_(names))
        .order_by(t.outbox.c.id)
    ).scalars()
    rows = [
        {
            "outbox_id": number,
            "receiver": receiver,
            "state": State.WAITING.value,
            "n_attempts": 0,
            "next_at": now,
            "error": "",
        }
        for number in numbers
    ]
    if rows:
        tx.execute(t.deliveries.insert(), rows)
    cursors.put(tx, _cursor(receiver), str(newest))


def due(tx: Transaction, receiver: str, now: datetime) -> list[Delivery]:
    """What a receiver is to hear now: of each subject the oldest event that it hasn't heard of."""
    heads: dict[str, Delivery] = {}
    for delivery in _deliveries(tx, State.WAITING, [receiver]):
        heads.setdefault(delivery.notice.subject, delivery)
    return [head for head in heads.values() if head.next_at <= now]


def unheard(tx: Transaction, receivers: Collection[str]) -> list[Delivery]:
    """The events that receivers haven't heard of, oldest first: those that wait, and those given up."""
    found = [d for state in (State.WAITING, State.DEAD) for d in _deliveries(tx, state, receivers)]
    return sorted(found, key=lambda d: (d.number, d.receiver))


def count(tx: Transaction, receivers: Collection[str], state: State) -> int:
    """How many deliveries to these receivers stand so."""
    counted = sa.select(sa.func.count()).where(
        t.deliveries.c.state == state.value, t.deliveries.c.receiver.in_(receivers)
    )
    return int(tx.execute(counted).scalar_one())


def n_failing(tx: Transaction) -> int:
    """How many deliveries failed and are to be tried again."""
    failed = (t.deliveries.c.state == State.WAITING.value) & (t.deliveries.c.n_attempts > 0)
    return int(tx.execute(sa.select(sa.func.count()).where(failed)).scalar_one())


def n_dead(tx: Transaction) -> int:
    """How many deliveries were given up."""
    dead = t.deliveries.c.state == State.DEAD.value
    return int(tx.execute(sa.select(sa.func.count()).where(dead)).scalar_one())


def forget_others(tx: Transaction, receivers: Collection[str]) -> None:
    """Drop what receivers that the settings name no more haven't heard of."""
    others = t.deliveries.c.receiver.not_in(receivers)
    tx.execute(t.deliveries.delete().where(others, t.deliveries.c.done_at.is_(None)))


def newest(tx: Transaction, limit: int) -> list[Notice]:
    """The events recorded last, newest first."""
    rows = tx.execute(sa.select(t.outbox).order_by(t.outbox.c.id.desc()).limit(limit))
    return [_notice(r) for r in rows]


def note_delivered(tx: Transaction, delivery: Delivery, now: datetime) -> None:
    """Write that a receiver has heard of an event."""
    _change(
        tx,
        delivery,
        state=State.DELIVERED.value,
        n_attempts=delivery.n_attempts + 1,
        first_at=delivery.first_at or now,
        done_at=now,
        error="",
    )


def note_failed(
    tx: Transaction, delivery: Delivery, *, now: datetime, next_at: datetime | None, error: str
) -> None:
    """Write that a try failed, and when the next one is; None: never."""
    state = State.DEAD if next_at is None else State.WAITING
    _change(
        tx,
        delivery,
        state=state.value,
        n_attempts=delivery.n_attempts + 1,
        first_at=delivery.first_at or now,
        next_at=next_at or now,
        error=error,
    )


def send_again(
    tx: Transaction, notice_id: str, now: datetime, receivers: Sequence[str] | None = None
) -> int:
    """Let receivers, by default all that an event was for, hear of it once more, delivered or not.

    Returns how many they are.
    """
    number = tx.execute(
        sa.select(t.outbox.c.id).where(t.outbox.c.notice_id == notice_id)
    ).scalar_one_or_none()
    if number is None:
        return 0
    again = t.deliveries.c.outbox_id == number
    if receivers is not None:
        again &= t.deliveries.c.receiver.in_(receivers)
    changed = tx.execute(
        t.deliveries.update()
        .where(again)
        .values(state=State.WAITING.value, n_attempts=0, first_at=None, next_at=now, done_at=None)
    )
    return int(changed.rowcount)


def remove_before(tx: Transaction, at: datetime) -> None:
    """Remove the events of before that nobody is still to hear of."""
    waiting = sa.select(t.deliveries.c.outbox_id).where(t.deliveries.c.state == State.WAITING.value)
    old = sa.select(t.outbox.c.id).where(t.outbox.c.at < at, t.outbox.c.id.not_in(waiting))
    gone = list(tx.execute(old).scalars())
    if gone:
        tx.execute(t.deliveries.delete().where(t.deliveries.c.outbox_id.in_(gone)))
        # the newest stays, so that no number is given twice
        last = max_of(tx, t.outbox.c.id)
        tx.execute(t.outbox.delete().where(t.outbox.c.id.in_(gone), t.outbox.c.id != last))


def _cursor(receiver: str) -> str:
    return f"notify:{receiver}"


def _change(tx: Transaction, delivery: Delivery, **values: object) -> None:
    tx.execute(
        t.deliveries.update()
        .where(
            t.deliveries.c.outbox_id == delivery.number,
            t.deliveries.c.receiver == delivery.receiver,
        )
        .values(**values)
    )


def _deliveries(tx: Transaction, state: State, receivers: Collection[str]) -> list[Delivery]:
    rows = tx.execute(
        sa.select(t.outbox, t.deliveries)
        .join(t.deliveries, t.deliveries.c.outbox_id == t.outbox.c.id)
        .where(t.deliveries.c.state == state.value, t.deliveries.c.receiver.in_(receivers))
        .order_by(t.outbox.c.id)
    )
    return [
        Delivery(
            notice=_notice(r),
            number=r.id,
            receiver=r.receiver,
            state=State(r.state),
            n_attempts=r.n_attempts,
            first_at=r.first_at,
            next_at=r.next_at,
            error=r.error,
        )
        for r in rows
    ]


def _notice(row: sa.Row[tuple[object, ...]]) -> Notice:
    return Notice(
        id=row.notice_id,
        name=row.name,
        subject=row.subject,
        key=row.key,
        at=row.at,
        data=json.loads(row.data_json),
    )
