"""Takes samples out of dataset versions that were released: the one way in which a version changes."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from labelloop.core.dataset import DESCRIPTION, MANIFEST, DatasetVersion
from labelloop.core.erasure import Redacted
from labelloop.errors import DatasetError
from labelloop.steps.build import manifest_file
from labelloop.steps.build.version_folder import clear, sync, write_description

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE = 50_000


def n_held(folder: Path, sample_ids: Sequence[str]) -> int:
    """How many rows of some samples the manifest in a folder holds; 0 where there is none.

    Raises:
        DatasetError: it can't be read.
    """
    import pyarrow.parquet as pq
    from pyarrow import compute as pc

    path = folder / MANIFEST
    if not path.exists():
        return 0
    with _readable(path):
        wanted = pc.field("sample_id").isin(list(sample_ids))
        found = pq.read_table(path, columns=["sample_id"], filters=wanted, partitioning=None)
        return int(found.num_rows)


@contextmanager
def redaction(folder: Path, sample_ids: Sequence[str]) -> "Iterator[Redaction]":
    """A version without some samples, written beside it; gone at the end unless it took its place.

    Raises:
        DatasetError: the version can't be read, or the disk has no room.
    """
    clear(folder.parent)
    writing = folder.parent / f".writing-{token_hex(4)}"
    try:
        with _readable(folder / MANIFEST):
            writing.mkdir()
            described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            counts, digest = manifest_file.write(
                writing / MANIFEST, _others(folder / MANIFEST, sample_ids), lambda _n: None
            )
            yield Redaction(folder, writing, described, counts, digest)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


class Redaction:
    """The content of a version once samples are removed from it."""

    def __init__(
        self,
        folder: Path,
        writing: Path,
        described: dict[str, object],
        counts: manifest_file.Counts,
        content_hash: str,
    ) -> None:
        self._folder = folder
        self._writing = writing
        self._described = described
        self._counts = counts
        self._content_hash = content_hash

    def change(self, n_rows: int) -> Redacted | None:
        """The change; None if the version's description has it already."""
        before = str(self._described["content_hash"])
        if before == self._content_hash:
            return None
        return Redacted(
            name=str(self._described["name"]),
            version=int(str(self._described["version"])),
            n_rows=n_rows,
            old_hash=before,
            new_hash=self._content_hash,
        )

    def of(self, version: DatasetVersion) -> DatasetVersion:
        """A version as it is once it is redacted; the same where the ledger has it so already."""
        if version.content_hash == self._content_hash:
            return version
        return replace(
            version,
            content_hash=self._content_hash,
            n_human=self._counts.human,
            n_model=self._counts.model,
            n_certified=self._counts.certified,
            redacted_from=version.content_hash,
        )

    def take_place(self, change: Redacted | None, at: datetime) -> None:
        """Put description and manifest in their place; the manifest last, as it tells what is left to do."""
        if change is not None:
            before = self._described.get("redacted")
            said = {"from": change.old_hash, "rows": change.n_rows, "at": at.isoformat()}
            described = {
                **self._described,
                "content_hash": change.new_hash,
                "counts": {
                    "rows": self._counts.human + self._counts.model,
                    "human": self._counts.human,
                    "model": self._counts.model,
                    "certified": self._counts.certified,
                },
                "redacted": [*(before if isinstance(before, list) else ()), said],
            }
            write_description(self._writing / DESCRIPTION, described)
            (self._writing / DESCRIPTION).replace(self._folder / DESCRIPTION)
        (self._writing / MANIFEST).replace(self._folder / MANIFEST)
        sync(self._folder)


def _others(path: Path, sample_ids: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gone = pa.array(sample_ids, pa.string())
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_PAGE):
            kept = batch.filter(pc.invert(pc.is_in(batch.column("sample_id"), gone)))
            if len(kept):
                yield kept


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException, ValueError, KeyError) as exc:
        raise DatasetError(
            f"samples can't be taken out of {path}: {exc}",
            remedy="free disk space, restore the version from a backup, or delete its folder; then "
            "run `labelloop forget` again without a sample",
        ) from exc
