"""Selections of the prediction log on Apache Spark: pyiceberg plans the files, Spark queries them.

The statements are those of `labelloop.adapters.iceberg.sql`, put into Spark's dialect by sqlglot.
"""

import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from labelloop.adapters.iceberg.duckdb_engine import (
    PAGE_ROWS,
    in_utc,
    naming_damaged_file,
    row_filter,
    span_table,
)
from labelloop.adapters.iceberg.schema import arrow_schema
from labelloop.adapters.iceberg.tables import IcebergTables
from labelloop.core.round import FrameRange, Span
from labelloop.errors import ConfigError, LogError, frameless
from labelloop.ports.log import BatchKind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from labelloop.adapters.iceberg.batches import HeldFile

CONNECT_S = 5.0
"""How long a master may take to accept a connection."""

_HADOOP = "spark.hadoop."
_NOTHING: Mapping[str, str] = MappingProxyType({})
_QUIET = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
_ON_THIS_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
_READ = {
    # as DuckDB reads them: no other calendar before 1900, and no page that was altered on the disk
    "datetimeRebaseMode": "CORRECTED",
    "parquet.page.verify-checksum.enabled": "true",
}

# As labelloop.adapters.iceberg.sql.MARGIN; Spark has no isfinite, and an index beyond the end fails.
_SORTED = "list_reverse_sort(list_filter(probabilities, lambda p: p IS NOT NULL))"
_DIFFERENCE = f"CAST(get({_SORTED}, 0) AS DOUBLE) - CAST(get({_SORTED}, 1) AS DOUBLE)"
MARGIN = f"CASE WHEN abs({_DIFFERENCE}) < CAST('Infinity' AS DOUBLE) THEN {_DIFFERENCE} END"


class SparkEngine:
    """A Spark session, begun when it is first needed. One that runs in this process is used instead."""

    def __init__(self, *, master: str | None = None, options: Mapping[str, str] = _NOTHING) -> None:
        self._master = master
        self._launch = {k: v for k, v in options.items() if not k.startswith(_HADOOP)}
        # pyspark puts the options of a session on a command line, and keys are among these
        self._hadoop = {
            name.removeprefix(_HADOOP): value
            for name, value in options.items()
            if name.startswith(_HADOOP)
        }
        self._session: SparkSession | None = None
        self._begun: SparkSession | None = None

    def session(self) -> "SparkSession":
        """The session, with settings and views of its own.

        Raises:
            ConfigError: pyspark or Java isn't there.
            LogError: no session can be had.
        """
        if self._session is None:
            self.check()
            session = _running() or self._begin()
            with said("Opening a Spark session"):
                self._session = session.newSession()
                self._session.conf.set("spark.sql.session.timeZone", "UTC")
        return self._session

    def check(self) -> None:
        """Return if a session runs, or could be begun, as far as that shows without beginning one.

        Raises:
            ConfigError: pyspark or Java isn't there.
            LogError: the master can't be reached.
        """
        if _running() is not None:
            return
        if not _has_java():
            raise ConfigError(
                'engine.kind = "spark" needs Java 17 or newer, and no `java` was found',
                remedy="install Java (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME "
                "to its folder",
            )
        _reach(self._master)

    def _begin(self) -> "SparkSession":
        from pyspark.sql import SparkSession

        options = dict(_QUIET)
        if (self._master or "").startswith("local"):
            options |= _ON_THIS_MACHINE
        builder = SparkSession.builder.appName("labelloop")
        if self._master is not None:
            builder = builder.master(self._master)
        for name, value in (options | self._launch).items():
            builder = builder.config(name, value)
        with said(f"Starting Spark on {self._master or 'its default master'}"):
            self._begun = builder.getOrCreate()
        return self._begun

    def close(self) -> None:
        """Stop the session, unless others began it."""
        begun, self._begun, self._session = self._begun, None, None
        if begun is not None:
            with said("Stopping Spark"):
                begun.stop()

    def reading(self, tables: IcebergTables, renamed: Mapping[str, str]) -> "SparkReading":
        """A new question; the keys of `renamed` are former names of classes."""
        return SparkReading(self, tables, renamed)

    def read(self, paths: Sequence[str], kind: BatchKind) -> "DataFrame":
        """The rows of Parquet files in the table's schema; what a file doesn't have is null."""
        session = self.session()
        nothing = session.createDataFrame(arrow_schema(kind).empty_table())
        if not paths:
            return nothing
        reader = session.read.schema(nothing.schema).options(**_READ, **self._hadoop)
        return reader.parquet(*map(_literally, paths))


class SparkReading:
    """One question to Spark: its sources, as views."""

    margin = MARGIN

    def __init__(
        self, engine: SparkEngine, tables: IcebergTables, renamed: Mapping[str, str]
    ) -> None:
        self._engine = engine
        self._session = engine.session()
        self._tables = tables
        self._renamed = dict(renamed)
        self._views: list[str] = []
        self._held: list[HeldFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for view in self._views:
            with suppress(LogError), said("Dropping a view"):
                self._session.catalog.dropTempView(view)

    def source(self, kind: BatchKind, frame: FrameRange | None = None) -> str:
        """SQL that reads the files that may hold rows of `frame`; all files without one.

        Classes have their present names.
        """
        files = self._tables.files(kind, row_filter(frame))
        self._held += files
        with self._explained():
            rows = self._engine.read([file.path for file in files], kind)
            if self._renamed:
                column = "predicted_class" if kind == "predictions" else "value"
                rows = rows.replace(self._renamed, subset=[column])
            return self._view(rows)

    def spans(self, spans: Sequence[Span]) -> str:
        """SQL that reads spans as a table with their fields as columns."""
        from pyspark.sql.functions import broadcast

        with self._explained():
            return self._view(broadcast(self._session.createDataFrame(span_table(spans))))

    def rows(self, statement: str) -> Iterator[dict[str, Any]]:
        """The result's rows, in their order; instants are UTC."""
        with self._explained():
            found = self._session.sql(in_spark(statement)).toArrow()
        for batch in found.to_batches(PAGE_ROWS):
            yield from map(in_utc, batch.to_pylist())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with naming_damaged_file(self._tables, self._held), said("Reading the log with Spark"):
            yield

    def _view(self, rows: "DataFrame") -> str:
        name = f"source_{len(self._views)}"
        rows.createOrReplaceTempView(name)
        self._views.append(name)
        return name


def in_spark(statement: str) -> str:
    r"""A statement for DuckDB, for Spark; both understand the same by it.

    >>> in_spark("SELECT x FROM t WHERE y LIKE 'a\\%'")
    "SELECT x FROM t WHERE y LIKE 'a\\\\\\\\%'"
    """
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(statement, read="duckdb")
    for like in tree.find_all(exp.Like):
        # a backslash stands for itself in DuckDB, and takes the next character's meaning in Spark
        pattern = like.expression.this.replace("\\", "\\\\")
        like.set("expression", exp.Literal.string(pattern))
    return tree.sql(dialect="spark")


@contextmanager
def said(doing: str) -> Iterator[None]:
    """Turns what Spark raises into LogError."""
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as exc:
        java = exc.java_exception.toString() if isinstance(exc, Py4JJavaError) else str(exc)
        first = next((line for line in java.splitlines() if line.strip()), type(exc).__name__)
        raise LogError(
            f"{doing} failed: {first.strip()}", remedy=_remedy(f"{java} {exc}")
        ) from frameless(exc)


def _remedy(everything: str) -> str:
    """What to do about what Java said, its causes included.

    >>> _remedy("javax.net.ssl.SSLHandshakeException: PKIX path building failed")[:41]
    "Spark's Java trusts no [store] ca_file: i"
    """
    if "SSLHandshakeException" in everything or "PKIX path" in everything:
        return (
            "Spark's Java trusts no [store] ca_file: import it where the driver and each executor run "
            "(keytool -importcert -cacerts -alias own -file CA.pem)"
        )
    return (
        "read what Spark wrote to stderr; check [engine] master and options, and that every "
        "executor can read [state] warehouse"
    )


def _running() -> "SparkSession | None":
    """The session that somebody began in this process."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as exc:
        raise ConfigError(
            'engine.kind = "spark" needs pyspark, which isn\'t installed',
            remedy="install the extra: pip install 'labelloop[spark]'",
        ) from exc
    return SparkSession.getActiveSession()


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return (Path(home) / "bin" / "java").exists() if home else shutil.which("java") is not None


def _reach(master: str | None) -> None:
    """Return if a standalone master takes connections: Spark itself would try for a minute."""
    if not (master or "").startswith("spark://"):
        return
    failure: OSError | None = None
    for address in (master or "").removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_S).close()
            return
        except OSError as exc:
            failure = exc
    raise LogError(
        f"no Spark master answers at {master}: {failure}",
        remedy="check [engine] master; the web page of the Spark master shows its address "
        "(spark://HOST:PORT)",
    )


def _literally(path: str) -> str:
    """A path that Spark takes as it is, though it globs."""
    plain = re.sub(r"([\\*?\[\]{}])", r"\\\1", path)
    return plain if "://" in path else f"file:{plain}"
