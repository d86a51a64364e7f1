"""A project in memory: a bucket, a log, an annotator and a clock; its ledger is a real SQLite file."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from labelloop.core.task import Task, TaskState
from labelloop.core.token import task_key
from labelloop.ledger import cursors, held_counts, rounds, task_counts, tasks
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.testing import (
    MemoryAnnotator,
    MemoryLog,
    MemoryNotifications,
    MemorySource,
    MemoryStore,
)

if TYPE_CHECKING:
    from labelloop.settings.settings import Settings

START = datetime(2026, 3, 2, 12, tzinfo=UTC)

ACCURACY = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 5
"""
LOW = """
[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.7"
budget = 4
show = ["confidence", "predicted_class"]
"""
FLAGGED = """
[[queue]]
name = "flagged"
purpose = "training"
where = "flagged or corrected_class is not null"
show = ["corrected_class"]
"""
QUEUES = ACCURACY + LOW + FLAGGED
HEAD = """
[project]
name = "pets"
classes = ["cat", "dog"]

[store]
uri = "s3://production"
endpoint_url = "http://127.0.0.1:9"
access_key = "a"
secret_key = "b"
blind_uri = "s3://blind"

[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"

[training]
confidence = 0.9
"""


class StoppedClock:
    """A clock that a test moves; sleeping moves it too, at no cost."""

    def __init__(self, now: datetime = START) -> None:
        self.at = now
        self.before_now: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        self.before_now()
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def pass_(self, **spans: float) -> None:
        self.at += timedelta(**spans)


class World:
    """All of one project; `restart` makes a new Loop over what an earlier one left."""

    def __init__(
        self,
        folder: Path,
        queues: str = QUEUES,
        *,
        head: str = HEAD,
        source: MemorySource | None = None,
    ) -> None:
        self.folder = folder
        self.clock = StoppedClock()
        self.store = MemoryStore("s3://production", buckets=["blind"], now=lambda: self.clock.at)
        self.log = MemoryLog()
        self.source = source
        self.notifications: MemoryNotifications | None = None
        self.annotator = MemoryAnnotator(timeout_s=3, now=lambda: self.clock.at)
        self.rng = random.Random(1)
        self.progress: Callable[[str, int, int | None], None] = lambda _w, _d, _t: None
        self.n = 0
        self.configure(queues, head=head)

    @property
    def state(self) -> Path:
        """The folder of ledger, catalog, log and datasets."""
        return self.folder / ".labelloop"

    def configure(self, queues: str = QUEUES, *, head: str = HEAD) -> None:
        path = self.folder / "labelloop.toml"
        path.write_text(head + queues)
        self.settings: Settings = load(path, {})
        if hasattr(self, "loop"):
            self.loop.close()
        self.loop = Loop(
            Project(
                self.settings,
                clock=self.clock,
                progress=lambda what, done, total: self.progress(what, done, total),
                store=self.store,
                log=self.log,
                annotator=self.annotator,
                source=self.source,
                notifications=self.notifications,
            )
        )

    def restart(self) -> Loop:
        self.configure_again()
        return self.loop

    def configure_again(self) -> None:
        text = (self.folder / "labelloop.toml").read_text()
        self.configure("", head=text)

    # --- traffic ------------------------------------------------------------------------------

    def put(self, key: str, body: bytes | None = None, **tags: str) -> str:
        """Upload one object with the tags of a prediction; returns its key."""
        usual = {
            "predicted_class": "cat",
            "confidence": "0.5",
            "timestamp": self.clock.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        merged = {k: v for k, v in {**usual, **tags}.items() if v != "-"}
        self.store.put(key, key.encode() if body is None else body, tags=merged)
        return key

    def traffic(self, n: int, **tags: str) -> list[str]:
        """Upload n objects with random predictions."""
        keys = []
        for _ in range(n):
            self.n += 1
            own = {
                "predicted_class": self.rng.choice(["cat", "dog"]),
                "confidence": f"{self.rng.random():.3f}",
            }
            keys.append(self.put(f"class_01/{self.n:05d}.png", **{**own, **tags}))
        return keys

    def retag(self, key: str, **tags: str) -> None:
        held = self.store.objects_by_uri[f"s3://production/{key}"]
        self.store.put_tags(key, {**held.tags, **tags})

    # --- people -------------------------------------------------------------------------------

    def project_ref(self, queue: str) -> str:
        return next(
            p.project_ref for p in self.annotator.projects() if p.marker.endswith(f"/{queue}")
        )

    def answer_all(self, choice: str | Callable[[], str] = "cat", *, by: str = "ana") -> int:
        """Answer every task that has no annotation; returns how many."""
        n = 0
        for project in self.annotator.projects():
            for page in self.annotator.tasks(project.project_ref):
                for task in page:
                    if not task.annotations:
                        said = choice if isinstance(choice, str) else choice()
                        self.annotator.answer(task.remote_id, said, by=by)
                        n += 1
        return n

    # --- what the ledger holds ----------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        """Every task by its purpose and sample."""
        with self.loop.project.ledger.read() as tx:
            keys = [d.task_key for d in rounds.draws_with_labels(tx)]
            return {f"{t.purpose}:{t.sample_id}": t for t in tasks.by_key(tx, keys).values()}

    def task(self, sample_id: str, purpose: str = "training") -> Task:
        with self.loop.project.ledger.read() as tx:
            key = task_key(self.log.ledger_id, purpose, sample_id, salt=self.log.salt)
            return tasks.by_key(tx, [key])[key]

    def states(self) -> dict[TaskState, int]:
        found: dict[TaskState, int] = {}
        for task in self.tasks().values():
            found[task.state] = found.get(task.state, 0) + 1
        return found

    def looks(self) -> dict[tuple[str, int], Task]:
        """Every task of a further look, by its sample and look."""
        with self.loop.project.ledger.read() as tx:
            ids = [d.sample_id for d in rounds.draws_with_labels(tx)]
            return {(t.sample_id, t.look): t for t in tasks.looks_at(tx, ids)}

    def assert_counts(self) -> None:
        """What the ledger keeps of counts is what counting finds."""
        every = [*self.tasks().values(), *self.looks().values()]
        standing = Counter((k.queue, k.purpose, k.state) for k in every)
        with self.loop.project.ledger.read() as tx:
            kept = {(c.queue, c.purpose, c.state): c.n for c in task_counts.every(tx)}
            assert kept == standing
            for project in tasks.projects(tx):
                held = cursors.get(tx, f"held:{project}")
                assert held is None or int(held) == held_counts.count_again(tx, project)

    def draws(self, queue: str | None = None) -> list[DrawWithLabel]:
        with self.loop.project.ledger.read() as tx:
            return [d for d in rounds.draws_with_labels(tx) if queue in (None, d.queue)]

    def labels(self) -> dict[str, str]:
        """The label of each task that has one, by task key."""
        return {d.task_key: d.label for d in self.draws() if d.label is not None}

    def remote_keys(self) -> list[str]:
        """The key of every task that Label Studio holds, repeated where it holds two."""
        return [
            str(self.annotator.data_of(i)["labelloop"])
            for p in self.annotator.projects()
            for i in self.annotator.task_ids(p.project_ref)
        ]

    def data(self, queue: str) -> Sequence[Mapping[str, object]]:
        """The data of each task of a queue's project, in the order of import."""
        return [self.annotator.data_of(i) for i in self.annotator.task_ids(self.project_ref(queue))]


class Killed(BaseException):
    """The process ends here."""


def kill_at_write(world: World, at: int) -> None:
    """Kill the process when its n-th transaction on the ledger from now on is about to commit."""
    left = [at]
    own = threading.get_ident()

    @sa.event.listens_for(world.loop.project.ledger._engine, "commit")
    def commit(_connection: sa.Connection) -> None:
        if threading.get_ident() == own:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
