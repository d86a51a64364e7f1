"""How pyiceberg reaches the files of a table."""

from functools import lru_cache
from typing import TYPE_CHECKING

from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.arrow import plain_checksums, s3_file_system

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyiceberg.typedef import Properties

CA_FILE = "labelloop.s3.ca-file"
IMPLEMENTATION = f"{__name__}.TrustingFileIO"
"""Its name, for pyiceberg's property py-io-impl."""


class TrustingFileIO(PyArrowFileIO):
    """pyiceberg's own, which has no setting for certificates of one's own."""

    def __init__(self, properties: "Properties" = EMPTY_DICT) -> None:
        super().__init__(properties)
        plain_checksums()
        if CA_FILE in properties:
            others = self.fs_by_scheme

            @lru_cache
            def file_system(scheme: str, netloc: str | None = None) -> "FileSystem":
                is_s3 = scheme in {"s3", "s3a", "s3n"}
                return s3_file_system(access_of(properties)) if is_s3 else others(scheme, netloc)

            self.fs_by_scheme = file_system


def s3_settings(access: S3Access) -> dict[str, str]:
    """How pyiceberg is told to reach a server."""
    given = {
        "s3.endpoint": access.endpoint_url,
        "s3.access-key-id": access.access_key,
        "s3.secret-access-key": access.secret_key,
        "s3.session-token": access.session_token,
        "s3.proxy-uri": access.proxy,
        "s3.force-virtual-addressing": "true" if access.addressing == "virtual" else None,
        "s3.region": access.region or ("us-east-1" if access.endpoint_url else None),
        CA_FILE: access.ca_file,
        "py-io-impl": IMPLEMENTATION,
    }
    return {name: value for name, value in given.items() if value}


def access_of(properties: "Properties") -> S3Access:
    """What `s3_settings` told, with the keys that a catalog may have lent since."""
    virtual = str(properties.get("s3.force-virtual-addressing", "")).lower() == "true"
    return S3Access(
        endpoint_url=properties.get("s3.endpoint"),
        access_key=properties.get("s3.access-key-id"),
        secret_key=properties.get("s3.secret-access-key"),
        session_token=properties.get("s3.session-token"),
        proxy=properties.get("s3.proxy-uri"),
        region=properties.get("s3.region"),
        addressing="virtual" if virtual else "auto",
        ca_file=properties[CA_FILE],
    )
