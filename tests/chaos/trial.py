"""One trial: a whole course of the loop on real servers, killed once and run again.

The course: traffic, `run`, more traffic and complaints, `run --now`, twice `run`, and a week later `run`
again, which removes blind copies. People answer before each run but the first: the last one collects all
that they said. Each run is a process of its own.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from labelloop.demo.servers import LabelStudio, SeaweedFS
from labelloop.loop import open_loop
from tests.chaos.points import Points
from tests.contract.test_annotator import RealPeople
from tests.preloaded import preload

N_FIRST, N_SECOND = 18, 8
WEEK = timedelta(days=8)

SETTINGS = """
[project]
name = "chaos"
classes = ["cat", "dog"]

[store]
uri = "s3://{bucket}"
endpoint_url = "{endpoint_url}"
access_key = "{access_key}"
secret_key = "{secret_key}"
blind_uri = "s3://{blind_bucket}"
timeout = "2 seconds"

[label_studio]
url = "{label_studio_url}"
api_key = "{api_key}"
timeout = "2 seconds"

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 4
second_look = true

[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.6"
budget = 3
show = ["confidence", "predicted_class"]

[[queue]]
name = "flagged"
purpose = "training"
where = "flagged"

[people]
referees = ["ana@labelloop.example"]

[training]
confidence = 0.8
"""


class Later:
    """The machine's clock, ahead by a while."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def sleep(self, seconds: float) -> None:
        import time

        time.sleep(seconds)


@dataclass(frozen=True)
class Stage:
    """One run of the loop: whether it closes a round, and how late it is."""

    close_round: bool = False
    ahead: timedelta = timedelta()


STAGES = (Stage(), Stage(close_round=True), Stage(), Stage(), Stage(ahead=WEEK))


@dataclass(frozen=True)
class End:
    """Everything that must be the same however often the loop was killed."""

    draws: tuple[tuple[object, ...], ...]
    tasks: tuple[tuple[object, ...], ...]
    labels: tuple[tuple[object, ...], ...]
    datasets: tuple[tuple[object, ...], ...]
    n_annotations: int
    n_remote: int
    n_remote_keys: int
    n_remote_annotations: int
    n_copies: int
    n_projects: int

    def lost(self, expected: "End") -> int:
        """How many draws, tasks, labels, versions and answers of the undisturbed course aren't there."""
        missing = [
            set(whole) - set(found)
            for whole, found in (
                (expected.draws, self.draws),
                (expected.tasks, self.tasks),
                (expected.labels, self.labels),
                (expected.datasets, self.datasets),
            )
        ]
        return sum(map(len, missing)) + max(0, expected.n_annotations - self.n_annotations)

    @property
    def n_duplicated(self) -> int:
        """How many tasks stand in Label Studio a second time, and answers there or in the ledger."""
        return (
            self.n_remote - self.n_remote_keys + abs(self.n_remote_annotations - self.n_annotations)
        )


class Course:
    """The servers, and the ledger that every trial starts from: one identity, one line."""

    settings = SETTINGS

    def __init__(
        self,
        home: Path,
        seaweedfs: SeaweedFS,
        label_studio: LabelStudio | None,
        *,
        through: tuple[str, str] | None = None,
    ) -> None:
        """`through`: the addresses of Label Studio and of S3 that the loop goes by, if they differ."""
        import boto3
        from botocore.config import Config

        preload()
        self.home = home
        self._s3 = boto3.client(
            "s3",
            endpoint_url=seaweedfs.endpoint_url,
            aws_access_key_id=seaweedfs.access_key,
            aws_secret_access_key=seaweedfs.secret_key,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={}),
        )
        self._settings = {
            "endpoint_url": through[1] if through else seaweedfs.endpoint_url,
            "access_key": seaweedfs.access_key,
            "secret_key": seaweedfs.secret_key,
        }
        if label_studio is not None:
            self._meet(label_studio, through[0] if through else label_studio.url)
        self._template = home / "template"
        self._template.mkdir(parents=True)
        self._write(self._template, "inputs", "blind")
        in_child(self._template, _make_identity)
        self.predicted_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _meet(self, label_studio: LabelStudio, url: str) -> None:
        people = RealPeople(label_studio)
        self._tokens = (label_studio.legacy_token, people._token("ana"))
        people.client.close()
        self._api = httpx.Client(
            base_url=label_studio.url,
            headers={"Authorization": f"Token {label_studio.legacy_token}"},
            timeout=120,
            trust_env=False,
        )
        self._settings |= {
            "label_studio_url": url,
            "api_key": label_studio.personal_access_token(),
        }

    def close(self) -> None:
        self._api.close()
        self._s3.close()

    def _write(self, folder: Path, bucket: str, blind_bucket: str) -> None:
        text = self.settings.format(bucket=bucket, blind_bucket=blind_bucket, **self._settings)
        (folder / "labelloop.toml").write_text(text, encoding="utf-8")

    def run(self, kills: Mapping[int, int]) -> tuple[End, dict[int, list[str]], list[str]]:
        """The end of a course in which stage i is killed at its kills[i]-th point (0 or absent: never).

        Returns it with the points that each stage reached when it ran whole, and where it was killed.
        """
        points: dict[int, list[str]] = {}
        killed: list[str] = []

        def run(i: int, stage: Stage, folder: Path) -> None:
            at = kills.get(i, 0)
            if at:
                done, seen = in_child(folder, stage_run(stage), kill_at=at)
                if not done:
                    killed.append(f"run {i + 1}, {seen[-1] if seen else 'at its start'}")
            done, points[i] = in_child(folder, stage_run(stage))
            assert done

        return self.play(run), points, killed

    def play(self, run: Callable[[int, Stage, Path], None]) -> End:
        """The end of a course whose stages are carried out by `run`, given number, stage and folder."""
        folder = self.home / f"trial-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self._template, folder)
        # the store names no bucket in a sample_id, so ends can be compared
        bucket, blind = (f"{kind}-{uuid.uuid4().hex[:12]}" for kind in ("chaos", "blind"))
        for name in (bucket, blind):
            self._s3.create_bucket(Bucket=name)
        self._write(folder, bucket, blind)
        try:
            for i, stage in enumerate(STAGES):
                if i == 0:
                    self._traffic(bucket, range(N_FIRST))
                elif i == 1:
                    self._traffic(bucket, range(N_FIRST, N_FIRST + N_SECOND))
                    self._flag(bucket, (2, 5, 7))
                if i > 0:
                    self._answer(folder, i)
                run(i, stage, folder)
            return self._end(folder, blind)
        finally:
            self._clear(folder, (bucket, blind))

    # --- the world ----------------------------------------------------------------------------

    def _traffic(self, bucket: str, numbers: range) -> None:
        for n in numbers:
            digest = hashlib.sha256(str(n).encode()).digest()
            tags = {
                "predicted_class": _predicted(n),
                "confidence": f"{digest[1] / 255:.3f}",
                "timestamp": self.predicted_at,
            }
            self._put_tags(bucket, self._put(bucket, n), tags)

    def _put(self, bucket: str, n: int) -> str:
        key = f"class_{n % 2:02d}/{n:04d}.png"
        self._s3.put_object(Bucket=bucket, Key=key, Body=self._image(n))
        return key

    def _image(self, n: int) -> bytes:
        return f"image {n}".encode()

    def _put_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        pairs: Any = [{"Key": k, "Value": v} for k, v in tags.items()]
        self._s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": pairs})

    def _flag(self, bucket: str, numbers: tuple[int, ...]) -> None:
        for n in numbers:
            key = f"class_{n % 2:02d}/{n:04d}.png"
            held = self._s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            tags = {t["Key"]: t["Value"] for t in held} | {"flagged": "true"}
            self._put_tags(bucket, key, tags)

    # --- people -------------------------------------------------------------------------------

    def _projects(self) -> list[int]:
        found = self._api.get("/api/projects/", params={"page_size": 100}).raise_for_status().json()
        return [p["id"] for p in found["results"] if p["title"].startswith("chaos: ")]

    def _tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for project in self._projects():
            asked = {"project": project, "page_size": 500, "fields": "all"}
            answer = self._api.get("/api/tasks", params=asked).raise_for_status().json()
            found += answer["tasks"]
        return found

    def _answer(self, folder: Path, stage: int) -> None:  # noqa: ARG002  DeskCourse counts by it
        """Answer every open task, before a stage."""
        asked = {
            str(key): (str(sample), int(str(look)))
            for key, sample, look in query(folder, "SELECT task_key, sample_id, look FROM tasks")
        }
        for task in self._tasks():
            if task["annotations"]:
                continue
            sample, look = asked[task["data"]["labelloop"]]
            self._say(task["id"], said_of(sample, look), look).raise_for_status()

    def _say(self, task: int, said: str, look: int) -> httpx.Response:
        value = {"choices": [said]}
        one = {"from_name": "label", "to_name": "image", "type": "choices", "value": value}
        return self._api.post(
            f"/api/tasks/{task}/annotations/",
            json={"result": [one]},
            headers={"Authorization": f"Token {self._tokens[min(look, 1)]}"},
        )

    # --- the end ------------------------------------------------------------------------------

    def _end(self, folder: Path, blind: str) -> End:
        remote, n_projects = self._remote(folder)
        held = self._s3.list_objects_v2(Bucket=blind).get("Contents", [])
        copies = [found for found in held if found["Key"] != "labelloop-check"]
        return End(
            draws=query(
                folder,
                "SELECT round, queue, sample_id, model, predicted_class, confidence, risk, line, "
                "inclusion, uniform, position, reason, content_hash, task_key FROM draws "
                "ORDER BY round, queue, position",
            ),
            tasks=query(
                folder,
                "SELECT task_key, sample_id, queue, purpose, state, attempt FROM tasks ORDER BY 1",
            ),
            labels=query(folder, "SELECT task_key, label, n_votes FROM labels ORDER BY 1"),
            datasets=query(
                folder, "SELECT name, version, content_hash, state FROM datasets ORDER BY 1, 2"
            ),
            n_annotations=len(
                query(folder, "SELECT DISTINCT task_key, remote_id FROM annotations")
            ),
            n_remote=len(remote),
            n_remote_keys=len({key for key, _ in remote}),
            n_remote_annotations=sum(n for _, n in remote),
            n_copies=len(copies),
            n_projects=n_projects,
        )

    def _remote(self, folder: Path) -> tuple[list[tuple[str, int]], int]:  # noqa: ARG002  DeskCourse's
        """The key of each task with how many answers it has, and the number of projects."""
        found = [(t["data"]["labelloop"], len(t["annotations"])) for t in self._tasks()]
        return found, len(self._projects())

    def _remove_projects(self) -> None:
        for project in self._projects():
            self._api.delete(f"/api/projects/{project}/").raise_for_status()

    def _clear(self, folder: Path, buckets: tuple[str, ...]) -> None:
        self._remove_projects()
        for bucket in buckets:
            for found in self._s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                self._s3.delete_object(Bucket=bucket, Key=found["Key"])
            self._s3.delete_bucket(Bucket=bucket)
        shutil.rmtree(folder)


def _predicted(n: int) -> str:
    """What the model says of the n-th input."""
    return ("cat", "dog")[hashlib.sha256(str(n).encode()).digest()[0] % 2]


def said_of(sample: str, look: int) -> str:
    """What people say of a sample; it depends on the sample alone.

    A second look is the referee's, who finds the model right: so there is none after it.
    """
    if look:
        return _predicted(int(sample[-8:-4]))
    return ("cat", "dog")[hashlib.sha256(sample.encode()).digest()[2] % 2]


def query(folder: Path, statement: str, *, of: str = "ledger.db") -> tuple[tuple[object, ...], ...]:
    """Rows of the ledger of a project, or of another of its databases."""
    with sqlite3.connect(folder / ".labelloop" / of) as connection:
        rows = tuple(tuple(row) for row in connection.execute(statement))
    connection.close()
    return rows


def stage_run(stage: Stage) -> Callable[[Path], None]:
    """`labelloop run` in the project's folder, at the stage's time; an error of a verb is one here."""

    def run(folder: Path) -> None:
        with open_loop(folder / "labelloop.toml", clock=Later(stage.ahead)) as loop:
            ran = loop.run(now=stage.close_round)
            for error in ran.failures.values():
                raise error

    return run


def _make_identity(folder: Path) -> None:
    with open_loop(folder / "labelloop.toml") as loop:
        loop.project.ledger.create_identity()


def in_child(
    folder: Path, do: Callable[[Path], None], *, kill_at: int = 0
) -> tuple[bool, list[str]]:
    """Do it in a process of its own; whether it came to its end, and the points it reached.

    A process that was killed tells of all points that it had written down, the last one included.
    """
    note = folder / "points.json"
    note.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _live(folder, do, kill_at, note)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False, note.read_text().splitlines() if note.exists() else []
    if os.waitstatus_to_exitcode(status):
        raise AssertionError((folder / "error.txt").read_text())
    return True, json.loads(note.read_text())


def _live(folder: Path, do: Callable[[Path], None], kill_at: int, note: Path) -> None:
    code = 1
    try:
        points = Points(folder / ".labelloop", kill_at, note)
        points.install()
        do(folder)
        note.write_text(json.dumps(points.seen))
        code = 0
    except BaseException:  # noqa: BLE001  told to the parent process
        (folder / "error.txt").write_text(traceback.format_exc())
    finally:
        os._exit(code)
