"""The links by which the gateway shows the images of tasks. Of a link only the hash is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex

import sqlalchemy as sa

from labelloop.core.task import TaskState
from labelloop.ledger import tables as t
from labelloop.ledger.accounts import token_hash
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Linked:
    """The image that a link leads to, and how its task stands."""

    uri: str
    state: TaskState
    resolved_at: datetime | None
    forgotten: bool


def new_token() -> str:
    """A token that nobody can guess: 128 random bits."""
    return token_hex(16)


def add(tx: Transaction, tokens: Mapping[str, str], *, at: datetime) -> None:
    """Keep new links: by task key, the token."""
    rows = [
        {"token_hash": token_hash(token), "task_key": key, "made_at": at}
        for key, token in tokens.items()
    ]
    if rows:
        tx.execute(t.media_links.insert(), rows)


def find(tx: Transaction, token: str) -> Linked | None:
    """What a link leads to; None: there is no such link."""
    row = tx.execute(
        sa.select(t.tasks.c.uri, t.tasks.c.state, t.tasks.c.resolved_at, t.tasks.c.forgotten_at)
        .join(t.media_links, t.media_links.c.task_key == t.tasks.c.task_key)
        .where(t.media_links.c.token_hash == token_hash(token))
    ).one_or_none()
    if row is None:
        return None
    return Linked(row.uri, TaskState(row.state), row.resolved_at, row.forgotten_at is not None)


def any_spent(tx: Transaction, resolved_before: datetime) -> bool:
    """Whether `remove_spent` would remove a link."""
    return tx.execute(_spent(resolved_before).limit(1)).first() is not None


def remove_spent(tx: Transaction, resolved_before: datetime) -> None:
    """Remove the links of tasks that were resolved before a moment."""
    spent = _spent(resolved_before)
    tx.execute(t.media_links.delete().where(t.media_links.c.token_hash.in_(spent)))


def _spent(resolved_before: datetime) -> sa.Select[tuple[str]]:
    old = (t.tasks.c.state == TaskState.RESOLVED.value) & (t.tasks.c.resolved_at < resolved_before)
    return (
        sa.select(t.media_links.c.token_hash)
        .join(t.tasks, t.tasks.c.task_key == t.media_links.c.task_key)
        .where(old)
    )
