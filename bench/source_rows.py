"""How many rows a second `index` takes from a table of predictions: real files, a real log.

python -m bench.source_rows [ROWS]
"""

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from bench.table import peak_mb

from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load

SETTINGS = """
[project]
name = "bench"
classes = ["ham", "spam", "other"]
[store]
uri = "s3://production"
endpoint_url = "http://127.0.0.1:9"
access_key = "a"
secret_key = "b"
[source]
kind = "{kind}"
uri = "table"
confidence_divisor = 100
predicted_at_unit = "milliseconds"
attributes = ["country"]
[source.columns]
sample_id = "request_id"
confidence = "score"
[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 100
"""


PER_FILE = 5_000_000


def table(first: int, n: int) -> pa.Table:
    rng = np.random.default_rng(first)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    classes = pa.array(["ham", "spam", "other"])
    return pa.table(
        {
            "request_id": pa.array([f"req-{i:032x}" for i in range(first, first + n)]),
            "predicted_class": classes.take(pa.array(rng.integers(0, 3, n))),
            "score": pa.array(rng.integers(0, 101, n)),
            "predicted_at": pa.array(now_ms - rng.integers(0, 86_400_000, n)),
            "country": pa.array(["CH", "DE", "FR"]).take(pa.array(rng.integers(0, 3, n))),
        }
    )


def write(folder: Path, kind: str, n: int) -> None:
    """A table of n rows, and the settings that name it."""
    (folder / "table").mkdir()
    for part in range(0, n, PER_FILE):
        rows = table(part, min(PER_FILE, n - part))
        if kind == "parquet":
            pyarrow.parquet.write_table(rows, folder / "table" / f"{part:012d}.parquet")
        else:
            pyarrow.csv.write_csv(rows, folder / "table" / f"{part:012d}.csv")
    (folder / "labelloop.toml").write_text(SETTINGS.format(kind=kind))


def indexed(folder: Path) -> tuple[int, float, float, float]:
    """What `index` finds new, its seconds, those of the cores, and its peak in MB."""
    with Loop(Project(load(folder / "labelloop.toml", {}))) as loop:
        _ = loop.project.log
        start, cpu = time.perf_counter(), time.process_time()
        found = loop.index()
        took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return found.n_new, took_s, cpu_s, peak_mb()


def main(n: int) -> None:
    for kind in ("parquet", "csv"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, kind, n)
            for run in ("first run", "second run"):
                n_new, took_s, _, peak = indexed(folder)
                print(
                    f"{kind:8} {run}: {n_new:>9,} new in {took_s:5.1f} s, "
                    f"{n / took_s:>9,.0f} rows/s, peak {peak:,.0f} MB"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
