"""A round of three queues over one day of a long log, beside the two bare DuckDB statements.

python -m bench.select_scale [--rows 100000000] [--days 30]

Each is a process of its own, whose seconds hold its start, and whose peak memory is told.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench.table import Row, lines, peak_mb

from labelloop.core.line import LINE_END
from labelloop.core.line import lines as places
from labelloop.core.sample import PredictionTable

CLASSES = 10
PIECES = 4  # batches a day
SETTINGS = """
[project]
name = "bench"
classes = [{classes}]
[store]
uri = "s3://production"
endpoint_url = "http://127.0.0.1:9"
access_key = "a"
secret_key = "b"
[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = {budget}
"""
TRAINING = """
[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.7"
budget = 500
[[queue]]
name = "flagged"
purpose = "training"
where = "flagged or corrected_class is not null"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        what, where = asked.child
        CHILDREN[what](Path(where))
        return
    print(*lines(measure(asked.rows, asked.days)), sep="\n")


def measure(n_rows: int, days: int = 30) -> list[Row]:
    """A round over the last day, and an extra one over all, beside the bare statements."""
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place:
        folder = Path(place)
        write(folder, budget=200, more=TRAINING)
        n_day = n_rows // days
        fill(folder, days, n_day)
        day = compared("a round of three queues over one day", n_day, folder, "round", "bare_day")
        write(folder, budget=10_000, more="")
        every = "10,000 drawn uniformly from all days"
        return [day, compared(every, n_day * days, folder, "extra", "bare_all")]


def compared(what: str, n: int, folder: Path, ours: str, bare: str) -> Row:
    """The rates of a round and of the two bare statements, each in a process of its own."""
    limit, said = child(bare, folder), child(ours, folder)
    return Row(
        what=what,
        size=n,
        unit="rows",
        ours=n / said["seconds"],
        limit=n / limit["seconds"],
        peak_mb=said["peak_mb"],
    )


def write(folder: Path, *, budget: int, more: str) -> None:
    classes = ", ".join(f'"{i}"' for i in range(CLASSES))
    text = SETTINGS.format(classes=classes, budget=budget) + more
    (folder / "labelloop.toml").write_text(text)


def fill(folder: Path, days: int, n_day: int, n_before: int | None = None) -> None:
    """All days but the last (`n_before` rows a day, if they differ), a round over them, and the last."""
    from labelloop.loop import Loop
    from labelloop.project import Project
    from labelloop.settings.file import load
    from labelloop.steps.index.batch_writer import write_batches

    now = datetime.now(UTC)
    with Loop(Project(load(folder / "labelloop.toml", {}))) as loop:
        log, ledger = loop.project.log, loop.project.ledger
        for day in range(days):
            if day == days - 1:
                loop.select(now=True)
            start = now - timedelta(days=days - day)
            for piece in range(PIECES):
                n = n_day if n_before is None or day == days - 1 else n_before
                rows = predictions(day * PIECES + piece, n // PIECES, start, log.salt)
                with ledger.lease("index") as lease:
                    write_batches(
                        *(ledger, log, lease),
                        predictions=rows,
                        feedback=[],
                        set_aside=[],
                        mended=[],
                        now=now,
                    )


def predictions(seed: int, n: int, start: datetime, salt: bytes) -> PredictionTable:
    """Confident predictions of ten classes."""
    rng = np.random.default_rng(seed)
    ids = pa.array(np.char.mod(f"class/{seed:05d}-%09d.png", np.arange(n)))
    uris = pa.compute.binary_join_element_wise("s3://production", ids, "/")
    times = np.datetime64(start.replace(tzinfo=None), "us") + np.sort(
        rng.integers(0, 86_400_000_000, n)
    )
    return PredictionTable(
        pa.table(
            {
                "sample_id": ids,
                "uri": uris,
                "predicted_at": pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
                "model": pa.repeat("m1", n),
                "role": pa.repeat("serving", n),
                "predicted_class": pa.array([str(i) for i in range(CLASSES)]).take(
                    pa.array(rng.integers(0, CLASSES, n))
                ),
                "confidence": rng.beta(5, 1, n),
                "attributes": pa.MapArray.from_arrays(
                    np.zeros(n + 1, np.int32), pa.array([], pa.string()), pa.array([], pa.string())
                ),
                "line": places(ids.to_pylist(), salt),
                "content_hash": ids,
                "size_bytes": pa.repeat(1_000, n),
            }
        )
    )


def child(what: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.select_scale", "--child", what, str(folder)]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said: dict[str, float] = json.loads(done.stdout)
    seconds = time.perf_counter() - begin
    print(
        f"  {what:<12} {seconds:7.2f} s {said['peak_mb']:7,.0f} MB {said['drawn']:,} drawn",
        file=sys.stderr,
    )
    return said | {"seconds": seconds}


def tell(drawn: int) -> None:
    print(json.dumps({"peak_mb": peak_mb(), "cpu_s": time.process_time(), "drawn": drawn}))


def a_round(folder: Path) -> None:
    from labelloop.loop import open_loop

    with open_loop(folder / "labelloop.toml") as loop:
        tell(sum(plan.n_drawn for plan in loop.select(now=True).plans))


def an_extra_round(folder: Path) -> None:
    from labelloop.loop import open_loop

    with open_loop(folder / "labelloop.toml") as loop:
        since = datetime.now(UTC) - timedelta(days=400)
        tell(sum(plan.n_drawn for plan in loop.select(since=since).plans))


def bare(folder: Path, pattern: str, n: int) -> None:
    """Counts by (class, bin), and the rows below the n-th smallest place."""
    import duckdb

    files = sorted(
        str(path) for path in (folder / ".labelloop").glob("log/predictions/data/*.parquet")
    )
    files = files[-PIECES:] if pattern == "day" else files
    with duckdb.connect(config={"preserve_insertion_order": "false"}) as engine:
        counts = engine.execute(
            "SELECT predicted_class, least(1023, floor(1024 * (1 - confidence))), count(*) "
            "FROM read_parquet(?) GROUP BY ALL",
            [files],
        ).fetchall()
        total = sum(found[2] for found in counts)
        cut = int(LINE_END / total * n)
        drawn = engine.execute(
            "SELECT sample_id, uri, model, predicted_class, confidence, line, content_hash "
            "FROM read_parquet(?) WHERE line < ?",
            [files, cut],
        ).fetchall()
        tell(len(drawn))


CHILDREN = {
    "round": a_round,
    "extra": an_extra_round,
    "bare_day": lambda folder: bare(folder, "day", 700),
    "bare_all": lambda folder: bare(folder, "all", 10_000),
}

if __name__ == "__main__":
    main()
