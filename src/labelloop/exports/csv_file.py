"""One CSV file: a row a sample, with the columns of the manifest."""

import csv
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path

from labelloop.core.dataset import Row
from labelloop.errors import DatasetError


def export(rows: Iterable[Row], target: Path) -> int:
    """Write `target`, whole or not at all; returns how many rows it has.

    Raises:
        DatasetError: it can't be written.
    """
    partial = target.with_name(f".{target.name}.partial")
    n = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([f.name for f in fields(Row)])
            for row in rows:
                writer.writerow(["" if v is None else v for v in astuple(row)])
                n += 1
        partial.replace(target)
    except OSError as exc:
        raise DatasetError(
            f"{target} can't be written: {exc}", remedy="give another --target"
        ) from exc
    finally:
        with suppress(OSError):
            partial.unlink()
    return n
