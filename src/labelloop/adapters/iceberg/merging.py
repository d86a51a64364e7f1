"""Small files of the log become larger ones: every row as it is, with its batch, in one commit a table.

What is merged lies side by side in the sequence of batches, so that a file still spans few of them; its
rows are in order of batch and sample_id, so that each row group does too. The name of a merged file
follows from what it takes the place of: a merge that was killed finds what it had written.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from labelloop.adapters.iceberg.batches import (
    BatchFileName,
    HeldFile,
    batches_of,
    counts_metadata,
    name_of_several,
)
from labelloop.adapters.iceberg.schema import in_schema
from labelloop.adapters.iceberg.snapshots import replace_files
from labelloop.adapters.iceberg.tables import IcebergTables, translated
from labelloop.errors import LogError
from labelloop.ports.clock import Progress
from labelloop.ports.log import BatchKind

if TYPE_CHECKING:
    from pyiceberg.table import Table

SMALL_BYTES = 32 << 20
TARGET_BYTES = 128 << 20
GROUP_ROWS = 122_880
"""DuckDB's own row group: what a thread reads at a time."""
GROUP_BYTES = 128 << 20
"""In memory."""


def closed_to(tables: IcebergTables, closed_before: datetime) -> int:
    """The newest batch of which no row, and no row of one before it, was indexed later than that."""
    named = [BatchFileName.of(file.path) for file in tables.files("predictions")]
    later = f"indexed_at >= '{closed_before.isoformat()}'"
    still = [BatchFileName.of(file.path) for file in tables.files("predictions", later)]
    if any(still):
        return min(name.first for name in still if name is not None) - 1
    return max((name.last for name in named if name is not None), default=0)


def groups(files: Sequence[HeldFile], newest: int) -> list[list[HeldFile]]:
    """Which files are to become one each: small neighbours, of batches up to `newest`."""
    placed = [(name, file) for file in files if (name := BatchFileName.of(file.path)) is not None]
    found: list[list[HeldFile]] = [[]]
    size = 0
    for name, file in sorted(placed, key=lambda one: one[0].first):
        small = file.size_bytes < SMALL_BYTES and name.last <= newest
        if not small or size + file.size_bytes > TARGET_BYTES:
            found.append([])
            size = 0
        if small:
            found[-1].append(file)
            size += file.size_bytes
    return [group for group in found if len(group) > 1]


def merge(
    tables: IcebergTables,
    kind: BatchKind,
    found: Sequence[Sequence[HeldFile]],
    *,
    allowed: Callable[[], None],
    progress: Progress,
) -> None:
    """Let one file take the place of each group of files.

    Raises:
        LogError: a file can't be read or written, or is damaged, or others kept committing in between.
    """
    table = tables.load(kind)
    n_files, done = sum(len(group) for group in found), 0
    merged: dict[str, Sequence[HeldFile]] = {}
    for group in found:
        progress("merging files of the log", done, n_files)
        merged[_written(tables, table, kind, group)] = group
        done += len(group)
    allowed()

    def replace(present: "Table") -> None:
        there = {task.file.file_path: task.file for task in present.scan().plan_files()}
        left = {path: group for path, group in merged.items() if path not in there}
        if not left:
            return  # an attempt whose answer was lost had been carried out
        gone = [there[file.path] for group in left.values() for file in group]
        with present.transaction() as transaction:
            replace_files(present, transaction, gone, list(left))

    tables.change(kind, f"Merging files of {kind}", replace)


def _written(
    tables: IcebergTables, table: "Table", kind: BatchKind, group: Sequence[HeldFile]
) -> str:
    """The path of the file that holds what a group does, written where it wasn't yet."""
    counts: Counter[int] = Counter()
    for file in group:
        with translated(f"Reading {file.path}"):
            counts.update(batches_of(table.io, file))
    sources = [file.path for file in group]
    path = f"{tables.folder(kind)}/{name_of_several(counts, sources)}"
    n_rows = sum(file.n_rows for file in group)
    if tables.n_rows(path) != n_rows:
        wanted = tables.columns(kind)
        schema = wanted.with_metadata({**(wanted.metadata or {}), **counts_metadata(counts)})
        tables.write_groups(_row_groups(_in_order(table, wanted, sources)), schema, path)
    found = tables.n_rows(path)
    if found != n_rows:
        raise LogError(
            f"the merged file {path} has {found} rows, but the files that it should replace "
            f"have {n_rows}",
            remedy="nothing was replaced; run `labelloop doctor --repair`, which checks every file",
        )
    return path


def _in_order(table: "Table", wanted: Any, paths: Sequence[str]) -> Iterator[Any]:
    """What each file holds, in order of batch and sample_id. A damaged page is an error."""
    import pyarrow.parquet as pq

    for path in paths:
        with translated(f"Reading {path}"), table.io.new_input(path).open() as stream:
            rows = pq.read_table(stream, page_checksum_verification=True)
            yield in_schema(rows, wanted).sort_by(
                [("batch", "ascending"), ("sample_id", "ascending")]
            )


def _row_groups(tables: Iterator[Any]) -> Iterator[Any]:
    """The same rows in tables of a row group each."""
    import pyarrow as pa

    waiting = None
    for rows in tables:
        waiting = rows if waiting is None else pa.concat_tables([waiting, rows])
        size = max(1, min(GROUP_ROWS, GROUP_BYTES * waiting.num_rows // max(1, waiting.nbytes)))
        while waiting.num_rows >= size:
            yield waiting.slice(0, size)
            waiting = waiting.slice(size)
    if waiting is not None and waiting.num_rows:
        yield waiting
