"""What a million new rows cost, however long the log is: one log that grows, measured on the way.

python -m bench.index_growth [--millions 1 10 30 100] [--write]

Each million is a Parquet file of its own and a run of `index` in a process of its own. Beside it stands
what DuckDB takes to read the same file, hash each id and write the rows back: the limit.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet
from bench import source_rows
from bench.cost import MILLION, PAGE, alone
from bench.table import peak_mb

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
AROUND = 3
"""Runs at each length of the log; the median of them is shown."""


@dataclass(frozen=True, slots=True)
class Run:
    """The seconds of the clock and of the cores, and the peak memory, for a million rows."""

    took_s: float
    cpu_s: float
    peak_mb: float


def by_duckdb(source: Path, target: Path) -> Run:
    """Read, hash and write back what a run of `index` reads."""
    start, cpu = time.perf_counter(), time.process_time()
    with duckdb.connect() as engine:
        engine.execute("SET threads = 2")
        engine.execute("SET enable_progress_bar = false")
        hashed = engine.read_parquet(str(source)).project("*, sha256(request_id) AS place")
        hashed.write_parquet(str(target), compression="zstd")
    return Run(time.perf_counter() - start, time.process_time() - cpu, peak_mb())


def next_million(folder: Path, number: int) -> Path:
    """The file of the next million rows; those of earlier ones are gone, as they were read."""
    table = folder / "table"
    for old in table.glob("*.parquet"):
        old.unlink()
    path = table / f"{number:06d}.parquet"
    rows = source_rows.table(number * MILLION, MILLION)
    pyarrow.parquet.write_table(rows, path)
    return path


def grow(folder: Path, lengths: list[int]) -> dict[int, tuple[Run, Run]]:
    """The run of a million, and DuckDB's, when the log has so many million rows."""
    (folder / "table").mkdir()
    (folder / "labelloop.toml").write_text(source_rows.SETTINGS.format(kind="parquet"))
    found: dict[int, tuple[Run, Run]] = {}
    runs: list[Run] = []
    for number in range(max(lengths) + AROUND):
        path = next_million(folder, number)
        n_new, *measured = alone(source_rows.indexed, folder)
        assert n_new == MILLION, n_new
        runs.append(Run(*measured))
        print(f"\r  {number + 1} M: {runs[-1].cpu_s:.1f} s of the cores ", end="", file=sys.stderr)
        before = number + 1 - AROUND
        if before in lengths:
            others = [alone(by_duckdb, path, folder / "copy.parquet") for _ in range(AROUND)]
            found[before] = median(runs[-AROUND:]), median(others)
    print(file=sys.stderr)
    return found


def median(runs: list[Run]) -> Run:
    return Run(
        statistics.median(r.took_s for r in runs),
        statistics.median(r.cpu_s for r in runs),
        max(r.peak_mb for r in runs),
    )


def table(found: dict[int, tuple[Run, Run]]) -> list[str]:
    first = next(iter(found.values()))[0]
    head = [
        "rows in the log",
        "of the cores",
        "to the first",
        "rows a second",
        "DuckDB's",
        "memory",
    ]
    return [
        f"| {' | '.join(head)} |",
        f"|{' ---: |' * len(head)}",
        *(
            f"| {millions} M | {ours.cpu_s:.2f} s | {ours.cpu_s / first.cpu_s:.2f} | "
            f"{MILLION / ours.took_s:,.0f} | {MILLION / theirs.took_s:,.0f} | {ours.peak_mb:,.0f} MB |"
            for millions, (ours, theirs) in found.items()
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, nargs="+", default=[0, 1, 10, 30, 100])
    parser.add_argument("--write", action="store_true", help=f"into docs/explanation/{PAGE.name}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place:
        rows = table(grow(Path(place), sorted(asked.millions)))
    load = f"{os.getloadavg()[2]:.1f}"
    print(*rows, f"load {load}", sep="\n")
    if asked.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        said = f"Measured by `python -m bench.index_growth --write` on {os.cpu_count()} cores, load {load}:"
        PAGE.write_text("\n".join([f"{before}{BEGIN}", said, "", *rows, f"{END}{after}"]))


if __name__ == "__main__":
    main()
