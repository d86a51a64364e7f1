"""Who may use the service with a token. Of a token only its hash is kept."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa

from labelloop.errors import ArgumentError
from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Account:
    """A name, what it may do, and since when; `excluded_at`: since when it may do nothing."""

    name: str
    scopes: tuple[str, ...]
    added_at: datetime
    excluded_at: datetime | None


def new_token() -> str:
    """A token that nobody can guess: 256 random bits."""
    return f"labelloop_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def every(tx: Transaction) -> list[Account]:
    """Every account, by its name."""
    rows = tx.execute(sa.select(t.accounts).order_by(t.accounts.c.name))
    return [_account(r) for r in rows]


def by_token_hash(tx: Transaction) -> dict[str, Account]:
    """Every account, by the hash of its token."""
    return {r.token_hash: _account(r) for r in tx.execute(sa.select(t.accounts))}


def add(tx: Transaction, name: str, scopes: Sequence[str], token: str, *, at: datetime) -> None:
    """Add an account; one that was excluded gets the new token and scopes.

    Raises:
        ArgumentError: there is one of that name.
    """
    held = next((a for a in every(tx) if a.name == name), None)
    if held is not None and held.excluded_at is None:
        raise ArgumentError(
            f"there is an account {name!r} already",
            remedy=f"choose another name; for a new token, run `labelloop people exclude {name}` and then "
            f"this command again, with the old scopes and queues. Until then, answers that {name} gave on "
            "the labelling page don't count",
        )
    row = {
        "scopes": ",".join(scopes),
        "token_hash": token_hash(token),
        "added_at": at,
        "excluded_at": None,
    }
    if held is None:
        tx.execute(t.accounts.insert().values(name=name, **row))
    else:
        tx.execute(t.accounts.update().where(t.accounts.c.name == name).values(row))
    detail = row["scopes"]
    events.record(tx, [events.Event(at, "people", "add", f"account:{name}", str(detail))])


def exclude(tx: Transaction, name: str, *, at: datetime) -> None:
    """Let an account do nothing any more.

    Raises:
        ArgumentError: there is none of that name.
    """
    held = (t.accounts.c.name == name) & t.accounts.c.excluded_at.is_(None)
    if tx.execute(t.accounts.update().where(held).values(excluded_at=at)).rowcount == 0:
        names = ", ".join(a.name for a in every(tx) if a.excluded_at is None)
        raise ArgumentError(
            f"there is no account {name!r}", remedy=f"the accounts are: {names or 'none'}"
        )
    events.record(tx, [events.Event(at, "people", "exclude", f"account:{name}", "")])


def _account(r: sa.Row[tuple[object, ...]]) -> Account:
    scopes = tuple(scope for scope in r.scopes.split(",") if scope)
    return Account(r.name, scopes, r.added_at, r.excluded_at)
