"""The files of a table of the log, and which batches each holds.

`batch-N.parquet` holds batch N; `batch-N-TOKEN.parquet` is the same, written again to erase samples.
`batches-M-N-HASH.parquet` holds several, the first M and the last N: which, and how many rows of each,
stands in its own metadata. The hash is that of the files it took the place of.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from labelloop.errors import LogError
from labelloop.ports.log import BatchKind

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

_NAME = re.compile(
    r"/(?:batch-(\d{12})|batches-(\d{12})-(\d{12})-[0-9a-f]{8})(-[0-9a-f]{8})?\.parquet$"
)
_COUNTS = b"labelloop.batches"


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A Parquet file as the table's metadata describes it."""

    kind: BatchKind
    path: str
    n_rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BatchFileName:
    """What a file's name says: its first and last batch; `again`: it was written again to erase."""

    first: int
    last: int
    several: bool
    again: bool

    @classmethod
    def of(cls, path: str) -> "BatchFileName | None":
        """The name at the end of a path; None where it isn't one of a batch.

        >>> BatchFileName.of("log/predictions/data/batch-000000000007.parquet")
        BatchFileName(first=7, last=7, several=False, again=False)
        """
        found = _NAME.search(path)
        if found is None:
            return None
        first, last = found[1] or found[2], found[1] or found[3]
        return cls(int(first), int(last), found[1] is None, found[4] is not None)


def held(table: "Table", kind: BatchKind, condition: str = "true") -> list[HeldFile]:
    """The table's files that may hold rows of `condition`, in order of their paths."""
    files = {
        task.file.file_path: task.file for task in table.scan(row_filter=condition).plan_files()
    }
    return [
        HeldFile(kind, path, found.record_count, found.file_size_in_bytes)
        for path, found in sorted(files.items())
    ]


def batches_of(io: "FileIO", file: HeldFile) -> Mapping[int, int]:
    """How many rows of each batch a file holds; only a file of several is opened.

    Raises:
        LogError: it doesn't say.
        OSError, ArrowException: it can't be read.
    """
    name = BatchFileName.of(file.path)
    if name is not None and not name.several:
        return {name.first: file.n_rows}
    return batches_at(io, file.path)


def batches_at(io: "FileIO", path: str) -> Mapping[int, int]:
    """How many rows of each batch the file at a path holds, as it says itself.

    Raises:
        LogError: it doesn't say.
        OSError, ArrowException: it can't be read.
    """
    import pyarrow.parquet as pq

    with io.new_input(path).open() as stream:
        metadata = pq.read_metadata(stream)
    name = BatchFileName.of(path)
    if name is not None and not name.several:
        return {name.first: metadata.num_rows}
    said = (metadata.metadata or {}).get(_COUNTS)
    if said is None:
        raise LogError(
            f"{path} doesn't say which batches it holds",
            remedy="labelloop didn't write this file; move it out of the warehouse",
        )
    return {int(batch): n_rows for batch, n_rows in json.loads(said).items()}


def counts_metadata(counts: Mapping[int, int]) -> dict[bytes, bytes]:
    """The metadata of a file that holds so many rows of each batch."""
    return {_COUNTS: json.dumps(dict(sorted(counts.items()))).encode()}


def name_of_several(counts: Mapping[int, int], sources: Sequence[str]) -> str:
    """The name of the file that takes the place of `sources`: always the same for the same files."""
    names = "\n".join(path.rpartition("/")[2] for path in sources)
    token = sha256(names.encode()).hexdigest()[:8]
    return f"batches-{min(counts):012d}-{max(counts):012d}-{token}.parquet"


def name_written_again(path: str, token: str) -> str:
    """The path of a file that takes the place of the one at `path`, with rows of the same batches.

    >>> name_written_again("data/batch-000000000007-aaaaaaaa.parquet", "bbbbbbbb")
    'data/batch-000000000007-bbbbbbbb.parquet'
    """
    name = BatchFileName.of("/" + path)
    stem = path.removesuffix(".parquet")
    if name is not None and name.again:
        stem = stem.rpartition("-")[0]
    return f"{stem}-{token}.parquet"
