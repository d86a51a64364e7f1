"""Rejected rows, each with its reason, until they can be read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.sample import Reject, RejectReason
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import chunks

OUTSIDE_FRAMES = (
    RejectReason.UNTAGGED,
    RejectReason.UNREADABLE,
    RejectReason.NO_TIMESTAMP,
    RejectReason.BAD_TIMESTAMP,
    RejectReason.NO_CLASS,
    RejectReason.UNKNOWN_CLASS,
    RejectReason.BAD_CONFIDENCE,
    RejectReason.BAD_FILE,
    RejectReason.BAD_ROW,
    RejectReason.NO_SAMPLE_ID,
    RejectReason.BAD_ROLE,
    RejectReason.NO_URI,
    RejectReason.BAD_URI,
    RejectReason.NO_TEXT,
    RejectReason.TEXT_TOO_LONG,
)
"""Reasons for which a prediction is in no frame, so that estimates must bound what it could be."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A rejected row, and since when."""

    uri: str
    reason: RejectReason
    value: str
    first_seen_at: datetime
    last_read_at: datetime


def put(tx: Transaction, rejects: Sequence[Reject], now: datetime) -> int:
    """Record rejected rows, new ones or known ones that still can't be read; returns how many are new."""
    known = existing(tx, [r.uri for r in rejects])
    fresh = {r.uri: r for r in rejects if r.uri not in known}
    if fresh:
        tx.execute(
            t.rejects.insert(),
            [
                {
                    "uri": r.uri,
                    "reason": r.reason.value,
                    "value": r.value,
                    "first_seen_at": now,
                    "last_read_at": now,
                }
                for r in fresh.values()
            ],
        )
    for r in rejects:
        if r.uri in known:
            tx.execute(
                t.rejects.update()
                .where(t.rejects.c.uri == r.uri)
                .values(reason=r.reason.value, value=r.value, last_read_at=now)
            )
    return len(fresh)


def clear(tx: Transaction, uris: Sequence[str]) -> None:
    """Remove rows that could be read at last."""
    for chunk in chunks(uris):
        tx.execute(t.rejects.delete().where(t.rejects.c.uri.in_(chunk)))


def naming(tx: Transaction, names: Sequence[str]) -> list[str]:
    """The URIs of rows rejected at one of `names`, or because of a value among `names`."""
    found: list[str] = []
    for chunk in chunks(names):
        either = t.rejects.c.uri.in_(chunk) | t.rejects.c.value.in_(chunk)
        found += tx.execute(sa.select(t.rejects.c.uri).where(either)).scalars()
    return list(dict.fromkeys(found))


def below(tx: Transaction, root: str) -> bool:
    """True if any row below a root is rejected."""
    found = sa.select(t.rejects.c.uri).where(_is_below(root)).limit(1)
    return tx.execute(found).one_or_none() is not None


def move(tx: Transaction, root: str, now: str) -> None:
    """Move the rejected rows below one root to another; rows that are recorded there stay."""
    uri = t.rejects.c.uri
    moved = sa.literal(now) + sa.func.substr(uri, len(root) + 1)
    there = t.rejects.alias()
    taken = sa.exists().where(there.c.uri == moved)
    tx.execute(t.rejects.update().where(_is_below(root), ~taken).values(uri=moved))
    tx.execute(t.rejects.delete().where(_is_below(root)))


def _is_below(root: str) -> sa.ColumnElement[bool]:
    return t.rejects.c.uri.startswith(f"{root}/", autoescape=True)


def existing(tx: Transaction, uris: Sequence[str]) -> Mapping[str, SetAside]:
    """Those of `uris` that are rejected."""
    found: dict[str, SetAside] = {}
    for chunk in chunks(uris):
        rows = tx.execute(sa.select(t.rejects).where(t.rejects.c.uri.in_(chunk)))
        found.update((s.uri, s) for s in _set_aside(rows))
    return found


def of_file(tx: Transaction, file_uri: str) -> list[str]:
    """The URIs under which a file of a table, or a row of it, is rejected."""
    below = t.rejects.c.uri.startswith(f"{file_uri}#", autoescape=True)
    query = sa.select(t.rejects.c.uri).where(below | (t.rejects.c.uri == file_uri))
    return list(tx.execute(query).scalars())


def every(tx: Transaction) -> list[SetAside]:
    """All rejected rows, newest first."""
    query = sa.select(t.rejects).order_by(t.rejects.c.first_seen_at.desc(), t.rejects.c.uri)
    return list(_set_aside(tx.execute(query)))


def by_reason(tx: Transaction) -> dict[str, int]:
    """The number of rejected rows for each reason, most first."""
    n = sa.func.count()
    rows = tx.execute(
        sa.select(t.rejects.c.reason, n).group_by(t.rejects.c.reason).order_by(n.desc())
    )
    return {reason: count for reason, count in rows}  # noqa: C416  the rows are no plain pairs


def by_reason_after(tx: Transaction, at: datetime) -> dict[str, int]:
    """The number of rows first rejected after a moment, for each reason."""
    rows = tx.execute(
        sa.select(t.rejects.c.reason, sa.func.count().label("n"))
        .where(t.rejects.c.first_seen_at > at)
        .group_by(t.rejects.c.reason)
    )
    return {r.reason: r.n for r in rows}


def outside_frames(tx: Transaction, since: datetime | None) -> int:
    """The number of predictions first rejected after `since`, which are in no frame."""
    query = sa.select(sa.func.count()).where(
        t.rejects.c.reason.in_([r.value for r in OUTSIDE_FRAMES])
    )
    if since is not None:
        query = query.where(t.rejects.c.first_seen_at > since)
    return int(tx.execute(query).scalar_one())


def _set_aside(rows: Iterable[sa.Row[tuple[object, ...]]]) -> Iterable[SetAside]:
    for r in rows:
        yield SetAside(r.uri, RejectReason(r.reason), r.value, r.first_seen_at, r.last_read_at)
