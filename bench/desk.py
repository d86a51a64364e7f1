"""How long people wait at the labelling page: 100,000 open tasks, ten people, a verb at work.

Run it with `python -m bench.desk [SECONDS]`. The service, the verb and the people are processes of their own.
The verb sends tasks and collects answers without a pause. Each person asks for items as the page's script
does, and takes half a second an answer. It prints how long an answer takes until it is safe on the disk and
the browser knows, how long further items take, and what an answer costs the service.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
from tests.labelling import LabellingService

from labelloop.adapters.desk.annotator import DeskAnnotator
from labelloop.ports.annotator import TaskData

N_OPEN = 100_000
N_PEOPLE = 10
BATCH = 250
THINK_S = 0.5
HELD, REFILL_AT = 10, 5
"""How many items a browser asks for, and at how many left it asks again: see label.js."""


def main(seconds: float) -> None:
    """Fill a desk, let people and verbs work, and print the percentiles."""
    with tempfile.TemporaryDirectory() as name:
        here, there = multiprocessing.Pipe()
        service = multiprocessing.Process(target=serve, args=(Path(name), there))
        service.start()
        url, ref, tokens = here.recv()
        ending = multiprocessing.Event()
        verb = multiprocessing.Process(target=work, args=(Path(name), ref, ending))
        verb.start()
        answers: list[float] = []
        items: list[float] = []
        people = [
            threading.Thread(target=label, args=(url, token, seconds, answers, items))
            for token in tokens
        ]
        begun = cpu_s(service.pid)
        for each in people:
            each.start()
        for each in people:
            each.join()
        spent = cpu_s(service.pid) - begun
        ending.set()
        verb.join()
        here.send(None)
        service.join()
    say("an answer is safe", answers)
    say("further items are there", items)
    print(f"the service spent {spent / len(answers) * 1e3:.1f} ms of CPU an answer", flush=True)


def serve(folder: Path, pipe: Connection) -> None:
    """Serve a queue of many tasks until told to end."""
    service = LabellingService(folder)
    service.queue("fruit", ("fig", "plum"))
    for _ in range(N_OPEN // 5_000):
        service.annotator.import_tasks(service.projects["fruit"], tasks(5_000))
    tokens = [service.add(f"p{n}@example.com") for n in range(N_PEOPLE)]
    pipe.send((service.url, service.projects["fruit"], tokens))
    pipe.recv()
    service.close()


def work(folder: Path, ref: str, ending: threading.Event) -> None:
    """Send tasks and collect answers, over and over."""
    annotator = DeskAnnotator(f"sqlite:///{folder / 'answers.db'}")
    seen = datetime.now(UTC)
    while not ending.is_set():
        annotator.import_tasks(ref, tasks(BATCH))
        for page in annotator.tasks(ref, seen):
            seen = max(seen, *(task.updated_at for task in page))
    annotator.close()


def tasks(n: int) -> list[TaskData]:
    """New tasks."""
    keys = [uuid.uuid4().hex for _ in range(n)]
    return [TaskData(task_key=key, data={"image": f"/media/{key}"}) for key in keys]


def label(url: str, token: str, seconds: float, answers: list[float], items: list[float]) -> None:
    """Be one person at a browser."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{url}/label", headers=headers, timeout=60) as browser:
        said = browser.get("/session").json()
        browser.headers["X-CSRF-Token"] = said["csrf"]
        held: list[str] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if len(held) <= REFILL_AT:
                began = time.perf_counter()
                found = browser.get(f"/fruit/next?n={HELD}").json()["items"]
                items.append(time.perf_counter() - began)
                held = [each["task"] for each in found]
            time.sleep(THINK_S)
            answer = {"id": uuid.uuid4().hex, "task": held.pop(0), "choice": "fig", "seconds": 0.5}
            began = time.perf_counter()
            given = browser.post("/fruit/answer", json=answer | {"who": said["who"]})
            answers.append(time.perf_counter() - began)
            if not given.json().get("saved"):
                raise SystemExit(given.text)


def cpu_s(pid: int | None) -> float:
    """The CPU that a process spent, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(what: str, took: list[float]) -> None:
    """Print a line."""
    took.sort()
    p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
    print(f"{what}: {len(took):,} times, median {p50 * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
