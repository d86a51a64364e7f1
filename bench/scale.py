"""Everything about size in one table: `make bench-scale [ARGS='--scale 0.1 --write']`.

Each line is labelloop beside what a user would write instead and beside the limit, measured one after
the other on this machine, whose cores the servers share.
"""

import argparse
import os
import platform
from pathlib import Path

from bench import build, index_bucket, ledger_size, scored_frame, select_scale, send_rate
from bench.table import lines

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks-scale.md"
HEAD = """# Sizes and speeds

`make bench-scale ARGS=--write` writes this page; `--scale 0.1` makes every size a tenth. Each line
was measured once, in one run, on {cores} cores ({machine}); Label Studio and the S3 server
(SeaweedFS) run on the same cores. Ratios say more than rates.

- *instead*: of tags, `list_objects_v2` and a loop of `get_object_tagging` with boto3, as notebooks have
  it; of a ledger, SQL that counts the same over all of it, with sqlite3 alone.
- *limit*: of tags, wrk with links signed beforehand; of a round, the two bare DuckDB statements on
  the log's files, each with the start of its process; of a scored round, streaming the columns that
  it scores; of a training set, DuckDB's own COPY; of `send`, Label Studio's import of the same tasks in
  the same batches.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--write", action="store_true", help=f"into docs/{PAGE.name}")
    asked = parser.parse_args()

    def of(n: int) -> int:
        return int(n * asked.scale)

    rows = [
        *index_bucket.measure(of(50_000), of(200_000)),
        *select_scale.measure(of(100_000_000)),
        *scored_frame.measure(of(10_000_000)),
        *build.measure_build(of(20_000_000)),
        *send_rate.measure(of(20_000)),
        *ledger_size.measure(of(5_000_000)),
    ]
    print(*lines(rows), sep="\n")
    if asked.write:
        head = HEAD.format(cores=os.cpu_count(), machine=platform.machine())
        PAGE.write_text(head + "\n".join(lines(rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
