"""The files of a log looked at one by one, and its catalog made anew from them.

The batches are what was predicted; the catalog and Iceberg's own files only say which batches there
are, so they can be made again from the batches and from what the ledger says of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from labelloop.adapters.iceberg_damage import HeldFile, damage, held, n_rows_at
from labelloop.adapters.iceberg_tables import KINDS, IcebergTables, sqlite_file, translated
from labelloop.adapters.s3_access import S3Access
from labelloop.errors import LogError
from labelloop.ports import BatchKind, VisibleBatch

_BATCH = re.compile(r"/batch-(\d{12})(-[0-9a-f]{8})?\.parquet$")


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
            int(found[1])
            for kind in KINDS
            for file in self._held(kind)
            if (found := _BATCH.search(file.path))
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
            paths = [standing[b.batch] for b in batches if b.kind == kind]
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
            if not self._catalog.startswith("sqlite:///"):
                raise
            aside = put_aside(sqlite_file(self._catalog))
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
                found = _BATCH.search(path)
                if path.endswith(".partial") or (found and int(found[1]) in void):
                    with translated(f"Removing {path}"):
                        io.delete(path)
                    gone.append(path)
        return gone

    def _there(self) -> bool:
        """Whether there are tables; a catalog isn't made for the asking."""
        if self._catalog.startswith("sqlite:///") and not sqlite_file(self._catalog).exists():
            return False
        return self._tables().identity() is not None

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
        """The path of each batch; where one was written again to erase samples, that one's."""
        # a batch's own name comes before those of its later versions
        found = ((_BATCH.search(path), path) for path in self._bare().data_files(kind))
        return {int(name[1]): path for name, path in found if name}

    def _wrong(self, path: str | None, batch: VisibleBatch) -> str | None:
        if path is None:
            return f"{batch.path} is gone"
        n_rows = n_rows_at(self._bare().file_io(), path)
        if n_rows is None:
            return f"{path} is damaged"
        found = _BATCH.search(path)
        written_again = found is not None and found[2] is not None
        if n_rows != batch.n_rows and not written_again:
            return f"{path} has {n_rows:,} rows instead of {batch.n_rows:,}"
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
