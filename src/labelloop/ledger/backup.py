"""Copies a ledger to one SQLite file while others write to it, and back to where it was."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from labelloop.errors import LedgerError
from labelloop.ledger import Ledger
from labelloop.ledger.engine import database_url, sqlite_path
from labelloop.ledger.move import Progress, copy_tables


def back_up(ledger: Ledger, target: Path, *, progress: Progress) -> None:
    """Write the ledger as it is at one moment into a new SQLite file."""
    own = sqlite_path(ledger.url)
    if own is not None:
        copy_sqlite(own, target)
        return
    copy = Ledger.open(f"sqlite:///{target}")
    try:
        with ledger.read() as reading, copy.write_at_once() as writing:
            copy_tables(reading, writing, progress=progress)
    finally:
        copy.close()
    with closing(sqlite3.connect(target)) as held:  # one file, without a -wal beside it
        held.execute("PRAGMA journal_mode = DELETE")


def restore(source: Path, url: str, *, progress: Progress) -> None:
    """Write a copy to where a ledger is to be.

    Raises:
        LedgerError: there is a ledger already.
    """
    path = sqlite_path(database_url(url))
    if path is not None:
        if path.exists():
            raise LedgerError(
                f"there is a ledger at {path} already",
                remedy="stop labelloop, and move its files away first: ledger.db, and those that end "
                "in -wal and -shm",
            )
        for left in (f"{path}-wal", f"{path}-shm"):  # of another database
            Path(left).unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        copy_sqlite(source, path)
        return
    with tempfile.TemporaryDirectory() as folder:
        # it may be of an older version, and the copy stays as it is
        opened = Path(folder) / "ledger.db"
        shutil.copy(source, opened)
        copy, target = Ledger.open(f"sqlite:///{opened}"), Ledger.open(url)
        try:
            with copy.read() as reading, target.write_at_once() as writing:
                copy_tables(reading, writing, progress=progress)
        finally:
            target.close()
            copy.close()


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database, as it is at one moment, to a new file that appears whole.

    Raises:
        LedgerError: it can't be read, or the copy can't be written.
    """
    writing = target.with_name(f".{target.name}.writing")
    writing.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as there,
            closing(sqlite3.connect(writing)) as copy,
        ):
            there.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        writing.replace(target)
    except (sqlite3.Error, OSError) as exc:
        writing.unlink(missing_ok=True)
        raise LedgerError(
            f"{source} can't be copied to {target}: {exc}",
            remedy="see that the disk has room, and that this user may read the one and write the other",
        ) from exc
