"""What each verb costs by the million predictions: fitted at two sizes, checked at a third.

python -m bench.cost [--millions 1 10 100] [--write]

The cores' seconds are a + b * millions: a line through the first two sizes, and what it says of the third
beside what was measured. They hardly depend on what else runs; those of the clock do. Each verb at each size
is a process of its own.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench import build, select_scale, source_rows

T = TypeVar("T")
MILLION = 1_000_000
PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "cost.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """The clock's seconds, the cores' seconds and the peak memory at a size."""

    millions: float
    took_s: float
    cpu_s: float
    peak_mb: float


def index_of_a_table(folder: Path, n: int) -> tuple[float, float, float]:
    source_rows.write(folder, "parquet", n)
    _, *found = alone(source_rows.indexed, folder)
    return tuple(found)


def round_of_all(folder: Path, n: int) -> tuple[float, float, float]:
    """A round whose frame is the whole log: its cost is that of its frame, whatever lies beside."""
    select_scale.write(folder, budget=200, more=select_scale.TRAINING)
    alone(select_scale.fill, folder, 2, n, 4_000)  # the second day is the frame
    said = select_scale.child("round", folder)
    return said["seconds"], said["cpu_s"], said["peak_mb"]


def training_set(folder: Path, n: int) -> tuple[float, float, float]:
    alone(build.fill, folder, n)
    _, *found = alone(build.measured, build.build, folder)
    return tuple(found)


VERBS: dict[str, Callable[[Path, int], tuple[float, float, float]]] = {
    "index, rows of a Parquet table": index_of_a_table,
    "select, three queues over one frame": round_of_all,
    "build, a training set of model labels": training_set,
}
MOST = {index_of_a_table: 30.0, training_set: 30.0}
"""Millions at which a verb is checked, where more takes too long to write and to read here."""


def alone(call: Callable[..., T], *given: object) -> T:
    """What `call` returns, from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, given)


def measure(verb: str, millions: float) -> Measured:
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place:
        found = Measured(millions, *VERBS[verb](Path(place), int(millions * MILLION)))
    print(
        f"  {verb:<40} {millions:7g} M {found.took_s:8.1f} s, of the cores {found.cpu_s:8.1f} s, "
        f"{found.peak_mb:7,.0f} MB",
        file=sys.stderr,
        flush=True,
    )
    return found


def line(verb: str, found: Sequence[Measured]) -> str:
    """A row of the table: the line through the first two, and the others beside it."""
    first, second, *others = found
    each_s = (second.cpu_s - first.cpu_s) / (second.millions - first.millions)
    start_s = first.cpu_s - each_s * first.millions
    at = [
        f"{m.millions:g} M: {m.cpu_s:,.0f} s ({m.took_s:,.0f} s), {m.peak_mb:,.0f} MB"
        for m in found
    ]
    said = [f"{start_s + each_s * m.millions:,.0f} s" for m in others]
    billion_h = (start_s + each_s * 1000) / 3600
    fitted = f"{start_s:.1f} s + {each_s:.2f} s"
    return f"| {' | '.join([verb, *at, fitted, *said, f'{billion_h:,.1f} h'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs=3, default=[1, 10, 100])
    parser.add_argument("--write", action="store_true", help=f"into docs/explanation/{PAGE.name}")
    asked = parser.parse_args()
    head = ["verb", "first", "second", "third", "start + each million", "at the third", "a billion"]
    table = [
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(
            line(verb, [measure(verb, min(m, MOST.get(call, m))) for m in asked.millions])
            for verb, call in VERBS.items()
        ),
    ]
    print(*table, sep="\n")
    if asked.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        said = (
            f"Measured once, by `python -m bench.cost --write`, on {os.cpu_count()} cores, on which other "
            "things ran too: seconds of the cores, and in brackets of the clock, then the most memory."
        )
        PAGE.write_text(
            "\n".join([before + BEGIN, said, "", *table, END]) + after, encoding="utf-8"
        )


if __name__ == "__main__":
    main()
