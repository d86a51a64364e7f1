"""Links to a copy of the report as it was at a moment. Of a link only the hash is kept."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex

import sqlalchemy as sa

from labelloop.errors import ArgumentError
from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.ledger.accounts import token_hash
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A link: who made it, for what, until when it opens, and how often it was opened."""

    id: int
    note: str
    made_at: datetime
    made_by: str
    expires_at: datetime
    revoked_at: datetime | None
    n_opened: int
    last_opened_at: datetime | None

    def opens(self, now: datetime) -> bool:
        """True if the link still opens."""
        return self.revoked_at is None and now < self.expires_at


def make(
    tx: Transaction, page: str, *, note: str, by: str, expires_at: datetime, at: datetime
) -> tuple[int, str]:
    """Keep a page; returns its id and the token of its link: 128 random bits.

    The pages of links that expired are removed; what is listed of them stays.
    """
    tx.execute(t.snapshots.update().where(t.snapshots.c.expires_at <= at).values(page=""))
    token = token_hex(16)
    row = {
        "token_hash": token_hash(token),
        "page": b64encode(zlib.compress(page.encode("utf-8", "replace"))).decode(),
        "note": note,
        "made_at": at,
        "made_by": by,
        "expires_at": expires_at,
        "n_opened": 0,
    }
    made = tx.execute(t.snapshots.insert().values(row).returning(t.snapshots.c.id)).scalar_one()
    until = f"until {expires_at.isoformat(timespec='minutes')}"
    events.record(tx, [events.Event(at, by, "make", f"snapshot:{made}", until)])
    return int(made), token


def find(tx: Transaction, token: str, *, now: datetime) -> tuple[int, str] | None:
    """The id and the page of a link; None: there is no such link, it has expired, or was revoked."""
    row = tx.execute(
        sa.select(t.snapshots.c.id, t.snapshots.c.page).where(
            t.snapshots.c.token_hash == token_hash(token),
            t.snapshots.c.revoked_at.is_(None),
            t.snapshots.c.expires_at > now,
            t.snapshots.c.page != "",
        )
    ).one_or_none()
    return None if row is None else (row.id, zlib.decompress(b64decode(row.page)).decode())


def every(tx: Transaction) -> list[Snapshot]:
    """Every link, the newest first."""
    s = t.snapshots.c
    columns = [c for c in s if c.name not in {"token_hash", "page"}]
    return [
        Snapshot(**row) for row in tx.execute(sa.select(*columns).order_by(s.id.desc())).mappings()
    ]


def revoke(tx: Transaction, number: int, *, by: str, at: datetime) -> bool:
    """Let a link open nothing any more, and remove its page; False: it did so before.

    Raises:
        ArgumentError: there is no such link.
    """
    s = t.snapshots.c
    held = tx.execute(sa.select(s.revoked_at).where(s.id == number)).one_or_none()
    if held is None:
        raise ArgumentError(
            f"there is no snapshot {number}", remedy="`labelloop snapshot list` lists them"
        )
    if held.revoked_at is not None:
        return False
    tx.execute(t.snapshots.update().where(s.id == number).values(revoked_at=at, page=""))
    events.record(tx, [events.Event(at, by, "revoke", f"snapshot:{number}", "")])
    return True


def count(tx: Transaction, opened: Mapping[int, int], *, at: datetime) -> None:
    """Note how often links were opened lately, by their ids."""
    s = t.snapshots.c
    for number, n in opened.items():
        tx.execute(
            t.snapshots.update()
            .where(s.id == number)
            .values(n_opened=s.n_opened + n, last_opened_at=at)
        )
