"""What a command doesn't need it doesn't import: start-up is mostly imports."""

import json
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
