"""One line a measurement: labelloop, what a user would write instead, and the limit."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Rates are of `unit` a second; None: there is none, or it was not measured."""

    what: str
    size: int
    unit: str
    ours: float
    naive: float | None = None
    limit: float | None = None
    peak_mb: float | None = None


def peak_mb() -> float:
    """The most memory that this process has held, in MB.

    Not `ru_maxrss`: a process that was spawned by a large one takes that one's over.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


HEAD = (
    "what",
    "size",
    "took",
    "labelloop",
    "instead",
    "limit",
    "times instead",
    "of the limit",
    "peak memory",
)


def lines(rows: Iterable[Row]) -> list[str]:
    """A table in Markdown."""
    return [
        f"| {' | '.join(HEAD)} |",
        f"| --- |{' ---: |' * (len(HEAD) - 1)}",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
    ]


def _cells(row: Row) -> list[str]:
    return [
        row.what,
        f"{row.size:,} {row.unit}",
        f"{row.size / row.ours:,.1f} s",
        f"{row.ours:,.0f}/s",
        _or_dash(row.naive, lambda naive: f"{naive:,.0f}/s"),
        _or_dash(row.limit, lambda limit: f"{limit:,.0f}/s"),
        _or_dash(row.naive, lambda naive: f"{row.ours / naive:.1f}"),
        _or_dash(row.limit, lambda limit: f"{row.ours / limit:.0%}"),
        _or_dash(row.peak_mb, lambda peak: f"{peak:,.0f} MB"),
    ]


def _or_dash(value: float | None, says: Callable[[float], str]) -> str:
    return "-" if value is None else says(value)
