"""A round scored by a learned risk with margin and attributes, beside reading its columns.

python -m bench.scored_frame [--rows 10000000] [--batches 10]
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench.table import Row, lines, peak_mb

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.core.line import lines as places
from labelloop.core.round import FrameRange
from labelloop.core.sample import PredictionTable
from labelloop.measuring.learned_risk import LearnedRisk
from labelloop.sampling.blind import UNEVEN, BlindDesign
from labelloop.sampling.remaining import Remaining, likely_cut
from labelloop.statistics import RiskModel
from labelloop.steps.select.frame import framed

START = datetime(2026, 3, 1, tzinfo=UTC)
SALT = b"bench"
CLASSES, SITES = 10, 5


@contextmanager
def timed(what: str, n: int) -> Iterator[list[float]]:
    """Yields what will hold the seconds."""
    begin = time.perf_counter()
    took: list[float] = []
    yield took
    took.append(time.perf_counter() - begin)
    peak_gb = peak_mb() / 1e3
    print(
        f"  {what:<36} {took[0]:8.2f} s {n / took[0]:12,.0f} rows/s {peak_gb:8.2f} GB at most",
        file=sys.stderr,
    )


def predictions(batch: int, n: int) -> PredictionTable:
    """Ten classes with their probabilities, a site and a speed; places drawn by NumPy, for speed."""
    rng = np.random.default_rng(batch)
    probabilities = np.sort(rng.dirichlet(np.full(CLASSES, 0.2), n).astype(np.float32), axis=1)
    ids = [f"{batch:06d}-{i:09d}.png" for i in range(n)]
    sites = [f"site {i}" for i in range(SITES)]
    attributes = pa.MapArray.from_arrays(
        np.arange(0, 2 * n + 1, 2, dtype=np.int32),
        pa.array(["site", "speed"] * n),
        pa.array(
            [
                value
                for site, speed in zip(
                    rng.integers(0, SITES, n).tolist(), rng.integers(0, 99, n).tolist(), strict=True
                )
                for value in (sites[site], str(speed))
            ]
        ),
    )
    table = pa.table(
        {
            "sample_id": ids,
            "uri": ids,
            "predicted_at": pa.repeat(pa.scalar(START, pa.timestamp("us", "UTC")), n),
            "model": pa.repeat("m1", n),
            "role": pa.repeat("serving", n),
            "predicted_class": rng.integers(0, CLASSES, n).astype(str),
            "confidence": probabilities[:, -1].astype(np.float64),
            "probabilities": pa.FixedSizeListArray.from_arrays(probabilities.ravel(), CLASSES).cast(
                pa.list_(pa.float32())
            ),
            "attributes": attributes,
            "line": places(ids, SALT),
            "content_hash": ids,
            "size_bytes": pa.repeat(1_000, n),
        }
    )
    return PredictionTable(table)


def learned() -> LearnedRisk:
    """A risk that found margin, site and speed of use."""
    rng = np.random.default_rng(0)
    n = 3_000
    margin, site, speed = rng.random(n), rng.integers(0, SITES, n), rng.integers(0, 99, n)
    wrong = rng.random(n) < 0.5 * (1 - margin) * (site + 1) / SITES + 0.4 * (speed > 80)
    table = pa.table(
        {
            "margin": margin,
            "attributes.site": [f"site {i}" for i in site],
            "attributes.speed": speed.astype(np.float64),
        }
    )
    model = RiskModel.fit(rng.random(n), ~wrong, np.full(n, 0.1), features=table)
    assert model.features is not None
    assert set(model.features.columns) == set(table.column_names)
    return LearnedRisk(model, (1,))


def measure(n_rows: int, n_batches: int = 10) -> list[Row]:
    """Scoring and drawing, in a process of its own, beside reading what is scored."""
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(1) as pool:
        read_s, round_s, peak_mb = pool.apply(scored, (n_rows, n_batches))
    return [
        Row(
            what="a round scored by a learned risk, beside reading its columns",
            size=n_rows,
            unit="rows",
            ours=n_rows / round_s,
            limit=n_rows / read_s,
            peak_mb=peak_mb,
        )
    ]


def scored(n_rows: int, n_batches: int) -> tuple[float, float, float]:
    """The seconds of reading and of a round, and the peak in MB."""
    risk = learned()
    with (
        tempfile.TemporaryDirectory(prefix="labelloop-bench-") as folder,
        IcebergLog.open(
            warehouse=str(Path(folder) / "log"),
            catalog=f"sqlite:///{Path(folder) / 'catalog.db'}",
            ledger_id="bench",
            salt=SALT,
        ) as log,
    ):
        for batch in range(1, n_batches + 1):
            rows = predictions(batch, n_rows // n_batches)
            log.commit_batch(
                batch, "predictions", log.write_batch(batch, "predictions", rows, START)
            )
        del rows
        frame = FrameRange(batch_to=n_batches)
        with timed("stream class, margin, attributes", n_rows) as reading:
            n = sum(batch.num_rows for batch in log.scan(frame, (), risk.attributes))
        assert n == n_rows
        with timed("stream, score, lay down", n_rows) as scoring:
            traffic = framed(log, frame, (), risk)
            laid = traffic.__enter__()
        with timed("count, chances", n_rows) as counting:
            left = Remaining(laid.counts())
            design = BlindDesign(left.eligible(lambda _pattern: True), 300, UNEVEN["uncertainty"])
        likely = likely_cut(design.n_uniform, design.n)
        with timed("rows below their cuts", n_rows) as drawing:
            drawn = design.draw(laid.rows(design.spans([0], likely)), likely)
        assert drawn is not None
        print(
            f"{len(drawn.rows)} drawn of {design.n:,}, {drawn.n_uniform} at random", file=sys.stderr
        )
        traffic.__exit__(None, None, None)
    took = [sum(part) for part in (scoring, counting, drawing)]
    return sum(reading), sum(took), peak_mb()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batches", type=int, default=10)
    given = parser.parse_args()
    print(*lines(measure(given.rows, given.batches)), sep="\n")


if __name__ == "__main__":
    main()
