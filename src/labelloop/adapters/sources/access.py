"""How the files of a source are reached, and what goes wrong on the way."""

import csv
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

from labelloop.adapters.folder.files import SCHEME, path_of
from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.arrow import s3_file_system
from labelloop.adapters.s3.client import resolved
from labelloop.errors import (
    ConfigError,
    SourceFileBad,
    SourceFileDenied,
    StoreDenied,
    StoreUnavailable,
    first_line,
    frameless,
)
from labelloop.ports.source import SourceRows, UnreadableRows


def file_system(uri: str, s3: S3Access | None) -> tuple[Any, str, str]:
    """The pyarrow file system of `uri`, the path in it, and what stands before paths in uris.

    Raises:
        ConfigError: neither a folder nor s3://bucket.
    """
    from pyarrow import fs

    if uri.startswith("s3://"):
        store = s3_file_system(resolved(s3 or S3Access()))
        return store, uri.removeprefix("s3://").rstrip("/"), "s3://"
    path = path_of(uri) if uri.startswith(SCHEME) else uri
    if "://" in path:
        raise ConfigError(
            f"[source] uri = {uri!r} is neither a folder nor a bucket",
            remedy="write s3://bucket/prefix, or the path of a folder",
        )
    return fs.LocalFileSystem(), str(Path(path).absolute()), "file://"


_DENIED = ("ACCESS_DENIED", "HTTP code 403", "InvalidAccessKey", "SignatureDoesNotMatch")
_ARCHIVED = ("INVALID_OBJECT_STATE", "InvalidObjectState")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns what the file systems raise into StoreDenied or StoreUnavailable."""
    try:
        yield
    except OSError as exc:
        said = first_line(exc)
        if isinstance(exc, FileNotFoundError) or "NO_SUCH_BUCKET" in said:
            raise StoreDenied(
                f"{doing} failed: it is not there", remedy="correct [source] uri"
            ) from frameless(exc)
        if isinstance(exc, PermissionError) or any(sign in said for sign in _DENIED):
            raise StoreDenied(
                f"{doing} failed: access is denied",
                remedy="give the right to list and read it: to the key in [store], or, for files, to this "
                "user",
            ) from frameless(exc)
        raise StoreUnavailable(
            f"{doing} failed: {said[:300]}",
            remedy="see that the server runs, and that [source] uri and [store] endpoint_url are right",
        ) from frameless(exc)


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """Turns what goes wrong with one listed file into the error that names its kind.

    SourceFileBad: its content; SourceFileDenied: this file alone isn't given; else as in `translated`.
    """
    with translated(f"Reading {uri}"), content_faults():
        try:
            yield
        except OSError as exc:
            said = str(exc)
            if any(sign in said for sign in _ARCHIVED):
                why = "it is archived: bring it back from the archive, or keep it out of the table"
            elif isinstance(exc, FileNotFoundError):
                why = "it is not there any more"
            elif isinstance(exc, PermissionError) or any(sign in said for sign in _DENIED):
                why = "access is denied: grant the right to read it"
            else:
                raise
            raise SourceFileDenied(why) from frameless(exc)


@contextmanager
def content_faults() -> Iterator[None]:
    """Turns what is wrong with the content of a file, and not with the way to it, into SourceFileBad."""
    from pyarrow import ArrowException

    content = (ArrowException, BadGzipFile, EOFError, UnicodeError, csv.Error, zlib.error)
    try:
        yield
    except (*content, OSError) as exc:
        # Arrow has the same exception for a disk or server that fails and for a page that can't be unpacked;
        # with the former stands the system's number, or the server's name of what went wrong
        failed = isinstance(exc, OSError) and (exc.errno is not None or "AWS Error" in str(exc))
        if failed and not isinstance(exc, BadGzipFile):
            raise
        raise SourceFileBad(first_line(exc)[:300]) from exc


def numbered(batches: Iterable[Any]) -> Iterator[SourceRows]:
    """The rows of a file in Arrow's batches, each with its place in the file."""
    n = 0
    for batch in batches:
        numbers = range(n + 1, n + 1 + batch.num_rows)
        n += batch.num_rows
        yield checked(SourceRows(batch=batch, numbers=numbers))


def skipping(number: int, why: str, n_rows: int, names: Sequence[str]) -> SourceRows:
    """No row, and so many that can't be read, the first of them at `number`."""
    import pyarrow as pa

    batch = pa.RecordBatch.from_pydict({name: pa.nulls(0) for name in names})
    return SourceRows(batch=batch, numbers=[], unreadable=(UnreadableRows(number, why, n_rows),))


def checked(rows: SourceRows) -> SourceRows:
    """Rows whose texts are UTF-8: Arrow takes a file's word for it. The others are told as unreadable.

    Raises:
        ArrowInvalid: a value of another kind isn't what its column says.
    """
    import pyarrow as pa

    try:
        rows.batch.validate(full=True)
        return rows
    except pa.ArrowInvalid:
        bad: dict[int, str] = {}
        for field, column in zip(rows.batch.schema, rows.batch.columns, strict=True):
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                held = column.cast(pa.large_binary()).to_pylist()
                bad |= {i: field.name for i, text in enumerate(held) if not _is_utf8(text)}
    good = pa.array([i for i in range(len(rows.batch)) if i not in bad], pa.int64())
    batch = rows.batch.take(good)
    batch.validate(full=True)
    told = tuple(
        UnreadableRows(rows.numbers[i], f"{name} isn't UTF-8") for i, name in sorted(bad.items())
    )
    numbers = [rows.numbers[i] for i in good.to_pylist()]
    return replace(rows, batch=batch, numbers=numbers, unreadable=(*rows.unreadable, *told))


def _is_utf8(text: bytes | None) -> bool:
    try:
        (text or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
