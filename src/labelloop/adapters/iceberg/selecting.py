"""What can answer the two statements of a selection: DuckDB here, or an engine on many machines."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from labelloop.core.round import FrameRange, Span
from labelloop.ports.log import BatchKind

if TYPE_CHECKING:
    from labelloop.adapters.iceberg.tables import IcebergTables


class SelectingReading(Protocol):
    """One question to an engine; `margin` is SQL for the margin of a prediction."""

    margin: str

    def __enter__(self) -> Self:
        """Itself, ready for statements."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        """Give back what it holds."""

    def source(self, kind: BatchKind, frame: FrameRange | None = None) -> str:
        """SQL that reads the files that may hold rows of `frame`, classes under their present names."""

    def spans(self, spans: Sequence[Span]) -> str:
        """SQL that reads spans as a table with their fields as columns."""

    def rows(self, statement: str) -> Iterator[dict[str, Any]]:
        """The result's rows; instants are UTC."""


class SelectingEngine(Protocol):
    """An engine beside the one of this process."""

    def reading(self, tables: "IcebergTables", renamed: Mapping[str, str]) -> SelectingReading:
        """A new question; the keys of `renamed` are former names of classes."""

    def close(self) -> None:
        """Give back what it holds."""
