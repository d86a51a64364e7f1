"""Programs that tests run beside themselves."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def output_of(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> str:
    """What a program prints that must succeed; where it fails, all that it said is shown."""
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=env,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as late:
        said = f"{late.stdout!r}\n{late.stderr!r}"
        raise AssertionError(f"{command} took longer than {timeout_s} s:\n{said}") from late
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{said}"
    return done.stdout
