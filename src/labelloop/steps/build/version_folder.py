"""The folder of a dataset version, written durably."""

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
    """Remove half-written versions of a dataset that killed runs left."""
    for left in home.glob(".writing-*"):
        shutil.rmtree(left)


def sync(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
