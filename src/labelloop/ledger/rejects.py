"""Rejected rows, each with its reason, until they can be read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.row_range import RowRange
from labelloop.core.sample import Reject, RejectReason
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement

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
    RejectReason.NO_PARTNER,
)
"""Reasons for which a prediction is in no frame, so that estimates must bound what it could be."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row, or the rows that a file hides, and since when."""

    uri: str
    reason: RejectReason
    value: str
    first_seen_at: datetime
    last_read_at: datetime
    rows: RowRange


def put(tx: Transaction, rejects: Sequence[Reject], now: datetime) -> RowRange:
    """Record rejected rows, new ones or known ones that still can't be read; returns how many are new."""
    known = by_uri(tx, [r.uri for r in rejects])
    fresh = {r.uri: r for r in rejects if r.uri not in known}
    if fresh:
        tx.execute(
            t.rejects.insert(),
            [
                {
                    "uri": r.uri,
                    "reason": r.reason.value,
                    "value": r.value,
                    "n_least": r.rows.least,
                    "n_most": r.rows.most,
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
                .values(
                    reason=r.reason.value,
                    value=r.value,
                    n_least=r.rows.least,
                    n_most=r.rows.most,
                    last_read_at=now,
                )
            )
    return RowRange.total(r.rows for r in fresh.values())


def clear(tx: Transaction, uris: Sequence[str]) -> None:
    """Remove rows that could be read at last."""
    for chunk in per_statement(uris):
        tx.execute(t.rejects.delete().where(t.rejects.c.uri.in_(chunk)))


def uris_of_names(tx: Transaction, names: Sequence[str]) -> list[str]:
    """The URIs of rows rejected at one of `names`, or because of a value among `names`."""
    found: list[str] = []
    for chunk in per_statement(names):
        either = t.rejects.c.uri.in_(chunk) | t.rejects.c.value.in_(chunk)
        found += tx.execute(sa.select(t.rejects.c.uri).where(either)).scalars()
    return list(dict.fromkeys(found))


def any_below(tx: Transaction, root: str) -> bool:
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


def by_uri(tx: Transaction, uris: Sequence[str]) -> Mapping[str, RejectedRow]:
    """Those of `uris` that are rejected."""
    found: dict[str, RejectedRow] = {}
    for chunk in per_statement(uris):
        rows = tx.execute(sa.select(t.rejects).where(t.rejects.c.uri.in_(chunk)))
        found.update((s.uri, s) for s in _set_aside(rows))
    return found


def of_file(tx: Transaction, file_uri: str) -> list[str]:
    """The URIs under which a file of a table, or a row of it, is rejected."""
    below = t.rejects.c.uri.startswith(f"{file_uri}#", autoescape=True)
    query = sa.select(t.rejects.c.uri).where(below | (t.rejects.c.uri == file_uri))
    return list(tx.execute(query).scalars())


def with_reason(tx: Transaction, reason: RejectReason) -> set[str]:
    """The URIs of what was rejected for a reason."""
    return set(
        tx.execute(sa.select(t.rejects.c.uri).where(t.rejects.c.reason == reason.value)).scalars()
    )


def every(tx: Transaction) -> list[RejectedRow]:
    """All rejected rows, newest first."""
    query = sa.select(t.rejects).order_by(t.rejects.c.first_seen_at.desc(), t.rejects.c.uri)
    return list(_set_aside(tx.execute(query)))


def newest_with_reason(
    tx: Transaction, reason: RejectReason, *, after: tuple[datetime, str] | None, most: int
) -> list[RejectedRow]:
    """Rows rejected for a reason, those seen last first; `after`: when and where the page before ended."""
    c = t.rejects.c
    query = sa.select(t.rejects).where(c.reason == reason.value)
    if after is not None:
        at, uri = after
        query = query.where((c.first_seen_at < at) | ((c.first_seen_at == at) & (c.uri > uri)))
    return list(_set_aside(tx.execute(query.order_by(c.first_seen_at.desc(), c.uri).limit(most))))


def by_reason(tx: Transaction, *, after: datetime | None = None) -> dict[str, RowRange]:
    """The number of rejected rows for each reason, most first; of those first rejected after a moment."""
    n = _least()
    query = sa.select(t.rejects.c.reason, n, *_most()).group_by(t.rejects.c.reason)
    if after is not None:
        query = query.where(t.rejects.c.first_seen_at > after)
    rows = tx.execute(query.order_by(n.desc(), t.rejects.c.reason))
    return {reason: _row_range(*counts) for reason, *counts in rows}


def outside_frames(tx: Transaction, since: datetime | None) -> RowRange:
    """The number of predictions first rejected after `since`, which are in no frame."""
    query = sa.select(_least(), *_most()).where(
        t.rejects.c.reason.in_([r.value for r in OUTSIDE_FRAMES])
    )
    if since is not None:
        query = query.where(t.rejects.c.first_seen_at > since)
    return _row_range(*tx.execute(query).one())


def _least() -> sa.Function[int]:
    return sa.func.coalesce(sa.func.sum(t.rejects.c.n_least), 0)


def _most() -> tuple[sa.Function[int], sa.ColumnElement[int]]:
    """The sum of what is known, and how many rejects hide a number of rows that nobody knows."""
    n_unknown = sa.func.count() - sa.func.count(t.rejects.c.n_most)
    return sa.func.coalesce(sa.func.sum(t.rejects.c.n_most), 0), n_unknown


def _row_range(least: int, most: int, n_unknown: int) -> RowRange:
    return RowRange(int(least), None if n_unknown else int(most))


def _set_aside(rows: Iterable[sa.Row[tuple[object, ...]]]) -> Iterable[RejectedRow]:
    for r in rows:
        yield RejectedRow(
            uri=r.uri,
            reason=RejectReason(r.reason),
            value=r.value,
            first_seen_at=r.first_seen_at,
            last_read_at=r.last_read_at,
            rows=RowRange(r.n_least, r.n_most),
        )
