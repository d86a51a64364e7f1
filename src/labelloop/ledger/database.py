"""Opens the ledger, brings it to the present version, and guards every write by a lease."""

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from labelloop.errors import LeaseHeld, LeaseLost, LedgerError
from labelloop.ledger import tables as t

Transaction = sa.Connection
FORMAT = 1
LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for one step; `token` rises at each takeover and fences off the past."""

    step: str
    holder: str
    token: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this ledger from others, and places samples on the line."""

    ledger_id: str
    salt: bytes


class Ledger:
    """One project's ledger, on SQLite or PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """The ledger at an SQLAlchemy URL, created or migrated where needed.

        Raises:
            LedgerError: it can't be opened, is damaged, or was written by a newer labelloop.
        """
        from labelloop.ledger.migrations import upgrade

        try:
            made = sa.make_url(url)
            if made.get_backend_name() == "sqlite" and not (made.database or ":").startswith(
                ("file:", ":")
            ):
                Path(made.database or "").parent.mkdir(parents=True, exist_ok=True)
            engine = _engine(made)
        except UrlError as exc:
            raise LedgerError(
                "state.ledger isn't a database URL",
                remedy="write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME",
            ) from exc
        except (ModuleNotFoundError, SQLAlchemyError, OSError) as exc:
            raise _unopened(exc) from exc
        try:
            upgrade(engine)
        except (SQLAlchemyError, OSError) as exc:
            engine.dispose()
            raise _unopened(exc) from exc
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @classmethod
    def look(cls, url: str) -> "Ledger | None":
        """The ledger at a URL; None where none was made yet, and then none is made.

        Raises:
            LedgerError: as for `open`.
        """
        from labelloop.ledger.migrations import revision

        path = url.removeprefix("sqlite:///")
        if path != url and path != ":memory:" and not Path(path).exists():
            return None
        engine: sa.Engine | None = None
        try:
            engine = _engine(sa.make_url(url))
            made = revision(engine) is not None
        except UrlError:
            made = True  # `open` says what is wrong
        except (ModuleNotFoundError, SQLAlchemyError, OSError) as exc:
            raise _unopened(exc) from exc
        finally:
            if engine is not None:
                engine.dispose()
        return cls.open(url) if made else None

    def identity(self) -> Identity | None:
        """The ledger's identity; None while it is new."""
        with self.read() as tx:
            row = tx.execute(sa.select(t.meta)).one_or_none()
        if row is None:
            return None
        if row.format != FORMAT:
            raise LedgerError(
                f"the ledger has format {row.format}; this labelloop knows {FORMAT}",
                remedy="run the labelloop that wrote it, or a newer one",
            )
        return Identity(row.ledger_id, bytes.fromhex(row.salt))

    def create_identity(self) -> Identity:
        """The ledger's identity, made now unless it has one."""
        with _plainly(), self._engine.begin() as tx:
            if tx.execute(sa.select(t.meta.c.ledger_id)).first() is None:
                tx.execute(
                    t.meta.insert().values(
                        ledger_id=secrets.token_hex(8), format=FORMAT, salt=secrets.token_hex(16)
                    )
                )
        made = self.identity()
        assert made is not None  # noqa: S101  just written
        return made

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads."""
        with _plainly(), self._engine.connect().execution_options(labelloop_read=True) as tx:
            yield tx

    @contextmanager
    def write(self, lease: Lease) -> Iterator[Transaction]:
        """A transaction that writes, and commits only while `lease` still holds.

        Raises:
            LeaseLost: another process took the step over; nothing was written.
        """
        with _plainly(), self._engine.begin() as tx:
            self._renew(tx, lease)
            yield tx

    @contextmanager
    def lease(self, step: str, *, lease_s: float = LEASE_S) -> Iterator[Lease]:
        """Hold the right to write for `step`, renewed by a thread until the block ends.

        A lease that has run out, or whose holder on this machine is dead, is taken over.

        Raises:
            LeaseHeld: another process is running this step.
        """
        lease = self._acquire(step, lease_s)
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(lease, lease_s, stop), daemon=True)
        beat.start()
        try:
            yield lease
        finally:
            stop.set()
            beat.join()
            self._release(lease)

    def _acquire(self, step: str, lease_s: float) -> Lease:
        holder = f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"
        with _plainly(), self._engine.begin() as tx:
            now = _seconds(tx)
            row = tx.execute(
                sa.select(t.leases).where(t.leases.c.step == step).with_for_update()
            ).one_or_none()
            if row is None:
                lease = Lease(step, holder, 1)
                tx.execute(
                    t.leases.insert().values(
                        step=step, holder=holder, token=1, expires_at=now + lease_s
                    )
                )
                return lease
            if row.expires_at > now and not _dead(row.holder):
                host, pid = str(row.holder).split(" ")[:2]
                raise LeaseHeld(
                    f"`{step}` is being run by process {pid} on {host}",
                    remedy="wait until it ends; should it have died on another machine, its lease "
                    f"runs out in {row.expires_at - now:.0f} s",
                )
            lease = Lease(step, holder, row.token + 1)
            tx.execute(
                t.leases.update()
                .where(t.leases.c.step == step)
                .values(holder=holder, token=lease.token, expires_at=now + lease_s)
            )
            return lease

    def _renew(self, tx: Transaction, lease: Lease, lease_s: float = LEASE_S) -> None:
        renewed = tx.execute(
            t.leases.update()
            .where(t.leases.c.step == lease.step, t.leases.c.token == lease.token)
            .values(expires_at=_seconds(tx) + lease_s)
        )
        if renewed.rowcount != 1:
            raise LeaseLost(
                f"`{lease.step}` was taken over by another process while this one stood still",
                remedy="nothing was lost: the other process carries on; run again when it has ended",
            )

    def _beat(self, lease: Lease, lease_s: float, stop: threading.Event) -> None:
        while not stop.wait(lease_s / 3):
            # a lost lease or a busy database shows at the next write, which is where it matters
            with suppress(LeaseLost, SQLAlchemyError), self._engine.begin() as tx:
                self._renew(tx, lease, lease_s)

    def _release(self, lease: Lease) -> None:
        with suppress(SQLAlchemyError), self._engine.begin() as tx:
            tx.execute(
                t.leases.update()
                .where(t.leases.c.step == lease.step, t.leases.c.token == lease.token)
                .values(expires_at=0.0)
            )


@contextmanager
def _plainly() -> Iterator[None]:
    """A database that is locked, full, damaged or gone ends in a LedgerError that says so."""
    try:
        yield
    except DatabaseError as exc:
        # the finer kinds (a broken constraint, say) are faults of labelloop, and stay as they are
        if not isinstance(exc, OperationalError) and type(exc) is not DatabaseError:
            raise
        raise LedgerError(
            f"the ledger can't be read or written: {exc.orig}",
            remedy="nothing was half written: free the disk or mend the database, and run again",
        ) from exc


def _unopened(exc: Exception) -> LedgerError:
    if isinstance(exc, ModuleNotFoundError):
        return LedgerError(
            f"state.ledger needs the package {exc.name}",
            remedy="pip install 'labelloop[postgres]'",
        )
    return LedgerError(
        f"the ledger can't be opened: {getattr(exc, 'orig', None) or exc}",
        remedy="check [state] ledger: the folder must be writable, the server reachable",
    )


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # BEGIN is ours: see below
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a sent task must never be forgotten
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # a deferred transaction that reads and then writes fails at once when another one wrote
        # in between, however long the time-out; one that begins with the write lock waits
        reads = connection.get_execution_options().get("labelloop_read", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _seconds(tx: Transaction) -> float:
    """The database's clock: the only one that all processes share."""
    if tx.dialect.name == "sqlite":
        return float(
            tx.exec_driver_sql("SELECT (julianday('now') - 2440587.5) * 86400").scalar_one()
        )
    return float(tx.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _started(pid: int) -> str:
    """When a process of this machine started, in clock ticks; '' where that can't be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _dead(holder: str) -> bool:
    """Whether the holder ran on this machine and certainly no longer does."""
    host, pid, started = [*holder.split(" "), "", ""][:3]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return bool(started) and _started(int(pid)) != started
