"""The files of a log looked at one by one, and its catalog made anew from them.

The batches are what was predicted; the catalog and Iceberg's own files only say which batches there
are, so they can be made again from the batches and from what the ledger says of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.adapters.iceberg.batches import BatchFileName, HeldFile, batches_at, held
from labelloop.adapters.iceberg.catalog import is_absent, sqlite_file
from labelloop.adapters.iceberg.damage import damage
from labelloop.adapters.iceberg.tables import KINDS, IcebergTables, translated
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.client import resolved
from labelloop.errors import LogError
from labelloop.ports.log import BatchKind, VisibleBatch

if TYPE_CHECKING:
    from datetime import datetime


class IcebergFiles:
    """Mends what an IcebergLog can't: it needs neither a catalog nor tables that can be read."""

    def __init__(self, *, warehouse: str, catalog: str, s3: S3Access | None = None) -> None:
        self._catalog = catalog
        self._warehouse = warehouse
        self._s3 = s3
        self._opened: dict[str, IcebergTables] = {}

    def close(self) -> None:
        """Close the catalog's connections."""
        for tables in self._opened.values():
            tables.close()
        self._opened.clear()

    def check_writable(self) -> None:
        """Return if files can be written and deleted where the log lies: a tiny one is, as batches are.

        Raises:
            LogError: they can't.
            StoreDenied: there are no credentials for a warehouse on S3.
        """
        from labelloop.adapters.iceberg.file_io import TrustingFileIO, s3_settings

        if "://" not in self._warehouse:
            return  # the disk is looked at as such
        path = f"{self._warehouse.rstrip('/')}/labelloop-check"
        io = TrustingFileIO(s3_settings(resolved(self._s3 or S3Access())))
        with translated(f"Writing {path}"):
            with io.new_output(path).create(overwrite=True) as stream:
                stream.write(b"labelloop")
            io.delete(path)

    def unreadable(self) -> str | None:
        """Why the catalog or its tables can't be read; None where they can, or where there are none."""
        try:
            if self._there():
                for kind in KINDS:
                    self._held(kind)
        except LogError as exc:
            return str(exc.args[0])
        return None

    def visible(self) -> frozenset[int]:
        """The numbers of the batches that the tables hold.

        Raises:
            LogError: they can't be read.
        """
        if not self._there():
            return frozenset()
        return frozenset(
            number
            for kind in KINDS
            for file in self._held(kind)
            for number in self._batches(file.path)
        )

    def damaged(self, *, whole: bool) -> Iterator[str]:
        """Each file of the tables that is damaged, and how; where `whole`, every page is looked at.

        Raises:
            LogError: the tables can't be read.
        """
        for kind in KINDS if self._there() else ():
            io = self._tables().load(kind).io
            for file in self._held(kind):
                found = damage(io, file, whole=whole)
                if found is not None:
                    yield f"{file.path} {found}"

    def not_whole(self, batches: Sequence[VisibleBatch]) -> Mapping[int, str]:
        """Those of the batches, by number, whose file isn't there whole, and what is wrong with it."""
        found = {}
        for kind in KINDS:
            standing = self._standing(kind)
            for batch in batches:
                if batch.kind == kind:
                    says = self._wrong(standing.get(batch.batch), batch)
                    if says is not None:
                        found[batch.batch] = says
        return found

    def adopt(self, batches: Sequence[VisibleBatch]) -> None:
        """Make batches visible whose files are whole.

        Raises:
            LogError: it can't be written.
        """
        for kind in KINDS:
            standing = self._standing(kind)
            paths = sorted({standing[b.batch] for b in batches if b.kind == kind})
            if paths:
                table = self._tables().load(kind)
                with (
                    translated(f"Taking {len(paths)} files into {kind}"),
                    table.transaction() as tx,
                ):
                    tx.add_files(paths, check_duplicate_files=False)

    def begin_anew(self, ledger_id: str, salt: bytes) -> str | None:
        """Make empty tables where none can be read; returns where a damaged catalog was put aside.

        Raises:
            LogError: it can't be written.
        """
        aside = None
        try:
            for kind in KINDS:
                self._tables().drop(kind)
        except LogError:
            file = sqlite_file(self._catalog)
            if file is None:
                raise
            aside = put_aside(file)
            self.close()
        self._tables().create(ledger_id, salt, over_batches=True)
        return None if aside is None else str(aside)

    def remove_left(self, void: Sequence[int]) -> list[str]:
        """Remove half-written files and those of batches that were given up; returns their paths.

        Raises:
            LogError: one can't be removed.
        """
        io = self._bare().file_io()
        gone = []
        for kind in KINDS:
            for path in self._bare().data_files(kind):
                name = BatchFileName.of(path)
                given_up = name is not None and not name.several and name.first in void
                if path.endswith(".partial") or given_up:
                    with translated(f"Removing {path}"):
                        io.delete(path)
                    gone.append(path)
        return gone

    def _there(self) -> bool:
        """Whether there are tables; a catalog isn't made for the asking."""
        return not is_absent(self._catalog) and self._tables().identity() is not None

    def _tables(self) -> IcebergTables:
        return self._connected(self._catalog)

    def _bare(self) -> IcebergTables:
        """The warehouse without its catalog, which may be damaged."""
        return self._connected("sqlite:///:memory:")

    def _connected(self, catalog: str) -> IcebergTables:
        if catalog not in self._opened:
            self._opened[catalog] = IcebergTables.connect(
                warehouse=self._warehouse, catalog=catalog, s3=self._s3
            )
        return self._opened[catalog]

    def _held(self, kind: BatchKind) -> list[HeldFile]:
        table = self._tables().load(kind)
        with translated(f"Reading the files of {kind}"):
            return held(table, kind)

    def _standing(self, kind: BatchKind) -> dict[int, str]:
        """The path of each batch that the tables don't hold: of several files, the last one written."""
        taken = set(self.visible()) if self.unreadable() is None else set[int]()
        found: dict[int, str] = {}
        for path in self._by_rank(kind):
            numbers = self._batches(path)
            if not numbers & taken:
                taken |= numbers
                found |= dict.fromkeys(numbers, path)
        return found

    def _by_rank(self, kind: BatchKind) -> list[str]:
        """The files of batches, what took the place of others before those, what can't be read last."""

        def rank(item: "tuple[str, datetime]") -> "tuple[bool, int, bool, datetime]":
            name = BatchFileName.of(item[0])
            assert name is not None  # noqa: S101  the others are left out below
            said = self._said(item[0])
            return said is not None, len(said or ()), name.again, item[1]

        files = [
            item for item in self._bare().data_files(kind).items() if BatchFileName.of(item[0])
        ]
        return [path for path, _ in sorted(files, key=rank, reverse=True)]

    def _batches(self, path: str) -> frozenset[int]:
        """The batches in a file; all that may be in it, where it can't be read."""
        name, said = BatchFileName.of(path), self._said(path)
        if said is not None or name is None:
            return said or frozenset()
        return frozenset(range(name.first, name.last + 1))

    def _said(self, path: str) -> frozenset[int] | None:
        """The batches in a file, as its name or its metadata says; None where it can't be read."""
        name = BatchFileName.of(path)
        if name is not None and not name.several:
            return frozenset([name.first])
        try:
            with translated(f"Reading {path}"):
                return frozenset(batches_at(self._bare().file_io(), path))
        except LogError:
            return None

    def _wrong(self, path: str | None, batch: VisibleBatch) -> str | None:
        if path is None:
            return f"{batch.path} is gone"
        try:
            with translated(f"Reading {path}"):
                found = batches_at(self._bare().file_io(), path)
        except LogError:
            return f"{path} is damaged"
        n_rows, name = found.get(batch.batch, 0), BatchFileName.of(path)
        if n_rows != batch.n_rows and not (name is not None and name.again):
            return f"{path} has {n_rows:,} rows of batch {batch.batch} instead of {batch.n_rows:,}"
        return None


def put_aside(path: Path) -> Path:
    """Rename a damaged file; returns its new name.

    Raises:
        LogError: it can't be renamed.
    """
    n = 1
    while (aside := path.with_name(f"{path.name}.damaged-{n}")).exists():
        n += 1
    with translated(f"Putting {path} aside"):
        path.rename(aside)
    return aside
