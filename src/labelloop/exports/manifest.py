"""Reads the manifest of a released version."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from labelloop.core.dataset import DatasetVersion, Origin, Row
from labelloop.errors import DatasetError

_PAGE = 50_000


def rows(version: DatasetVersion) -> Iterator[Row]:
    """The rows of a version, by sample_id.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(version.uri) / "manifest.parquet"
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_PAGE):
                for row in batch.to_pylist():
                    yield Row(**{**row, "origin": Origin(row["origin"])})
    except (OSError, pa.ArrowException) as exc:
        raise DatasetError(
            f"{version.name} v{version.version} can't be read at {path}: {exc}",
            remedy="restore the folder from a backup, or run `labelloop build` for a new version",
        ) from exc


def human_by_queue(version: DatasetVersion) -> dict[str, int]:
    """How many of a version's labels people gave, by the queue that asked, most first.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(version.uri) / "manifest.parquet"
    counts: Counter[str] = Counter()
    try:
        with pq.ParquetFile(path, read_dictionary=["queue"]) as file:
            for batch in file.iter_batches(_PAGE, columns=["queue"]):
                for found in batch.column("queue").value_counts().to_pylist():
                    if found["values"] is not None:  # a model's label has no queue
                        counts[found["values"]] += found["counts"]
    except (OSError, pa.ArrowException) as exc:
        raise DatasetError(
            f"{version.name} v{version.version} can't be read at {path}: {exc}",
            remedy="restore the folder from a backup, or run `labelloop build` for a new version",
        ) from exc
    return dict(counts.most_common())


def guarantee(version: DatasetVersion) -> str | None:
    """What a version promises about its model-made labels, in its own words; None: it says nothing."""
    try:
        described = json.loads((Path(version.uri) / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = described.get("guarantee") if isinstance(described, dict) else None
    return found if isinstance(found, str) else None
