"""A Delta table of predictions as a Source, read through deltalake (the extra `delta`)."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from labelloop.adapters.s3.access import DEFAULT_REGION, S3Access
from labelloop.adapters.s3.client import resolved
from labelloop.adapters.sources.access import file_system, numbered, opening
from labelloop.core.row_range import RowRange
from labelloop.errors import ConfigError, StoreDenied, StoreUnavailable, first_line, frameless
from labelloop.ports.source import SourceColumns, SourceFile, SourceRows

_ROWS = 16_384
_TRUSTED = "SSL_CERT_FILE"
_OPENING = threading.Lock()


class DeltaSource:
    """The files of the newest version of the Delta table at `uri`, a folder or s3://bucket/prefix.

    Columns that the table is partitioned by are columns like others.
    """

    rewrites = True
    joins = False

    def __init__(self, uri: str, *, s3: S3Access | None = None) -> None:
        self._uri = uri
        self._fs, self._root, self._scheme = file_system(uri, s3)
        on_s3 = uri.startswith("s3://")
        self._options = storage_options(s3 or S3Access()) if on_s3 else None
        self._ca_file = s3.ca_file if on_s3 and s3 is not None else None
        self._schema: Any = None
        self._fragments: Mapping[str, Any] = {}
        self._n_rows: Mapping[str, int | None] = {}

    def files(self) -> Sequence[SourceFile]:
        """The files that the table has now, in the order of their writing."""
        from pyarrow import fs

        with self._translated(), _trusting(self._ca_file):
            table = _delta_table(self._uri, self._options)
            root = fs.SubTreeFileSystem(self._root, self._fs)
            dataset = table.to_pyarrow_dataset(filesystem=root)
            added = table.get_add_actions(flatten=True)
        self._schema = dataset.schema
        self._fragments = {self._place(f.path): f for f in dataset.get_fragments()}
        paths = added["path"].to_pylist()
        counts = added["num_records"].to_pylist() if "num_records" in added.schema.names else ()
        self._n_rows = {self._place(p): n for p, n in zip(paths, counts, strict=False)}
        columns = ("modification_time", "path", "size_bytes")
        found = zip(*(added[name].to_pylist() for name in columns), strict=True)
        return [
            SourceFile(uri=self._place(path), version=f"{size} bytes", size_bytes=size)
            for _, path, size in sorted(found)
        ]

    def columns(self, file: SourceFile) -> SourceColumns:  # noqa: ARG002  all have the table's
        """The columns of the table."""
        if self._schema is None:
            self.files()
        return SourceColumns(names=tuple(self._schema.names))

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a file has, if the table's log says so."""
        n = self._n_rows.get(file.uri)
        return RowRange(1, None) if n is None else RowRange.exactly(n)

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time.

        Raises:
            SourceFileBad: it can't be read.
        """
        there = self.columns(file).names
        wanted = [n for n in there if columns is None or n in columns]
        with opening(file.uri):
            scanner = self._fragments[file.uri].scanner(
                schema=self._schema, columns=wanted, batch_size=_ROWS
            )
            yield from numbered(scanner.to_batches())

    def close(self) -> None:
        """Nothing is kept open."""

    def _place(self, path: str) -> str:
        return f"{self._scheme}{self._root}/{path}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            from deltalake.exceptions import DeltaError, DeltaProtocolError, TableNotFoundError
        except ImportError as exc:
            raise ConfigError(
                '[source] kind = "delta" needs the package deltalake',
                remedy="install labelloop with the extra `delta`: pip install 'labelloop[delta]'",
            ) from frameless(exc)

        try:
            yield
        except TableNotFoundError as exc:
            raise StoreDenied(
                f"there is no Delta table at {self._uri}",
                remedy="correct [source] uri: it must name the folder that contains _delta_log",
            ) from frameless(exc)
        except DeltaProtocolError as exc:
            raise ConfigError(
                f"the Delta table at {self._uri} can't be read: {first_line(exc)}",
                remedy="turn off that feature of the table, or also write the predictions as Parquet files",
            ) from frameless(exc)
        except (DeltaError, OSError) as exc:
            raise StoreUnavailable(
                f"reading the Delta table at {self._uri} failed: {first_line(exc)[:300]}",
                remedy="check that the table can be reached, and that the key in [store] may list and "
                "read it",
            ) from frameless(exc)


@contextmanager
def _trusting(ca_file: str | None) -> Iterator[None]:
    """Let deltalake trust the certificates of a file: it takes them from the environment alone.

    It reads the variable whenever it opens a table, and adds the file to none: these are all it trusts.
    The threads of several projects share the environment, so one opens a table at a time.
    """
    with _OPENING:
        if ca_file is None:
            yield
            return
        before = os.environ.get(_TRUSTED)
        os.environ[_TRUSTED] = ca_file
        try:
            yield
        finally:
            _restore(before)


def _restore(before: str | None) -> None:
    if before is None:
        del os.environ[_TRUSTED]
    else:
        os.environ[_TRUSTED] = before


def _delta_table(uri: str, options: dict[str, str] | None) -> Any:
    from deltalake import DeltaTable

    return DeltaTable(uri, storage_options=options)


def storage_options(access: S3Access) -> dict[str, str]:
    """How deltalake is told to reach a server."""
    access = resolved(access)
    given = {
        "AWS_ENDPOINT_URL": access.endpoint_url,
        "AWS_ACCESS_KEY_ID": access.access_key,
        "AWS_SECRET_ACCESS_KEY": access.secret_key,
        "AWS_SESSION_TOKEN": access.session_token,
        "AWS_REGION": access.region or DEFAULT_REGION,
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true" if access.addressing == "virtual" else None,
        "AWS_ALLOW_HTTP": "true" if (access.endpoint_url or "").startswith("http://") else None,
        "proxy_url": access.proxy,
    }
    return {name: value for name, value in given.items() if value}
