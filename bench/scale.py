"""Everything about size in one table: `make bench-scale [ARGS='--scale 0.1 --write']`.

Each line is labelloop beside what a user would write instead and beside the limit, measured one after
the other on this machine, whose cores the servers share.
"""

import argparse
import os
import platform
from collections.abc import Callable
from pathlib import Path

from bench import build, index_bucket, ledger_size, scored_frame, select_scale, send_rate
from bench.table import Row, lines

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "benchmarks-scale.md"
HEAD = """# Sizes and speeds

`make bench-scale ARGS=--write` writes this page; `--scale 0.1` makes every size a tenth. Each line
was measured once, on {cores} cores ({machine}); Label Studio and the S3 server
(SeaweedFS) run on the same cores. Ratios say more than rates.

- *instead*: of tags, `list_objects_v2` and a loop of `get_object_tagging` with boto3, as notebooks have
  it; of a ledger, SQL that counts the same over all of it, with sqlite3 alone.
- *limit*: of tags, wrk with links signed beforehand; of a round, the two bare DuckDB statements on
  the log's files, each with the start of its process; of a scored round, streaming the columns that
  it scores; of a training set, DuckDB's own COPY; of `send`, Label Studio's import of the same tasks in
  the same batches.

"""


BY_THEMSELVES = "## The service"
"""What follows was measured by other programs, and stays."""

PARTS: dict[str, Callable[[float], list[Row]]] = {
    "index": lambda scale: index_bucket.measure(int(50_000 * scale), int(200_000 * scale)),
    "send": lambda scale: send_rate.measure(int(20_000 * scale)),
    "select": lambda scale: select_scale.measure(int(100_000_000 * scale)),
    "scored": lambda scale: scored_frame.measure(int(10_000_000 * scale)),
    "build": lambda scale: build.measure_build(int(20_000_000 * scale)),
    "ledger": lambda scale: ledger_size.measure(int(5_000_000 * scale)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="this part; more than once: these"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"into docs/explanation/{PAGE.name}, part by part"
    )
    asked = parser.parse_args()
    rows: list[Row] = []
    for name in asked.only or PARTS:
        rows += PARTS[name](asked.scale)
        if asked.write:
            head = HEAD.format(cores=os.cpu_count(), machine=platform.machine())
            table = "\n".join(lines(rows))
            kept = PAGE.read_text(encoding="utf-8").partition(BY_THEMSELVES)
            PAGE.write_text(f"{head}{table}\n\n{kept[1]}{kept[2]}", encoding="utf-8")
    print(*lines(rows), sep="\n")


if __name__ == "__main__":
    main()
