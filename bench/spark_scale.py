"""The two statements of a selection on DuckDB and on Spark, over one log, in this process.

python -m bench.spark_scale [--rows 20000000] [--files 20] [--master local[2]]

PySpark comes with `make spark`: PYTHONPATH=.spark. The first pair on Spark holds what a JVM needs to warm up.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from bench.select_scale import predictions

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.adapters.spark.engine import SparkEngine
from labelloop.core.line import LINE_END
from labelloop.core.round import FrameRange, Span
from labelloop.core.where import Where

T = TypeVar("T")
DRAWN = 10_000
START = datetime(2026, 3, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--master", default="local[2]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place:
        folder = Path(place)
        with opened(folder, None) as log:
            for batch in range(1, given.files + 1):
                rows = predictions(batch, given.rows // given.files, START, log.salt)
                path = log.write_batch(batch, "predictions", rows, START)
                log.commit_batch(batch, "predictions", path)
            del rows
            wanted = asked(log, "DuckDB", given.rows)
            asked(log, "DuckDB again", given.rows)
        engine = SparkEngine(master=given.master, options={"spark.driver.memory": "4g"})
        told("starting Spark", engine.session)
        with opened(folder, engine) as log:
            for name in ("Spark", "Spark again"):
                assert asked(log, name, given.rows) == wanted
        print(f"load {os.getloadavg()[0]:.1f}")


def opened(folder: Path, spark: SparkEngine | None) -> IcebergLog:
    return IcebergLog.open(
        warehouse=str(folder / "log"),
        catalog=f"sqlite:///{folder / 'catalog.db'}",
        ledger_id="bench",
        salt=b"bench",
        spark=spark,
    )


def asked(log: IcebergLog, engine: str, n_rows: int) -> list[object]:
    frame, low = FrameRange(batch_to=1 << 40), [Where.parse("confidence < 0.7")]
    cut = LINE_END * DRAWN // n_rows
    spans = [Span(pattern=pattern, above=-1, up_to=cut) for pattern in (0, 1)]
    counts = told(f"{engine}: counts", lambda: log.counts(frame, low))
    rows = told(f"{engine}: rows", lambda: log.rows(frame, low, spans))
    return [list(counts), list(rows)]


def told(what: str, call: Callable[[], T]) -> T:
    begin = time.perf_counter()
    result = call()
    print(f"{what:<24} {time.perf_counter() - begin:7.2f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
