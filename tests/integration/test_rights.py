"""The rights that docs/reference/rights.md names are those that each verb uses, and no others are needed."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import botocore.client
import httpx
import pytest

from labelloop.adapters.s3.parallel_requests import ParallelRequests
from labelloop.adapters.s3.store import S3Store
from labelloop.errors import LabelloopError, StoreDenied
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.testing import MemoryAnnotator, MemoryLog
from tests.conftest import NO_LISTER, NO_READER, NO_WRITER, PASSWORD, READER

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from labelloop.demo.servers import LabelStudio, SeaweedFS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rights.md"
SETTINGS = """
[project]
name = "rights"
classes = ["cat", "dog"]
[store]
uri = "s3://{inputs}"
endpoint_url = "{url}"
access_key = "{key}"
secret_key = "{secret}"
blind_uri = "s3://{blind}"
[label_studio]
url = "http://127.0.0.1:1"
api_key = "none"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 4
[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.6"
budget = 12
"""
N = 30
RIGHTS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "GetObjectTagging": "s3:GetObjectTagging",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}
"""What AWS's service authorization reference asks for each operation."""


class Heard:
    """The rights that are used from now on, as pairs of bucket and right."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rights: set[tuple[str, str]] = set()
        called = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]
        got, linked = ParallelRequests.__call__, S3Store.presign

        def call(client: Any, operation: str, said: dict[str, Any]) -> Any:
            if operation == "CopyObject":
                self.rights.add((said["CopySource"]["Bucket"], "s3:GetObject"))
                self.rights.add((said["Bucket"], "s3:PutObject"))
            else:
                self.rights.add((said["Bucket"], RIGHTS[operation]))
            return called(client, operation, said)

        def get(
            gets: ParallelRequests, keys: Any, query: str, *, head: bool = False, first: int = 0
        ) -> Any:
            asked = {"": "s3:GetObject", "tagging": "s3:GetObjectTagging"}
            self.rights.add((gets._bucket, asked.get(query, "s3:ListBucket")))
            return got(gets, keys, query, head=head, first=first)

        def link(store: S3Store, uri: str, life: Any) -> str:
            self.rights.add((uri.split("/")[2], "s3:GetObject"))  # used by who opens it
            return linked(store, uri, life)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
        monkeypatch.setattr(ParallelRequests, "__call__", get)
        monkeypatch.setattr(S3Store, "presign", link)

    def during(self, call: Callable[[], object]) -> set[tuple[str, str]]:
        self.rights.clear()
        call()
        return set(self.rights)


@pytest.fixture
def filled(s3: "S3Client", bucket: str) -> str:
    """A bucket of predictions of today."""
    tags = urlencode({"predicted_class": "cat", "confidence": 0.5, "timestamp": datetime.now(UTC)})
    for i in range(N):
        s3.put_object(Bucket=bucket, Key=f"{i:02}.png", Body=f"{i}".encode(), Tagging=tags)
    return bucket


@pytest.fixture
def opened(
    tmp_path: Path, seaweedfs: "SeaweedFS", filled: str, blind_bucket: str
) -> Iterator[Callable[..., Loop]]:
    """Opens a loop over the bucket with one of the server's keys."""
    loops: list[Loop] = []

    def open_as(key: str) -> Loop:
        text = SETTINGS.format(
            inputs=filled, blind=blind_bucket, url=seaweedfs.endpoint_url, key=key, secret=PASSWORD
        )
        (tmp_path / "labelloop.toml").write_text(text)
        loop = Loop(
            Project(
                load(tmp_path / "labelloop.toml", {}), log=MemoryLog(), annotator=MemoryAnnotator()
            )
        )
        loops.append(loop)
        return loop

    yield open_as
    for loop in loops:
        loop.close()


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """By verb of the page: the rights on the bucket of the inputs, and on that of the copies."""
    rows = re.findall(r"^\| `([a-z -]+)` \| ([^|]*) \| ([^|]*) \|", PAGE.read_text("utf-8"), re.M)
    return {
        verb: (set(re.findall(r"s3:\w+", inputs)), set(re.findall(r"s3:\w+", copies)))
        for verb, inputs, copies in rows
    }


def test_each_verb_uses_what_is_documented_and_needs_no_more(
    opened: Callable[..., Loop],
    filled: str,
    blind_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = opened(READER)  # may read and list, and write to buckets of copies
    annotator = loop.project.annotator
    assert isinstance(annotator, MemoryAnnotator)
    heard = Heard(monkeypatch)

    def answer() -> None:
        for project in annotator._projects:
            for task in annotator.task_ids(project):
                annotator.answer(task, "cat", by="ana")

    def export() -> None:
        loop.export([loop.dataset("training")], "imagefolder", tmp_path / "images")

    used: dict[str, tuple[set[str], set[str]]] = {}
    for verb, call in {
        "index": loop.index,
        "select": lambda: loop.select(now=True),
        "send": loop.send,
        "collect": lambda: (answer(), loop.collect()),
        "measure": loop.measure,
        "build": loop.build,
        "status": loop.status,
        "report": loop.report,
        "datasets export": export,
        "doctor": loop.doctor,
        "doctor --page": loop.test_page,
        "forget": lambda: loop.forget([f"{i:02}.png" for i in range(N)]),
    }.items():
        found = heard.during(call)  # type: ignore[arg-type]
        used[verb] = (
            {right for bucket, right in found if bucket == filled},
            {right for bucket, right in found if bucket == blind_bucket},
        )
    assert used == documented()


@pytest.mark.parametrize(
    ("key", "right"), [(NO_LISTER, "s3:ListBucket"), (NO_READER, "s3:GetObjectTagging")]
)
def test_a_right_that_is_missing_is_named(
    opened: Callable[..., Loop], key: str, right: str
) -> None:
    with pytest.raises(StoreDenied) as denied:
        opened(key).index()
    assert right in f"{denied.value.remedy}"


def test_without_a_place_to_write_to_only_blind_tasks_wait(opened: Callable[..., Loop]) -> None:
    loop = opened(NO_WRITER)
    loop.index()
    loop.select(now=True)
    with pytest.raises(LabelloopError) as denied:
        loop.send()
    assert "s3:PutObject" in f"{denied.value.remedy}"
    assert isinstance(loop.project.annotator, MemoryAnnotator)
    titles = {project.title for project in loop.project.annotator.projects()}
    assert titles == {"rights: low"}


def test_a_member_of_label_studio_may_do_everything(label_studio: "LabelStudio") -> None:
    owner = httpx.Client(
        base_url=label_studio.url,
        headers={"Authorization": f"Token {label_studio.legacy_token}"},
        timeout=120,
        trust_env=False,
    )
    with owner, httpx.Client(base_url=label_studio.url, timeout=120, trust_env=False) as member:
        invitation = owner.get("/api/invite").json()["invite_url"]
        member.get(invitation)
        form = {
            "email": "member@labelloop.example",
            "password": "labelloop-people",
            "csrfmiddlewaretoken": member.cookies["csrftoken"],
        }
        assert member.post(invitation, data=form).status_code == 302
        member.headers["X-CSRFToken"] = member.cookies["csrftoken"]
        config = (
            '<View><Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="cat"/>'
            "</Choices></View>"
        )
        made = owner.post("/api/projects/", json={"title": "theirs", "label_config": config}).json()
        project = f"/api/projects/{made['id']}"
        owner.post(f"{project}/import", json=[{"data": {"t": "1"}}, {"data": {"t": "2"}}])
        first, second = (
            task["id"]
            for task in owner.get("/api/tasks", params={"project": made["id"]}).json()["tasks"]
        )
        result = {
            "from_name": "c",
            "to_name": "t",
            "type": "choices",
            "value": {"choices": ["cat"]},
        }
        said = owner.post(f"/api/tasks/{first}/annotations/", json={"result": [result]}).json()
        own_token = member.get("/api/current-user/token").json()["token"]
        assert own_token != label_studio.legacy_token
        for method, path, body in (
            ("GET", "/api/users/", None),
            ("GET", "/api/invite", None),
            ("GET", f"/api/tasks/{first}/", None),
            ("GET", f"{project}/export?exportType=JSON", None),
            ("PATCH", f"/api/annotations/{said['id']}/", {"result": []}),
            ("DELETE", f"/api/annotations/{said['id']}/", None),
            ("PATCH", f"/api/tasks/{first}/", {"data": {"t": "9"}}),
            ("DELETE", f"/api/tasks/{second}/", None),
            ("PATCH", f"{project}/", {"description": "another"}),
            ("DELETE", f"{project}/", None),
        ):
            answer = member.request(method, path, json=body)
            assert answer.is_success, (method, path, answer.status_code)
