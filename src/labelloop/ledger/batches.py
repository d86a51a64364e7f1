"""The batches of the prediction log. Each number is used once; a batch is in the log or void."""

from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import max_of

WRITING, COMMITTED, VOID = "writing", "committed", "void"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. `path` is None until its rows are written."""

    batch: int
    kind: Literal["predictions", "feedback"]
    path: str | None
    n_rows: int


def reserve(tx: Transaction, kind: str, n_rows: int) -> int:
    """Begin a batch and return its number."""
    batch = highest(tx) + 1
    tx.execute(t.batches.insert().values(batch=batch, kind=kind, n_rows=n_rows, state=WRITING))
    return batch


def record_path(tx: Transaction, batch: int, path: str) -> None:
    """Record where a batch was written, before it is committed to the log."""
    tx.execute(t.batches.update().where(t.batches.c.batch == batch).values(path=path))


def finish(tx: Transaction, batch: int, state: str) -> None:
    """Mark a batch as COMMITTED, or as VOID, so that its number is never used."""
    tx.execute(t.batches.update().where(t.batches.c.batch == batch).values(state=state))


def unfinished(tx: Transaction) -> list[Batch]:
    """Batches that were begun and neither committed nor given up, oldest first."""
    return in_state(tx, WRITING)


def in_state(tx: Transaction, state: str) -> list[Batch]:
    """The batches of one state, oldest first."""
    rows = tx.execute(
        sa.select(t.batches).where(t.batches.c.state == state).order_by(t.batches.c.batch)
    )
    return [
        Batch(r.batch, cast("Literal['predictions', 'feedback']", r.kind), r.path, r.n_rows)
        for r in rows
    ]


def adopt(tx: Transaction, batch: int, kind: str, path: str, n_rows: int) -> None:
    """Record a batch that the log holds and a restored ledger doesn't."""
    tx.execute(
        t.batches.insert().values(batch=batch, kind=kind, path=path, n_rows=n_rows, state=COMMITTED)
    )


def subtract_rows(tx: Transaction, batch: int, n_rows: int) -> None:
    """Record that rows of a batch were removed from the log; without rows the batch is gone."""
    left = sa.case((t.batches.c.n_rows > n_rows, t.batches.c.n_rows - n_rows), else_=0)
    tx.execute(t.batches.update().where(t.batches.c.batch == batch).values(n_rows=left))


def newest_held(tx: Transaction) -> int:
    """The newest committed batch that has rows; 0 where there is none."""
    return max_of(tx, t.batches.c.batch, t.batches.c.state == COMMITTED, t.batches.c.n_rows > 0)


def highest(tx: Transaction) -> int:
    """The highest number ever given; 0 where there is none."""
    return max_of(tx, t.batches.c.batch)


def newest(tx: Transaction) -> int:
    """The newest committed batch; 0 where there is none."""
    return max_of(tx, t.batches.c.batch, t.batches.c.state == COMMITTED)
