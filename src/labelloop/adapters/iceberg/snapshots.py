"""The versions of a table of the log: which may go, and how files change places in one of them.

A query that began before files changed places reads the old ones still. So the version before, and
the one that made the change, stay until nobody can be reading any more; appends replace nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.snapshots import Snapshot

KEPT = 10
"""Versions that are kept beside those that may be read: an append costs more the more there are."""


def replace_files(
    table: "Table", transaction: "Transaction", gone: Sequence["DataFile"], paths: Sequence[str]
) -> None:
    """Let the files at `paths` take the place of others, in one version; no file is read but its end."""
    from pyiceberg.io.pyarrow import parquet_file_to_data_file

    with transaction.update_snapshot().overwrite() as overwrite:
        for file in gone:
            overwrite.delete_data_file(file)
        for path in paths:
            overwrite.append_data_file(
                parquet_file_to_data_file(table.io, transaction.table_metadata, path)
            )


def surplus(table: "Table", *, n_new: int) -> list[int]:
    """The versions that go when `n_new` are added; what may be read since files changed places stays."""
    by_age = _by_age(table)
    read = {s.snapshot_id for s in by_age if _exchanges(s)} | {
        s.parent_snapshot_id for s in by_age if _exchanges(s)
    }
    free = [s.snapshot_id for s in by_age if s.snapshot_id not in read]
    present = table.current_snapshot()
    old = free[: max(0, len(free) + n_new - KEPT)]
    return [snapshot for snapshot in old if present and snapshot != present.snapshot_id]


def unneeded(table: "Table", unused_before: datetime) -> list[int]:
    """The versions that nobody needs: nobody is reading any more what was replaced by `unused_before`."""
    by_age = _by_age(table)
    before_ms = unused_before.timestamp() * 1000
    over = [i for i, s in enumerate(by_age) if _exchanges(s) and s.timestamp_ms < before_ms]
    replaced = {s.snapshot_id for s in by_age[: over[-1]]} if over else set[int]()
    present = table.current_snapshot()
    gone = replaced | set(surplus(table, n_new=0))
    return sorted(gone - {present.snapshot_id}) if present else []


def _by_age(table: "Table") -> list["Snapshot"]:
    return sorted(table.snapshots(), key=lambda s: s.sequence_number or 0)


def _exchanges(snapshot: "Snapshot") -> bool:
    from pyiceberg.table.snapshots import Operation

    return snapshot.summary is not None and snapshot.summary.operation is Operation.OVERWRITE
