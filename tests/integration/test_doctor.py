"""`labelloop doctor` on real servers, healthy and broken, as a user reads it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from labelloop.doctor.finding import Finding, Outcome
from labelloop.loop import Loop
from labelloop.project import Project as OpenedProject
from labelloop.settings.file import load
from tests.conftest import PASSWORD, READER
from tests.integration.conftest import CLASSES, Project
from tests.json_documents import result_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a disk, wherever other tests write: a project in memory isn't healthy."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


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
    return done.returncode, {f["check"]: f for f in result_of(done.stdout, "doctor")["findings"]}


def test_least_rights_are_enough_and_a_dead_label_studio_is_one_line(filled: Project) -> None:
    code, findings = examined(filled, MINIO_USER=READER, MINIO_PASSWORD=PASSWORD)
    assert code == 1
    failed = [name for name, f in findings.items() if f["outcome"] == "FAIL"]
    assert failed == ["Label Studio"]
    assert "can't be reached" in findings["Label Studio"]["says"]
    assert findings["blind copies"]["outcome"] == "ok"
    assert not (filled.folder / ".labelloop").exists()


def examined_here(project: Project, *, label_studio: bool = False) -> dict[str, Finding]:
    """The last finding of each check, without the command line.

    Without `label_studio` something else stands at its address, which fails without a wait.
    """
    elsewhere = {"LABEL_STUDIO_URL": project.environment["MINIO_URL"]}
    environment = project.environment | ({} if label_studio else elsewhere)
    with Loop(OpenedProject(load(project.folder / "labelloop.toml", environment))) as loop:
        return {f.check: f for f in loop.doctor().findings}


def test_cors_rules_without_label_studio_are_named(filled: Project, s3: "S3Client") -> None:
    rule: Any = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://elsewhere.example"]}
    s3.put_bucket_cors(Bucket=filled.bucket, CORSConfiguration={"CORSRules": [rule]})
    findings = examined_here(filled)
    assert "CORS keeps the labelling page" in findings["image links"].says
    assert findings["blind links"].outcome is Outcome.OK
    rule["AllowedOrigins"] = [filled.environment["MINIO_URL"]]
    s3.put_bucket_cors(Bucket=filled.bucket, CORSConfiguration={"CORSRules": [rule]})
    assert examined_here(filled)["image links"].outcome is Outcome.OK


@pytest.mark.parametrize(
    ("line", "check", "says"),
    [
        ('blind_uri = "s3://no-such-blind-bucket"', "blind copies", "there is no such bucket"),
        ('uri = "s3://no-such-bucket"', "access", "there is no such bucket"),
        ('secret_key = "wrong"', "access", "the secret key doesn't belong"),
        ('endpoint_url = "http://127.0.0.1:9"', "store", "no connection"),
    ],
)
def test_a_broken_setting_is_named(filled: Project, line: str, check: str, says: str) -> None:
    rewrite(filled, line)
    finding = examined_here(filled)[check]
    assert (finding.outcome, says in finding.says) == (Outcome.FAIL, True), finding
    assert finding.remedy


def rewrite(project: Project, line: str) -> None:
    """Put a line of labelloop.toml in the place of the one with its key."""
    key = line.partition(" ")[0]
    project.write(
        lambda text: "\n".join(line if x.startswith(f"{key} =") else x for x in text.splitlines())
    )


def test_settings_that_cant_be_used_are_a_line_too(filled: Project) -> None:
    rewrite(filled, 'api_key = "${NOT_THERE}"')
    done = filled.run("doctor")
    assert done.returncode == 1
    first, second, last = done.stdout.splitlines()
    assert first.startswith("FAIL  settings")
    assert "NOT_THERE, which is not set" in first
    assert second.strip().startswith("remedy: set NOT_THERE")
    assert last == "1 check failed; skipped because of it: all others"


def test_the_page_is_a_page_that_a_browser_can_open(filled: Project) -> None:
    url = filled.json("doctor", "--page")["url"]
    answer = httpx.get(url, trust_env=False)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.count("<img ") == 2


def test_a_healthy_project_passes_before_and_after_a_run(project: Project) -> None:
    project.upload(
        "a.png", predicted_class=CLASSES[0], confidence="0.4", timestamp="2026-03-01T12:00:00Z"
    )
    findings = examined_here(project, label_studio=True)
    assert Outcome.FAIL not in {f.outcome for f in findings.values()}, findings
    assert "1.23" in findings["Label Studio"].says
    assert "more than ten years left" in findings["token"].says
    project.ok("run")
    findings = examined_here(project, label_studio=True)
    assert Outcome.FAIL not in {f.outcome for f in findings.values()}, findings
    assert findings["tasks"].outcome is Outcome.OK
