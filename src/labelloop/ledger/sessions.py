"""Who is logged in on the pages. Of a session's cookie only its hash is kept."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.ledger.accounts import token_hash
from labelloop.ledger.database import Transaction

LIFE = timedelta(hours=12)
"""How long a session lasts: a working day."""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that showed the token of an account, from `began_at` until `ends_at`."""

    account: str
    began_at: datetime
    ends_at: datetime


def begin(tx: Transaction, account: str, *, at: datetime) -> str:
    """Begin a session; returns what its cookie holds: 256 random bits. Sessions that ended are deleted."""
    cookie = secrets.token_urlsafe(32)
    tx.execute(t.sessions.delete().where(t.sessions.c.ends_at <= at))
    row = {"cookie_hash": token_hash(cookie), "account": account}
    tx.execute(t.sessions.insert().values(row | {"began_at": at, "ends_at": at + LIFE}))
    events.record(tx, [events.Event(at, account, "log in", f"account:{account}", "")])
    return cookie


def end(tx: Transaction, cookie_hash: str, *, at: datetime) -> bool:
    """End a session; returns whether there was one."""
    held = t.sessions.c.cookie_hash == cookie_hash
    account = tx.execute(sa.select(t.sessions.c.account).where(held)).scalar_one_or_none()
    if account is None:
        return False
    tx.execute(t.sessions.delete().where(held))
    events.record(tx, [events.Event(at, account, "log out", f"account:{account}", "")])
    return True


def by_cookie_hash(tx: Transaction) -> dict[str, Session]:
    """Every session, by the hash of its cookie; some may have ended."""
    rows = tx.execute(sa.select(t.sessions))
    return {r.cookie_hash: Session(r.account, r.began_at, r.ends_at) for r in rows}
