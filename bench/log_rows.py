"""Rows into the prediction log, and a selection out of it, beside bare DuckDB on the same files.

Then the log is tidied, and the same is asked again. The days of the rows are past, so all of them are closed.

python bench/log_rows.py [--rows 1000000] [--batches 10]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.core.line import line
from labelloop.core.round import FrameRange, Span
from labelloop.core.sample import Prediction
from labelloop.core.where import Where
from labelloop.ports.log import LabelPart

SALT = b"bench"
START = datetime(2026, 3, 1, tzinfo=UTC)


@contextmanager
def timed(what: str, n: int) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    took_s = time.perf_counter() - begin
    print(f"{what:<44} {took_s:8.2f} s {n / took_s:12,.0f} rows/s")


def predictions(batch: int, n: int) -> list[Prediction]:
    generator = np.random.default_rng(batch)
    confidences = generator.beta(5, 1, n).tolist()
    classes = generator.integers(0, 10, n).tolist()
    ids = [f"class_{c:02d}/{batch:06d}-{i:08d}.png" for i, c in enumerate(classes)]
    return [
        Prediction(
            sample_id=sample_id,
            uri=f"s3://production/{sample_id}",
            predicted_at=START + timedelta(days=batch, milliseconds=i),
            model="m1",
            predicted_class=f"class {c}",
            confidence=confidence,
            line=line(sample_id, SALT),
            content_hash=sample_id[-20:],
            size_bytes=1000,
            attributes={"site": "Bern" if i % 3 else "Basel"},
        )
        for i, (sample_id, c, confidence) in enumerate(zip(ids, classes, confidences, strict=True))
    ]


def spread(times_s: list[float]) -> str:
    return f"median {statistics.median(times_s):.3f} s, {min(times_s):.3f} to {max(times_s):.3f}"


def asked_again(log: IcebergLog, n_batches: int) -> dict[str, list[float]]:
    """How long each question takes, five times over."""
    everything = FrameRange(batch_to=n_batches)
    day = FrameRange(batch_after=n_batches // 2, batch_to=n_batches // 2 + n_batches // 10)
    wheres = [Where.parse("confidence < 0.7"), Where.parse("attributes.site = 'Bern'")]
    spans = [Span(pattern=p, above=-1, up_to=(1 << 62) // 1000) for p in range(4)]
    questions: dict[str, Callable[[], object]] = {
        "counts, all batches": lambda: log.counts(everything, wheres),
        "rows below a cut, all batches": lambda: log.rows(everything, wheres, spans),
        "counts, a tenth of the batches": lambda: log.counts(day, wheres),
        "rows below a cut, a tenth of them": lambda: log.rows(day, wheres, spans),
        "known, 1,000 ids": lambda: log.samples([f"never/{i}.png" for i in range(1000)]),
    }
    took: dict[str, list[float]] = {}
    for name, ask in questions.items():
        for _ in range(5):
            begin = time.perf_counter()
            ask()
            took.setdefault(name, []).append(time.perf_counter() - begin)
    return took


def appended(log: IcebergLog, first: int) -> list[float]:
    took = []
    for batch in range(first, first + 20):
        rows = predictions(batch, 1000)
        begin = time.perf_counter()
        log.commit_batch(batch, "predictions", log.write_batch(batch, "predictions", rows, START))
        took.append(time.perf_counter() - begin)
    return took


def tidied(log: IcebergLog, n: int, n_batches: int) -> None:
    """Print what tidying costs, and each question's time before and after it."""
    appends, before = appended(log, n_batches + 1), asked_again(log, n_batches)
    for what, unused_before in (
        ("merge", START),
        ("remove", datetime.now(UTC) + timedelta(days=2)),
    ):
        with timed(f"log maintain, {what}", n):
            done = log.maintain(
                closed_before=START + timedelta(days=1),
                unused_before=unused_before,
                allowed=lambda: None,
                progress=lambda _what, _done, _total: None,
            )
        print(f"  ({done})")
    after = asked_again(log, n_batches)
    print(f"  (load {os.getloadavg()[0]:.1f}; medians of 5, before and after)")
    for name, times_s in before.items():
        was_s, is_s = statistics.median(times_s), statistics.median(after[name])
        print(f"{name:<44} {was_s:8.3f} s {is_s:8.3f} s   {was_s / is_s:5.1f} times")
    was_s, is_s = (statistics.median(t) for t in (appends, appended(log, n_batches + 21)))
    print(f"{'append of 1,000 rows':<44} {was_s:8.3f} s {is_s:8.3f} s   {was_s / is_s:5.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=10)
    asked = parser.parse_args()
    n, n_batch = asked.rows, asked.rows // asked.batches
    with tempfile.TemporaryDirectory() as folder:
        log = IcebergLog.open(
            warehouse=f"{folder}/log",
            catalog=f"sqlite:///{folder}/catalog.db",
            ledger_id="bench",
            salt=SALT,
        )
        write_s, appends_s = 0.0, list[float]()
        for batch in range(1, asked.batches + 1):
            rows = predictions(batch, n_batch)
            begin = time.perf_counter()
            path = log.write_batch(batch, "predictions", rows, START)
            log.commit_batch(batch, "predictions", path)
            appends_s.append(time.perf_counter() - begin)
        write_s = sum(appends_s)
        print(f"{'write and commit':<44} {write_s:8.2f} s {n / write_s:12,.0f} rows/s")
        print(f"  (load {os.getloadavg()[0]:.1f}; appends: {spread(appends_s[-20:])}, the last 20)")
        everything = FrameRange(batch_to=asked.batches)
        newest = FrameRange(batch_after=asked.batches - 1, batch_to=asked.batches)
        wheres = [Where.parse("confidence < 0.7"), Where.parse("attributes.site = 'Bern'")]
        spans = [Span(pattern=p, above=-1, up_to=(1 << 62) // 1000) for p in range(4)]
        with timed("counts, all batches, two conditions", n):
            log.counts(everything, wheres)
        with timed("counts, newest batch, two conditions", n_batch):
            log.counts(newest, wheres)
        with timed("rows below a cut, all batches", n):
            drawn = log.rows(everything, wheres, spans)
        ids = [p.sample_id for p in predictions(1, n_batch)[:50_000]]
        with timed("known, 50,000 ids", n):
            found = log.samples(ids)
        assert len(found) == len(ids)
        with timed("model labels, all batches, without the drawn", n):
            pages = log.model_labels(
                [LabelPart(frames=(everything,), min_confidence=0.9)],
                without_samples=[candidate.sample_id for candidate in drawn],
                without_content=[candidate.content_hash for candidate in drawn],
            )
            n_labels = sum(len(page) for page in pages)
        print(f"  ({len(drawn):,} drawn, {n_labels:,} model labels)")
        tidied(log, n, asked.batches)
        files = [str(path) for path in Path(folder).glob("log/predictions/data/*.parquet")]
        with duckdb.connect() as bare, timed("bare DuckDB: counts by class and bin", n):
            bare.execute(
                "SELECT predicted_class, floor(1024 * (1 - confidence)), confidence < 0.7, "
                "attributes['site'] = 'Bern', count(*) FROM read_parquet(?) GROUP BY ALL",
                [files],
            ).fetchall()
        with duckdb.connect() as bare, timed("bare DuckDB: rows below a cut", n):
            bare.execute(
                "SELECT * EXCLUDE (predicted_at, indexed_at) FROM read_parquet(?) WHERE line <= ?",
                [files, (1 << 62) // 1000],
            ).fetchall()
        log.close()


if __name__ == "__main__":
    main()
