"""Rows of a log that wait for the row which completes them: a request for its response, a score for
what it is about. Only their places are kept; their content stays in its file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRow:
    """Where a row stands that waits.

    pair
        what it has in common with the other
    begins
        it is what was asked, and not what was answered
    expected
        that the other one never comes would be a loss
    """

    pair: str
    begins: bool
    file: str
    number: int
    expected: bool
    seen_at: datetime

    @property
    def uri(self) -> str:
        """The uri that a reject of it has."""
        return f"{self.file}#{self.number}"

    @property
    def sample_ids(self) -> tuple[str, str]:
        """The samples that it may be about. Langfuse's pairs are `trace/observation`, or `trace/`."""
        trace, _, observation = self.pair.rpartition("/")
        return self.pair, observation or trace


def put(tx: Transaction, rows: Sequence[WaitingRow]) -> None:
    """Record rows that wait; those that are known stay as they are."""
    by_key = {(r.pair, r.begins): r for r in rows}
    known = {(r.pair, r.begins) for r in find(tx, {pair for pair, _ in by_key})}
    fresh = [asdict(r) | {"told": False} for key, r in by_key.items() if key not in known]
    if fresh:
        tx.execute(t.waiting_rows.insert(), fresh)


def find(tx: Transaction, pairs: Iterable[str]) -> list[WaitingRow]:
    """The rows of some pairs."""
    found: list[WaitingRow] = []
    for chunk in per_statement(list(pairs)):
        found += map(_row, tx.execute(_SELECTED.where(t.waiting_rows.c.pair.in_(chunk))))
    return found


def answers(tx: Transaction) -> list[WaitingRow]:
    """The answers whose question isn't known yet."""
    return [_row(r) for r in tx.execute(_SELECTED.where(~t.waiting_rows.c.begins))]


def n_expected(tx: Transaction) -> int:
    """The number of rows whose other half is still expected."""
    c = t.waiting_rows.c
    query = sa.select(sa.func.count()).where(c.expected, ~c.told)
    return int(tx.execute(query).scalar_one())


def drop(tx: Transaction, pairs: Iterable[str]) -> list[str]:
    """Remove the rows of pairs that are complete, but for what may have further answers; returns their
    uris.
    """
    c = t.waiting_rows.c
    found = [r for r in find(tx, pairs) if r.expected or not r.begins]
    for chunk in per_statement([r.pair for r in found]):
        tx.execute(t.waiting_rows.delete().where(c.pair.in_(chunk), c.expected | ~c.begins))
    return [r.uri for r in found]


def tell_overdue(tx: Transaction, before: datetime) -> list[WaitingRow]:
    """The rows that wait since before a moment, each told once; what is never expected is forgotten."""
    c = t.waiting_rows.c
    tx.execute(t.waiting_rows.delete().where(~c.expected, c.seen_at < before))
    overdue = sa.and_(c.expected, ~c.told, c.seen_at < before)
    found = [_row(r) for r in tx.execute(_SELECTED.where(overdue).order_by(c.file, c.number))]
    tx.execute(t.waiting_rows.update().where(overdue).values(told=True))
    return found


def forget(tx: Transaction, names: Sequence[str]) -> list[str]:
    """Remove the rows about samples; returns their uris. Langfuse's pairs are `trace/observation`."""
    c = t.waiting_rows.c
    gone: list[str] = []
    for name in names:
        about = (
            (c.pair == name)
            | c.pair.endswith(f"/{name}", autoescape=True)
            | c.pair.startswith(f"{name}/", autoescape=True)
        )
        gone += [_row(r).uri for r in tx.execute(_SELECTED.where(about))]
        tx.execute(t.waiting_rows.delete().where(about))
    return gone


def tell_again(tx: Transaction) -> None:
    """Let what was told be told once more: all files are read again."""
    tx.execute(t.waiting_rows.update().values(told=False))


_SELECTED = sa.select(t.waiting_rows)


def _row(r: sa.Row[tuple[object, ...]]) -> WaitingRow:
    return WaitingRow(
        pair=r.pair,
        begins=r.begins,
        file=r.file,
        number=r.number,
        expected=r.expected,
        seen_at=r.seen_at,
    )
