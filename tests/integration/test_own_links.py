"""images = "label-studio": it signs the links itself, or refuses to, on real servers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
from labelloop.demo.servers import LabelStudio, SeaweedFS
from labelloop.errors import BucketRefused
from labelloop.ports.annotator import BucketAccess, TaskData
from tests.contract.test_annotator import spec

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def access(seaweedfs: SeaweedFS, bucket: str) -> BucketAccess:
    return BucketAccess(
        bucket=bucket,
        endpoint_url=seaweedfs.endpoint_url,
        region="us-east-1",
        access_key=seaweedfs.access_key,
        secret_key=seaweedfs.secret_key,
    )


@pytest.fixture
def older(older_label_studio: LabelStudio) -> Iterator[LabelStudioAnnotator]:
    """Label Studio 1.20.0, which opens private addresses."""
    made = LabelStudioAnnotator(
        url=older_label_studio.url, api_key=older_label_studio.personal_access_token()
    )
    yield made
    made.close()


def test_an_image_opens_by_a_link_made_when_it_is_viewed(
    older: LabelStudioAnnotator,
    older_label_studio: LabelStudio,
    access: BucketAccess,
    s3: "S3Client",
) -> None:
    key = "class_07/a b+ü.png"
    s3.put_object(Bucket=access.bucket, Key=key, Body=b"pixels", ContentType="image/png")
    project = older.create_project(spec())
    for _ in range(2):
        older.open_bucket(project.project_ref, access)
    data = {"image": f"s3://{access.bucket}/{key}", "labelloop": "k"}
    [task_id] = older.import_tasks(project.project_ref, [TaskData(task_key="k", data=data)])
    with httpx.Client(
        base_url=older_label_studio.url,
        headers={"Authorization": f"Token {older_label_studio.legacy_token}"},
        trust_env=False,
    ) as browser:
        shown = browser.get(f"/api/tasks/{task_id}/").json()["data"]["image"]
        link = browser.get(shown).headers["location"]
        params = {"project": project.project_ref}
        [storage] = browser.get("/api/storages/s3", params=params).json()
    assert httpx.get(link, trust_env=False).content == b"pixels"
    assert storage["last_sync"] is None
    [page] = older.tasks(project.project_ref)
    assert [task.task_key for task in page] == ["k"]


@pytest.mark.parametrize(
    "wrong", [{"bucket": "no-such-bucket-here"}, {"secret_key": "wrong"}, {"access_key": "nobody"}]
)
def test_a_bucket_that_label_studio_cant_open_is_named_without_the_keys(
    older: LabelStudioAnnotator, access: BucketAccess, wrong: dict[str, str]
) -> None:
    broken = replace(access, **wrong)
    with pytest.raises(BucketRefused, match=broken.bucket) as refused:
        older.open_bucket(older.create_project(spec()).project_ref, broken)
    assert refused.value.remedy
    assert broken.secret_key not in str(refused.value)


def test_from_1_23_1_on_a_private_address_is_refused_with_the_way_out(
    label_studio: LabelStudio, access: BucketAccess
) -> None:
    newer = LabelStudioAnnotator(url=label_studio.url, api_key=label_studio.legacy_token)
    with pytest.raises(BucketRefused, match="opens no private address") as refused:
        newer.open_bucket(newer.create_project(spec()).project_ref, access)
    assert "SSRF_PROTECTION_ENABLED=false" in refused.value.remedy
    assert 'images = "presign"' in refused.value.remedy
    newer.close()
