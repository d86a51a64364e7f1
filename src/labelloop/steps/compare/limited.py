"""Reads a candidate's file that came from elsewhere, in a process with limits of its own.

A Parquet file of a few kilobytes may unpack to gigabytes, or find a fault in the reader: what reads it
has no keys, little memory and little time, and hands back plain text.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from labelloop.errors import ArgumentError, LabelloopError
from labelloop.steps.compare.candidate import COLUMNS, Candidate, from_file, read_table

BODY_BYTES = 32 * 2**20
ROWS = 500_000
"""What a candidate's file may have."""
_TIME_S = 60
_MEMORY_BYTES = 4 * 2**30
_WRITTEN_BYTES = 256 * 2**20
_REFUSED = 3
_PASSED_ON = ("PATH", "PYTHONPATH", "TMPDIR", "SYSTEMROOT", "LANG", "LC_ALL")
_PARQUET = b"PAR1"


def from_bytes(
    body: bytes, name: str, classes: Collection[str], renamed: Mapping[str, str]
) -> Candidate:
    """The candidate whose answers are in the bytes of a Parquet or CSV file.

    It is known by its answers: the same ones in another file are the same candidate.

    Raises:
        ArgumentError: the bytes can't be used, or are over a limit.
    """
    if len(body) > BODY_BYTES:
        raise ArgumentError(
            f"{name} has {len(body):,} bytes: expected at most {BODY_BYTES:,}",
            remedy="send only the columns sample_id and predicted_class of the samples that judge",
        )
    with tempfile.TemporaryDirectory() as folder:
        kind = ".parquet" if body.startswith(_PARQUET) else ".csv"
        given, plain = Path(folder) / f"given{kind}", Path(folder) / "plain.csv"
        given.write_bytes(body)
        _read_elsewhere(given, plain, name)
        try:
            return replace(from_file(plain, classes, renamed), name=name)
        except ArgumentError as exc:
            raise ArgumentError(
                str(exc.args[0]).replace(str(plain), name), remedy=exc.remedy
            ) from None


def _read_elsewhere(given: Path, plain: Path, name: str) -> None:
    environment = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
    command = [sys.executable, "-P", "-m", __name__, str(given), str(plain)]
    try:
        done = subprocess.run(  # noqa: S603  this program, with two paths of its own making
            command,
            cwd=given.parent,
            env={**environment, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIME_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ArgumentError(
            f"{name} takes more than {_TIME_S} seconds to read", remedy="send a simpler file"
        ) from None
    if done.returncode == _REFUSED:
        said = json.loads(done.stdout)
        raise ArgumentError(said["error"].replace(str(given), name), remedy=said["remedy"])
    if done.returncode != 0:
        raise ArgumentError(
            f"{name} can't be read within the limits: the process that read it ended with "
            f"{done.returncode}",
            remedy="send a CSV file with the columns sample_id and predicted_class",
        )


def _main(given: Path, plain: Path) -> int:
    """Read `given`, and write its rows to `plain`; an error goes to standard output."""
    _limit_this_process()
    try:
        table = read_table(given, most=ROWS)
    except LabelloopError as exc:
        print(json.dumps({"error": str(exc.args[0]), "remedy": exc.remedy}))  # noqa: T201  it is read
        return _REFUSED
    with plain.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for batch in table.select(list(COLUMNS)).to_batches(max_chunksize=10_000):
            writer.writerows(
                ["" if value is None else value for value in row.values()]
                for row in batch.to_pylist()
            )
    return 0


def _limit_this_process() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for what, most in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_CPU, _TIME_S),
        (resource.RLIMIT_FSIZE, _WRITTEN_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2])))
