"""What is wrong with a file of the log: gone, of another length, or altered."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from labelloop.adapters.iceberg.batches import HeldFile
from labelloop.errors import first_line

if TYPE_CHECKING:
    from pyiceberg.io import FileIO


def damage(io: "FileIO", file: HeldFile, *, whole: bool = False) -> str | None:
    """What is wrong with a file, after its path; None where nothing is.

    It looks at the length and the end of the file; where `whole`, at every page and its checksum too.
    """
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        source = io.new_input(file.path)
        n_bytes = len(source)
        if n_bytes != file.size_bytes:
            return f"has {n_bytes:,} bytes instead of {file.size_bytes:,}"
        with (
            source.open() as stream,
            pq.ParquetFile(stream, page_checksum_verification=True) as parquet,
        ):
            if parquet.metadata.num_rows != file.n_rows:
                return f"has {parquet.metadata.num_rows:,} rows instead of {file.n_rows:,}"
            for batch in parquet.iter_batches() if whole else ():
                batch.validate(full=True)
    except FileNotFoundError:
        return "is gone"
    except (ArrowException, KeyError, OSError, UnicodeError) as exc:
        return f"is damaged: {first_line(exc)}"
    return None


def n_rows_at(io: "FileIO", path: str) -> int | None:
    """The rows of the Parquet file at a path; None where no whole file stands there.

    Raises:
        OSError: it can't be told.
    """
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        with io.new_input(path).open() as stream:
            return int(pq.read_metadata(stream).num_rows)
    except (FileNotFoundError, ArrowException):
        return None


def first_damaged(io: "FileIO", files: Iterable[HeldFile]) -> str | None:
    """The first of the files that is damaged, and how, in words."""
    for file in files:
        found = damage(io, file) or damage(io, file, whole=True)
        if found:
            return f"{file.path} {found}"
    return None
