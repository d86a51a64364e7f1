# ruff: noqa: S608  every statement is this file's own
"""A ledger of millions of draws: status, collect and measure, each a process of its own.

python -m bench.ledger_size [--draws 5000000] [--keep FOLDER]

A round a day draws 5,000 samples: 200 blind ones, and the rest for two training queues. All but those
of the last two days are answered. The bare statements count, with sqlite3 alone, what the ledger holds:
what a user would ask the database for the same numbers.
"""

import argparse
import json
import multiprocessing
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.table import Row, lines, peak_mb

A_ROUND = 5_000
BLIND = 200
LOW = 2_500
ANSWERS = 100
CLASSES = 10
BINS = 100
SETTINGS = """
[project]
name = "bench"
classes = [{classes}]
[store]
uri = "s3://production"
endpoint_url = "http://127.0.0.1:9"
access_key = "a"
secret_key = "b"
blind_uri = "s3://blind"
[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 200
[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.7"
budget = 2500
[[queue]]
name = "flagged"
purpose = "training"
where = "flagged or corrected_class is not null"
"""
QUEUE = f"""CASE WHEN i % {A_ROUND} < {BLIND} THEN 'accuracy'
    WHEN i % {A_ROUND} < {BLIND + LOW} THEN 'low-confidence' ELSE 'flagged' END"""
PROJECT = f"""CASE WHEN i % {A_ROUND} < {BLIND} THEN 1
    WHEN i % {A_ROUND} < {BLIND + LOW} THEN 2 ELSE 3 END"""
FILL = [
    f"""CREATE TEMP TABLE made AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n
        WHERE i + 1 < :n)
    SELECT i, i / {A_ROUND} + 1 AS round, lower(hex(randomblob(16))) AS task_key,
        {QUEUE} AS queue, {PROJECT} AS project, abs(random()) % 1000000 / 1e6 AS confidence,
        'class ' || (abs(random()) % {CLASSES}) AS predicted,
        'class ' || (abs(random()) % {CLASSES}) AS other,
        CASE WHEN i / {A_ROUND} + 1 > :rounds - 2 THEN 'sent' WHEN abs(random()) % 50 = 0 THEN 'skipped'
            ELSE 'resolved' END AS state,
        strftime('%Y-%m-%d %H:%M:%S', :start + i / {A_ROUND} * 86400 + i % 86400, 'unixepoch')
            || '.000000' AS predicted_at,
        strftime('%Y-%m-%d %H:%M:%S', :start + i / {A_ROUND} * 86400 + 86400 + i % 40000, 'unixepoch')
            || '.000000' AS answered_at
    FROM n""",
    """INSERT INTO draws (draw, round, sample_id, model, queue, predicted_at, predicted_class, confidence,
        risk, line, inclusion, uniform, position, reason, content_hash, task_key)
    SELECT i + 1, round, printf('class_%02d/%09d.png', i % 10, i), 'm' || (1 + round / 200), queue,
        predicted_at, predicted, confidence, 1 - confidence, abs(random()) >> 1, 0.01, queue = 'accuracy',
        i, 'uniform', printf('%032x', i), task_key FROM made""",
    """INSERT INTO tasks (task_key, sample_id, uri, queue, purpose, look, project_ref, remote_id,
        media_uri, answers_wanted, people_asked, attempt, state, sent_at, resolved_at)
    SELECT task_key, printf('class_%02d/%09d.png', i % 10, i), printf('s3://production/%09d.png', i),
        queue, CASE queue WHEN 'accuracy' THEN 'evaluation' ELSE 'training' END, 0, project, i + 1,
        CASE WHEN queue = 'accuracy' AND state = 'sent' THEN 's3://blind/' || task_key END,
        1, 1, 0, state, predicted_at, CASE state WHEN 'resolved' THEN answered_at END FROM made""",
    """INSERT INTO annotations (task_key, remote_id, updated_at, annotator, answer, skipped)
    SELECT task_key, i + 1, answered_at, 'ann' || (i % 20),
        CASE WHEN state = 'skipped' THEN NULL WHEN i % 10 = 0 THEN other ELSE predicted END,
        state = 'skipped' FROM made WHERE state != 'sent'""",
    """INSERT INTO labels (task_key, label, method, n_votes, revision, annotator, first_at, resolved_at)
    SELECT task_key, CASE WHEN i % 10 = 0 THEN other ELSE predicted END, 'single answer', 1,
        'r' || i, 'ann' || (i % 20), answered_at, answered_at FROM made WHERE state = 'resolved'""",
    """INSERT INTO events (at, actor, verb, subject, detail)
    SELECT answered_at, 'collect', state, task_key, '' FROM made WHERE state != 'sent'""",
    """INSERT INTO rounds (round, batch_from, batch_to, extra, rules_json, snapshot, n_frame, n_set_aside,
        created_at)
    SELECT round, round - 1, round, 0, '{}', round, 100000, 3,
        strftime('%Y-%m-%d %H:%M:%S', :start + round * 86400, 'unixepoch') || '.000000'
    FROM (SELECT DISTINCT round FROM made)""",
    f"""INSERT INTO cells (round, queue, predicted_class, risk_bin, n, risk, inclusion)
    SELECT round, 'accuracy', 'class ' || (c % {CLASSES}), c / {CLASSES} * 10,
        100000 / {CLASSES * BINS}, (c / {CLASSES} * 10 + 0.5) / 1024, {BLIND} / 1e5
    FROM rounds, (SELECT i AS c FROM made WHERE i < {CLASSES * BINS})""",
    """INSERT INTO cursors (name, value) SELECT 'collect:' || project,
        strftime('%Y-%m-%dT%H:%M:%S', :start + :rounds * 86400, 'unixepoch') || '+00:00'
    FROM (SELECT DISTINCT project FROM made)""",
    """INSERT INTO cursors (name, value) SELECT 'held:' || project, sum(state != 'sent') FROM made
    GROUP BY project""",
    """INSERT INTO task_counts (queue, purpose, state, n)
    SELECT queue, purpose, state, count(*) FROM tasks GROUP BY queue, purpose, state""",
    "INSERT INTO cursors (name, value) VALUES ('annotator', 'http://127.0.0.1:9')",
    """INSERT INTO datasets (name, version, content_hash, uri, counts_json, state, created_at)
    SELECT 'training', round, 'h' || round, '/d/' || round, '{"human": 1, "model": 2, "certified": 0}',
        'released', created_at FROM rounds""",
]


class Stub:
    """An annotator that holds what the ledger holds, and answers at once.

    Its next `fresh` tasks that people were asked have just been answered.
    """

    name = "the annotator"
    url = "http://127.0.0.1:9"

    def __init__(self, ledger: Path, fresh: int) -> None:
        from labelloop.core.token import project_marker
        from labelloop.ports.annotator import Project, RemoteAnnotation, RemoteTask

        now = datetime.now(UTC)
        with closing(sqlite3.connect(ledger)) as connection:
            (own,) = connection.execute("SELECT ledger_id FROM meta").fetchone()
            held = connection.execute(
                "SELECT value FROM cursors WHERE name LIKE 'bench:%' ORDER BY name"
            ).fetchall()
            kept = dict(
                connection.execute("SELECT name, value FROM cursors WHERE name LIKE 'held:%'")
            )
            waiting = connection.execute(
                "SELECT task_key, remote_id, project_ref FROM tasks WHERE state = 'sent' LIMIT ?",
                [fresh],
            ).fetchall()
        self.changed = [
            (
                project,
                RemoteTask(
                    remote_id=number,
                    task_key=key,
                    updated_at=now,
                    people=1,
                    annotations=(
                        RemoteAnnotation(
                            remote_id=str(1_000_000_000 + int(number)),
                            updated_at=now,
                            annotator="ann",
                            choices=("class 1",),
                            skipped=False,
                        ),
                    ),
                ),
            )
            for key, number, project in waiting
        ]
        self.there = []
        for number, (counts,) in enumerate(held, start=1):
            queue, n_tasks, n_annotations = json.loads(counts)
            more = sum(project == str(number) for project, _ in self.changed)
            self.there.append(
                Project(
                    project_ref=str(number),
                    title=queue,
                    created_at=now,
                    marker=project_marker(own, queue),
                    n_tasks=n_tasks,
                    n_annotations=int(kept.get(f"held:{number}", n_annotations)) + more,
                )
            )

    def projects(self) -> Sequence[object]:
        return self.there

    def check_account(self) -> None:
        raise AssertionError

    def tasks(
        self, project_ref: str, updated_after: datetime | None = None
    ) -> Iterator[Sequence[object]]:
        assert updated_after is not None, "the whole project is read"
        found = [task for project, task in self.changed if project == project_ref]
        if found:
            yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5_000_000)
    parser.add_argument("--keep", type=Path, help="where the ledger is made, or lies already")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        what, where = asked.child
        tell(CHILDREN[what], Path(where))
        return
    print(*lines(measure(asked.draws, keep=asked.keep)), sep="\n")


def measure(n: int, *, keep: Path | None = None) -> list[Row]:
    """Rates in draws a second of each verb over a ledger of n draws, and of the bare statements."""
    own = tempfile.TemporaryDirectory(prefix="labelloop-bench-")
    with nullcontext(str(keep)) if keep else own as place:
        folder = Path(place)
        folder.mkdir(exist_ok=True)
        if not (folder / "labelloop.toml").exists():
            alone = multiprocessing.get_context("spawn")
            with alone.Pool(1) as pool:  # a child's peak memory begins with its parent's
                pool.apply(fill, (folder, n))
        return [
            compared("status", n, folder, "status", "bare_status"),
            compared("collect, nothing new", n, folder, "collect", "bare_collect"),
            compared(f"collect, {ANSWERS} new answers", n, folder, "collect_new", "bare_collect"),
            compared("measure, the first time", n, folder, "measure_anew", "bare_measure"),
            compared("measure, after new answers", n, folder, "measure", "bare_measure"),
        ]


def compared(what: str, n: int, folder: Path, ours: str, bare: str) -> Row:
    bare_said, said = child(bare, folder), child(ours, folder)
    return Row(
        what=what,
        size=n,
        unit="draws",
        ours=n / said["seconds"],
        naive=n / bare_said["seconds"],
        peak_mb=said["peak_mb"],
    )


def fill(folder: Path, n: int) -> None:
    """A ledger of n draws: the tables are filled in SQL, without their indexes, which follow."""
    from labelloop.loop import Loop
    from labelloop.project import Project
    from labelloop.settings.file import load

    begin = time.perf_counter()
    classes = ", ".join(f'"class {i}"' for i in range(CLASSES))
    (folder / "labelloop.toml").write_text(SETTINGS.format(classes=classes))
    with Loop(Project(load(folder / "labelloop.toml", {}))) as loop:
        loop.select(now=True)  # nothing to draw from: it makes the ledger and its identity
        loop.status()
    rounds = -(-n // A_ROUND)
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start -= timedelta(days=rounds)
    values = {"n": n, "rounds": rounds, "start": int(start.timestamp())}
    with closing(sqlite3.connect(ledger_of(folder), isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1500000"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        connection.execute("BEGIN")
        for table in ("draws", "tasks", "rounds", "cells"):
            connection.execute(f"DELETE FROM {table}")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for statement in FILL:
            connection.execute(statement, {k: v for k, v in values.items() if f":{k}" in statement})
        for _, made in indexes:
            connection.execute(made)
        for number, (queue, n_tasks, n_annotations) in enumerate(
            connection.execute(
                "SELECT queue, count(*), sum(state != 'sent') FROM made GROUP BY project"
            ).fetchall(),
            start=1,
        ):
            connection.execute(
                "INSERT INTO cursors VALUES (?, ?)",
                (f"bench:{number}", json.dumps([queue, n_tasks, n_annotations])),
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    print(f"  filled {n:,} draws in {time.perf_counter() - begin:.0f} s", file=sys.stderr)


def ledger_of(folder: Path) -> Path:
    return folder / ".labelloop" / "ledger.db"


def child(what: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.ledger_size", "--child", what, str(folder)]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said: dict[str, float] = json.loads(done.stdout)
    seconds = time.perf_counter() - begin
    print(f"  {what:<14} {seconds:7.2f} s {said['peak_mb']:7,.0f} MB", file=sys.stderr)
    return said | {"seconds": seconds}


def tell(do: Callable[[Path], None], folder: Path) -> None:
    do(folder)
    print(json.dumps({"peak_mb": peak_mb()}))


def status(folder: Path) -> None:
    from labelloop.loop import open_loop

    with open_loop(folder / "labelloop.toml") as loop:
        assert len(loop.status().queues) == 3


def collect(folder: Path, fresh: int = 0) -> None:
    from labelloop.loop import Loop
    from labelloop.project import Project
    from labelloop.settings.file import load

    annotator = Stub(ledger_of(folder), fresh)
    with Loop(Project(load(folder / "labelloop.toml", {}), annotator=annotator)) as loop:  # type: ignore[arg-type]
        assert loop.collect().n_labels == fresh


def measured(folder: Path) -> None:
    """As within `run`: what is worked out is kept."""
    from labelloop.project import Project
    from labelloop.steps.measure import measure

    with Project.open(folder / "labelloop.toml") as project:
        timezone = project.settings.project.timezone
        assert measure(project.ledger, clock=project.clock, timezone=timezone, keep=True).rounds


def measured_anew(folder: Path) -> None:
    with closing(sqlite3.connect(ledger_of(folder))) as connection:
        connection.execute("DELETE FROM measured")
        connection.commit()
    measured(folder)


def bare(*statements: str) -> Callable[[Path], None]:
    def ask(folder: Path) -> None:
        with closing(sqlite3.connect(ledger_of(folder))) as connection:
            for statement in statements:
                assert connection.execute(statement).fetchall()

    return ask


CHILDREN = {
    "status": status,
    "collect": collect,
    "collect_new": lambda folder: collect(folder, ANSWERS),
    "measure": measured,
    "measure_anew": measured_anew,
    "bare_status": bare(
        "SELECT queue, purpose, state, count(*), min(sent_at) FROM tasks GROUP BY 1, 2, 3"
    ),
    "bare_collect": bare(
        "SELECT project_ref, count(*) FROM tasks WHERE remote_id IS NOT NULL GROUP BY 1",
        "SELECT tasks.project_ref, count(DISTINCT annotations.remote_id) FROM annotations JOIN tasks "
        "USING (task_key) WHERE deleted_at IS NULL GROUP BY 1",
    ),
    "bare_measure": bare(
        *(
            f"SELECT {by}, count(*), sum(label = predicted_class) FROM draws JOIN tasks "
            "USING (task_key) LEFT JOIN labels USING (task_key) WHERE purpose = 'evaluation' GROUP BY 1"
            for by in ("round", "date(predicted_at)", "predicted_class", "model")
        )
    ),
}

if __name__ == "__main__":
    main()
