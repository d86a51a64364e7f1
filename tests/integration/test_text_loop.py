"""A language model's answers in Parquet, its texts in Label Studio: the loop, twice, on real servers."""

import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.conftest import CLASSES, People, Project

PROSE = "I'd say that is a cat. <script>alert(1)</script>"
SURE = (0, 20, 35, 50, 60, 70, 75, 80, 85, 90, 95, 99)  # a dozen values, as language models give


def settings(text: str) -> str:
    """The project's settings with a table of texts, and without a place for blind copies."""
    head, store, rest = text.partition("[store]")
    store, _, rest = rest.partition("[label_studio]")
    store = "\n".join(line for line in store.splitlines() if not line.startswith("blind_uri"))
    source = """
[input]
kind = "text"

[source]
kind = "parquet"
uri = "s3://{bucket}/answers"
confidence_divisor = 100
predicted_at_unit = "milliseconds"
attributes = ["language"]

[source.columns]
sample_id = "request_id"
text = "mail"
predicted_class = "answer"
confidence = "sure"
predicted_at = "created"
model = "llm"
probabilities = "scores"
"""
    bucket = store.split('"s3://')[1].split('"')[0]
    head += 'invalid_prediction = "wrong"\n'
    rest = rest.replace("confidence < 0.5", "confidence < 0.5 and attributes.language = 'de'")
    rest = rest.replace("\nwhere =", '\npick = "diverse"\nembed = "text"\nwhere =', 1)
    return f"{head}[store]{store}{source.format(bucket=bucket)}\n[label_studio]{rest}"


def write_day(project: Project, name: str, first: int, n: int) -> None:
    """A day's log: one file. The answer to every tenth mail names no class; one row has no time."""
    rng = random.Random(name)
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "request_id": f"{first + i}",
            "mail": f"mail {first + i}: <b>&amp; $text {{{{x}}}}",
            "answer": PROSE if i % 10 == 3 else rng.choice(CLASSES),
            "sure": (sure := rng.choice(SURE)),
            "scores": [sure / 100, 1 - sure / 100],
            "created": int((now - timedelta(minutes=i)).timestamp() * 1000),
            "llm": "sorter-3",
            "language": rng.choice(["de", "fr"]),
        }
        for i in range(n)
    ]
    rows[5] |= {"created": None}
    project.truth = {row["mail"]: row["answer"] for row in rows} | project.truth
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=50)
    project.s3.put_object(
        Bucket=project.bucket, Key=f"answers/{name}.parquet", Body=sink.getvalue()
    )


def answer_all(project: Project, people: People) -> int:
    """Answer every open task: right where the model named a class, `CLASSES[0]` elsewhere."""
    n = 0
    for queue in ("accuracy", "low-confidence"):
        for task in people.tasks(people.project(project.name, queue)["id"]):
            if not task["is_labeled"]:
                said = project.truth[task["data"]["text"]]
                people.answer(task["id"], said if said in CLASSES else CLASSES[0], kind="text")
                n += 1
    return n


def test_texts_go_from_a_parquet_file_to_people_and_into_datasets(
    project: Project, people: People
) -> None:
    project.write(settings)
    write_day(project, "day=1/a", 0, 120)
    first = project.json("run")
    assert (first["indexed"]["n_new"], first["indexed"]["n_rows"]) == (119, 120)
    assert first["failures"] == {}
    (taught,) = [p for p in first["selected"]["plans"] if p["queue"] == "low-confidence"]
    assert (taught["chosen"], taught["left_out"]) == (True, None)
    assert taught["n_drawn"] == min(6, taught["n_matching"]) > 0
    rejected = project.ok("status", "--rejected")
    assert f"s3://{project.bucket}/answers/day=1/a.parquet#6  no timestamp" in rejected

    blind = people.tasks(people.project(project.name, "accuracy")["id"])
    assert len(blind) == 12
    assert all(set(task["data"]) == {"text", "labelloop"} for task in blind)
    assert all(task["data"]["text"] in project.truth for task in blind)
    n_unusable = sum(project.truth[task["data"]["text"]] == PROSE for task in blind)
    n_answered = answer_all(project, people)

    write_day(project, "day=2/a", 115, 120)
    second = project.json("run", "--now")
    assert second["failures"] == {}
    # five mails of the day before are in this file too, and one has no time
    assert second["indexed"]["n_rows"] == 120
    assert second["indexed"]["n_new"] == 114
    assert second["collected"]["n_labels"] == n_answered
    assert second["sent"]["n_sent"] > 0
    estimate = second["measured"]["last_seven_days"]["estimate"]
    assert estimate["n"] == 12
    assert estimate["value"] == pytest.approx(1 - n_unusable / 12, rel=1e-12)  # one rounding
    assert second["built"]["evaluation"]["n_human"] == 12
    answer_all(project, people)
    third = project.json("run")
    assert third["indexed"]["n_files"] == 0
    assert third["built"]["evaluation"]["n_human"] == 24

    for version in project.json("datasets", "list"):
        for row in pq.read_table(f"{version['uri']}/manifest.parquet").to_pylist():
            assert row["text"] in project.truth
            assert row["origin"] == "human" or project.truth[row["text"]] in CLASSES
