"""Connections to each kind of database, and how their transactions begin.

Both behave alike: a reader sees one moment throughout and waits for nobody; writers go one at a time.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from labelloop.errors import LedgerError

WAIT_S = 60
"""How long a writer waits for another one to end."""

STILL_S = 20
"""How long a writer on PostgreSQL may stand still in mid-transaction before the server ends it."""

_REMEDY = "write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"


def database_url(url: str) -> sa.URL:
    """A database URL with the driver that this labelloop brings.

    Raises:
        LedgerError: it is no URL, or of another kind of database.
    """
    try:
        made = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as exc:
        raise LedgerError("state.ledger isn't a database URL", remedy=_REMEDY) from exc
    if made.drivername in {"sqlite", "sqlite+pysqlite"}:
        return made
    if made.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return made.set(drivername="postgresql+psycopg")
    raise LedgerError(
        f"state.ledger is a {made.drivername} URL, and labelloop supports SQLite and PostgreSQL",
        remedy=_REMEDY,
    )


def sqlite_path(url: sa.URL) -> Path | None:
    """The file of a SQLite database; None where it lies in memory, is named by a URI, or is none."""
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name.startswith((":", "file:")):
        return None
    return Path(name)


def engine(url: sa.URL, *, read_only: bool = False) -> sa.Engine:
    """An engine whose transactions begin as a ledger's must; one that is `read_only` writes nothing.

    Of SQLite's files, reading touches those that end in -wal and -shm, and no other.
    """
    made = _sqlite(url, read_only) if url.get_backend_name() == "sqlite" else _postgresql(url)
    return made.execution_options(labelloop_read=True) if read_only else made


def seconds(tx: sa.Connection) -> float:
    """The database's clock: the only one that all processes share."""
    if tx.dialect.name == "sqlite":
        return float(
            tx.exec_driver_sql("SELECT (julianday('now') - 2440587.5) * 86400").scalar_one()
        )
    # of this statement: now() is of the transaction's begin, before it waited for another writer
    return float(tx.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())


def _sqlite(url: sa.URL, read_only: bool) -> sa.Engine:
    path = sqlite_path(url)
    if read_only and path is not None:
        made = sa.create_engine(url, creator=lambda: _reader(path))
    else:
        made = sa.create_engine(url, connect_args={"timeout": WAIT_S, "check_same_thread": False})

    @sa.event.listens_for(made, "connect")
    def prepare(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # BEGIN is ours: see below
        if read_only:
            return
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a sent task must never be forgotten
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(made, "begin")
    def begin(connection: sa.Connection) -> None:
        # a deferred transaction that reads and then writes fails at once when another one wrote
        # in between, however long the time-out; one that begins with the write lock waits
        connection.exec_driver_sql("BEGIN" if _reads(connection) else "BEGIN IMMEDIATE")

    return made


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that can't write. It waits for nobody, as readers don't."""
    found = sqlite3.connect(_read_only(path), uri=True, timeout=WAIT_S, check_same_thread=False)
    try:
        found.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        found.close()
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise  # what is committed stands in there, and can't be read
        # -shm can't be made on a disk that can only be read; nor can anybody else write there
        return sqlite3.connect(f"{_read_only(path)}&immutable=1", uri=True, check_same_thread=False)
    return found


def _read_only(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}?mode=ro"


def _postgresql(url: sa.URL) -> sa.Engine:
    usual = {
        "connect_timeout": 10,
        "application_name": "labelloop",
        "client_encoding": "utf8",
        # no prepared statements: connection poolers in front of PostgreSQL don't all keep them
        "prepare_threshold": None,
    }
    own = {name: value for name, value in usual.items() if name not in url.query}
    made = sa.create_engine(url, pool_pre_ping=True, connect_args=own)

    @sa.event.listens_for(made, "begin")
    def begin(connection: sa.Connection) -> None:
        if _reads(connection):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return
        # read committed: what is read after the wait is what the writer before left
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        connection.exec_driver_sql(
            "SELECT set_config('synchronous_commit', 'on', true),"
            f" set_config('lock_timeout', '{WAIT_S}s', true),"
            f" set_config('idle_in_transaction_session_timeout', '{STILL_S}s', true)"
        )
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtext('labelloop'), hashtext(current_schema()))"
        )

    return made


def _reads(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get("labelloop_read", False))
