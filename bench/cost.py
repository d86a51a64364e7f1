"""What each verb costs by the million predictions: fitted at two sizes, checked at a third.

python -m bench.cost [--millions 1 10 100] [--write]

Seconds are a + b * millions: a line through the first two sizes, and what it says of the third beside what
was measured. Each verb at each size is a process of its own.
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
PAGE = Path(__file__).parent.parent / "docs" / "cost.md"
BEGIN, END = "<!-- begin measured -->", "<!-- end measured -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds and peak memory at a size."""

    millions: float
    seconds: float
    peak_mb: float


def index_of_a_table(folder: Path, n: int) -> tuple[float, float]:
    source_rows.write(folder, "parquet", n)
    return alone(source_rows.indexed, folder)[1:]


def round_of_all(folder: Path, n: int) -> tuple[float, float]:
    """A round whose frame is the whole log: its cost is that of its frame, whatever lies beside."""
    select_scale.write(folder, budget=200, more=select_scale.TRAINING)
    alone(select_scale.fill, folder, 2, n)  # the second day is the frame
    said = select_scale.child("round", folder)
    return said["seconds"], said["peak_mb"]


def training_set(folder: Path, n: int) -> tuple[float, float]:
    alone(build.fill, folder, n)
    _, took_s, _, peak_mb = alone(build.measured, build.build, folder)
    return took_s, peak_mb


VERBS: dict[str, Callable[[Path, int], tuple[float, float]]] = {
    "index, rows of a Parquet table": index_of_a_table,
    "select, three queues over one frame": round_of_all,
    "build, a training set of model labels": training_set,
}


def alone(call: Callable[..., T], *given: object) -> T:
    """What `call` returns, from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, given)


def measure(verb: str, millions: float) -> Measured:
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as place:
        seconds, peak_mb = VERBS[verb](Path(place), int(millions * MILLION))
    print(f"  {verb:<40} {millions:7g} M {seconds:8.1f} s {peak_mb:7,.0f} MB", file=sys.stderr)
    return Measured(millions, seconds, peak_mb)


def line(verb: str, found: Sequence[Measured]) -> str:
    """A row of the table: the line through the first two, and the others beside it."""
    first, second, *others = found
    each_s = (second.seconds - first.seconds) / (second.millions - first.millions)
    start_s = first.seconds - each_s * first.millions
    at = [f"{m.seconds:,.1f} s, {m.peak_mb:,.0f} MB" for m in found]
    said = [f"{start_s + each_s * m.millions:,.0f} s" for m in others]
    day_h = (start_s + each_s * 1000) / 3600
    return f"| {' | '.join([verb, *at, f'{start_s:.1f} s + {each_s:.2f} s', *said, f'{day_h:,.1f} h'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs=3, default=[1, 10, 100])
    parser.add_argument("--write", action="store_true", help=f"into docs/{PAGE.name}")
    asked = parser.parse_args()
    sizes = [f"{millions:g} M" for millions in asked.millions]
    head = ["verb", *sizes, "start + each million", f"that line at {sizes[-1]}", "a billion"]
    table = [
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(line(verb, [measure(verb, m) for m in asked.millions]) for verb in VERBS),
    ]
    print(*table, sep="\n")
    if asked.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        said = f"Measured once, by `python -m bench.cost --write`, on {os.cpu_count()} cores."
        PAGE.write_text(
            "\n".join([before + BEGIN, said, "", *table, END]) + after, encoding="utf-8"
        )


if __name__ == "__main__":
    main()
