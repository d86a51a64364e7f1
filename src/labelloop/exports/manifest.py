"""Reads the manifest of a released version."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelloop.core.content_hash import HASHED, ContentHash
from labelloop.core.dataset import DESCRIPTION, MANIFEST, DatasetVersion, Origin, Row
from labelloop.errors import DatasetError
from labelloop.exports.exported import Redaction
from labelloop.exports.lost import Lost
from labelloop.exports.names import digest

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PAGE = 50_000
NO_TEXT = Lost("gone: the version holds no text of it")
_TEXT = "text"
_WINDOW = 500_000
"""Rows in memory at once where the order isn't the manifest's."""


@contextmanager
def opened(version: DatasetVersion) -> "Iterator[pq.ParquetFile]":
    """The manifest's file.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(version.uri) / MANIFEST
    try:
        file = pq.ParquetFile(
            path,
            read_dictionary=["label", "origin", "model", "queue"],
            page_checksum_verification=True,
        )
    except (OSError, pa.ArrowException, KeyError, UnicodeError) as exc:
        raise _damaged(version, path, exc) from exc
    with file:
        names = file.schema_arrow.names
        if names != [f.name for f in fields(Row)]:
            raise _damaged(version, path, f"its columns are {', '.join(names)}")
        yield file


def check(version: DatasetVersion) -> None:
    """Return where the manifest holds what was released.

    Raises:
        DatasetError: its folder is gone or damaged, or somebody edited it.
    """
    found = ContentHash()
    for batch in batches(version, HASHED):
        found.update(batch)
    if found.hexdigest() != version.content_hash:
        raise _damaged(version, Path(version.uri), "it was changed after its release")


def check_quickly(version: DatasetVersion) -> None:
    """Return where the manifest and its description seem whole, without reading the rows.

    Raises:
        DatasetError: one of them is gone or damaged.
    """
    expected = version.n_human + version.n_model
    with opened(version) as file:
        if file.metadata.num_rows != expected:
            why = f"it has {file.metadata.num_rows:,} rows instead of {expected:,}"
            raise _damaged(version, Path(version.uri), why)
    held = _description(version)
    if held.get("content_hash") != version.content_hash:
        why = "it is gone or damaged" if not held else "it describes other content"
        raise _damaged(version, Path(version.uri) / DESCRIPTION, why)


def batches(
    version: DatasetVersion, columns: Sequence[str] | None = None, *, size: int = _PAGE
) -> "Iterator[pa.RecordBatch]":
    """The manifest's columns in batches of rows, by sample_id, repeated strings as dictionaries.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    import pyarrow as pa

    with opened(version) as file:
        found = file.iter_batches(size, columns=columns)
        while True:
            try:
                batch = next(found, None)
                if batch is not None:
                    batch.validate(full=True)  # Arrow takes a file's word for what its columns hold
            except (OSError, pa.ArrowException, KeyError, UnicodeError) as exc:
                raise _damaged(version, Path(version.uri), exc) from exc
            if batch is None:
                return
            yield batch


def schema(version: DatasetVersion) -> "pa.Schema":
    """The manifest's columns and their plain types; `text` is one of them only where there are texts."""
    import pyarrow as pa

    with opened(version) as file:
        texts = _has_text(file)
        return pa.schema(
            [
                (f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
                for f in file.schema_arrow
                if texts or f.name != _TEXT
            ]
        )


def rows(version: DatasetVersion) -> Iterator[Row]:
    """The rows of a version, by sample_id.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    for batch in batches(version):
        yield from _rows(batch)


def label_of(version: DatasetVersion, sample_id: str) -> tuple[str, Origin] | None:
    """The label that a version has for a sample, and who gave it; None where it doesn't hold the sample.

    The rows are sorted, so few of them are read.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(version.uri) / MANIFEST
    try:
        found = pq.read_table(
            path, columns=["label", "origin"], filters=[("sample_id", "=", sample_id)]
        ).to_pylist()
    except (OSError, pa.ArrowException, KeyError, UnicodeError) as exc:
        raise _damaged(version, path, exc) from exc
    return (found[0]["label"], Origin(found[0]["origin"])) if found else None


def texts(version: DatasetVersion) -> Iterator[tuple[Row, bytes | Lost]]:
    """The rows of a version of texts, by sample_id, each with its text in UTF-8.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    for row in rows(version):
        yield row, NO_TEXT if row.text is None else row.text.encode()


def shuffled(version: DatasetVersion) -> Iterator[Row]:
    """The rows of a version in an order that mixes classes and days, and is always the same.

    It is that of a hash of the sample_id. Some rows at a time are gathered from the whole manifest, so
    memory stays flat but for eight bytes a row, twice.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    import pyarrow as pa

    places = np.concatenate(
        [np.empty(0, dtype=np.uint64)]
        + [
            np.frombuffer(b"".join(digest(s) for s in batch.column(0).to_pylist()), dtype=">u8")
            for batch in batches(version, ["sample_id"])
        ]
    )
    order = np.argsort(places, kind="stable")
    for start in range(0, len(order), _WINDOW):
        wanted = order[start : start + _WINDOW]
        ascending = np.sort(wanted)
        found, n = [], 0
        for batch in batches(version):
            low, high = np.searchsorted(ascending, [n, n + len(batch)])
            found.append(batch.take(pa.array(ascending[low:high] - n)))
            n += len(batch)
        window = pa.Table.from_batches(found).unify_dictionaries().combine_chunks()
        mixed = window.take(pa.array(np.searchsorted(ascending, wanted)))
        for batch in mixed.to_batches(max_chunksize=_PAGE):
            yield from _rows(batch)


def labels(version: DatasetVersion) -> list[str]:
    """The classes that a version's labels name, sorted.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    return sorted(set(_counts(version, "label")))


def human_by_queue(version: DatasetVersion) -> dict[str, int]:
    """How many of a version's labels people gave, by the queue that asked, most first.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    return dict(_counts(version, "queue").most_common())


def by_label(version: DatasetVersion) -> dict[str, int]:
    """How many labels a version has, by class.

    Raises:
        DatasetError: its folder is gone or damaged.
    """
    return dict(sorted(_counts(version, "label").items()))


def shared(version: DatasetVersion, other: DatasetVersion) -> str | None:
    """A sample of one that the other holds too, or a byte-identical one; None: there is none.

    The smaller of the two has to fit into memory.

    Raises:
        DatasetError: the folder of one is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    small, large = sorted([version, other], key=lambda v: v.n_human + v.n_model)
    keys = ["sample_id", "content_hash"]
    held = pa.Table.from_batches(
        batches(small, keys), schema=pa.schema([schema(small).field(k) for k in keys])
    )
    contents = held["content_hash"].filter(pc.not_equal(held["content_hash"], ""))
    for batch in batches(large, keys):
        twins = pc.is_in(batch["content_hash"], contents)
        found = batch.filter(pc.or_(pc.is_in(batch["sample_id"], held["sample_id"]), twins))
        if len(found):
            return str(found["sample_id"][0])
    return None


def guarantee(version: DatasetVersion) -> str | None:
    """What a version promises about its model-made labels, in its own words; None: it says nothing."""
    found = _description(version).get("guarantee")
    return found if isinstance(found, str) else None


def redaction(version: DatasetVersion) -> Redaction | None:
    """What `forget` took out of a version since its release; None: nothing."""
    found = _description(version).get("redacted")
    try:
        parts = [(int(r["rows"]), datetime.fromisoformat(r["at"])) for r in found]  # type: ignore[attr-defined]
    except (TypeError, KeyError, ValueError):
        return None
    if not parts:
        return None
    return Redaction(
        dataset=version.name,
        version=version.version,
        n_rows=sum(n for n, _ in parts),
        at=max(at for _, at in parts),
    )


def _description(version: DatasetVersion) -> Mapping[str, object]:
    """What stands beside the manifest; nothing where it can't be read."""
    try:
        held = json.loads((Path(version.uri) / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def _has_text(file: "pq.ParquetFile") -> bool:
    """Whether any row holds a text, as the counts of empty values in the file say."""
    metadata = file.metadata
    if _TEXT not in metadata.schema.names:
        return False
    column = metadata.schema.names.index(_TEXT)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    found = [(g.column(column).statistics, g.num_rows) for g in groups]
    return any(told is None or told.null_count < n for told, n in found)


def _counts(version: DatasetVersion, column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in batches(version, [column]):
        for found in batch.column(0).value_counts().to_pylist():
            if found["values"] is not None:
                counts[found["values"]] += found["counts"]
    return counts


def _rows(batch: "pa.RecordBatch") -> Iterator[Row]:
    for row in batch.select([f.name for f in fields(Row)]).to_pylist():
        yield Row(**{**row, "origin": Origin(row["origin"])})


def _damaged(version: DatasetVersion, path: Path, why: object) -> DatasetError:
    return DatasetError(
        f"{version.name} v{version.version} can't be read at {path}: {why}",
        remedy="run `labelloop doctor --repair`, which rewrites the version if the ledger still "
        "has its content; else restore the folder from a backup",
    )
