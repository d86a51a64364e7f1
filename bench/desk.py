"""How long people wait at the labelling page: a desk with 100,000 open tasks, ten people, verbs at work.

Run it with `python bench/desk.py [SECONDS]`. It prints how long an answer takes until it is safe on the
disk, and how long the next five items take, while tasks are sent and answers are collected.
"""

import sys
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from labelloop.adapters.desk.annotator import DeskAnnotator
from labelloop.adapters.desk.desk import DatabaseDesk
from labelloop.ports.annotator import ProjectSpec, TaskData
from labelloop.ports.desk import Answer

N_OPEN = 100_000
N_PEOPLE = 10
BATCH = 250


def main(seconds: float) -> None:
    """Fill a desk, let people and verbs work, and print the percentiles."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'answers.db'}"
        annotator = DeskAnnotator(url)
        desk = DatabaseDesk(annotator.database)
        spec = ProjectSpec(
            title="", marker="labelloop:l1/q", classes=("fig", "plum"), show=(), blind=True
        )
        ref = annotator.create_project(spec).project_ref
        for start in range(0, N_OPEN, 5_000):
            annotator.import_tasks(ref, [_task() for _ in range(start, start + 5_000)])
        answers: list[float] = []
        items: list[float] = []
        end = time.perf_counter() + seconds

        def label(person: str) -> None:
            while time.perf_counter() < end:
                began = time.perf_counter()
                held = desk.next_items("q", person)
                items.append(time.perf_counter() - began)
                for item in held:
                    time.sleep(0.5)  # a fast person
                    answer = Answer(answer_id=uuid.uuid4().hex, item_id=item.item_id, choice="fig")
                    began = time.perf_counter()
                    assert desk.give(person, answer).accepted
                    answers.append(time.perf_counter() - began)

        def verbs() -> None:
            own = DeskAnnotator(url)
            seen = datetime.now(UTC)
            while time.perf_counter() < end:
                own.import_tasks(ref, [_task() for _ in range(BATCH)])
                for page in own.tasks(ref, seen):
                    seen = max(seen, *(task.updated_at for task in page))
            own.close()

        people = [threading.Thread(target=label, args=(f"p{i}",)) for i in range(N_PEOPLE)]
        work = [*people, threading.Thread(target=verbs)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        annotator.close()
    _say("an answer is safe", answers)
    _say("the next items are there", items)


def _task() -> TaskData:
    return TaskData(task_key=uuid.uuid4().hex, data={"image": f"/media/{uuid.uuid4().hex}"})


def _say(what: str, took: list[float]) -> None:
    took.sort()
    p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
    print(f"{what}: {len(took):,} times, median {p50 * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
