"""A person is erased on real servers: afterwards everything is searched for what was theirs."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import People, Project
from tests.integration.test_loop import plain_classes
from tests.remains import holding

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PERSON = "zoe"


def fill(project: Project) -> list[str]:
    """Traffic, every second of it the person's: some of it sure, some not, some flagged; their keys."""
    keys = []
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for i in range(40):
        who = PERSON if i % 2 else "ben"
        key = f"{who}/{i:02d} a+b%.png"
        tags = {"predicted_class": f"c{i % 4}", "confidence": f"{i / 40:.3f}"}
        if i % 8 < 2:
            tags["flagged"] = "true"
        project.upload(key, body=f"image {i} of {who}".encode(), timestamp=now, **tags)
        if who == PERSON:
            keys.append(key)
    return keys


def said_by_label_studio(people: People, project: Project) -> str:
    """All that its API tells of the project: settings, tasks, annotations, drafts, exports."""
    said = []
    for found in people.projects(project.name).values():
        said.append(json.dumps(found))
        said.append(json.dumps(people.tasks(found["id"])))
        asked = {"exportType": "JSON", "download_all_tasks": "true"}
        answer = people.api.get(f"/api/projects/{found['id']}/export", params=asked)
        said.append(answer.raise_for_status().text)
    return "".join(said)


def copied(s3: "S3Client", bucket: str) -> bytes:
    """The bytes of all blind copies."""
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return b"\n".join(s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in listed)


def answer_all(project: Project, people: People) -> None:
    for found in people.projects(project.name).values():
        for task in people.tasks(found["id"]):
            people.answer(task["id"], f"c{task['id'] % 4}")


def accuracies(project: Project) -> Any:
    found = project.json("measure")
    return [found["last_seven_days"], found["rounds"], found["days"], found["confusion"]]


def test_nothing_is_left_of_a_person_anywhere(
    project: Project, people: People, s3: "S3Client"
) -> None:
    project.write(plain_classes)
    keys = fill(project)
    project.ok("run")
    answer_all(project, people)
    project.ok("run")
    project.ok("datasets", "export", "training", "--to", "jsonl")
    before = accuracies(project)
    state = project.folder / ".labelloop"
    assert {"ledger.db", "catalog.db"} & set(holding(state, PERSON))
    assert PERSON in said_by_label_studio(people, project)
    assert PERSON.encode() in copied(s3, project.blind_bucket)

    listed = project.folder / "person.txt"
    listed.write_text("\n".join(keys))
    done = project.json("forget", "--from", str(listed), "--yes")

    assert (done["n_samples"], done["n_predictions"]) == (20, 20)
    assert done["n_copies"] > 0
    assert {r["name"] for r in done["redacted"]} == {"evaluation", "training"}
    assert [e["target"] for e in done["exports"]] == [
        str(project.folder / "training-v2.jsonl"),
    ]
    assert holding(state, PERSON) == []
    assert PERSON not in said_by_label_studio(people, project)
    assert PERSON.encode() not in copied(s3, project.blind_bucket)
    assert b"ben" in copied(s3, project.blind_bucket)
    assert accuracies(project) == before
    assert len(done["inputs"]) == 20
    assert s3.head_object(Bucket=project.bucket, Key=keys[0])

    again = project.json("run", "--now")
    assert again["failures"] == {}
    assert again["indexed"]["n_new"] == 0
    assert holding(state, PERSON) == []
    assert PERSON not in said_by_label_studio(people, project)
