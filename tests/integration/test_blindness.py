"""Nothing that an annotator of a blind queue can open holds the prediction."""

from typing import TYPE_CHECKING

from tests.integration.conftest import People, Project
from tests.integration.test_loop import fill, plain_classes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECRETS = ("class_0", "predicted_class", "confidence", "corrected", "flagged", "timestamp")


def held(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_a_blind_task_holds_nothing_of_the_prediction(
    project: Project, people: People, s3: "S3Client"
) -> None:
    project.write(plain_classes)
    fill(project)
    project.ok("run")
    blind = people.project(project.name, "accuracy")
    shown = people.project(project.name, "low-confidence")

    tasks = people.tasks(blind["id"])
    assert len(tasks) == 12
    for task in tasks:
        assert set(task["data"]) == {"image", "labelloop"}
        assert not task["meta"]
        assert not task["predictions"]
        detail = people.api.get(f"/api/tasks/{task['id']}/").text
        image = people.sees(task)
        assert image.headers["content-type"] == "image/png"
        assert held(detail) == held(str(image.headers)) == held(str(image.url)) == []

    for path in (
        f"/api/projects/{blind['id']}/",
        f"/api/dm/columns?project={blind['id']}",
        f"/api/projects/{blind['id']}/export?exportType=JSON&download_all_tasks=true",
        f"/api/projects/{blind['id']}/export?exportType=CSV&download_all_tasks=true",
        f"/projects/{blind['id']}/data",
    ):
        answer = people.api.get(path, follow_redirects=True)
        assert answer.status_code == 200
        # Label Studio's own words for its settings and pages are no prediction
        text = answer.text.replace("show_collab_predictions", "")
        own = ["confidence"] if path.startswith("/projects/") else []
        assert [s for s in held(text) if s not in own] == [], path

    copies = s3.list_objects_v2(Bucket=project.blind_bucket)["Contents"]
    assert len(copies) == 12
    for copy in copies:
        assert len(copy["Key"]) == 32
        assert s3.get_object_tagging(Bucket=project.blind_bucket, Key=copy["Key"])["TagSet"] == []
        assert s3.head_object(Bucket=project.blind_bucket, Key=copy["Key"])["Metadata"] == {}

    # the test can fail: a queue that shows the prediction does hold it
    assert all(held(str(task["data"])) for task in people.tasks(shown["id"]))


def test_without_a_place_for_copies_only_blind_queues_are_refused(
    project: Project, people: People
) -> None:
    project.write(
        lambda t: plain_classes(t).replace(f'blind_uri = "s3://{project.blind_bucket}"\n', "")
    )
    fill(project)
    done = project.run("run")
    assert done.returncode == 1
    assert people.tasks(people.project(project.name, "low-confidence")["id"])
    assert "[store] blind_uri is not set, and the blind queue 'accuracy' needs it" in done.stdout
    assert 'add blind_uri = "s3://a-writable-bucket"' in done.stdout
    project.write(plain_classes)
    assert project.json("run")["sent"]["n_sent"] == 12
