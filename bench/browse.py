"""Pages of samples out of a large prediction log, beside bare DuckDB that reads every file.

python bench/browse.py [--rows 10000000] [--batches 100] [--folder FOLDER]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.core.line import line
from labelloop.core.sample import PredictionTable
from labelloop.core.where import Where
from labelloop.ports.log import Browsing
from labelloop.views.samples import BUDGET_S

SALT = b"bench"
START = datetime(2026, 3, 1, tzinfo=UTC)
CLASSES = [f"class {c:02d}" for c in range(10)]
WHERES = (
    None,
    "confidence < 0.7",
    "predicted_class = 'class 03' and confidence >= 0.99",
    "attributes.site = 'Basel' and confidence < 0.2",
    "predicted_class = 'no such class'",
    "flagged",
    f"predicted_at < '{(START + timedelta(days=2)).isoformat()}'",
)
PAGE = 61
AT_MOST = 10_000
HIDDEN = frozenset(f"class_00/000001-{i:08d}.png" for i in range(400))


def table(batch: int, n: int) -> PredictionTable:
    generator = np.random.default_rng(batch)
    classes = generator.integers(0, 10, n)
    ids = [f"class_{c:02d}/{batch:06d}-{i:08d}.png" for i, c in enumerate(classes.tolist())]
    begin = START + timedelta(days=batch)
    named = pa.map_(pa.string(), pa.string())
    sites = pa.array([[("site", "Bern" if i % 3 else "Basel")] for i in range(n)], named)
    return PredictionTable(
        pa.table(
            {
                "sample_id": ids,
                "uri": [f"s3://production/{sample_id}" for sample_id in ids],
                "predicted_at": pa.array(
                    [begin + timedelta(milliseconds=i) for i in range(n)],
                    pa.timestamp("us", tz="UTC"),
                ),
                "model": ["m1"] * n,
                "role": ["serving"] * n,
                "predicted_class": pa.array(CLASSES).take(pa.array(classes)),
                "confidence": generator.beta(5, 1, n),
                "attributes": sites,
                "line": [line(sample_id, SALT) for sample_id in ids],
                "content_hash": [f"{batch:016x}{i:016x}" for i in range(n)],
                "size_bytes": [1000] * n,
            }
        )
    )


def took(ask: Callable[[], object], times: int = 7) -> tuple[float, float]:
    """Seconds: the median, and the slowest."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        ask()
        found.append(time.perf_counter() - begin)
    return statistics.median(found), max(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp())
    log = IcebergLog.open(
        warehouse=str(folder / "log"),
        catalog=f"sqlite:///{folder / 'catalog.db'}",
        ledger_id="bench",
        salt=SALT,
    )
    if log.snapshot() is None:
        for batch in range(1, asked.batches + 1):
            path = log.write_batch(
                batch, "predictions", table(batch, asked.rows // asked.batches), START
            )
            log.commit_batch(batch, "predictions", path)
    files = [str(p) for p in (folder / "log").rglob("batch*.parquet")]
    bare = duckdb.connect()
    bare.execute("SET TimeZone = 'UTC'")
    print("median (slowest) of seven, ms:  page | count to 10,000 | bare DuckDB, page of all files")
    for text in WHERES:
        where = None if text is None else Where.parse(text)
        browsing = Browsing(where=where, without_samples=HIDDEN, budget_s=BUDGET_S)
        page = took(lambda b=browsing: log.browse(b, after=None, limit=PAGE))  # type: ignore[misc]
        count = took(lambda b=browsing: log.count(b, at_most=AT_MOST))  # type: ignore[misc]
        query = (
            f"SELECT * FROM read_parquet({files!r}) WHERE {where.sql('duckdb') if where else 'true'} "  # noqa: S608  texts of its own
            f"ORDER BY batch DESC, line LIMIT {PAGE}"
        )
        alone = None
        if where is None or not where.names_feedback:
            alone = took(lambda q=query: bare.sql(q).to_arrow_table(), times=3)  # type: ignore[misc]
        shown = [
            f"{t[0] * 1e3:6.0f} ({t[1] * 1e3:5.0f})" if t else "-" for t in (page, count, alone)
        ]
        print(f"{text or 'no filter':<58}", " | ".join(shown), flush=True)
    sample_id = "class_00/000001-00000001.png"
    print("one sample:", took(lambda: log.of_sample(sample_id)))
    log.close()


if __name__ == "__main__":
    main()
