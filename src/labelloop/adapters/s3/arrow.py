"""An S3 server as a file system of Arrow: for tables of predictions, and for the log."""

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from labelloop.adapters.s3.access import DEFAULT_REGION, S3Access

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


def s3_file_system(access: S3Access) -> "S3FileSystem":
    """The files of a server, reached as `access` says. Make it with `resolved` keys."""
    from pyarrow import fs

    plain_checksums()
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
    return fs.S3FileSystem(
        connect_timeout=5.0,
        request_timeout=30.0,
        force_virtual_addressing=access.addressing == "virtual",
        **{name: value for name, value in given.items() if value},
    )


def plain_checksums() -> None:
    """Let Arrow upload without the newer checksums, unless the environment asks for them.

    They turn an upload into chunks of unknown length, which servers other than AWS refuse (Ceph: 411). Arrow
    has no other way to say so than this variable of AWS's tools.
    """
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
