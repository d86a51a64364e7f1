"""What an application captures is what labelloop reads, on a real S3 server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import labelloop
from labelloop.core.where import Where
from labelloop_capture import Capture

if TYPE_CHECKING:
    from labelloop.demo.servers import SeaweedFS

PNG = b"\x89PNG\r\n\x1a\n"
SOURCE = """
[source]
kind = "{kind}"
uri = "s3://{bucket}/predictions"
attributes = ["site"]
"""


@pytest.fixture
def folder(tmp_path: Path, seaweedfs: "SeaweedFS", bucket: str) -> Path:
    own = seaweedfs.access
    (tmp_path / "labelloop.toml").write_text(
        f"""
[project]
name = "captured"
classes = ["cat", "dog"]

[store]
uri = "s3://{bucket}/inputs"
endpoint_url = "{own.endpoint_url}"
access_key = "{own.access_key}"
secret_key = "{own.secret_key}"

[label_studio]
url = "http://127.0.0.1:9"
api_key = "unused"

[[queue]]
name = "accuracy"
purpose = "evaluation"
images = "label-studio"
budget = 2
"""
    )
    return tmp_path


@pytest.fixture
def client(seaweedfs: "SeaweedFS") -> dict[str, str | None]:
    own = seaweedfs.access
    return {
        "endpoint_url": own.endpoint_url,
        "aws_access_key_id": own.access_key,
        "aws_secret_access_key": own.secret_key,
        "region_name": "us-east-1",
    }


@pytest.mark.parametrize("form", ["tags", "jsonl", "parquet"])
def test_what_is_captured_is_indexed(
    form: str, folder: Path, bucket: str, client: dict[str, str | None], tmp_path: Path
) -> None:
    if form != "tags":
        settings = folder / "labelloop.toml"
        settings.write_text(settings.read_text() + SOURCE.format(kind=form, bucket=bucket))
    capture = Capture(
        f"s3://{bucket}/inputs", model="v3", form=form, sampling_rate=0.999999, spool=tmp_path / "spool",
        **client,
    )  # fmt: skip
    ids = [
        capture.log(PNG + bytes([i]), "cat", i / 8, attributes={"site": "Zürich"}) for i in range(8)
    ]
    assert capture.flush(20)
    assert capture.flag(str(ids[0]))
    assert capture.correct(str(ids[1]), "dog")
    assert capture.flush(20)
    capture.close()
    assert capture.counts() == {"taken": 10, "sent": 10, "waiting": 0}
    with labelloop.open(folder / "labelloop.toml") as loop:
        found = loop.index()
        assert [r.reason for r in loop.rejected()] == []
        assert (found.n_new, found.n_set_aside, found.n_feedback) == (8, 0, 2)
        log = loop.project.log
        heard = log.received(0, 1_000, Where.parse("flagged or corrected_class is not null"))
        rows = log.predictions([row.sample_id for row in heard])
    assert {(r.flagged, r.corrected_class) for r in heard} == {(True, None), (None, "dog")}
    assert all(row.model == "v3" for row in rows)
    assert not list((tmp_path / "spool").iterdir())


def test_a_row_tells_of_each_prediction_once_after_a_kill(
    folder: Path, bucket: str, client: dict[str, str | None], tmp_path: Path
) -> None:
    """A process that is gone leaves its rows on disk; the next stores them, under a key of their own."""
    spool = tmp_path / "spool"
    left = spool / "1-dead"
    left.mkdir(parents=True)
    row = {
        "sample_id": "inputs/a.png",
        "predicted_class": "cat",
        "predicted_at": "2026-03-01T12:00:00Z",
    }
    (left / "2026-03-01_abc.rows").write_text(json.dumps(row) + "\n" + '{"cut')
    capture = Capture(f"s3://{bucket}/inputs", form="jsonl", spool=spool, **client)
    capture.log(PNG, "dog")
    assert capture.flush(20)
    capture.close()
    settings = folder / "labelloop.toml"
    settings.write_text(settings.read_text() + SOURCE.format(kind="jsonl", bucket=bucket))
    with labelloop.open(settings) as loop:
        assert loop.index().n_new == 2
