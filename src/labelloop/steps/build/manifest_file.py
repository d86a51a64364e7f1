"""Writes a manifest: people's labels and the model's in one order, in columns, and their hash."""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.core.content_hash import HASHED, ContentHash
from labelloop.core.dataset import DatasetVersion, Origin, Row
from labelloop.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

MEND = "`labelloop doctor --repair` writes it anew where the ledger still holds its content"
_PAGE = 50_000
_KINDS = {
    "confidence": "double",
    "inclusion": "double",
    "round": "int64",
    "certificate": "int64",
    "extra_answer": "bool",
}
_REPEATED = ["label", "origin", "model", "queue", "annotator"]
"""The columns whose values repeat: a dictionary of the others costs time and saves nothing."""


@dataclass(slots=True)
class Counts:
    """How many rows were written, by who gave the label."""

    human: int = 0
    model: int = 0
    certified: int = 0


def manifest_schema() -> "pa.Schema":
    """The Arrow schema of a manifest."""
    import pyarrow as pa

    kinds = {name: pa.type_for_alias(kind) for name, kind in _KINDS.items()}
    return pa.schema([(f.name, kinds.get(f.name, pa.string())) for f in fields(Row)])


def from_rows(rows: Iterable[Row]) -> Iterator["pa.RecordBatch"]:
    """Rows in columns, some at a time."""
    import pyarrow as pa

    held = list(rows)
    for start in range(0, len(held), _PAGE):
        page = [asdict(row) for row in held[start : start + _PAGE]]
        yield pa.RecordBatch.from_pylist(page, schema=manifest_schema())


def from_labels(labels: "pa.RecordBatch") -> "pa.RecordBatch":
    """The model's labels, as the log gives them, in the columns of a manifest."""
    import pyarrow as pa

    schema, n = manifest_schema(), len(labels)
    names = {"label": "predicted_class"}
    same = {"origin": Origin.MODEL.value, "extra_answer": False}
    columns = []
    for field in schema:
        name = names.get(field.name, field.name)
        if field.name in same:
            columns.append(pa.repeat(pa.scalar(same[field.name], field.type), n))
        elif name in labels.schema.names:
            columns.append(labels.column(name).cast(field.type))
        else:
            columns.append(pa.nulls(n, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def merged(rows: Sequence[Row], batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """The rows among those of the batches, all in order of sample_id; each is sorted already."""
    import pyarrow as pa

    ids = [row.sample_id for row in rows]
    taken = 0
    for batch in batches:
        if not len(batch):
            continue
        upto = bisect_right(ids, batch.column("sample_id")[-1].as_py(), lo=taken)
        if upto == taken:
            yield batch
            continue
        both = pa.Table.from_batches([*from_rows(rows[taken:upto]), batch])
        yield from both.sort_by("sample_id").combine_chunks().to_batches()
        taken = upto
    yield from from_rows(rows[taken:])


def with_texts(
    batches: Iterable["pa.RecordBatch"],
    texts: Callable[[Sequence[str]], Mapping[str, str]],
    *,
    page: int,
) -> Iterator["pa.RecordBatch"]:
    """The batches with the texts of their samples, some at a time."""
    import pyarrow as pa

    for batch in batches:
        place = batch.schema.get_field_index("text")
        for start in range(0, len(batch), page):
            part = batch.slice(start, page)
            ids = part.column("sample_id").to_pylist()
            found = texts(ids)
            column = pa.array([found.get(sample_id) for sample_id in ids], pa.string())
            yield part.set_column(place, "text", column)


def read(path: Path, columns: Sequence[str], filters: list[Any] | None = None) -> "pa.Table":
    """Columns of a manifest; only the rows that `filters`, as pyarrow takes them, let through.

    Raises:
        DatasetError: it is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(
            path, columns=list(columns), filters=filters, page_checksum_verification=True
        )
        table.validate(full=True)
        return table
    except (OSError, pa.ArrowException, KeyError, UnicodeError) as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: Exception) -> DatasetError:
    said = (str(exc).splitlines() or [type(exc).__name__])[0]
    return DatasetError(f"{path} can't be read: {said}", remedy=f"restore it from a backup; {MEND}")


def pages(path: Path, columns: Sequence[str], *, size: int = 200_000) -> Iterator["pa.RecordBatch"]:
    """Columns of a manifest, some rows at a time.

    Raises:
        DatasetError: it is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(size, columns=list(columns)):
                batch.validate(full=True)
                yield batch
    except (OSError, pa.ArrowException, KeyError, UnicodeError) as exc:
        raise _unreadable(path, exc) from exc


def verify(version: DatasetVersion) -> None:
    """Raise unless a version's manifest holds what it was released with.

    Raises:
        DatasetError: it is gone, damaged or altered.
    """
    path, digest = Path(version.uri) / "manifest.parquet", ContentHash()
    for batch in read(path, HASHED).to_batches():
        digest.update(batch)
    if digest.hexdigest() != version.content_hash:
        raise DatasetError(
            f"{path} was changed after its release", remedy="restore it from a backup"
        )


def write(
    path: Path, batches: Iterable["pa.RecordBatch"], progress: Callable[[int], None]
) -> tuple[Counts, str]:
    """Write the batches as they come, durably; returns their counts and content hash."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counts, digest = Counts(), ContentHash()
    options = {"compression": "zstd", "use_dictionary": _REPEATED, "write_page_checksum": True}
    writing: Future[None] | None = None
    with path.open("wb") as file:
        # One thread compresses a batch while this one reads and hashes the next.
        with (
            pq.ParquetWriter(file, manifest_schema(), **options) as writer,
            ThreadPoolExecutor(1, thread_name_prefix="manifest") as pool,
        ):
            for batch in batches:
                if writing is not None:
                    writing.result()
                writing = pool.submit(writer.write_batch, batch)
                digest.update(batch)
                n_human = pc.sum(pc.equal(batch.column("origin"), Origin.HUMAN.value)).as_py() or 0
                counts.human += n_human
                counts.model += len(batch) - n_human
                counts.certified += len(batch) - batch.column("certificate").null_count
                progress(counts.human + counts.model)
            if writing is not None:
                writing.result()
        file.flush()
        os.fsync(file.fileno())
    return counts, digest.hexdigest()
