"""The files of a table of predictions that were read completely."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_CHUNK = 500


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
            [
                {
                    "uri": f.uri,
                    "version": f.version,
                    "n_rows": f.n_rows,
                    "n_set_aside": f.n_set_aside,
                    "read_at": now,
                }
                for f in files
            ],
        )


def forget(tx: Transaction, uris: Sequence[str]) -> None:
    """Remove files from the list."""
    for start in range(0, len(uris), _CHUNK):
        chunk = uris[start : start + _CHUNK]
        tx.execute(t.source_files.delete().where(t.source_files.c.uri.in_(chunk)))
