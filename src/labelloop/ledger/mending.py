"""Checks the file of a SQLite ledger, and repairs the one damage that loses nothing: of indexes."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from labelloop.errors import LedgerError
from labelloop.ledger.engine import database_url, sqlite_path


def mend_indexes(url: str) -> Path | None:
    """Rebuild the indexes of a SQLite ledger, if only they are damaged.

    Returns where a copy of the file was put before; None where there was nothing to do, on PostgreSQL too.

    Raises:
        LedgerError: more than its indexes is damaged.
    """
    path = sqlite_path(database_url(url))
    if path is None or not path.exists():
        return None
    said = _said(path)
    if not said:
        return None
    copy = _copied(path)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("REINDEX")
        said = _said(path)
    except sqlite3.DatabaseError as exc:
        said = str(exc)
    if said:
        raise LedgerError(
            f"the ledger {path} is damaged: {said}",
            remedy=f"restore it from a backup, as docs/explanation/reliability.md says; {copy} is a "
            "copy of the damaged file",
        )
    return copy


def damage(url: str) -> str | None:
    """The damage that SQLite reports in the file of a ledger; None if there is none, or on PostgreSQL."""
    path = sqlite_path(database_url(url))
    return (_said(path) or None) if path is not None and path.exists() else None


def _said(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (first,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as exc:
        return str(exc)
    return "" if first == "ok" else str(first)


def _copied(path: Path) -> Path:
    """Copy the file of a database and its write-ahead log."""
    n = 1
    while (copy := path.with_name(f"{path.name}.damaged-{n}")).exists():
        n += 1
    try:
        for ending in ("", "-wal"):
            if (own := Path(f"{path}{ending}")).exists():
                shutil.copyfile(own, f"{copy}{ending}")
    except OSError as exc:
        raise LedgerError(
            f"{path} can't be copied, and labelloop repairs it only after making a copy: {exc}",
            remedy="free disk space in its folder, or give this user the right to write there",
        ) from exc
    return copy
