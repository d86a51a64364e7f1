"""The folder of a dataset version: what it holds, and how it is written so that it lasts."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def write_description(path: Path, described: Mapping[str, object]) -> None:
    """Write a version's description, durably."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(described, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def clear(home: Path) -> None:
    """Remove what killed runs left half-written of a dataset's versions."""
    for left in home.glob(".writing-*"):
        shutil.rmtree(left)


def sync(folder: Path) -> None:
    """Make renames in a folder lasting."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
