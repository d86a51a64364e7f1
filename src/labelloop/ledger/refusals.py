"""Errors of databases, translated to a LedgerError that names the ledger and the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from labelloop.errors import LedgerError

_MEND = "nothing was half written: free the disk or mend the database, and run again"
_POSTGRESQL = {
    # docs: appendix A; psycopg's class doesn't tell them apart
    "25006": "PostgreSQL takes no writes there: name the primary in [state] ledger",
    "25P03": "this process stood still while it wrote, and was undone: run again",
    "42501": "give the user of [state] ledger every right on the ledger's tables",
    "53100": "nothing was half written: free disk space on the server, and run again",
    "55P03": "another process wrote for a long time: run again when it has ended",
}
_DAMAGED = (
    "nothing more was written; `labelloop doctor --repair` mends what can be mended, the rest comes from "
    "a backup: docs/explanation/reliability.md says how to put it back. Without one, move the file "
    "away and run `labelloop ledger rebuild`"
)
_SQLITE = {
    "SQLITE_BUSY": "nothing was written; another process writes, or a backup or a shell holds the file: "
    "end that, and run again",
    "SQLITE_CANTOPEN": "check [state] ledger: its folder must be there, and writable by this user",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": "nothing was half written: free disk space there, and run again",
    "SQLITE_IOERR": "nothing was half written: free disk space there, see whether it is failing, and "
    "run again",
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_READONLY": "nothing was written: give this user the right to write the file and its folder",
}


def shown(url: sa.URL) -> str:
    """The URL of a database for messages: without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database or ''}"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or ''}{port}/{url.database or ''}"


@contextmanager
def plainly(url: sa.URL) -> Iterator[None]:
    """Raise LedgerError for a database that is locked, full, damaged or gone."""
    try:
        yield
    except DatabaseError as exc:
        # the finer kinds (a broken constraint, say) are faults of labelloop, and stay as they are
        of_the_database = isinstance(exc, OperationalError) or type(exc) is DatabaseError
        known = _remedy(exc)
        if not of_the_database and known is None:
            raise
        raise LedgerError(
            f"the ledger {shown(url)} can't be read or written: {exc.orig}",
            remedy=known or _MEND,
        ) from exc


def unopened(exc: Exception, url: sa.URL) -> LedgerError:
    """The error of a ledger that can't be opened."""
    if isinstance(exc, ModuleNotFoundError):
        return LedgerError(
            f"a ledger in PostgreSQL needs the package {exc.name}",
            remedy="pip install 'labelloop[postgres]'",
        )
    return LedgerError(
        f"the ledger {shown(url)} can't be opened: {getattr(exc, 'orig', None) or exc}",
        remedy=_remedy(exc)
        or "check [state] ledger: a folder must be writable, and a server must be reachable",
    )


def _remedy(exc: Exception) -> str | None:
    said = getattr(exc, "orig", None)
    by_sqlite = getattr(said, "sqlite_errorname", None) or ""
    # the finer ones, SQLITE_IOERR_WRITE say, begin with the name of their kind
    plain = next((name for name in _SQLITE if by_sqlite.startswith(name)), "")
    return _SQLITE.get(plain) or _POSTGRESQL.get(getattr(said, "sqlstate", None) or "")
