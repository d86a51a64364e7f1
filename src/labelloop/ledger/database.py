"""Opens the ledger, brings it to the present version, and guards every write by a lease."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from labelloop.core.answers import Answers
from labelloop.errors import LeaseHeld, LeaseLost, LedgerError, Stopped, frameless
from labelloop.ledger import holder
from labelloop.ledger import tables as t
from labelloop.ledger.engine import database_url, engine, seconds, sqlite_path
from labelloop.ledger.refusals import plainly, shown, unopened

Transaction = sa.Connection
FORMAT = 1
LEASE_S = 60.0
_WITH_SAMPLES = (
    "annotations",
    "draws",
    "erasures",
    "events",
    "labels",
    "rejects",
    "strays",
    "tasks",
)
"""The tables whose rows may name a sample."""
MOVED_TO = "ledger:moved to"
"""The cursor that a ledger which was moved leaves behind: where it is now."""


SETTINGS = "labelloop_answers"
"""The execution option that holds the answers of the settings, which a read-only ledger is read with."""


# made once, as making a statement takes longer than running it, and these are in every transaction
_MOVED = sa.select(t.cursors.c.value).where(t.cursors.c.name == MOVED_TO)
_LEASE = sa.select(t.leases).where(t.leases.c.step == sa.bindparam("of"))
_HELD = t.leases.update().where(
    t.leases.c.step == sa.bindparam("of"), t.leases.c.token == sa.bindparam("held")
)
_META = sa.select(t.meta)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for one step. `token` rises at each takeover, so that older holders can't write."""

    step: str
    holder: str
    token: int


@dataclass(frozen=True, slots=True)
class Identity:
    """The id of a ledger, and the salt that places samples on the line."""

    ledger_id: str
    salt: bytes


@contextmanager
def _opening(url: sa.URL) -> Iterator[ExitStack]:
    """What to undo unless the ledger at `url` opens; what the database says is explained."""
    try:
        with ExitStack() as undo:
            yield undo
    except (ModuleNotFoundError, SQLAlchemyError, OSError) as exc:
        raise unopened(exc, url) from frameless(exc)


class Ledger:
    """One project's ledger, on SQLite or PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._answers: Answers | None = None
        self._is_told_to_end: Callable[[], bool] = lambda: False
        self._left: dict[str, int] = {}  # step -> token of the last lease that this one left

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """The ledger at an SQLAlchemy URL, created or migrated where needed.

        Raises:
            LedgerError: it can't be opened, is damaged, or was written by a newer labelloop.
        """
        from labelloop.ledger.migrations import upgrade

        made = database_url(url)
        with _opening(made) as undo:
            path = sqlite_path(made)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            opened = engine(made)
            undo.callback(opened.dispose)
            _refuse_other_encodings(opened)
            upgrade(opened)
            undo.pop_all()
        return cls(opened)

    @classmethod
    def look(cls, url: str) -> "Ledger | None":
        """The ledger at a URL; None if there is none, and none is created.

        Raises:
            LedgerError: as for `open`.
        """
        from labelloop.ledger.migrations import revision

        made = database_url(url)
        path = sqlite_path(made)
        if path is not None and not path.exists():
            return None
        with _opening(made) as undo:
            looking = engine(made)
            undo.callback(looking.dispose)
            there = revision(looking) is not None
        return cls.open(url) if there else None

    @classmethod
    def read_only(cls, url: str) -> "Ledger | None":
        """The ledger at a URL, which nothing is written to; None where none was made yet.

        Raises:
            LedgerError: it can't be opened, is of another version, or was moved.
        """
        from labelloop.ledger.migrations import refuse_other_version

        made = database_url(url)
        path = sqlite_path(made)
        if path is not None and not path.exists():
            return None
        with _opening(made) as undo:
            opened = engine(made, read_only=True)
            undo.callback(opened.dispose)
            if not refuse_other_version(opened):
                return None
            found = cls(opened)
            found.identity()
            undo.pop_all()
        return found

    @classmethod
    def empty(cls) -> "Ledger":
        """A ledger without a row, in memory: what there is to read where none was made yet."""
        opened = engine(sa.make_url("sqlite://"))
        made = [
            str(sa.schema.CreateTable(table).compile(dialect=opened.dialect))
            for table in t.metadata.sorted_tables
        ]

        @sa.event.listens_for(opened, "connect")
        def create(connection, _record):  # type: ignore[no-untyped-def]
            for statement in made:  # each thread has a connection, and so a memory, of its own
                connection.execute(statement)

        return cls(opened)

    def stop_when(self, is_told_to_end: Callable[[], bool]) -> None:
        """Begin no transaction that writes once that is True: `Stopped` is raised in its place."""
        self._is_told_to_end = is_told_to_end

    def _go_on(self) -> None:
        if self._is_told_to_end():
            raise Stopped

    def read_with(self, answers: Answers) -> None:
        """From now on, count stored classes as the settings do, which no verb has written here yet."""
        self._answers = answers

    def identity(self) -> Identity | None:
        """The ledger's identity; None while it is new."""
        with self.read() as tx:
            self._refuse_moved(tx)
            row = tx.execute(_META).one_or_none()
        if row is None:
            return None
        if row.format != FORMAT:
            raise LedgerError(
                f"the ledger has format {row.format}, and this version of labelloop reads format "
                f"{FORMAT}",
                remedy="use the version of labelloop that wrote the ledger, or a newer one",
            )
        return Identity(row.ledger_id, bytes.fromhex(row.salt))

    def is_current(self) -> bool:
        """Whether it is there, of the version that this labelloop writes, and wasn't moved."""
        from labelloop.ledger.migrations import newest, revision

        with plainly(self._engine.url):
            try:
                return revision(self._engine) == newest() and self.identity() is not None
            except LedgerError:
                return False

    def create_identity(self, identity: Identity | None = None) -> Identity:
        """The ledger's identity; if it has none, it becomes `identity`, or a new one."""
        made = identity or Identity(secrets.token_hex(8), secrets.token_bytes(16))
        with self.write_at_once() as tx:
            if tx.execute(sa.select(t.meta.c.ledger_id)).first() is None:
                _put_identity(tx, made)
        held = self.identity()
        assert held is not None  # noqa: S101  just written
        return held

    def adopt_identity(self, tx: Transaction, identity: Identity) -> None:
        """Give a new ledger the identity of a lost one.

        Raises:
            LedgerError: it has one already.
        """
        held = tx.execute(sa.select(t.meta.c.ledger_id)).scalar_one_or_none()
        if held is not None:
            raise LedgerError(
                f"{self.place} contains ledger {held}, and labelloop rebuilds only into an empty "
                "place",
                remedy="if that ledger is damaged, move its files away first; if it isn't, you needn't "
                "rebuild it",
            )
        _put_identity(tx, identity)

    @property
    def place(self) -> str:
        """The URL of the ledger, without user and password."""
        return shown(self._engine.url)

    @property
    def url(self) -> sa.URL:
        """The URL of the ledger, with its password."""
        return self._engine.url

    def running(self) -> dict[str, str]:
        """The steps that hold a lease now, and the process of each."""
        with self.read() as tx:
            held = tx.execute(sa.select(t.leases).where(t.leases.c.expires_at > seconds(tx)))
            return {
                row.step: holder.named(row.holder) for row in held if not holder.is_dead(row.holder)
            }

    def scrub(self) -> None:
        """Leave nothing of deleted or changed rows in the database's own files.

        Deleting a row only frees its place. Here every table that held a sample is written anew.

        Raises:
            LedgerError: the disk has no room for it, or another process keeps reading.
        """
        with plainly(self._engine.url):
            if self._engine.dialect.name == "sqlite":
                self._scrub_sqlite()
            else:
                self._scrub_postgresql()

    def _scrub_sqlite(self) -> None:
        raw = self._engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("VACUUM")
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            raw.close()
        if busy:
            raise LedgerError(
                "another process kept reading the ledger, so the deleted rows are still in its file",
                remedy="run `labelloop forget` again without a sample: it finishes the erasure",
            )

    def _scrub_postgresql(self) -> None:
        raw = self._engine.raw_connection()
        try:
            own = raw.driver_connection
            assert own is not None  # noqa: S101  just connected
            own.autocommit = True
            with own.cursor() as cursor:
                for name in _WITH_SAMPLES:
                    cursor.execute(f"VACUUM (FULL, ANALYZE) {name}")
        finally:
            raw.invalidate()  # a connection of the pool has no autocommit

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads."""
        with (
            plainly(self._engine.url),
            self._engine.connect().execution_options(
                labelloop_read=True, **{SETTINGS: self._answers}
            ) as tx,
        ):
            yield tx

    @contextmanager
    def write(self, lease: Lease) -> Iterator[Transaction]:
        """A transaction that writes, and commits only while `lease` still holds.

        Raises:
            LeaseLost: another process took the step over; nothing was written.
        """
        self._go_on()
        with plainly(self._engine.url), self._engine.begin() as tx:
            self._renew(tx, lease)
            yield tx

    @contextmanager
    def write_at_once(self) -> Iterator[Transaction]:
        """A transaction that both decides and writes: it needs no lease, as writers go one by one."""
        self._go_on()
        with plainly(self._engine.url), self._engine.begin() as tx:
            self._refuse_moved(tx)
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

    def _refuse_moved(self, tx: Transaction) -> None:
        moved_to = tx.execute(_MOVED).scalar_one_or_none()
        if moved_to is not None:
            raise LedgerError(
                f"this ledger was moved to {moved_to}; {self.place} is the old copy",
                remedy="set [state] ledger to the new place",
            )

    def _acquire(self, step: str, lease_s: float) -> Lease:
        from labelloop.ledger.migrations import refuse_upgraded

        own = holder.this_process()
        with plainly(self._engine.url), self._engine.begin() as tx:
            self._refuse_moved(tx)
            refuse_upgraded(tx)
            now = seconds(tx)
            row = tx.execute(_LEASE, {"of": step}).one_or_none()
            if row is None:
                lease = Lease(step, own, 1)
                made = {"step": step, "holder": own, "token": 1, "expires_at": now + lease_s}
                tx.execute(t.leases.insert(), made)
                return lease
            left = row.holder == own and row.token == self._left.get(step)
            if row.expires_at > now and not left and not holder.is_dead(row.holder):
                raise LeaseHeld(
                    f"{holder.named(row.holder)} is running `{step}`",
                    remedy="wait until it ends; if it died on another machine, its lease expires in "
                    f"{row.expires_at - now:.0f} s",
                )
            lease = Lease(step, own, row.token + 1)
            taken = {"holder": own, "token": lease.token, "expires_at": now + lease_s}
            tx.execute(_HELD, {"of": step, "held": row.token, **taken})
            return lease

    def _renew(self, tx: Transaction, lease: Lease, lease_s: float = LEASE_S) -> None:
        until = {"expires_at": seconds(tx) + lease_s}
        renewed = tx.execute(_HELD, {"of": lease.step, "held": lease.token, **until})
        if renewed.rowcount != 1:
            raise LeaseLost(
                f"another process took over `{lease.step}`, because this process had paused for too "
                "long",
                remedy="nothing was lost: the other process continues; run again when it has ended",
            )

    def _beat(self, lease: Lease, lease_s: float, stop: threading.Event) -> None:
        while not stop.wait(lease_s / 3):
            # a lost lease or a busy database shows at the next write, which is where it matters
            with suppress(LeaseLost, SQLAlchemyError), self._engine.begin() as tx:
                self._renew(tx, lease, lease_s)

    def _release(self, lease: Lease) -> None:
        # what can't be written back, on a full disk say, is known here all the same
        self._left[lease.step] = lease.token
        with suppress(SQLAlchemyError), self._engine.begin() as tx:
            tx.execute(_HELD, {"of": lease.step, "held": lease.token, "expires_at": 0.0})


def _put_identity(tx: Transaction, identity: Identity) -> None:
    row = {"ledger_id": identity.ledger_id, "format": FORMAT, "salt": identity.salt.hex()}
    tx.execute(t.meta.insert().values(row))


def _refuse_other_encodings(opened: sa.Engine) -> None:
    if opened.dialect.name != "postgresql":
        return
    with opened.connect().execution_options(labelloop_read=True) as tx:
        encoding = tx.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise LedgerError(
            f"the database {shown(opened.url)} has the encoding {encoding}, which can't hold every name",
            remedy="create the database with ENCODING 'UTF8' TEMPLATE template0",
        )
