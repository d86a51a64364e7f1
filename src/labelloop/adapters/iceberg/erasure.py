"""Takes samples out of a table of the prediction log, so that no file of it holds them any more.

A file that holds them is written again without them, beside its place, and both change places in one
commit. Then all older snapshots are let go, and every file that nothing refers to is removed: Iceberg's
own files carry the least and the greatest sample_id of each data file.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from labelloop.adapters.iceberg.batches import (
    BatchFileName,
    HeldFile,
    batches_of,
    counts_metadata,
    held,
    name_written_again,
)
from labelloop.adapters.iceberg.snapshots import replace_files
from labelloop.adapters.iceberg.sweeping import expire_snapshots, remove, strays
from labelloop.adapters.iceberg.tables import IcebergTables
from labelloop.ports.log import BatchKind

if TYPE_CHECKING:
    from pyiceberg.table import Table


def rewrite(
    tables: IcebergTables, kind: BatchKind, batches: Sequence[int], sample_ids: Sequence[str]
) -> None:
    """Put what the files of `batches` hold of other samples in their place; one without any vanishes.

    Raises:
        LogError: the table can't be read or written, or others kept committing in between.
    """
    wanted = set(batches)

    def replace(table: "Table") -> None:
        numbers = ", ".join(str(int(batch)) for batch in batches)
        touched = {
            file.path: file
            for file in held(table, kind, f"batch in ({numbers})")
            if wanted & set(batches_of(table.io, file))
        }
        gone = [task.file for task in table.scan().plan_files() if task.file.file_path in touched]
        paths = [
            path for file in touched.values() for path in _without(tables, table, file, sample_ids)
        ]
        with table.transaction() as transaction:
            replace_files(table, transaction, gone, paths)
            # an append drops the list of what was deleted before it
            transaction.add_files([], check_duplicate_files=False)

    tables.change(kind, f"Erasing samples from {kind}", replace)


def sweep(tables: IcebergTables, kind: BatchKind, allowed: Callable[[], None]) -> None:
    """Let every snapshot but the present one go, and remove the files that it doesn't need.

    `allowed` is asked between looking and removing: where this process stood still and another has
    written since, what that one wrote isn't among what was found; where it had written before, it raises.

    Raises:
        LogError: the table can't be read or written.
    """

    def older(table: "Table") -> list[int]:
        present = table.current_snapshot()
        return [s.snapshot_id for s in table.snapshots() if present and s != present]

    expire_snapshots(tables, kind, older)
    found = strays(tables, kind)
    allowed()
    remove(tables, kind, found)


def _without(
    tables: IcebergTables, table: "Table", file: HeldFile, sample_ids: Sequence[str]
) -> Iterator[str]:
    """The path under which a file was written without some samples; none where nothing is left."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gone = pa.array(sample_ids, pa.large_string())

    def kept(rows: Any) -> Any:
        ids = rows.column("sample_id").cast(pa.large_string())
        return rows.filter(pc.invert(pc.is_in(ids, gone)))

    counts: Counter[int] = Counter()
    with table.io.new_input(file.path).open() as stream:
        for group in pq.ParquetFile(stream).iter_batches(columns=["sample_id", "batch"]):
            counts.update(kept(pa.Table.from_batches([group])).column("batch").to_pylist())
    if not counts:
        return
    name = BatchFileName.of(file.path)
    with table.io.new_input(file.path).open() as stream:
        parquet = pq.ParquetFile(stream)
        schema = parquet.schema_arrow
        if name is not None and name.several:
            schema = schema.with_metadata({**(schema.metadata or {}), **counts_metadata(counts)})
        groups = (kept(parquet.read_row_group(i)) for i in range(parquet.num_row_groups))
        path = name_written_again(file.path, token_hex(4))
        tables.write_groups((group for group in groups if group.num_rows), schema, path)
    yield path
