"""A training set of model labels only, beside DuckDB's own COPY of the same query.

python bench/build.py [--rows 5000000]

Each runs in a process of its own on the same log; the peak is that process's memory.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bench.table import Row, lines, peak_mb

from labelloop.adapters.iceberg import sql as log_sql
from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.core.line import lines as places
from labelloop.core.round import FrameRange
from labelloop.core.sample import PredictionTable
from labelloop.loop import Loop
from labelloop.ports.log import LabelPart
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.steps.index.batch_writer import write_batches
from labelloop.testing import MemoryAnnotator, MemoryStore

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
budget = 100

[training]
confidence = 0.1
"""
BATCH = 1_000_000
AT = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return AT + timedelta(hours=1)

    def sleep(self, _seconds: float) -> None:
        raise AssertionError


def opened(folder: Path) -> Loop:
    settings = load(folder / "labelloop.toml", {})
    return Loop(Project(settings, clock=Clock(), store=MemoryStore(), annotator=MemoryAnnotator()))


def fill(folder: Path, n: int) -> None:
    """Write a log of n predictions, and draw a round over them."""
    names = ", ".join(f'"class {i}"' for i in range(10))
    (folder / "labelloop.toml").write_text(SETTINGS.format(classes=names))
    random = np.random.default_rng(1)
    with opened(folder) as loop:
        for start in range(0, n, BATCH):
            size = min(BATCH, n - start)
            number = pa.array(random.permutation(size) + start).cast(pa.string())
            kind = pa.array(random.integers(0, 10, size)).cast(pa.string())
            ids = pc.binary_join_element_wise("class_", kind, "/2026/03/", number, ".png", "")
            table = pa.table(
                {
                    "sample_id": ids,
                    "uri": pc.binary_join_element_wise("s3://production/", ids, ""),
                    "predicted_at": pa.array([AT] * size, pa.timestamp("us", "UTC")),
                    "model": ["m1"] * size,
                    "role": ["serving"] * size,
                    "predicted_class": pc.binary_join_element_wise("class ", kind, ""),
                    "confidence": random.beta(5, 1, size),
                    "attributes": pa.array([[]] * size, pa.map_(pa.string(), pa.string())),
                    "line": places(ids.to_pylist(), loop.project.log.salt),
                    "content_hash": [random.bytes(16).hex() for _ in range(size)],
                    "size_bytes": pa.array([1000] * size),
                }
            )
            with loop.project.ledger.lease("index") as lease:
                write_batches(
                    loop.project.ledger,
                    loop.project.log,
                    lease,
                    predictions=PredictionTable(table),
                    feedback=[],
                    set_aside=[],
                    mended=[],
                    now=AT,
                )
        loop.select(now=True)


def build(folder: Path) -> int:
    with opened(folder) as loop:
        return loop.build().training.n_model


def copy(folder: Path) -> int:
    with opened(folder) as loop:
        log = loop.project.log
        assert isinstance(log, IcebergLog)
        parts = [LabelPart(frames=(FrameRange(batch_to=1 << 40),), min_confidence=0.1)]
        with log._reading() as reading:
            statement = log_sql.model_labels(
                reading.source("predictions"),
                reading.source("feedback"),
                parts,
                cells=reading.cells(parts),
                without_samples=reading.listed("sample_id", []),
                without_content=reading.listed("content_hash", []),
            )
            copied = reading._connection.execute(
                f"COPY ({statement}) TO '{folder}/copied.parquet' (FORMAT parquet, COMPRESSION zstd)"
            ).fetchone()
            assert copied is not None
            return int(copied[0])


def measured(call: Callable[[Path], int], folder: Path) -> tuple[int, float, float, int]:
    begin, cpu = time.perf_counter(), time.process_time()
    n = call(folder)
    took_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    return n, took_s, cpu_s, round(peak_mb())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    print(*lines(measure_build(parser.parse_args().rows)), sep="\n")


def measure_build(n_rows: int) -> list[Row]:
    """Build a training set of n_rows predictions, and copy the same rows."""
    alone = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with alone.Pool(1) as pool:
            pool.apply(fill, (folder, n_rows))
        with alone.Pool(1) as pool:
            n_copied, copied_s, _, _ = pool.apply(measured, (copy, folder))
        with alone.Pool(1) as pool:
            n, took_s, _, peak = pool.apply(measured, (build, folder))
    return [
        Row(
            what="build of model labels",
            size=n,
            unit="labels",
            ours=n / took_s,
            limit=n_copied / copied_s,
            peak_mb=peak,
        )
    ]


if __name__ == "__main__":
    main()
