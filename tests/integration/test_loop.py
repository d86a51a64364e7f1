"""The whole job, on real servers, through the command line."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.integration.conftest import CLASSES, People, Project

N = 60


def fill(project: Project, n: int = N, start: int = 0) -> None:
    """Traffic: the class predicted stands in the key, as applications write it."""
    rng = random.Random(start)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for i in range(start, start + n):
        predicted = rng.randrange(len(CLASSES))
        key = f"class_{predicted:02d}/{i:04d} a+b%.png"
        project.truth[key] = (
            CLASSES[rng.randrange(len(CLASSES))] if i % 4 == 0 else CLASSES[predicted]
        )
        tags = {
            "predicted_class": f"c{predicted}",
            "confidence": f"{rng.random():.3f}",
            "timestamp": now,
        }
        if i % 10 == 3:
            tags["flagged"] = "true"
        project.upload(key, body=f"image {i}".encode(), **tags)


def plain_classes(text: str) -> str:
    """S3 tags hold no `<` or `"` everywhere: the application's tags name c0..c3."""
    return text.replace(json.dumps(CLASSES, ensure_ascii=False), '["c0", "c1", "c2", "c3"]')


def rows(project: Project, dataset: str, version: int) -> list[dict[str, Any]]:
    path = Path(project.folder, ".labelloop/datasets", dataset, f"v{version:04d}")
    table = pq.read_table(path / "manifest.parquet")
    described = json.loads((path / "dataset.json").read_text())
    assert described["counts"]["rows"] == table.num_rows
    return list(table.to_pylist())


def answer_all(project: Project, people: People) -> dict[str, str]:
    """Answer every open task with the truth, which people tell from the image; returns task: answer."""
    by_body = {key.encode(): key for key in project.truth}
    answers: dict[str, str] = {}
    for found in people.projects(project.name).values():
        for task in people.tasks(found["id"]):
            if task["annotations"]:
                continue
            number = int(people.sees(task).content.removeprefix(b"image "))
            key = next(k for k in by_body.values() if f"/{number:04d} " in k)
            said = f"c{CLASSES.index(project.truth[key])}"
            people.answer(task["id"], said)
            answers[key] = said
    return answers


def test_the_loop_closes(project: Project, people: People) -> None:
    project.write(plain_classes)
    fill(project)
    first = project.ok("run")
    assert f"{N} new ({N} listed)" in first
    assert "no accuracy yet: no blind draw has an answer" in first

    answers = answer_all(project, people)
    second = project.ok("run")
    assert f"collect  {len(answers)} labels" in second
    assert "no round is due" in second

    evaluation = rows(project, "evaluation", 1)
    assert len(evaluation) == 12
    assert {row["inclusion"] for row in evaluation} == {12 / N}
    n_right = sum(row["label"] == f"c{int(row['sample_id'][6:8])}" for row in evaluation)
    measured = project.json("measure")
    assert measured["rounds"][0]["estimate"]["value"] == n_right / 12
    assert measured["rounds"][0]["n_traffic"] == N

    training = rows(project, "training", 2)
    assert {r["sample_id"] for r in training}.isdisjoint(r["sample_id"] for r in evaluation)
    human = [r for r in training if r["origin"] == "human"]
    assert {r["sample_id"] for r in human} == set(answers) - {r["sample_id"] for r in evaluation}
    assert all(r["label"] == answers[r["sample_id"]] for r in human + evaluation)
    model = [r for r in training if r["origin"] == "model"]
    assert model
    assert all(
        r["confidence"] >= 0.8 and r["label"] == f"c{int(r['sample_id'][6:8])}" for r in model
    )

    third = project.ok("run")
    assert "collect  0 labels" in third
    assert "training v2: unchanged; evaluation v1: unchanged" in third


def test_a_second_round_draws_only_what_is_new(project: Project, people: People) -> None:
    project.write(plain_classes)
    fill(project, 30)
    first = project.json("run")
    fill(project, 20, start=30)
    second = project.json("run", "--now")
    assert first["selected"]["n_frame"] == 30
    assert second["selected"]["n_frame"] == 20
    assert second["indexed"]["n_new"] == 20
    n_tasks = sum(len(people.tasks(p["id"])) for p in people.projects(project.name).values())
    assert n_tasks == sum(p["n_drawn"] for r in (first, second) for p in r["selected"]["plans"])


def test_edits_skips_and_deletions_are_honoured(project: Project, people: People) -> None:
    project.write(plain_classes)
    fill(project)
    project.ok("run")
    tasks = people.tasks(people.project(project.name, "accuracy")["id"])
    ids = [people.answer(task["id"], "c0") for task in tasks[:3]]
    people.skip(tasks[3]["id"])
    assert project.json("collect")["n_labels"] == 3
    result = [
        {
            "from_name": "label",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": ["c1"]},
        }
    ]
    people.api.patch(f"/api/annotations/{ids[0]}/", json={"result": result}).raise_for_status()
    people.api.delete(f"/api/annotations/{ids[1]}/").raise_for_status()
    people.answer(tasks[4]["id"], "no such class")
    collected = project.json("collect")
    assert (collected["n_edited"], collected["n_deleted"]) == (1, 1)
    assert [s["value"] for s in collected["strays"]] == ["no such class"]
    window = project.json("measure")["last_seven_days"]
    assert (window["n_labelled"], window["n_skipped"], window["n_waiting"]) == (2, 1, 9)
    project.ok("build")
    assert sorted(r["label"] for r in rows(project, "evaluation", 1)) == ["c0", "c1"]


def test_exports_hold_what_the_manifest_says(project: Project, people: People) -> None:
    project.write(plain_classes)
    fill(project)
    project.ok("run")
    answer_all(project, people)
    project.ok("run")
    out = project.folder / "out"
    export = ("datasets", "export", "training", "--to", "imagefolder", "--target", str(out))
    done = project.json(*export)
    manifest = rows(project, "training", 2)
    assert (done["n_written"], done["n_gone"], done["target"]) == (len(manifest), 0, str(out))
    for row in manifest:
        (image,) = (out / row["label"]).glob(f"*-{Path(row['sample_id']).name}")
        assert image.read_bytes() == f"image {int(row['sample_id'][9:13])}".encode()
    lost = manifest[0]
    project.s3.delete_object(Bucket=project.bucket, Key=lost["sample_id"])
    (image,) = (out / lost["label"]).glob(f"*-{Path(lost['sample_id']).name}")
    image.unlink()
    said = project.ok(*export)
    assert f"{len(manifest) - 1} there already" in said
    assert "1 left out: the store has no such object any more" in said
    assert lost["sample_id"] in said
    for to in ("huggingface", "webdataset", "jsonl"):
        project.ok("datasets", "export", "training", "--to", to)
    project.ok("datasets", "export", "evaluation@1", "--to", "csv", "--target", str(out / "e.csv"))
    changed = project.json("datasets", "diff", "training@1", "training@2")
    assert {c["kind"] for c in changed["changes"]} <= {"added", "removed", "relabelled"}
    assert "From training v1 to training v2" in project.ok(
        "datasets", "diff", "training@1", "training"
    )


def test_a_lost_ledger_is_rebuilt(project: Project, people: People) -> None:
    project.write(plain_classes)
    fill(project)
    project.ok("run")
    answers = answer_all(project, people)
    project.ok("run")
    before = {(r["sample_id"], r["label"]) for r in rows(project, "evaluation", 1)}
    n_tasks = {p["title"]: p["task_number"] for p in people.projects(project.name).values()}
    for path in Path(project.folder, ".labelloop").glob("ledger.db*"):
        path.unlink()
    refused = project.run("run")
    assert refused.returncode == 1
    assert "labelloop ledger rebuild" in refused.stderr

    found = project.json("ledger", "rebuild")
    assert found["n_answers"] == len(answers)
    assert found["versions"] == ["evaluation v1", "training v1", "training v2"]
    again = project.ok("run")
    assert f"collect  {len(answers)} labels" in again
    # the smallest places of the traffic are those that were drawn before, so they have their answers
    assert project.json("measure")["last_seven_days"]["n_labelled"] == 12
    newest = max(
        d["version"] for d in project.json("datasets", "list") if d["name"] == "evaluation"
    )
    assert before <= {(r["sample_id"], r["label"]) for r in rows(project, "evaluation", newest)}
    now = {p["title"]: p["task_number"] for p in people.projects(project.name).values()}
    assert now[f"{project.name}: accuracy"] == n_tasks[f"{project.name}: accuracy"]
