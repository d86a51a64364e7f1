"""What runs often asks the ledger's large tables through an index: nothing reads them from end to end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from labelloop.core.queue import Purpose
from labelloop.ledger import rounds
from labelloop.ledger import tables as t
from tests.unit.conftest import MakeWorld
from tests.world import World

LARGE = ("draws", "tasks", "annotations", "labels", "events")
N = 20_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Recorder:
    """The statements that each verb issued, once each, with the first values they were given."""

    engine: sa.Engine
    reading: sa.Engine
    by_verb: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def during(self, verb: str) -> Iterator[None]:
        heard = self.by_verb.setdefault(verb, {})

        def hear(*said: Any) -> None:
            _, _, statement, parameters, _, many = said
            if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")):
                heard.setdefault(statement, parameters[0] if many else parameters)

        for engine in (self.engine, self.reading):
            sa.event.listen(engine, "before_cursor_execute", hear)
        yield
        for engine in (self.engine, self.reading):
            sa.event.remove(engine, "before_cursor_execute", hear)


def two_days(world: World, recorder: Recorder) -> None:
    for day in range(2):
        world.traffic(12)
        world.retag("class_01/00001.png", corrected_class="dog" if day else "cat")
        world.loop.index()
        for verb in ("select", "send", "status", "collect", "measure"):
            with recorder.during(verb):
                getattr(world.loop, verb)()
        world.answer_all("dog")
        world.annotator.delete_task(world.annotator.task_ids(world.project_ref("low"))[0])
        world.clock.pass_(days=8, minutes=1)
        for verb in ("collect", "status", "send", "measure"):
            with recorder.during(verb):
                getattr(world.loop, verb)()


def fill(engine: sa.Engine) -> None:
    """Rows enough that no database takes a whole table for the quicker way; all of it is settled."""
    keys = [f"{i:032x}" for i in range(N)]
    queues = [("accuracy", "evaluation"), ("low", "training")]
    own = [{"task_key": key, "sample_id": f"filled/{i}.png"} for i, key in enumerate(keys)]
    draws = [
        {
            **one,
            "round": 100 + i // 100,
            "model": "m1",
            "queue": queues[i % 2][0],
            "predicted_at": AT,
            "line": i,
            "uniform": True,
            "position": i,
            "reason": "",
            "content_hash": one["task_key"],
        }
        for i, one in enumerate(own)
    ]
    tasks = [
        {
            **one,
            "uri": "",
            "queue": queues[i % 2][0],
            "purpose": queues[i % 2][1],
            "look": 0,
            "project_ref": f"p{1_000 + i % 50}",
            "remote_id": f"t{10_000 + i}",
            "attempt": 0,
            "answers_wanted": 1,
            "people_asked": 1,
            "state": "resolved",
            "sent_at": AT,
            "resolved_at": AT,
        }
        for i, one in enumerate(own)
    ]
    said = {"annotator": "ana", "updated_at": AT, "answer": "dog", "skipped": False}
    held = {"label": "dog", "method": "", "n_votes": 1, "revision": "", "annotator": "ana"}
    with engine.begin() as tx:
        tx.execute(t.draws.insert(), draws)
        tx.execute(t.tasks.insert(), tasks)
        tx.execute(
            t.annotations.insert(),
            [{"task_key": k, "remote_id": f"a{10_000 + i}", **said} for i, k in enumerate(keys)],
        )
        tx.execute(
            t.labels.insert(),
            [{"task_key": key, **held, "first_at": AT, "resolved_at": AT} for key in keys],
        )
        what = {"at": AT, "actor": "", "verb": "resolved", "detail": ""}
        tx.execute(
            t.events.insert(), [{"id": -1 - i, "subject": k, **what} for i, k in enumerate(keys)]
        )
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("ANALYZE")


def read_whole(tx: sa.Connection, statement: str, parameters: Any) -> list[str]:
    """The large tables that a statement reads from end to end, by their rows or by an index."""
    partial = {
        index.name
        for table in t.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    if tx.dialect.name == "sqlite":
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        scans = [words for row in plan if (words := row.detail.split())[0] == "SCAN"]
        return [w[1] for w in scans if w[1] in LARGE and w[-1] not in partial]
    [(plan,)] = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    found: list[str] = []
    todo = [one["Plan"] for one in (json.loads(plan) if isinstance(plan, str) else plan)]
    for node in todo:
        todo += node.get("Plans", [])
        name, index = node.get("Relation Name"), node.get("Index Name")
        by_index = "Index Cond" in node or index in partial
        reads = node["Node Type"] not in {"Bitmap Heap Scan", "ModifyTable"}
        if name in LARGE and reads and not by_index:
            found.append(name)
    return found


def test_no_verb_that_runs_often_reads_a_large_table_whole(
    kind: str, make_world: MakeWorld
) -> None:
    world = make_world()
    own = world.loop.project
    recorder = Recorder(own.ledger._engine, own.ledger_to_read._engine)
    two_days(world, recorder)
    fill(recorder.engine)
    with recorder.engine.connect() as tx, recorder.during("learning"):
        # the risk of a round is learned from every blind label that there is
        list(rounds.draws_with_labels(tx, Purpose.EVALUATION))
    learning = recorder.by_verb.pop("learning")
    with recorder.engine.connect() as tx:
        whole = {
            (verb, statement): tables
            for verb, statements in recorder.by_verb.items()
            for statement, parameters in statements.items()
            if statement not in learning and (tables := read_whole(tx, statement, parameters))
        }
    assert whole == {}, "\n".join(statement for _, statement in whole)
    assert {len(heard) > 5 for heard in recorder.by_verb.values()} == {True}


def test_reading_a_table_whole_is_seen(kind: str, make_world: MakeWorld) -> None:
    with make_world().loop.project.ledger.read() as tx:
        for statement in (
            "SELECT count(*) FROM tasks",
            "SELECT DISTINCT project_ref FROM tasks",
            "SELECT task_key FROM tasks WHERE uri = 'a'",
            "SELECT * FROM draws JOIN tasks ON tasks.task_key = draws.task_key",
        ):
            assert read_whole(tx, statement, ()), statement
