"""Moves a ledger to another database: all of it, verified, or nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError

from labelloop.errors import LeaseHeld, LedgerError
from labelloop.ledger import Ledger, cursors, holder
from labelloop.ledger import tables as t
from labelloop.ledger.database import MOVED_TO, Transaction
from labelloop.ledger.engine import seconds

Progress = Callable[[str, int, int | None], None]
_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Moved:
    """A table that was moved: its number of rows, and a checksum over them in any order."""

    table: str
    n_rows: int
    checksum: str


def move(source: Ledger, target: Ledger, *, progress: Progress) -> list[Moved]:
    """Copy every row to `target`, and leave in `source` that it moved there.

    Nobody writes to either meanwhile. The copy is one transaction, which commits only where every
    table's count and checksum, read back, are the source's.

    Raises:
        LeaseHeld: a step is running.
        LedgerError: the target isn't empty, the source was moved before, or they don't agree.
    """
    if source.place == target.place:
        raise LedgerError(
            f"the ledger is in {source.place} already",
            remedy="choose another database that is empty",
        )
    with source.write_at_once() as reading:
        _refuse_running(reading)
        with target.write_at_once() as writing:
            moved = copy_tables(reading, writing, progress=progress)
        cursors.put(reading, MOVED_TO, target.place)
    return moved


def copy_tables(reading: Transaction, writing: Transaction, *, progress: Progress) -> list[Moved]:
    """Copy every row to an empty ledger, and read it back.

    Raises:
        LedgerError: the target isn't empty, or they don't agree.
    """
    _refuse_filled(writing)
    moved = [
        _copy(reading, writing, table, progress=progress) for table in t.metadata.sorted_tables
    ]
    _restart_counters(writing)
    return moved


def _copy(
    reading: Transaction, writing: Transaction, table: sa.Table, *, progress: Progress
) -> Moved:
    total = int(reading.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    n_rows = checksum = 0
    for rows in _pages(reading, table):
        try:
            writing.execute(table.insert(), rows)
        except DataError as exc:
            raise LedgerError(
                f"the new database refused a row of {table.name}: {exc.orig}",
                remedy="nothing was moved; please report it with this message",
            ) from exc
        n_rows += len(rows)
        checksum += sum(map(_digest, rows))
        progress(f"{table.name} copied", n_rows, total)
    copied = Moved(table.name, n_rows, _written(checksum))
    n_read = read_back = 0
    for rows in _pages(writing, table):
        n_read += len(rows)
        read_back += sum(map(_digest, rows))
        progress(f"{table.name} verified", n_read, total)
    if copied != Moved(table.name, n_read, _written(read_back)):
        raise LedgerError(
            f"the copy of {table.name} differs: {n_rows} rows were copied, and {n_read} were "
            "read back",
            remedy="nothing was moved; please report it with this message",
        )
    return copied


def _pages(tx: Transaction, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """A table's rows in order of their key, a bounded number at a time."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    found = tx.execute(query.execution_options(stream_results=True))
    for page in found.mappings().partitions(_ROWS):
        yield [dict(row) for row in page]


def _digest(row: dict[str, Any]) -> int:
    told = repr([(name, row[name]) for name in sorted(row)])
    return int.from_bytes(blake2b(told.encode(), digest_size=16).digest())


def _written(checksum: int) -> str:
    return f"{checksum % 2**128:032x}"


def _restart_counters(tx: Transaction) -> None:
    """Let the counters of PostgreSQL continue from those of the source; SQLite does so by itself."""
    if tx.dialect.name != "postgresql":
        return
    for table in t.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        highest = tx.execute(sa.select(sa.func.max(column))).scalar_one()
        if highest is not None:
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            tx.execute(sa.select(sa.func.setval(sequence, highest)))


def _refuse_running(tx: Transaction) -> None:
    now = seconds(tx)
    for row in tx.execute(sa.select(t.leases).where(t.leases.c.expires_at > now)):
        if not holder.is_dead(row.holder):
            raise LeaseHeld(
                f"{holder.named(row.holder)} is running `{row.step}`",
                remedy="stop what runs labelloop on a schedule, wait until it has ended, and try again",
            )


def _refuse_filled(tx: Transaction) -> None:
    for table in t.metadata.sorted_tables:
        if tx.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            raise LedgerError(
                f"the database contains a ledger already: its table {table.name} has rows",
                remedy="choose an empty database",
            )
