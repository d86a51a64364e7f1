"""An Apache Iceberg table of predictions as a Source, read through pyiceberg."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

from labelloop.adapters.iceberg.catalog import (
    is_absent,
    is_sql,
    open_catalog,
    without_password,
)
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.client import resolved
from labelloop.adapters.sources.access import numbered, opening
from labelloop.core.row_range import RowRange
from labelloop.errors import ConfigError, StoreDenied, StoreUnavailable, first_line, frameless
from labelloop.ports.source import SourceColumns, SourceFile, SourceRows

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import FileScanTask, Table


class IcebergSource:
    """The data files of the newest snapshot of `table` ("namespace.name").

    catalog
        its URI, or its name in pyiceberg's own settings
    catalog_name
        the name that an SQL catalog files its tables under

    pyiceberg takes deleted rows out and follows renamed columns. It reads a data file whole.
    """

    rewrites = True
    joins = False

    def __init__(
        self, table: str, *, catalog: str, catalog_name: str = "default", s3: S3Access | None = None
    ) -> None:
        self._name = table
        self._shown = without_password(catalog)
        with self._translated():
            self._catalog = _opened(catalog, catalog_name, s3 or S3Access())
        self._table: Table | None = None
        self._tasks: dict[str, FileScanTask] = {}

    def files(self) -> Sequence[SourceFile]:
        """The data files there are now, in the order of their writing.

        A file that rows were deleted from has another version.
        """
        with self._translated():
            self._table = self._catalog.load_table(self._name)
            tasks = list(self._table.scan().plan_files())
            order = _order(self._table)
        self._tasks = {task.file.file_path: task for task in tasks}
        return [
            SourceFile(uri=path, version=_version(task), size_bytes=task.file.file_size_in_bytes)
            for path, task in sorted(self._tasks.items(), key=lambda t: (order.get(t[0], 0), t[0]))
        ]

    def columns(self, file: SourceFile) -> SourceColumns:  # noqa: ARG002  all have the table's
        """The columns of the table."""
        return SourceColumns(names=tuple(f.name for f in self._loaded().schema().fields))

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a data file has; those that were deleted are among them."""
        task = self._tasks[file.uri]
        n = task.file.record_count
        return RowRange(1, n) if task.delete_files else RowRange.exactly(n)

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a data file that weren't deleted.

        Raises:
            SourceFileBad: it can't be read.
        """
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan

        table = self._loaded()
        there = [f.name for f in table.schema().fields]
        wanted = [n for n in there if columns is None or n in columns]
        schema = table.schema().select(*(wanted or there))  # without a column there are no rows
        with self._translated(), opening(file.uri):
            scan = ArrowScan(table.metadata, table.io, schema, AlwaysTrue())
            batches = scan.to_record_batches([self._tasks[file.uri]])
            yield from numbered(batch.select(wanted) for batch in batches)

    def close(self) -> None:
        """Close the catalog's connections."""
        self._catalog.close()

    def _loaded(self) -> "Table":
        if self._table is None:
            self.files()
        assert self._table is not None  # noqa: S101  files() loads it
        return self._table

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from pyiceberg import exceptions
        from sqlalchemy.exc import SQLAlchemyError

        absent = (exceptions.NoSuchTableError, exceptions.NoSuchNamespaceError)
        refused = (exceptions.UnauthorizedError, exceptions.ForbiddenError)
        try:
            yield
        except absent as exc:
            raise StoreDenied(
                f"the catalog {self._shown} has no table {self._name!r}",
                remedy="correct [source] table, catalog or catalog_name",
            ) from frameless(exc)
        except refused as exc:
            raise StoreDenied(
                f"the catalog {self._shown} refused: {exc}",
                remedy="set the credentials of the catalog in pyiceberg's settings (.pyiceberg.yaml or "
                "PYICEBERG_CATALOG__...)",
            ) from frameless(exc)
        except (SQLAlchemyError, OSError, exceptions.RESTError) as exc:
            raise StoreUnavailable(
                f"reading the table {self._name!r} of {self._shown} failed: {first_line(exc)}",
                remedy="check that the catalog and the table's files can be reached",
            ) from frameless(exc)


def _opened(catalog: str, name: str, access: S3Access) -> "Catalog":
    from labelloop.adapters.iceberg.file_io import s3_settings

    if is_absent(catalog):
        raise ConfigError(
            f"[source] catalog = {catalog!r}: there is no such file", remedy="correct its path"
        )
    settings = s3_settings(resolved(access, required=False))  # files may be local, or lent keys
    if is_sql(catalog):
        settings["init_catalog_tables"] = "false"
    return open_catalog(catalog, name, **settings)


def _order(table: "Table") -> dict[str, int]:
    """When each data file was written: the sequence number of its snapshot."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return {}
    return {
        entry.data_file.file_path: entry.sequence_number or 0
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io)
    }


def _version(task: "FileScanTask") -> str:
    deletes = sorted(file.file_path for file in task.delete_files)
    without = f" without {blake2b(repr(deletes).encode(), digest_size=8).hexdigest()}"
    return f"{task.file.file_size_in_bytes} bytes{without if deletes else ''}"
