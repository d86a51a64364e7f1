"""What an annotator's browser gets from a presigned URL."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from labelloop.adapters.s3.store import S3Store
from tests.odd_keys import ODD_KEYS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import SeaweedFS


@pytest.fixture
def store(seaweedfs: "SeaweedFS", bucket: str) -> S3Store:
    return S3Store(
        f"s3://{bucket}",
        seaweedfs.access,
    )


@pytest.mark.parametrize("key", ["a.png", *ODD_KEYS])
def test_the_url_opens_the_object(
    store: S3Store, s3: "S3Client", bucket: str, seaweedfs: "SeaweedFS", key: str
) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"pixels", ContentType="image/png")
    url = store.presign(f"s3://{bucket}/{key}", timedelta(minutes=5))
    assert parse_qs(urlsplit(url).query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert seaweedfs.secret_key not in url
    answer = httpx.get(url, trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"pixels")
    assert answer.headers["content-type"] == "image/png"


def test_the_url_closes_when_its_life_is_over(store: S3Store, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a.png", Body=b"pixels")
    url = store.presign(f"s3://{bucket}/a.png", timedelta(seconds=1))
    time.sleep(2.1)
    assert httpx.get(url, trust_env=False).status_code == 403


def test_the_url_names_the_host_that_annotators_reach(
    seaweedfs: "SeaweedFS", s3: "S3Client", bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a.png", Body=b"pixels")
    public = seaweedfs.endpoint_url.replace("127.0.0.1", "localhost")
    store = S3Store(
        f"s3://{bucket}",
        seaweedfs.access,
        public_endpoint_url=public,
    )
    url = store.presign(f"s3://{bucket}/a.png", timedelta(hours=1))
    assert url.startswith(f"{public}/{bucket}/a.png?")
    assert httpx.get(url, trust_env=False).content == b"pixels"
    assert store.read(f"s3://{bucket}/a.png") == b"pixels"


def test_a_leading_slash_stays_in_the_signed_path(store: S3Store, bucket: str) -> None:
    url = store.presign(f"s3://{bucket}//a.png", timedelta(hours=1))
    assert urlsplit(url).path == f"/{bucket}//a.png"


def test_nothing_that_a_blind_copy_answers_tells_where_it_came_from(
    store: S3Store, s3: "S3Client", bucket: str, blind_bucket: str
) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="class_secretname/original-key.png",
        Body=b"pixels",
        Tagging="predicted_class=secretname&confidence=0.913",
        Metadata={"predicted": "secretname"},
        ContentDisposition='inline; filename="secretname.png"',
        ContentType="image/png",
    )
    target = f"s3://{blind_bucket}/5f0c"
    store.copy_blind(f"s3://{bucket}/class_secretname/original-key.png", target)
    answer = httpx.get(store.presign(target, timedelta(minutes=5)), trust_env=False)
    assert answer.status_code == 200
    told = f"{answer.request.url} {answer.headers!r}"
    for secret in ("secretname", "original", "0.913", bucket, "tagging", "x-amz-meta"):
        assert secret not in told.lower()


def test_a_copy_without_a_known_type_gets_one_that_browsers_show(
    store: S3Store, s3: "S3Client", bucket: str, blind_bucket: str
) -> None:
    for key, expected in (("a.PNG", "image/png"), ("b.jpg", "image/jpeg"), ("c", "application/")):
        s3.put_object(
            Bucket=bucket, Key=key, Body=b"pixels", ContentType="application/octet-stream"
        )
        store.copy_blind(f"s3://{bucket}/{key}", f"s3://{blind_bucket}/{expected}")
        copied = s3.head_object(Bucket=blind_bucket, Key=expected)
        assert copied["ContentType"].startswith(expected)
