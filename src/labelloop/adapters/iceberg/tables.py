"""The two Iceberg tables of the prediction log: opened, written and committed.

One writer. A batch is written as one Parquet file whose path carries the batch number; the path is what
makes a commit idempotent. Reading is in `labelloop.adapters.iceberg.log`.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.adapters.iceberg.batches import BatchFileName, HeldFile, batches_of, held
from labelloop.adapters.iceberg.catalog import (
    is_sql,
    open_catalog,
    sqlite_file,
    without_password,
)
from labelloop.adapters.iceberg.damage import n_rows_at
from labelloop.adapters.iceberg.schema import arrow_schema, schema
from labelloop.adapters.iceberg.snapshots import surplus
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.client import resolved
from labelloop.errors import LogError, first_line, frameless
from labelloop.ports.log import BatchKind, VisibleBatch

if TYPE_CHECKING:
    from datetime import datetime

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from labelloop.adapters.iceberg.file_io import TrustingFileIO

FORMAT = "1"
MEND = "`labelloop doctor --repair` mends what can be mended, and names the rest"
NAMESPACE = "labelloop"
KINDS: tuple[BatchKind, ...] = ("predictions", "feedback")
COMMIT_ATTEMPTS = 20
MOST_PLANS = 100
"""How many lists of files are kept for one version of a table."""

_FORMAT, _LEDGER, _SALT = "labelloop.format", "labelloop.ledger_id", "labelloop.salt"
_TABLE_PROPERTIES = {
    # pyiceberg's own retry would append again without looking for the path; commit() looks.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    # Each question reads every manifest: at the default of 100, a commit cost five times as much.
    "commit.manifest.min-count-to-merge": "10",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
    "write.parquet.compression-codec": "zstd",
}


_REPEATING = (
    "model role predicted_class confidence sampling_rate batch indexed_at size_bytes kind value "
    "attributes.key_value.key attributes.key_value.value"
)
_PARQUET: Mapping[str, Any] = {
    "compression": "zstd",
    "write_page_checksum": True,
    "use_dictionary": _REPEATING.split(),
}
"""A page that was altered on the disk would be read as other values, but for its checksum.

Names, places and contents don't repeat: a dictionary of them costs more than all the rest of a file.
"""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns what pyiceberg, DuckDB, Arrow, SQL and the file system raise into LogError."""
    import duckdb
    from pyarrow import ArrowException
    from pyiceberg import exceptions
    from sqlalchemy.exc import SQLAlchemyError

    foreign = tuple(
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    )
    try:
        yield
    except (*foreign, duckdb.Error, ArrowException, SQLAlchemyError, OSError, UnicodeError) as exc:
        raise LogError(f"{doing} failed: {first_line(exc)}", remedy=_remedy(exc)) from frameless(
            exc
        )


_REFUSED = {
    errno.ENOSPC: "nothing was half written: free disk space there, and run again",
    errno.EFBIG: "nothing was half written: free disk space there, and run again",
    errno.EDQUOT: "nothing was half written: raise the quota there, or free disk space, and run again",
    errno.EROFS: "that disk can only be read: make it writable, and run again",
    errno.EACCES: "give this user the right to write there, and run again",
    errno.EPERM: "give this user the right to write there, and run again",
}


def _remedy(exc: Exception) -> str:
    by_system = _REFUSED.get(getattr(exc, "errno", None) or 0)
    code = sqlite_code(exc)
    if by_system is not None:
        return by_system
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"{MEND}: the catalog is made anew from the files of the log"
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return _REFUSED[errno.ENOSPC]
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return _REFUSED[errno.EACCES]
    return (
        "check [state] warehouse and catalog: that both exist as they were left, are reachable and "
        f"writable, and that the disk has room; {MEND}"
    )


def sqlite_code(exc: BaseException) -> str:
    """SQLite's own name of what went wrong, as SQLITE_FULL; empty where it wasn't SQLite."""
    return getattr(getattr(exc, "orig", None), "sqlite_errorname", None) or ""


class IcebergTables:
    """Both tables of one log, in one catalog."""

    def __init__(self, catalog: "Catalog", warehouse: str) -> None:
        self._catalog = catalog
        self._warehouse = warehouse.rstrip("/")
        self._columns: dict[BatchKind, Any] = {}
        self._plans: dict[BatchKind, tuple[str, dict[str, list[HeldFile]]]] = {}

    @classmethod
    def connect(cls, *, warehouse: str, catalog: str, s3: S3Access | None) -> "IcebergTables":
        """The tables behind a catalog URI, or behind a catalog that pyiceberg's settings name."""
        from labelloop.adapters.iceberg.file_io import s3_settings

        access = s3 or S3Access()
        if "://" in warehouse:
            access = resolved(access, required=is_sql(catalog))
        else:
            warehouse = str(Path(warehouse).absolute())
        settings = {"warehouse": warehouse, **s3_settings(access)}
        with translated(f"Opening the catalog {without_password(catalog)}"):
            file = sqlite_file(catalog)
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            if "://" not in catalog:
                from pyiceberg.utils.config import Config

                # many a REST catalog goes by a name of its own where others have a place
                if "warehouse" in (Config().get_catalog_config(catalog) or {}):
                    del settings["warehouse"]
            return cls(open_catalog(catalog, NAMESPACE, **settings), warehouse)

    def close(self) -> None:
        """Close the catalog's connections."""
        self._catalog.close()

    def load(self, kind: BatchKind) -> "Table":
        """The table as it stands now."""
        with translated(f"Reading the {kind} table of the log"):
            return self._catalog.load_table((NAMESPACE, kind))

    def files(self, kind: BatchKind, condition: str = "true") -> list[HeldFile]:
        """The table's files that may hold rows of a condition, in order of their paths.

        What was asked before of the same version of the table isn't worked out again.
        """
        table = self.load(kind)
        version, plans = self._plans.get(kind, ("", {}))
        if version != table.metadata_location or len(plans) >= MOST_PLANS:
            plans = {}
            self._plans[kind] = table.metadata_location, plans
        if condition not in plans:
            with translated(f"Planning a read of {kind}"):
                plans[condition] = held(table, kind, condition)
        return list(plans[condition])

    def identity(self) -> tuple[str, bytes] | None:
        """The ledger_id and salt that the log was created with; None where there is no log.

        Raises:
            LogError: it has a format that this version doesn't know.
        """
        with translated("Reading the catalog of the log"):
            if not self._catalog.table_exists((NAMESPACE, "predictions")):
                return None
        return _identity(self.load("predictions").properties)

    def create(self, ledger_id: str, salt: bytes, *, over_batches: bool = False) -> None:
        """Create what is absent.

        Raises:
            LogError: there are batches that the catalog doesn't know, and not `over_batches`.
        """
        properties = _TABLE_PROPERTIES | {
            _FORMAT: FORMAT,
            _LEDGER: ledger_id,
            _SALT: salt.hex(),
        }
        with translated(f"Creating the log in {self._warehouse}"):
            self._catalog.create_namespace_if_not_exists(NAMESPACE)
            for kind in KINDS:
                if self._catalog.table_exists((NAMESPACE, kind)):
                    self._add_columns(kind)
                    continue
                if not over_batches and self._holds_batches(kind):
                    raise LogError(
                        f"{self._warehouse} holds batches of {kind}, but the catalog has no log",
                        remedy="run `labelloop doctor --repair`, which rebuilds the catalog from these "
                        "files, or restore the catalog from a backup; to start a new log, set [state] "
                        "warehouse to an empty folder",
                    )
                self._catalog.create_table_if_not_exists(
                    (NAMESPACE, kind),
                    schema=schema(kind),
                    location=f"{self._warehouse}/{kind}",
                    properties=properties,
                )

    def _add_columns(self, kind: BatchKind) -> None:
        """Add what a log of an earlier version doesn't have; its files stay as they are."""
        table, known = self.load(kind), schema(kind)
        new = [f for f in known.fields if f.name not in table.schema().column_names]
        if new:
            with table.update_schema() as update:
                for field in new:
                    update.add_column(field.name, field.field_type)

    def columns(self, kind: BatchKind) -> Any:
        """The pyarrow schema of a table's files. Catalogs number columns as they like; files must follow."""
        if kind not in self._columns:
            self._columns[kind] = arrow_schema(kind, self.load(kind).schema())
        return self._columns[kind]

    def path(self, batch: int, kind: BatchKind) -> str:
        """Where a batch stands; it carries the batch number."""
        return f"{self.folder(kind)}/batch-{batch:012d}.parquet"

    def folder(self, kind: BatchKind) -> str:
        """Where the batches of a kind stand."""
        return f"{self._warehouse}/{kind}/data"

    def write(self, rows: Any, path: str) -> None:
        """Write a pyarrow Table as one Parquet file: whole and durable, or not at all."""
        self.write_groups([rows], rows.schema, path)

    def write_groups(self, groups: Iterable[Any], schema: Any, path: str) -> None:
        """Write pyarrow Tables as the row groups of one Parquet file: whole and durable, or not at all."""
        import pyarrow.parquet as pq

        def fill(stream: Any) -> None:
            with pq.ParquetWriter(stream, schema, **_PARQUET) as writer:
                for group in groups:
                    writer.write_table(group)

        with translated(f"Writing {path}"):
            if "://" in path:
                io = self._catalog.load_table((NAMESPACE, "predictions")).io
                with io.new_output(path).create(overwrite=True) as stream:
                    fill(stream)
                return
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            try:
                with partial.open("wb") as stream:
                    fill(stream)
                    stream.flush()
                    os.fsync(stream.fileno())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)  # on a full disk the half of it would take room
            _sync_folder(target.parent)

    def n_rows(self, path: str) -> int | None:
        """The rows of the Parquet file at `path`; None where no whole file stands there."""
        io = self.load("predictions").io
        with translated(f"Reading {path}"):
            return n_rows_at(io, path)

    def committed(self, batch: int, kind: BatchKind) -> str | None:
        """The path under which a batch is visible; None while it is not."""
        table = self.load(kind)
        with translated(f"Looking for batch {batch} of {kind}"):
            return _visible(table, kind, batch)

    def visible_after(self, batch: int) -> list[VisibleBatch]:
        """The visible batches whose number is above `batch`, in their order."""
        found: list[VisibleBatch] = []
        for kind in KINDS:
            io, files = self.load(kind).io, self.files(kind, f"batch > {int(batch)}")
            with translated(f"Reading the batches of {kind}"):
                found += [
                    VisibleBatch(batch=number, kind=kind, path=file.path, n_rows=n_rows)
                    for file in files
                    for number, n_rows in batches_of(io, file).items()
                    if number > batch
                ]
        return sorted(found, key=lambda b: b.batch)

    def commit(self, batch: int, kind: BatchKind, path: str) -> None:
        """Make a written batch visible, and let old snapshots go.

        Raises:
            LogError: the batch is visible under another path, the file doesn't have the table's
                schema, or others kept committing in between.
        """
        from pyiceberg.table.update.snapshot import ExpireSnapshots

        def add(table: "Table") -> None:
            there = _visible(table, kind, batch)
            name = BatchFileName.of(there or "")
            if there == path or (name is not None and name.several):
                return
            if there is not None:
                raise LogError(
                    f"batch {batch} of {kind} is in the log already, as {there}",
                    remedy="check [state]: this prediction log and this ledger belong to different projects",
                )
            try:
                with table.transaction() as transaction:
                    expired = surplus(table, n_new=1)
                    if expired:
                        ExpireSnapshots(transaction).by_ids(expired).commit()
                    # Whether the path is there was just looked up, in this very version.
                    transaction.add_files([path], check_duplicate_files=False)
            except ValueError as exc:
                raise LogError(
                    f"{path} is no batch of {kind}: {first_line(exc)}",
                    remedy="labelloop didn't write this file; move it out of the warehouse",
                ) from exc

        self.change(kind, f"Committing batch {batch} of {kind}", add)

    def change(self, kind: BatchKind, doing: str, call: "Callable[[Table], None]") -> None:
        """Let `call` commit to the table as it stands, again where others committed in between.

        Raises:
            LogError: others kept committing, or `call` failed.
        """
        from tenacity import (
            RetryError,
            Retrying,
            retry_if_exception,
            stop_after_attempt,
            wait_exponential,
        )

        retrying = Retrying(
            retry=retry_if_exception(_lost_to_another),
            stop=stop_after_attempt(COMMIT_ATTEMPTS),
            wait=wait_exponential(multiplier=0.02, max=2.0),
        )
        try:
            with translated(doing):
                retrying(lambda: call(self.load(kind)))
        except RetryError as exc:
            failure = exc.last_attempt.exception()
            raise LogError(
                f"{doing} wasn't done in {COMMIT_ATTEMPTS} attempts: {failure}",
                remedy="wait until no other process writes to this log, then run again",
            ) from failure

    def drop(self, kind: BatchKind) -> None:
        """Take a table out of the catalog, if it is there; its files stay."""
        from pyiceberg.exceptions import NoSuchTableError

        with translated(f"Dropping the table {kind}"), suppress(NoSuchTableError):
            self._catalog.drop_table((NAMESPACE, kind))

    def file_io(self) -> "TrustingFileIO":
        """How files are reached where no table can be read."""
        from labelloop.adapters.iceberg.file_io import TrustingFileIO

        return TrustingFileIO(self._catalog.properties)

    def data_files(self, kind: BatchKind) -> "dict[str, datetime]":
        """Every file beside the batches of a kind, whether the table knows it or not: when it was written.

        In order of their names.
        """
        from pyarrow import fs

        io, folder = self.file_io(), self.folder(kind)
        scheme, netloc, path = io.parse_location(folder)
        with translated(f"Listing {folder}"):
            found = io.fs_by_scheme(scheme, netloc).get_file_info(
                fs.FileSelector(path, allow_not_found=True)
            )
        files = [info for info in found if info.type is fs.FileType.File]
        return {
            f"{folder}/{info.base_name}": info.mtime
            for info in sorted(files, key=lambda info: str(info.base_name))
        }

    def _holds_batches(self, kind: BatchKind) -> bool:
        return any(path.endswith(".parquet") for path in self.data_files(kind))


def same_log(found: tuple[str, bytes], *, ledger_id: str, salt: bytes) -> None:
    """Returns where a log is the ledger's own.

    Raises:
        LogError: it belongs to another ledger, or its line has another salt.
    """
    remedy = (
        "name the ledger that belongs to this log in [state] ledger, or another [state] warehouse "
        "and catalog to begin a new log"
    )
    if found[0] != ledger_id:
        raise LogError(
            f"the prediction log belongs to ledger {found[0]}, but this is ledger {ledger_id}",
            remedy=remedy,
        )
    if found[1] != salt:
        raise LogError(
            "the prediction log and the ledger have different salts, so their random numbers "
            "differ",
            remedy=remedy,
        )


def _lost_to_another(exc: BaseException) -> bool:
    """Whether a commit failed because another process committed, or holds the catalog's database."""
    from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
    from sqlalchemy.exc import OperationalError

    if isinstance(exc, OperationalError):
        code = sqlite_code(exc)
        return not code or code.startswith("SQLITE_BUSY")
    return isinstance(exc, CommitFailedException | CommitStateUnknownException)


def _identity(properties: Mapping[str, str]) -> tuple[str, bytes]:
    found = properties.get(_FORMAT)
    if found != FORMAT:
        raise LogError(
            f"the log has format {found!r}, and this labelloop reads format {FORMAT!r}",
            remedy="use the version of labelloop that wrote the log, or a newer one",
        )
    return properties[_LEDGER], bytes.fromhex(properties[_SALT])


def _visible(table: "Table", kind: BatchKind, batch: int) -> str | None:
    for file in held(table, kind, f"batch = {int(batch)}"):
        if batch in batches_of(table.io, file):
            return file.path
    return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
