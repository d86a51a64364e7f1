"""Rows into the prediction log, and a selection out of it, beside bare DuckDB on the same files.

python bench/log_rows.py [--rows 1000000] [--batches 10]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np

from labelloop.adapters.iceberg_log import IcebergLog
from labelloop.core.line import line
from labelloop.core.round import FrameRange, Span
from labelloop.core.sample import Prediction
from labelloop.core.where import Where
from labelloop.ports import LabelPart

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
        write_s = 0.0
        for batch in range(1, asked.batches + 1):
            rows = predictions(batch, n_batch)
            begin = time.perf_counter()
            path = log.write_batch(batch, "predictions", rows, START)
            log.commit_batch(batch, "predictions", path)
            write_s += time.perf_counter() - begin
        print(f"{'write and commit':<44} {write_s:8.2f} s {n / write_s:12,.0f} rows/s")
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
            found = log.known(ids)
        assert len(found) == len(ids)
        with timed("model labels, all batches, without the drawn", n):
            pages = log.model_labels(
                [LabelPart(frames=(everything,), min_confidence=0.9)],
                without_samples=[candidate.sample_id for candidate in drawn],
                without_content=[candidate.content_hash for candidate in drawn],
            )
            n_labels = sum(len(page) for page in pages)
        print(f"  ({len(drawn):,} drawn, {n_labels:,} model labels)")
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
