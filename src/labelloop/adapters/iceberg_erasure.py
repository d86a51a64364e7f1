"""Takes samples out of a table of the prediction log, so that no file of it holds them any more.

A batch that holds them is written again without them, beside its place, and both change places in one
commit. Then all older snapshots are let go, and every file that nothing refers to is removed: Iceberg's
own files carry the least and the greatest sample_id of each data file.
"""

from collections.abc import Iterator, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from labelloop.adapters.iceberg_tables import IcebergTables, translated
from labelloop.ports import BatchKind

if TYPE_CHECKING:
    from pyiceberg.table import Table


def rewrite(
    tables: IcebergTables, kind: BatchKind, batches: Sequence[int], sample_ids: Sequence[str]
) -> None:
    """Put what `batches` hold of other samples in their place; a batch without any vanishes.

    Raises:
        LogError: the table can't be read or written, or others kept committing in between.
    """
    numbers = ", ".join(str(int(batch)) for batch in batches)

    def replace(table: "Table") -> None:
        with_others = [
            path
            for batch in batches
            for path in _without(tables, table, kind, batch=batch, sample_ids=sample_ids)
        ]
        with table.transaction() as transaction:
            # each file holds one batch, so whole files are dropped and none is read
            transaction.delete(f"batch in ({numbers})")
            # also where there are none: an append drops the list of what was deleted before it
            transaction.add_files(with_others, check_duplicate_files=False)

    tables.change(kind, f"Erasing samples from {kind}", replace)


def sweep(tables: IcebergTables, kind: BatchKind) -> None:
    """Let every snapshot but the present one go, and remove the files that it doesn't need.

    Raises:
        LogError: the table can't be read or written.
    """
    from pyiceberg.table.update.snapshot import ExpireSnapshots

    def expire(table: "Table") -> None:
        present = table.current_snapshot()
        old = [s.snapshot_id for s in table.snapshots() if present and s != present]
        if old:
            with table.transaction() as transaction:
                ExpireSnapshots(transaction).by_ids(old).commit()

    tables.change(kind, f"Letting old snapshots of {kind} go", expire)
    with translated(f"Removing old files of {kind}"):
        # listed before the table is read: what is committed meanwhile isn't in the list
        files = _Files(tables.load(kind))
        listed = files.listed()
        needed = files.parsed(_needed(tables.load(kind)))
        for path in sorted(listed - needed):
            files.remove(path)


def _without(
    tables: IcebergTables,
    table: "Table",
    kind: BatchKind,
    *,
    batch: int,
    sample_ids: Sequence[str],
) -> Iterator[str]:
    """The path under which a batch was written without some samples; none where nothing is left."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gone = pa.array(sample_ids, pa.large_string())
    for task in table.scan(row_filter=f"batch = {int(batch)}").plan_files():
        with table.io.new_input(task.file.file_path).open() as stream:
            rows = pq.read_table(stream)
        ids = rows.column("sample_id").cast(pa.large_string())
        kept = rows.filter(pc.invert(pc.is_in(ids, gone)))
        if kept.num_rows:
            path = tables.path(batch, kind).removesuffix(".parquet") + f"-{token_hex(4)}.parquet"
            tables.write(kept, path)
            yield path


def _needed(table: "Table") -> Iterator[str]:
    """Every file that the table refers to."""
    yield table.metadata_location
    yield from (entry.metadata_file for entry in table.metadata.metadata_log)
    for snapshot in table.snapshots():
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io):
                yield entry.data_file.file_path


class _Files:
    """The files below a table's place, by their path in its file system."""

    def __init__(self, table: "Table") -> None:
        from pyiceberg.io.pyarrow import PyArrowFileIO

        self._io = PyArrowFileIO(table.io.properties)
        scheme, netloc, self._place = self._io.parse_location(table.location())
        self._system: Any = self._io.fs_by_scheme(scheme, netloc)

    def listed(self) -> set[str]:
        """Those in the folders that labelloop and Iceberg write to."""
        from pyarrow import fs

        found: set[str] = set()
        for folder in ("data", "metadata"):
            selector = fs.FileSelector(
                f"{self._place}/{folder}", allow_not_found=True, recursive=True
            )
            infos = self._system.get_file_info(selector)
            found.update(info.path for info in infos if info.type is fs.FileType.File)
        return found

    def parsed(self, locations: Iterator[str]) -> set[str]:
        """Locations, as the table names them, as paths."""
        return {self._io.parse_location(location)[2] for location in locations}

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._system.delete_file(path)
