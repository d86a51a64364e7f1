"""CPU that a SageMaker log takes, beside what DuckDB takes to read it and extract the same fields.

python -m bench.serving_logs [ROWS]
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from labelloop.adapters.sources.bodies import BodiesSource
from labelloop.adapters.sources.sagemaker import SageMakerSource
from labelloop.core.json_path import JsonPath

PATHS = (
    "$.response.predictions[0].label",
    "$.response.predictions[0].score",
    "$.request.mail",
    "$.request.country",
)
BARE = """
    SELECT m->>'eventId', CAST(m->>'inferenceTime' AS TIMESTAMP), o->>'$.predictions[0].label',
           CAST(o->>'$.predictions[0].score' AS DOUBLE), i->>'mail', i->>'country'
    FROM (SELECT eventMetadata AS m, CAST(captureData->'endpointInput'->>'data' AS JSON) AS i,
                 CAST(captureData->'endpointOutput'->>'data' AS JSON) AS o
          FROM read_json('{file}', format = 'newline_delimited',
                         columns = {{captureData: 'JSON', eventMetadata: 'JSON'}}))"""


def write(path: Path, n: int) -> None:
    """A file of captured requests."""
    with path.open("w") as file:
        for i in range(n):
            asked = {"mail": f"mail {i} " + "words and more words " * 8, "country": "CH"}
            said = {"predictions": [{"label": "abc"[i % 3], "score": i % 100 / 100}]}
            parts = {
                name: {
                    "observedContentType": "application/json",
                    "data": json.dumps(body),
                    "encoding": "JSON",
                }
                for name, body in (("endpointInput", asked), ("endpointOutput", said))
            }
            meta = {"eventId": f"{i:032x}", "inferenceTime": "2026-03-02T10:00:00Z"}
            file.write(json.dumps({"captureData": parts, "eventMetadata": meta}) + "\n")


def cpu_s(work: Callable[[], int], n: int) -> float:
    """The CPU seconds that some work takes, which must find n rows."""
    begun = time.process_time()
    assert work() == n
    return time.process_time() - begun


def main(n: int) -> None:
    """Print both, three times."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "log.jsonl"
        write(file, n)

        def ours() -> int:
            source = BodiesSource(SageMakerSource(name), [JsonPath.parse(p) for p in PATHS])
            (only,) = source.files()
            found = sum(len(r.numbers) for r in source.read(only, ["id", "time", *PATHS]))
            source.close()
            return found

        def bare() -> int:
            with duckdb.connect(config={"threads": "1"}) as db:
                return db.sql(BARE.format(file=file)).to_arrow_table().num_rows

        print(f"{n:,} rows, {file.stat().st_size:,} bytes, load {os.getloadavg()[0]:.1f}")
        for _ in range(3):
            print(f"DuckDB {cpu_s(bare, n):.2f} s, labelloop {cpu_s(ours, n):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
