"""Picking 1,000 of a million candidates by `diverse` and by other rules, beside bare statements.

python -m bench.diverse_scale [--rows 1000000] [--numbers 384] [--pick diverse,margin,least-confident]

Each round is a process of its own, whose seconds hold its start. A bare statement sorts by what the rule
ranks by, in DuckDB alone, and reads the first 1,000 rows.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench.select_scale import CLASSES, SETTINGS, predictions
from bench.table import peak_mb

from labelloop.core.sample import PredictionTable

PIECES = 10
BUDGET = 1_000
QUEUE = '[[queue]]\nname = "teach"\npurpose = "training"\nbudget = {budget}\npick = "{pick}"\n'
BARE = {
    "least-confident": "confidence",
    "margin": "list_reverse_sort(probabilities)[1] - list_reverse_sort(probabilities)[2]",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--numbers", type=int, default=384)
    parser.add_argument("--pick", default="diverse,margin,least-confident")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, where = given.child
        (a_round if what == "round" else partial(bare, by=what))(Path(where))
        return
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place:
        folder = Path(place)
        settings(folder, "random")
        fill(folder, given.rows, given.numbers)
        print("| rule | seconds | CPU | memory | bare statement |\n| --- | --- | --- | --- | --- |")
        for pick in given.pick.split(","):
            settings(folder, pick)
            own = child("round", folder)
            beside = f"{child(BARE[pick], folder)['seconds']:.1f} s" if pick in BARE else ""
            print(
                f"| {pick} | {own['seconds']:.1f} s | {own['cpu_s']:.1f} s | {own['peak_mb']:,.0f} MB "
                f"| {beside} |",
                flush=True,
            )


def settings(folder: Path, pick: str) -> None:
    classes = ", ".join(f'"{i}"' for i in range(CLASSES))
    head = SETTINGS.format(classes=classes, budget=1)
    text = head[: head.index("[[queue]]")] + QUEUE.format(budget=BUDGET, pick=pick)
    (folder / "labelloop.toml").write_text(text)


def fill(folder: Path, n_rows: int, n_numbers: int) -> None:
    """A log whose rows have probabilities of ten classes, and embeddings of 200 kinds of scenes."""
    from labelloop.loop import open_loop
    from labelloop.steps.index.batch_writer import write_batches

    now = datetime.now(UTC)
    rng = np.random.default_rng(1)
    kinds = rng.normal(size=(200, n_numbers)).astype(np.float32)
    with open_loop(folder / "labelloop.toml") as loop:
        log, ledger = loop.project.log, loop.project.ledger
        for piece in range(PIECES):
            n = n_rows // PIECES
            table = predictions(piece, n, now - timedelta(days=1), log.salt).table
            p = rng.dirichlet(np.full(CLASSES, 0.3), n).astype(np.float32)
            near = kinds[rng.integers(0, len(kinds), n)]
            embedded = near + rng.normal(scale=0.5, size=near.shape).astype(np.float32)
            for name, values in (("probabilities", p), ("embedding", embedded)):
                ends = pa.array(np.arange(0, values.size + 1, values.shape[1], dtype=np.int32))
                column = pa.ListArray.from_arrays(ends, pa.array(values.ravel()))
                table = table.append_column(name, column)
            with ledger.lease("index") as lease:
                write_batches(
                    *(ledger, log, lease),
                    predictions=PredictionTable(table),
                    feedback=[],
                    set_aside=[],
                    mended=[],
                    now=now,
                )


def child(what: str, folder: Path) -> dict[str, float]:
    begin = time.perf_counter()
    command = [sys.executable, "-m", "bench.diverse_scale", "--child", what, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said: dict[str, float] = json.loads(done.stdout)
    return said | {"seconds": time.perf_counter() - begin}


def tell() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"peak_mb": peak_mb(), "cpu_s": used.ru_utime + used.ru_stime}))


def a_round(folder: Path) -> None:
    from labelloop.loop import open_loop

    with open_loop(folder / "labelloop.toml") as loop:
        loop.select(now=True, dry_run=True)
    tell()


def bare(folder: Path, *, by: str) -> None:
    import duckdb

    files = [str(p) for p in (folder / ".labelloop").glob("log/predictions/data/*.parquet")]
    with duckdb.connect() as engine:
        named = "sample_id, uri, model, predicted_class, confidence, line, content_hash"
        rows = engine.read_parquet(files)
        rows.order(f"{by}, line").limit(BUDGET).select(named).fetchall()
    tell()


if __name__ == "__main__":
    main()
