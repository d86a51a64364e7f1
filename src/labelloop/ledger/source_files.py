"""The files of a table of predictions that were read completely."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """A file as last read: its number of rows, and how many of them were rejected."""

    uri: str
    version: str
    n_rows: int
    n_set_aside: int


def every(tx: Transaction) -> dict[str, FileRead]:
    """All files that were read, by uri."""
    return {
        r.uri: FileRead(uri=r.uri, version=r.version, n_rows=r.n_rows, n_set_aside=r.n_set_aside)
        for r in tx.execute(sa.select(t.source_files))
    }


def put(tx: Transaction, files: Sequence[FileRead], now: datetime) -> None:
    """Record files that were read completely."""
    forget(tx, [f.uri for f in files])
    if files:
        tx.execute(
            t.source_files.insert(),
            [asdict(f) | {"read_at": now} for f in files],
        )


def forget(tx: Transaction, uris: Sequence[str]) -> None:
    """Remove files from the list."""
    for chunk in per_statement(uris):
        tx.execute(t.source_files.delete().where(t.source_files.c.uri.in_(chunk)))
