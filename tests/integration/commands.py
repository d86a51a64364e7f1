"""The command line, run in forks of a process that has imported the foreign libraries already.

Importing them takes most of a short command's time; labelloop's own modules are imported afresh.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path

FOREIGN = (
    "alembic.command",
    "boto3.session",
    "botocore.auth",
    "duckdb",
    "httpx",
    "jinja2",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pycurl",
    "pydantic",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "scipy.special",
    "sqlalchemy.dialects.sqlite",
    "sqlglot",
    "tenacity",
    "tomlkit",
)


class Commands:
    """Runs commands one after the other, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error"),
                # nothing runs in the libraries' threads before the fork
                *("-W", "ignore:This process:DeprecationWarning"),
                *("-m", "tests.integration.commands"),
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def run(
        self, args: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: int
    ) -> subprocess.CompletedProcess[str]:
        """`labelloop ARGS`; what takes too long is ended by an alarm."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            asked = Asked(["labelloop", *args], str(cwd), dict(env), timeout_s, folder)
            self._process.stdin.write(json.dumps(astuple(asked)) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            stdout, stderr = (Path(folder, name).read_text("utf-8") for name in SAID)
        return subprocess.CompletedProcess(list(args), code, stdout, stderr)

    def close(self) -> None:
        """End the process that waits."""
        self._process.communicate()


SAID = ("stdout", "stderr")


@dataclass(frozen=True)
class Asked:
    """A command: its words, where it runs, how long it may, and the folder for what it says."""

    argv: list[str]
    cwd: str
    env: dict[str, str]
    timeout_s: int
    folder: str

    def become(self) -> None:
        """Turn this process into the command's."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in enumerate(SAID, 1):
            os.dup2(os.open(Path(self.folder, name), os.O_WRONLY | os.O_CREAT), number)
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.env)
        time.tzset()
        sys.argv = self.argv
        signal.alarm(self.timeout_s)


def serve() -> None:
    """Fork for each command that standard input asks for, and print its exit code."""
    for name in FOREIGN:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            Asked(*json.loads(line)).become()
            from labelloop.cli import main

            main()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
