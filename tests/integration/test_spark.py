"""Selections on a real Spark: the same draws as DuckDB's, whatever happens to its executors."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from labelloop.adapters.spark.engine import SparkEngine
from labelloop.core.line import line
from labelloop.core.sample import PredictionTable
from labelloop.errors import LogError
from labelloop.ledger import rounds
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.steps.index.batch_writer import write_batches
from tests.contract.test_prediction_log import ALL, WHOLE_LINE, append, open_iceberg, prediction
from tests.spark import AVAILABLE
from tests.spark_killed import SECRET
from tests.world import HEAD

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="pyspark or Java isn't here: `make spark`")

N_ROWS, N_BATCHES = 300_000, 12
NOW = datetime.now(UTC)
QUEUES = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
draw = "uncertainty"
budget = 2000
[[queue]]
name = "bern"
purpose = "training"
where = "attributes.site = 'Bern' and confidence between 0.3 and 0.9"
budget = 500
[[queue]]
name = "unsure"
purpose = "training"
where = "confidence < 0.31 or confidence is null"
"""
CLUSTER = f"""
[engine]
kind = "spark"
master = "local-cluster[2,1,1024]"
[engine.options]
"spark.driver.memory" = "1g"
"spark.sql.files.openCostInBytes" = 134217728
"spark.hadoop.fs.s3a.secret.key" = "{SECRET}"
"""


def traffic(batch: int, salt: bytes) -> PredictionTable:
    """A batch of cats and dogs from two sites, some without a confidence, over the last day."""
    n = N_ROWS // N_BATCHES
    rng = np.random.default_rng(batch)
    ids = [f"{batch}/é {i}.png" for i in range(n)]
    confidence = np.round(rng.beta(4, 1, n), 4)
    probabilities = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    times = np.datetime64(NOW.replace(tzinfo=None), "us") - rng.integers(1, 86_400_000_000, n)
    attributes = [[("site", "Bern")] if odd else [] for odd in rng.random(n) < 0.3]
    return PredictionTable(
        pa.table(
            {
                "sample_id": ids,
                "uri": [f"s3://production/{sample_id}" for sample_id in ids],
                "predicted_at": pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
                "model": pa.repeat("m1", n),
                "role": pa.repeat("serving", n),
                "predicted_class": np.where(rng.random(n) < 0.4, "cat", "dog"),
                "confidence": pa.array(confidence, mask=rng.random(n) < 0.01),
                "probabilities": pa.FixedSizeListArray.from_arrays(probabilities.ravel(), 2).cast(
                    pa.list_(pa.float32())
                ),
                "attributes": pa.array(attributes, pa.map_(pa.string(), pa.string())),
                "line": [line(sample_id, salt) for sample_id in ids],
                "content_hash": ids,
                "size_bytes": pa.repeat(1_000, n),
            }
        )
    )


Configure = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def configure(tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """A log of 300,000 predictions; makes projects on it, each with a ledger of its own."""
    folder = tmp_path_factory.mktemp("project")

    def write(name: str, engine: str) -> Path:
        path = folder / f"{name}.toml"
        state = f'[state]\nledger = "sqlite:///{name}.db"\nwarehouse = "log"\ncatalog = "sqlite:///catalog.db"\n'
        path.write_text(HEAD + state + QUEUES + engine)
        if (folder / "filled.db").exists():
            shutil.copy(folder / "filled.db", folder / f"{name}.db")
        return path

    with Loop(Project(load(write("filling", "")))) as loop:
        for batch in range(1, N_BATCHES + 1):
            with loop.project.ledger.lease("index") as lease:
                write_batches(
                    *(loop.project.ledger, loop.project.log, lease),
                    predictions=traffic(batch, loop.project.log.salt),
                    feedback=[],
                    set_aside=[],
                    mended=[],
                    now=NOW,
                )
    shutil.copy(folder / "filling.db", folder / "filled.db")
    return write


def drawn(path: Path) -> tuple[list[Any], list[Any]]:
    """The draws and cells of the round in a project's ledger."""
    with Loop(Project(load(path))) as loop, loop.project.ledger.read() as tx:
        by_cell = sorted(
            rounds.cells_of(tx, 1), key=lambda c: (c.queue, c.predicted_class, c.risk_bin)
        )
        return list(rounds.draws_with_labels(tx)), by_cell


@pytest.fixture(scope="module")
def by_duckdb(configure: Configure) -> tuple[list[Any], list[Any]]:
    path = configure("duckdb", "")
    with Loop(Project(load(path))) as loop:
        loop.select(now=True)
    draws, cells = drawn(path)
    assert {draw.queue for draw in draws} == {"accuracy", "bern", "unsure"}
    assert len(draws) > 4_000
    return draws, cells


def test_spark_draws_the_same_to_the_last_sample(
    configure: Configure, by_duckdb: tuple[list[Any], list[Any]], spark_session: object
) -> None:
    path = configure("spark", '[engine]\nkind = "spark"\n')
    with Loop(Project(load(path))) as loop:
        loop.select(now=True)
    assert drawn(path) == by_duckdb


def test_executors_killed_in_mid_query_change_no_draw(
    configure: Configure, by_duckdb: tuple[list[Any], list[Any]]
) -> None:
    path = configure("killed", CLUSTER)
    command = [sys.executable, "-m", "tests.spark_killed", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said["n_failed"]) >= 2
    assert min(said["n_failed"]) >= 1
    assert (said["options_shown"], said["secret_shown"]) == (True, False)
    assert drawn(path) == by_duckdb


@pytest.mark.parametrize(
    ("master", "path", "said"),
    [
        ("local[2]", "/nowhere", "needs Java 17 or newer, and no `java` was found"),
        ("spark://127.0.0.1:1", None, "no Spark master answers at spark://127.0.0.1:1"),
    ],
)
def test_a_spark_that_cannot_start_says_why_and_nothing_is_drawn(
    configure: Configure, master: str, path: str | None, said: str
) -> None:
    settings = configure("refused", f'[engine]\nkind = "spark"\nmaster = "{master}"\n')
    environment = {key: value for key, value in os.environ.items() if key != "JAVA_HOME"}
    command = [sys.executable, "-m", "labelloop", "select", "--now", "--config", str(settings)]
    done = subprocess.run(
        command, env=environment | ({"PATH": path} if path else {}), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    with Loop(Project(load(settings))) as loop, loop.project.ledger.read() as tx:
        assert rounds.latest(tx) is None


def test_an_altered_page_is_found_and_its_file_named(tmp_path: Path, spark_session: object) -> None:
    with open_iceberg(tmp_path, spark=SparkEngine()) as log:
        file = Path(append(log, 1, [prediction(f"{i:09d}") for i in range(1000)]))
        assert len(log.rows(ALL, [], [WHOLE_LINE])) == 1000
        altered = bytearray(file.read_bytes())
        altered[altered.index(b"\x28\xb5\x2f\xfd") + 40] ^= (
            1  # inside the first page: zstd's own mark
        )
        file.write_bytes(altered)
        with pytest.raises(LogError, match=f"{file.name} is damaged"):
            log.rows(ALL, [], [WHOLE_LINE])
