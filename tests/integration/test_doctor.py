"""`labelloop doctor` on real servers, healthy and broken, as a user reads it."""

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import PASSWORD, READER
from tests.integration.conftest import CLASSES, Project

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def filled(offline_project: Project) -> Project:
    for i in range(30):
        offline_project.upload(
            f"{i:02}.png",
            predicted_class=CLASSES[0],
            confidence="0.5",
            timestamp="2026-03-01T12:00:00Z",
        )
    return offline_project


def examined(project: Project, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the last finding of each check."""
    done = project.run("doctor", "--json", **environment)
    assert "Traceback" not in done.stderr
    return done.returncode, {f["check"]: f for f in json.loads(done.stdout)["findings"]}


def test_least_rights_are_enough_and_a_dead_label_studio_is_one_line(filled: Project) -> None:
    code, findings = examined(filled, MINIO_USER=READER, MINIO_PASSWORD=PASSWORD)
    assert code == 1
    failed = [name for name, f in findings.items() if f["outcome"] == "FAIL"]
    assert failed == ["Label Studio"]
    assert "can't be reached" in findings["Label Studio"]["says"]
    assert findings["blind copies"]["outcome"] == "ok"
    assert not (filled.folder / ".labelloop").exists()


def test_cors_rules_without_label_studio_are_named(filled: Project, s3: "S3Client") -> None:
    rule: Any = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://elsewhere.example"]}
    s3.put_bucket_cors(Bucket=filled.bucket, CORSConfiguration={"CORSRules": [rule]})
    _, findings = examined(filled)
    assert "CORS keeps Label Studio's page" in findings["image links"]["says"]
    assert findings["blind links"]["outcome"] == "ok"
    s3.put_bucket_cors(
        Bucket=filled.bucket,
        CORSConfiguration={"CORSRules": [{**rule, "AllowedOrigins": ["http://127.0.0.1:9"]}]},
    )
    assert examined(filled)[1]["image links"]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("line", "check", "says"),
    [
        ('blind_uri = "s3://no-such-blind-bucket"', "blind copies", "there is no such bucket"),
        ('uri = "s3://no-such-bucket"', "access", "there is no such bucket"),
        ('secret_key = "wrong"', "access", "the secret key does not fit"),
        ('endpoint_url = "http://127.0.0.1:9"', "store", "no connection"),
        ('api_key = "${NOT_THERE}"', "settings", "NOT_THERE, which is not set"),
    ],
)
def test_a_broken_setting_is_named_and_exits_with_1(
    filled: Project, line: str, check: str, says: str
) -> None:
    key = line.partition(" ")[0]
    filled.write(
        lambda text: "\n".join(line if x.startswith(f"{key} =") else x for x in text.splitlines())
    )
    done = filled.run("doctor")
    assert done.returncode == 1
    [found] = [x for x in done.stdout.splitlines() if x.startswith("FAIL") and f" {check} " in x]
    assert says in found
    assert "remedy: " in done.stdout.partition(found)[2].splitlines()[1]


def test_the_page_is_a_page_that_a_browser_can_open(filled: Project) -> None:
    url = filled.ok("doctor", "--page").strip()
    answer = httpx.get(url, trust_env=False)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.count("<img ") == 2


def test_a_healthy_project_passes_before_and_after_a_run(project: Project) -> None:
    project.upload(
        "a.png", predicted_class=CLASSES[0], confidence="0.4", timestamp="2026-03-01T12:00:00Z"
    )
    code, findings = examined(project)
    assert code == 0, findings
    assert "1.23" in findings["Label Studio"]["says"]
    assert "days left" in findings["token"]["says"]
    project.ok("run")
    code, findings = examined(project)
    assert code == 0, findings
    assert (
        "where the ledger says" in findings["drift"]["says"]
        or "nothing" in findings["drift"]["says"]
    )
