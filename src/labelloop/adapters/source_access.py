"""How the files of a source are reached, and what goes wrong on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labelloop.adapters.folder_files import SCHEME, path_of
from labelloop.adapters.s3_access import DEFAULT_REGION, S3Access
from labelloop.errors import ConfigError, StoreDenied, StoreUnavailable


def file_system(uri: str, s3: S3Access | None) -> tuple[Any, str, str]:
    """The pyarrow file system of `uri`, the path in it, and what stands before paths in uris.

    Raises:
        ConfigError: neither a folder nor s3://bucket.
    """
    from pyarrow import fs

    if uri.startswith("s3://"):
        access = (s3 or S3Access()).resolved()
        given: dict[str, Any] = {
            "access_key": access.access_key,
            "secret_key": access.secret_key,
            "session_token": access.session_token,
            "region": access.region or DEFAULT_REGION,
            "proxy_options": access.proxy,
            "tls_ca_file_path": access.ca_file,
        }
        if access.endpoint_url:
            parts = urlsplit(access.endpoint_url)
            given |= {"endpoint_override": parts.netloc + parts.path, "scheme": parts.scheme}
        store = fs.S3FileSystem(
            connect_timeout=5.0,
            request_timeout=30.0,
            force_virtual_addressing=access.addressing == "virtual",
            **{name: value for name, value in given.items() if value},
        )
        return store, uri.removeprefix("s3://").rstrip("/"), "s3://"
    path = path_of(uri) if uri.startswith(SCHEME) else uri
    if "://" in path:
        raise ConfigError(
            f"[source] uri = {uri!r} is neither a folder nor a bucket",
            remedy="write s3://bucket/prefix, or the path of a folder",
        )
    return fs.LocalFileSystem(), str(Path(path).absolute()), "file://"


_DENIED = ("ACCESS_DENIED", "HTTP code 403", "InvalidAccessKey", "SignatureDoesNotMatch")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns what the file systems raise into StoreDenied or StoreUnavailable."""
    try:
        yield
    except BadGzipFile:
        raise
    except OSError as exc:
        said = (str(exc).splitlines() or [type(exc).__name__])[0]
        if isinstance(exc, FileNotFoundError) or "NO_SUCH_BUCKET" in said:
            raise StoreDenied(
                f"{doing} failed: it is not there", remedy="correct [source] uri"
            ) from exc
        if isinstance(exc, PermissionError) or any(sign in said for sign in _DENIED):
            raise StoreDenied(
                f"{doing} failed: access is denied",
                remedy="grant the right to list and read it: to the key in [store], or on files to "
                "this user",
            ) from exc
        raise StoreUnavailable(
            f"{doing} failed: {said[:300]}",
            remedy="see that the server runs, and that [source] uri and [store] endpoint_url are right",
        ) from exc
