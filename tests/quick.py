"""What lets every process of a test run start and write quickly."""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

ROOM_BYTES = 4 * 10**9
"""What must be free in memory; a whole run writes less than a quarter of that."""


def write_to_memory() -> None:
    """Make new temporary folders in memory, where nothing waits for a disk, if it has room.

    A folder for them that the environment names stays.
    """
    folder = Path("/dev/shm")  # noqa: S108  tempfile makes names in it
    if "TMPDIR" in os.environ or not folder.is_dir() or not os.access(folder, os.W_OK):
        return
    if shutil.disk_usage(folder).free >= ROOM_BYTES:
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None


def keep_bytecode() -> None:
    """Keep bytecode, whatever the environment says: a run starts hundreds of processes."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


class Statements(dict[tuple[Any, ...], Any]):
    """Compiled SQL by its statement and its kind of database, for all engines of that kind."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """What was compiled for this statement; SQLAlchemy's keys begin with the engine's dialect."""
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), compiled)


def compile_statements_once() -> None:
    """Compile each SQL statement once: every test's ledger is an engine, with a cache of its own."""
    kept = Statements()

    @sa.event.listens_for(sa.Engine, "engine_connect")
    def share(connection: sa.Connection) -> None:
        connection.execution_options(compiled_cache=kept)


def collect_garbage_seldom() -> None:
    """Leave what is there for good out of each search for garbage, and search more seldom.

    Modules and collected tests are a million objects; looking through them took a seventh of a run.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def let_go() -> None:
    """Let what was left out of the search be found again, so that libraries end as they do elsewhere."""
    gc.unfreeze()
