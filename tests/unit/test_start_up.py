"""What a command doesn't need it doesn't import: start-up is mostly imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import output_of
from tests.unit.conftest import MakeWorld

NEVER = {
    *("aiohttp", "alembic", "boto3", "botocore", "duckdb", "httpx", "numpy", "pandas"),
    *("psycopg", "pyarrow", "pycurl", "pyiceberg", "rich", "scipy", "sklearn", "sqlglot"),
}
"""Heavier than what it is imported for in these commands."""
FOR_STATUS = {"asyncio", "pydantic", "sqlalchemy"}
"""What reading the settings and the ledger takes."""
FOLDER = """
[project]
name = "pets"
classes = ["cat", "dog"]
[store]
uri = "inputs"
[labelling_page]
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 1
"""
RUN = """
import atexit, json, sys
from labelloop.cli.main import main
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
main()
"""


def imported(*arguments: str) -> set[str]:
    """The modules that a command imports."""
    ran = output_of([sys.executable, "-c", RUN, *arguments])
    return set(json.loads(ran.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported(*arguments) & (NEVER | FOR_STATUS) == set()


def test_status_imports_what_reading_takes(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world()
    world.traffic(12)
    world.loop.run()
    world.loop.close()
    found = imported("status", "--config", str(world.folder / "labelloop.toml"))
    assert found & NEVER == set()
    assert found >= FOR_STATUS
    assert "sqlalchemy.dialects.postgresql" not in found, "it is another 50 ms"


def test_a_command_that_reads_the_log_ends_without_a_word_on_standard_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    said = {"predicted_class": "cat", "confidence": 0.5, "timestamp": "2026-11-25T12:00:00Z"}
    (tmp_path / "inputs" / "a.png.json").write_text(json.dumps(said))
    config = tmp_path / "labelloop.toml"
    config.write_text(FOLDER)
    command = [sys.executable, "-m", "labelloop", "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "select   accuracy 1;" in done.stdout
    assert done.stderr == ""
