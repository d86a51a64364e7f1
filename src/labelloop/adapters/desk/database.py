"""The answers' database: its connections, its transactions, and how an older one is brought up to date.

Writers go one at a time and each is over in milliseconds; readers wait for nobody. On SQLite a change is
committed first and then flushed to the disk, so that the next writer doesn't wait for the disk too.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa

from labelloop.adapters.desk import tables as t
from labelloop.errors import AnnotatorError, AnnotatorUnavailable, ConfigError

WAIT_S = 20
"""How long a writer waits for another one to end."""
LOOK_S = 0.002
"""How often it looks whether that is so."""
SCHEMA = "labelloop_answers"
"""The schema that holds the tables on PostgreSQL."""
FORMAT = 1
"""What this version writes. `UPGRADES` brings an older database here, a step a format."""
UPGRADES: Mapping[int, Callable[[sa.Connection], None]] = {}
"""By the format that each begins with: what makes it the next one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('labelloop'), hashtext('labelloop_answers'))"


def micros(moment: datetime) -> int:
    """A moment as the database keeps it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(kept: int) -> datetime:
    """A moment that the database kept, in UTC."""
    return _EPOCH + timedelta(microseconds=kept)


_LAST = sa.select(t.meta)
_SET_LAST = t.meta.update().values(
    {c.name: sa.bindparam(f"new_{c.name}") for c in t.meta.c if c.name.startswith("last_")}
)


class Writing:
    """One transaction that writes. Its `at` is later than everything written before."""

    def __init__(self, connection: sa.Connection, now: int) -> None:
        self.connection = connection
        self._last = {
            name: value
            for name, value in connection.execute(_LAST).one()._mapping.items()
            if name.startswith("last_")
        }
        self.at: int = max(now, self._last["last_at"] + 1)
        self._last["last_at"] = self.at
        self._changes = False

    def take(self, kind: str, n: int = 1) -> int:
        """The first of `n` new ids."""
        first: int = self._last[f"last_{kind}"] + 1
        self._last[f"last_{kind}"] += n
        return first

    def change(self, statement: sa.Executable, values: Any = None, /) -> sa.CursorResult[Any]:
        """Carry a change out."""
        self._changes = True
        return self.connection.execute(statement, values)

    def end(self) -> bool:
        """Note the last moment and ids, if anything was changed; returns whether it was."""
        if self._changes:
            self.connection.execute(_SET_LAST, {f"new_{k}": v for k, v in self._last.items()})
        return self._changes


class Database:
    """The answers' database at a URL, created where there is none.

    now
        what time it is
    """

    def __init__(self, url: str, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._url = _driver(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._log: Path | None = None
        self._engine = self._sqlite() if self._is_sqlite else self._postgresql()
        self._ready = False
        self._turn = Lock()
        """Threads queue here: those that wait for SQLite's lock look for it at odd times."""

    @property
    def address(self) -> str:
        """The URL, without the password."""
        return self._url.render_as_string(hide_password=True)

    def now(self) -> int:
        """The time as the database keeps it."""
        return micros(self._now())

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that reads one moment throughout, and waits for nobody."""
        with self._translated():
            self._prepare()
            reading = self._engine.execution_options(labelloop_read=True)
            with reading.begin() as connection:
                yield connection

    @contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Writing]:
        """A transaction that writes, once the one before is over.

        lasting
            whether what was changed must outlast a power cut
        """
        with self._translated():
            self._prepare()
            with self._turn, self._engine.begin() as connection:
                writing = Writing(connection, self.now())
                yield writing
                changed = writing.end()
            if changed and lasting:
                self._flush()

    def scrub(self) -> None:
        """Let SQLite's files keep no byte of what was deleted; PostgreSQL's next vacuum does that.

        Raises:
            AnnotatorUnavailable: another process keeps reading.
        """
        if not self._is_sqlite:
            return
        with self._translated(), self._turn:
            raw = self._engine.raw_connection()
            try:
                # deleted rows are zeros by `secure_delete`; the log holds them until it is cut
                busy = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                raw.close()
        if busy:
            raise AnnotatorUnavailable(
                f"another process kept reading {self.address}, so deleted rows are still in its files",
                remedy="run the same command again: it finishes",
                carried_out=True,
            )

    def _flush(self) -> None:
        """Let SQLite's log be on the disk. Others may commit meanwhile."""
        if self._log is None:
            return
        log = os.open(self._log, os.O_RDWR)
        try:
            os.fsync(log)
        finally:
            os.close(log)

    def _prepare(self) -> None:
        """Make the tables where there are none, and bring older ones up to date."""
        if self._ready:
            return
        with self._engine.begin() as connection:
            if not self._is_sqlite:
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            t.metadata.create_all(connection)
            held = connection.execute(sa.select(t.meta.c.format)).scalar_one_or_none()
            if held is None:
                nothing = dict.fromkeys(t.meta.c.keys(), 0)
                connection.execute(t.meta.insert().values({**nothing, "format": FORMAT}))
                held = FORMAT
            if held > FORMAT:
                raise ConfigError(
                    f"the answers' database {self.address} has format {held}, and this labelloop "
                    f"knows {FORMAT} at most",
                    remedy="upgrade labelloop to the version that wrote it, or a later one",
                )
            while held < FORMAT:
                UPGRADES[held](connection)
                held += 1
                connection.execute(t.meta.update().values(format=held))
        self._ready = True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The database's own errors as the annotator's."""
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as exc:
            raise AnnotatorUnavailable(
                f"the answers' database {self.address} can't be used: {_said(exc)}",
                remedy="see that it can be reached and written, then run again",
                carried_out=False,
            ) from exc
        except sa.exc.SQLAlchemyError as exc:
            raise AnnotatorError(
                f"the answers' database {self.address} refused: {_said(exc)}",
                remedy="restore it from a backup if it is damaged",
            ) from exc

    def _sqlite(self) -> sa.Engine:
        name = self._url.database
        if name and not name.startswith((":", "file:")):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            self._log = Path(f"{name}-wal")
        made = sa.create_engine(self._url, connect_args={"timeout": WAIT_S})

        @sa.event.listens_for(made, "connect")
        def prepare(connection, _record):  # type: ignore[no-untyped-def]
            connection.isolation_level = None  # BEGIN is ours: see below
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode = WAL")
            # the log is flushed by `write`, and by SQLite before it moves the log into the database
            cursor.execute("PRAGMA synchronous = NORMAL")
            cursor.execute("PRAGMA secure_delete = ON")
            cursor.close()

        @sa.event.listens_for(made, "begin")
        def begin(connection: sa.Connection) -> None:
            if _reads(connection):
                connection.exec_driver_sql("BEGIN")
            else:
                _begin_write(connection)

        return made

    def _postgresql(self) -> sa.Engine:
        made = sa.create_engine(
            self._url,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "prepare_threshold": None},
        ).execution_options(schema_translate_map={None: SCHEMA})

        @sa.event.listens_for(made, "begin")
        def begin(connection: sa.Connection) -> None:
            if _reads(connection):
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
                return
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_S}s'")
            connection.exec_driver_sql(_LOCK)

        return made


def _begin_write(connection: sa.Connection) -> None:
    """Begin as soon as the writer before has ended: SQLite itself looks only every tenth of a second."""
    own: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    until_s = time.monotonic() + WAIT_S
    own.execute("PRAGMA busy_timeout = 0")
    try:
        while time.monotonic() < until_s:
            try:
                own.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
                time.sleep(LOOK_S)
            else:
                return
    finally:
        own.execute(f"PRAGMA busy_timeout = {1000 * WAIT_S}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # says what is wrong


def _reads(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get("labelloop_read", False))


def _driver(url: str) -> sa.URL:
    made = sa.make_url(url)
    if made.get_backend_name() in {"postgresql", "postgres"}:
        return made.set(drivername="postgresql+psycopg")
    return made


def _said(exc: BaseException) -> str:
    original = getattr(exc, "orig", None) or exc
    return str(original).strip().partition("\n")[0]
