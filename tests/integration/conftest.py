"""A user's project: a folder with a labelloop.toml, and the command line run in it."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from labelloop.demo.servers import LabelStudio, SeaweedFS
from tests.integration.commands import Commands
from tests.json_documents import result_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLASSES = ("cat", "dog & <wolf>", 'bird/"owl"', "Füchse 狐")

SETTINGS = """
[project]
name = "{name}"
classes = {classes}

[store]
uri = "s3://{bucket}"
endpoint_url = "${{MINIO_URL}}"
access_key = "${{MINIO_USER}}"
secret_key = "${{MINIO_PASSWORD}}"
blind_uri = "s3://{blind_bucket}"

[label_studio]
url = "${{LABEL_STUDIO_URL}}"
api_key = "${{LABEL_STUDIO_USER_TOKEN}}"
timeout = "{timeout}"

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 12

[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.5"
budget = 6
show = ["confidence", "predicted_class"]

[[queue]]
name = "flagged"
purpose = "training"
where = "flagged or corrected_class is not null"
show = ["predicted_class", "corrected_class"]

[training]
confidence = 0.8
"""


@dataclass
class Project:
    """One user's project on the session's servers."""

    folder: Path
    name: str
    bucket: str
    blind_bucket: str
    environment: dict[str, str]
    s3: "S3Client"
    commands: Commands
    truth: dict[str, str] = field(default_factory=dict)

    def write(
        self, edit: Callable[[str], str] = lambda text: text, *, timeout: str = "30 seconds"
    ) -> None:
        """Write labelloop.toml, edited."""
        text = SETTINGS.format(
            name=self.name,
            classes=json.dumps(CLASSES, ensure_ascii=False),
            bucket=self.bucket,
            blind_bucket=self.blind_bucket,
            timeout=timeout,
        )
        (self.folder / "labelloop.toml").write_text(edit(text), encoding="utf-8")

    def upload(self, key: str, *, body: bytes | None = None, **tags: str) -> None:
        """Put an object the way applications do: the object first, then its tags."""
        self.s3.put_object(
            Bucket=self.bucket, Key=key, Body=body or key.encode(), ContentType="image/png"
        )
        self.tag(key, **tags)

    def tag(self, key: str, **tags: str) -> None:
        """Set an object's tags."""
        if tags:
            pairs = [{"Key": k, "Value": v} for k, v in tags.items()]
            self.s3.put_object_tagging(Bucket=self.bucket, Key=key, Tagging={"TagSet": pairs})  # type: ignore[typeddict-item]

    def command(self, *args: str) -> list[str]:
        """The command line of this interpreter's labelloop."""
        return [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from labelloop.cli import main; main()",
            *args,
        ]

    def run(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`labelloop ARGS` in the project's folder."""
        env = {**os.environ, **self.environment, **environment}
        return self.commands.run(args, cwd=self.folder, env=env, timeout_s=240)

    def ok(self, *args: str) -> str:
        """The output of a command that must succeed."""
        done = self.run(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *args: str) -> Any:
        """The JSON result of a command that must succeed."""
        return result_of(self.ok(*args, "--json"))

    def interrupt(self, *args: str, after_s: float) -> int:
        """Start a command, press Ctrl-C after a while, and return its exit code."""
        env = {**os.environ, **self.environment}
        return self.commands.run(
            args, cwd=self.folder, env=env, timeout_s=240, interrupt_after_s=after_s
        ).returncode


class People:
    """Annotators: they see what Label Studio shows them, and answer through its API."""

    def __init__(self, server: LabelStudio) -> None:
        self.api = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Token {server.legacy_token}"},
            timeout=120,
            trust_env=False,
        )
        self._links = httpx.Client(timeout=120, trust_env=False)

    def close(self) -> None:
        """Close their connections."""
        self.api.close()
        self._links.close()

    def sees(self, task: dict[str, Any]) -> httpx.Response:
        """What a browser gets by the link of a task's image."""
        return self._links.get(task["data"]["image"]).raise_for_status()

    def projects(self, name: str) -> dict[str, dict[str, Any]]:
        """The projects of a labelloop project by queue; a queue that drew nothing has none."""
        answer = self.api.get("/api/projects/", params={"page_size": 100, "title": name})
        found = answer.raise_for_status().json()["results"]
        start = f"{name}: "
        return {p["title"].removeprefix(start): p for p in found if p["title"].startswith(start)}

    def project(self, name: str, queue: str) -> dict[str, Any]:
        """The project of a queue that drew."""
        return self.projects(name)[queue]

    def tasks(self, project_ref: str) -> list[dict[str, Any]]:
        """All tasks of a project, whole."""
        answer = self.api.get(
            "/api/tasks", params={"project": project_ref, "page_size": 1000, "fields": "all"}
        )
        return list(answer.raise_for_status().json()["tasks"])

    def answer(self, task_id: int, choice: str, *, kind: str = "image") -> int:
        """Answer a task; returns the annotation's id."""
        result = [
            {
                "from_name": "label",
                "to_name": kind,
                "type": "choices",
                "value": {"choices": [choice]},
            }
        ]
        answer = self.api.post(f"/api/tasks/{task_id}/annotations/", json={"result": result})
        return int(answer.raise_for_status().json()["id"])

    def skip(self, task_id: int) -> None:
        """Skip a task."""
        self.api.post(
            f"/api/tasks/{task_id}/annotations/", json={"result": [], "was_cancelled": True}
        ).raise_for_status()


@pytest.fixture
def people(label_studio: LabelStudio) -> Iterator[People]:
    """Annotators at the session's Label Studio."""
    crowd = People(label_studio)
    yield crowd
    crowd.close()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """The command line, quick to start."""
    started = Commands()
    yield started
    started.close()


@pytest.fixture
def offline_project(
    tmp_path: Path,
    seaweedfs: SeaweedFS,
    s3: "S3Client",
    bucket: str,
    blind_bucket: str,
    commands: Commands,
) -> Project:
    """A project whose Label Studio doesn't run."""
    project = Project(
        folder=tmp_path,
        name=f"t {uuid.uuid4().hex[:8]}",
        bucket=bucket,
        blind_bucket=blind_bucket,
        environment={
            "MINIO_URL": seaweedfs.endpoint_url,
            "MINIO_USER": seaweedfs.access_key,
            "MINIO_PASSWORD": seaweedfs.secret_key,
            "LABEL_STUDIO_URL": "http://127.0.0.1:9",
            "LABEL_STUDIO_USER_TOKEN": "0" * 40,
        },
        s3=s3,
        commands=commands,
    )
    project.write()
    return project


@pytest.fixture
def project(offline_project: Project, label_studio: LabelStudio) -> Project:
    """A project at the session's Label Studio, with a personal access token."""
    offline_project.environment |= {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_USER_TOKEN": label_studio.personal_access_token(),
    }
    return offline_project
