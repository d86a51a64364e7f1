"""What the log lets go: old versions of a table, and files that none of its versions needs.

pyiceberg forgets old versions and leaves their files where they are.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from labelloop.adapters.iceberg.tables import IcebergTables, translated
from labelloop.ports.log import BatchKind

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True, slots=True)
class StrayFile:
    """A file that no version of a table needs. `path` is that of its file system."""

    path: str
    size_bytes: int


def expire_snapshots(
    tables: IcebergTables, kind: BatchKind, which: Callable[["Table"], list[int]]
) -> None:
    """Let the versions that `which` names go; their files stay.

    Raises:
        LogError: the table can't be read or written, or others kept committing in between.
    """
    from pyiceberg.table.update.snapshot import ExpireSnapshots

    def expire(table: "Table") -> None:
        old = which(table)
        if old:
            with table.transaction() as transaction:
                ExpireSnapshots(transaction).by_ids(old).commit()

    tables.change(kind, f"Letting old snapshots of {kind} go", expire)


def strays(
    tables: IcebergTables,
    kind: BatchKind,
    *,
    without: Collection[int] = (),
    written_before: datetime | None = None,
) -> list[StrayFile]:
    """The files that the table doesn't need, its own metadata first.

    An older catalog that comes back from a backup then misses its lists before it misses rows.

    without
        versions that are taken for gone
    written_before
        what is younger may be about to be committed; None: nobody else is writing

    Raises:
        LogError: they can't be told.
    """
    with translated(f"Looking for old files of {kind}"):
        # listed before the table is read: what is committed meanwhile isn't in the list
        files = _Files(tables.load(kind))
        listed = files.listed()
        needed = files.parsed(_needed(tables.load(kind), without))
    return [
        StrayFile(info.path, info.size or 0)
        for info in sorted(listed, key=lambda info: str(info.path), reverse=True)
        if info.path not in needed and (written_before is None or info.mtime < written_before)
    ]


def remove(tables: IcebergTables, kind: BatchKind, found: Iterable[StrayFile]) -> None:
    """Remove files.

    Raises:
        LogError: one can't be removed.
    """
    with translated(f"Removing old files of {kind}"):
        files = _Files(tables.load(kind))
        for stray in found:
            files.remove(stray.path)


def _needed(table: "Table", without: Collection[int]) -> Iterator[str]:
    """Every file that the table refers to."""
    yield table.metadata_location
    yield from (entry.metadata_file for entry in table.metadata.metadata_log)
    seen = set[str]()
    for snapshot in table.snapshots():
        if snapshot.snapshot_id in without:
            continue
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io):
                yield entry.data_file.file_path


class _Files:
    """The files below a table's place, by their path in its file system."""

    def __init__(self, table: "Table") -> None:
        from labelloop.adapters.iceberg.file_io import TrustingFileIO

        self._io = TrustingFileIO(table.io.properties)
        scheme, netloc, self._place = self._io.parse_location(table.location())
        self._system: Any = self._io.fs_by_scheme(scheme, netloc)

    def listed(self) -> list[Any]:
        """What Arrow says of those in the folders that labelloop and Iceberg write to."""
        from pyarrow import fs

        found = []
        for folder in ("data", "metadata"):
            selector = fs.FileSelector(
                f"{self._place}/{folder}", allow_not_found=True, recursive=True
            )
            infos = self._system.get_file_info(selector)
            found += [info for info in infos if info.type is fs.FileType.File]
        return found

    def parsed(self, locations: Iterator[str]) -> set[str]:
        """Locations, as the table names them, as paths."""
        return {self._io.parse_location(location)[2] for location in locations}

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._system.delete_file(path)
