"""`send`, beside Label Studio's own import of the same tasks in the same batches.

python -m bench.send_rate [--tasks 20000]

Label Studio keeps its data in SQLite here, as in its quick start; it runs on this machine's cores too.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from bench.index_bucket import BUCKET, boto, upload
from bench.table import Row, lines

from labelloop.demo.servers import LabelStudio, SeaweedFS, template_home
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.steps.send.batches import BATCH

USER = {"username": "demo@labelloop.example", "password": "labelloop-demo"}
SETTINGS = """
[project]
name = "bench"
classes = [{classes}]
[store]
uri = "s3://production"
endpoint_url = "{store.endpoint_url}"
access_key = "{store.access_key}"
secret_key = "{store.secret_key}"
[label_studio]
url = "{studio.url}"
api_key = "{token}"
[[queue]]
name = "everything"
purpose = "training"
where = "confidence >= 0.0"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    print(*lines(measure(parser.parse_args().tasks)), sep="\n")


def measure(n: int) -> list[Row]:
    """Send n tasks, and import them again."""
    with (
        tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place,
        SeaweedFS(Path(place, "store")) as store,
        LabelStudio(Path(place, "studio"), template=template_home(), **USER) as studio,
    ):
        studio.wait_ready()
        with httpx.Client(
            base_url=studio.url,
            headers={"Authorization": f"Token {studio.legacy_token}"},
            timeout=600,
            trust_env=False,
        ) as api:
            ours_s = ours(Path(place), store, studio, n)
            bare_s = bare(api, *sent(api))
    return [Row(what="send", size=n, unit="tasks", ours=n / ours_s, limit=n / bare_s)]


def ours(place: Path, store: SeaweedFS, studio: LabelStudio, n: int) -> float:
    classes = ", ".join(f'"class {i}"' for i in range(10))
    token = studio.personal_access_token()
    text = SETTINGS.format(classes=classes, store=store, studio=studio, token=token)
    (place / "labelloop.toml").write_text(text)
    client = boto(store.access)
    client.create_bucket(Bucket=BUCKET)
    upload(client, 0, n)
    with Loop(Project(load(place / "labelloop.toml", {}))) as loop:
        loop.index()
        loop.select(now=True)
        begin = time.perf_counter()
        said = loop.send()
        took_s = time.perf_counter() - begin
        assert said.n_sent == n, said
    return took_s


def sent(api: httpx.Client) -> tuple[list[list[dict[str, Any]]], str]:
    """What `send` sent, in batches of the same size, and the labelling config."""
    [project] = api.get("/api/projects/").raise_for_status().json()["results"]
    tasks: list[dict[str, Any]] = []
    page = 1
    while len(tasks) < project["task_number"]:
        asked = {"project": project["id"], "page": page, "page_size": 1000, "fields": "all"}
        tasks += api.get("/api/tasks", params=asked).raise_for_status().json()["tasks"]
        page += 1
    tasks.sort(key=lambda task: task["id"])
    data = [{"data": task["data"]} for task in tasks]
    return [data[i : i + BATCH] for i in range(0, len(data), BATCH)], project["label_config"]


def bare(api: httpx.Client, batches: list[list[dict[str, Any]]], config: str) -> float:
    """Seconds that the imports take, one after the other."""
    made = api.post("/api/projects/", json={"title": "bare", "label_config": config})
    project = made.raise_for_status().json()["id"]
    begin = time.perf_counter()
    for batch in batches:
        url = f"/api/projects/{project}/import"
        answer = api.post(url, params={"return_task_ids": "true"}, json=batch).raise_for_status()
        assert len(answer.json()["task_ids"]) == len(batch)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
