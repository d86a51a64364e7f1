"""Pages of the dashboard while rounds are drawn: ten people, millions of draws and of predictions.

python -m bench.dashboard [--draws 5000000] [--rows 10000000] [--seconds 60] [--keep FOLDER]

Each of ten people opens a page every five seconds. `labelloop select --now` runs beside them, over and
over. Meanwhile the ledger itself is asked for one row, and for a write, every 20 ms: what a verb makes
others wait. Bare queries are what the page's main part would cost in sqlite3 or DuckDB, and run alone
afterwards.
"""

import argparse
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import duckdb
import httpx
from bench.browse import table
from bench.ledger_size import fill, ledger_of
from tests.chaos.served import Instance

from labelloop.demo.process import free_ports
from labelloop.project import Project

PEOPLE, EVERY_S, WARM_S = 10, 5.0, 30.0
BATCH = 100_000
FRESH = 10
"""Batches of predictions that no round has drawn from yet."""
LOST = "confidence < 0.7 and attributes.site = 'Basel'"
PAGES = (
    "/",
    "/queues",
    "/rounds",
    "/rounds/{round}",
    "/models",
    "/datasets",
    "/people",
    "/activity",
    "/samples",
    f"/samples?where={LOST}",
    "/samples/class_00/000001-00000001.png",
)
BARE = {
    "/": "SELECT queue, purpose, state, count(*) FROM tasks GROUP BY 1, 2, 3",
    "/queues": "SELECT queue, purpose, state, count(*), min(sent_at) FROM tasks GROUP BY 1, 2, 3",
    "/rounds": "SELECT round, count(*) FROM draws GROUP BY round",
    "/rounds/{round}": "SELECT queue, count(*), count(label) FROM draws LEFT JOIN labels USING (task_key) "
    "WHERE round = 1 GROUP BY queue",
    "/models": "SELECT model, count(*), sum(label = predicted_class) FROM draws JOIN labels "
    "USING (task_key) WHERE queue = 'accuracy' GROUP BY model",
    "/people": "SELECT annotator, count(*) FROM annotations GROUP BY annotator",
    "/activity": "SELECT * FROM events ORDER BY at DESC LIMIT 50",
}
SERVICE = """
[service]
port = {port}
run_every = "1 day"
log = "json"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5_000_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path, help="where the project is made, or lies already")
    asked = parser.parse_args()
    own = tempfile.TemporaryDirectory(prefix="labelloop-bench-")
    with nullcontext(str(asked.keep)) if asked.keep else own as place:
        folder = Path(place)
        folder.mkdir(exist_ok=True)
        prepare(folder, asked.draws, asked.rows)
        with served(folder) as url:
            shown = watch(folder, url, asked.seconds)
        report(folder, shown)


def prepare(folder: Path, n_draws: int, n_rows: int) -> None:
    """A project with a filled ledger and log; one that lies there is taken as it is."""
    if not (folder / "labelloop.toml").exists():
        fill(folder, n_draws)
    with Project.open(folder / "labelloop.toml") as project:
        log = project.log
        if log.snapshot() is not None:
            return
        with closing(sqlite3.connect(ledger_of(folder))) as connection:
            (last,) = connection.execute("SELECT max(batch_to) FROM rounds").fetchone()
        n = n_rows // BATCH
        for made, batch in enumerate(
            [*range(1, n - FRESH + 1), *range(last + 1, last + FRESH + 1)]
        ):
            path = log.write_batch(batch, "predictions", table(made + 1, BATCH), datetime.now(UTC))
            log.commit_batch(batch, "predictions", path)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of `labelloop serve`, once it answers."""
    (port,) = free_ports(1)
    path = folder / "labelloop.toml"
    text = re.sub(r"\n\[service\].*", "", path.read_text(), flags=re.DOTALL)
    path.write_text(text + SERVICE.format(port=port))
    service = Instance(folder, port, name="serve", aim=False)
    service.start()
    try:
        for _ in range(1_200):
            try:
                httpx.get(f"{service.url}/healthz", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield service.url
    finally:
        assert service.process is not None
        service.process.terminate()
        service.process.wait(60)


def watch(folder: Path, url: str, seconds: float) -> dict[str, list[float]]:
    """Seconds that each page took, each read and write of the ledger, and each round."""
    took: dict[str, list[float]] = {}
    ending = threading.Event()

    def timed(what: str, begin: float) -> None:
        took.setdefault(what, []).append(time.perf_counter() - begin)

    def person(number: int) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            ending.wait(number * EVERY_S / PEOPLE)
            for step in count(number):
                page = PAGES[step % len(PAGES)]
                begin = time.perf_counter()
                answer = client.get(page.format(round=1))
                if answer.status_code != 200:
                    page = f"{page} {answer.status_code}"
                timed(page, begin)
                if ending.wait(max(0.0, begin + EVERY_S - time.perf_counter())):
                    return

    def ledger() -> None:
        with closing(sqlite3.connect(ledger_of(folder), timeout=60, isolation_level=None)) as own:
            while not ending.wait(0.02):
                begin = time.perf_counter()
                own.execute("SELECT max(round) FROM rounds").fetchall()
                timed("a read of the ledger", begin)
                begin = time.perf_counter()
                own.execute("BEGIN IMMEDIATE")
                own.execute("ROLLBACK")
                timed("the ledger's write lock", begin)

    def drawing() -> None:
        command = [sys.executable, "-m", "labelloop", "select", "--now"]
        while not ending.is_set():
            begin = time.perf_counter()
            subprocess.run(
                [*command, "--config", str(folder / "labelloop.toml")],
                check=True,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
            timed("select", begin)

    def during(seconds: float, *works: threading.Thread) -> None:
        ending.clear()
        for work in works:
            work.start()
        time.sleep(seconds)
        ending.set()
        for work in works:
            work.join()

    people = [threading.Thread(target=person, args=(i,)) for i in range(PEOPLE)]
    during(WARM_S, *people)
    first = {f"{page}, as the service begins": [found[0]] for page, found in took.items()}
    took.clear()
    people = [threading.Thread(target=person, args=(i,)) for i in range(PEOPLE)]
    during(seconds, *people, threading.Thread(target=ledger), threading.Thread(target=drawing))
    return took | first


def report(folder: Path, took: dict[str, list[float]]) -> None:
    """Print the table."""
    print(f"load {os.getloadavg()[0]:.0f}")
    print("| what | asked | median | p95 | slowest | bare query |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for what, found in sorted(took.items()):
        ms = [f"{x * 1e3:,.0f} ms" for x in (statistics.median(found), p95(found), max(found))]
        print(f"| {what} | {len(found)} | {' | '.join(ms)} | {bare(folder, what)} |")


def p95(found: list[float]) -> float:
    return sorted(found)[min(len(found) - 1, int(0.95 * len(found)))]


def bare(folder: Path, page: str) -> str:
    """How long the page's main part takes in plain SQL; of samples, in DuckDB over the log's files."""
    begin = time.perf_counter()
    if page in BARE:
        with closing(sqlite3.connect(ledger_of(folder))) as connection:
            connection.execute(BARE[page]).fetchall()
    elif page.startswith("/samples"):
        files = [str(p) for p in (folder / ".labelloop" / "log").rglob("batch*.parquet")]
        where = "attributes['site'] = 'Basel' AND confidence < 0.7" if "?" in page else "true"
        duckdb.sql(
            f"SELECT * FROM read_parquet({files!r}) WHERE {where} ORDER BY batch DESC, line LIMIT 61"  # noqa: S608  texts of its own
        ).fetchall()
    else:
        return "-"
    return f"{(time.perf_counter() - begin) * 1e3:,.0f} ms"


if __name__ == "__main__":
    main()
