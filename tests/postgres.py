"""A real PostgreSQL server of the tests' own: on a free port of 127.0.0.1, as a user without rights."""

import contextlib
import getpass
import os
import pwd
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from labelloop.demo.process import ServerProcess, free_port
from labelloop.ledger import Ledger
from tests.programs import output_of

TEMPLATE = "labelloop_template"


class PostgreSQL:
    """A running server with an empty, migrated ledger to copy; gone without a trace once stopped."""

    def __init__(self) -> None:
        self._bin = _binaries()
        self._user = _user()
        self._password = secrets.token_hex(16)
        self._port = free_port()
        # not under pytest's folders: those are closed to the server's user
        self._folder = Path(tempfile.mkdtemp(prefix="labelloop-postgres-"))
        try:
            self._make()
            self._start()
        except BaseException:
            self.stop()
            raise
        self._admin = sa.create_engine(
            self.url("postgres").replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        Ledger.open(self.url(TEMPLATE)).close()

    def url(self, database: str) -> str:
        """The URL of a database, as a labelloop.toml names it."""
        return f"postgresql://tester:{self._password}@127.0.0.1:{self._port}/{database}"

    def execute(self, statement: str) -> None:
        """Run a statement as the server's owner, outside transactions."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def ledger(self) -> str:
        """The URL of a new database that holds an empty ledger."""
        return self.database(template=TEMPLATE)

    def database(self, *, template: str = "template1", options: str = "") -> str:
        """The URL of a new database."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {options}")
        return self.url(name)

    def files(self, database: str) -> list[Path]:
        """The files that hold the tables of a database, once all is written to them."""
        self.execute("CHECKPOINT")
        with self._admin.connect() as connection:
            found = connection.exec_driver_sql(
                f"SELECT oid FROM pg_database WHERE datname = '{database}'"
            )
            oid = found.scalar_one()
        return sorted((self._folder / "data" / "base" / str(oid)).iterdir())

    def stop(self) -> None:
        """End the server and delete its folder."""
        if hasattr(self, "_admin"):
            self._admin.dispose()
        if hasattr(self, "_process"):
            # asked to stop, it would wait for every connection to end
            with contextlib.suppress(AssertionError):
                self._run("pg_ctl", "-D", str(self._folder / "data"), "stop", "-m", "immediate")
            self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self._password)
        if os.geteuid() == 0:
            for path in (self._folder, secret):
                shutil.chown(path, self._user)
        self._run(
            "initdb",
            *("-D", str(self._folder / "data"), "--username=tester", f"--pwfile={secret}"),
            # sorted as people read it, unlike SQLite: what relies on an order shows
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--locale-provider=icu", "--icu-locale=en-US", "--no-sync"),
        )

    def _start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": "off",
            "autovacuum": "off",
        }
        command = [
            *self._as_user(),
            str(self._bin / "postgres"),
            *("-D", str(self._folder / "data")),
            *(f"-c{name}={value}" for name, value in settings.items()),
        ]
        self._process = ServerProcess(
            "PostgreSQL", command, env=_environment(), log_file=self._folder / "postgres.log"
        )
        self._process.wait_until(self._answers, limit_s=240, on_wait=lambda _: None)

    def _answers(self) -> bool:
        asked = ["pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self._port}"]
        with contextlib.suppress(AssertionError):
            self._run(*asked)
            return True
        return False

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user(), str(self._bin / program), *arguments]
        output_of(command, env=_environment(), cwd=self._folder, timeout_s=240)

    def _as_user(self) -> Sequence[str]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return []
        return [
            "setpriv",
            f"--reuid={self._user}",
            f"--regid={self._user_group()}",
            "--clear-groups",
        ]

    def _user_group(self) -> int:
        return pwd.getpwnam(self._user).pw_gid


def _user() -> str:
    if os.geteuid() != 0:
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _binaries() -> Path:
    """Where the newest installed PostgreSQL's programs are."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda path: int(path.parts[-3]))
    if not newest:
        raise FileNotFoundError("PostgreSQL isn't installed: `make postgresql` installs it")
    return newest[-1].parent


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "America/St_Johns"}
