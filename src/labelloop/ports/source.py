"""A table of predictions that somebody else writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from labelloop.core.row_range import RowRange
from labelloop.core.sample import RejectReason

PAIR = "pair of rows"
BEGINS = "begins the pair"
EXPECTED = "the other is expected"
"""The columns that every batch of a source that `joins` has: what two rows have in common (null: the
row is whole), whether this one is what was asked, and whether it is a loss if the other never comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a table of predictions. `version` differs where its content does."""

    uri: str
    version: str
    size_bytes: int
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumns:
    """The columns of a file; `sparse`: rows may have others, which are not there in each."""

    names: tuple[str, ...]
    sparse: bool = False


class UnreadableRows(NamedTuple):
    """The place of a row that is no prediction, or of the first of several; and why."""

    number: int
    why: str
    n_rows: int = 1
    reason: RejectReason = RejectReason.BAD_ROW


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRows:
    """Some rows of a file, in order.

    batch
        a pyarrow RecordBatch
    numbers
        the place of each row in the file, 1 first; of text files the line
    unreadable
        the rows that can't be read
    cut
        the one row here is the file's last, and has no end: it may still be being written
    """

    batch: Any
    numbers: Sequence[int]
    unreadable: tuple[UnreadableRows, ...] = ()
    cut: bool = False


class Source(Protocol):
    """A table of predictions that somebody else writes: files that are read once each.

    Every call may raise StoreUnavailable (asking again may work) or StoreDenied (it won't).
    """

    @property
    def rewrites(self) -> bool:
        """Whether the rows of a file that is gone were moved into others."""

    @property
    def joins(self) -> bool:
        """Whether what was asked and what was answered stand in rows of their own."""

    def files(self) -> Sequence[SourceFile]:
        """The files that the table has now, the newest last where that is known."""

    def columns(self, file: SourceFile) -> SourceColumns:
        """The columns of a file.

        Raises:
            SourceFileBad: it can't be read.
            SourceFileDenied: this one alone can't be opened for now.
        """

    def n_rows(self, file: SourceFile) -> RowRange:
        """How many rows a file has, as far as that can be told without reading them all.

        It is asked of files that can't be read: from 1 to nobody knows is an answer.
        """

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time; of all columns, or of those named that it has.

        Raises:
            SourceFileBad: it can't be read, or not to its end.
            SourceFileDenied: this one alone can't be opened for now.
        """

    def close(self) -> None:
        """Give back what is open."""
