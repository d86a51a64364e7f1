"""An imagefolder in a bucket of a real S3 server: odd keys, tags, encodings, and a second run."""

import gzip
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from labelloop.adapters.s3.store import S3Store
from labelloop.exports import formats
from labelloop.exports.exported import Exported
from labelloop.ports.clock import silent
from tests.odd_keys import ODD_KEYS
from tests.unit.released import ROW, release

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS

TAGS = {"predicted_class": "cat", "shadow:v3": "Naïve + 100/b"}


def tags_of(s3: "S3Client", uri: str) -> Mapping[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    found = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_a_version_goes_into_a_bucket_with_its_tags_and_carries_on(
    seaweedfs: "SeaweedFS", s3: "S3Client", bucket: str, blind_bucket: str, tmp_path: Path
) -> None:
    tagging = "&".join(f"{quote(k)}={quote(v)}" for k, v in TAGS.items())
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Tagging=tagging)
    packed = gzip.compress(b"pixels")
    s3.put_object(Bucket=bucket, Key="g.png", Body=packed, ContentEncoding="gzip", Tagging=tagging)
    store = S3Store(f"s3://{bucket}", seaweedfs.access, workers=4)
    rows = [
        replace(ROW, sample_id=o.sample_id, uri=o.uri, content_hash=o.content_hash)
        for page in store.objects()
        for o in page
    ]
    root = f"s3://{blind_bucket}/food 11"

    def export(number: int, held: int, *, remove_old: bool = False) -> Exported:
        version = release(tmp_path / str(number), "training", rows[:held], version=number)
        return formats.export(
            [version],
            "imagefolder",
            root,
            store=lambda: store,
            classes=["dog", "cat"],
            remove_old=remove_old,
            progress=silent,
        )

    n = len(rows)
    assert (export(1, n - 2).n_written, n) == (n - 2, len(ODD_KEYS) + 1)
    done = export(2, n)
    assert (done.n_written, done.n_there, done.n_gone, done.n_old) == (2, n - 2, 0, 0)
    copies = [o.uri for page in store.below(f"{root}/cat") for o in page]
    assert len(copies) == n
    assert {store.read(uri) for uri in copies} == {*(k.encode() for k in ODD_KEYS), b"pixels"}
    assert all(tags_of(s3, uri) == TAGS for uri in copies)
    s3.put_object(Bucket=bucket, Key=rows[0].sample_id, Body=b"another")
    assert export(3, 1).n_there == 1
    s3.delete_object(Bucket=blind_bucket, Key=copies[0].removeprefix(f"s3://{blind_bucket}/"))
    left = export(4, n)
    assert left.n_written + left.n_gone == 1
    assert export(5, 2, remove_old=True).n_removed == n - 2
    assert len([o for page in store.below(f"{root}/cat") for o in page]) == 2 - left.n_gone
