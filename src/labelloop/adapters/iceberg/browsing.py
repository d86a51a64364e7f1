"""People look through the log: the newest batches first, and no further than a page and its count need."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from labelloop.adapters.iceberg import sql as log_sql
from labelloop.adapters.iceberg.batches import BatchFileName, HeldFile
from labelloop.core.line import line
from labelloop.core.sample import Role
from labelloop.ports.log import Browsing, Counted, Found, LogPlace, StoredPrediction

if TYPE_CHECKING:
    from labelloop.adapters.iceberg.duckdb_engine import DuckDBReading

FIRST_ROWS = 200_000
"""So many rows are looked at first, and again wherever reading is slow."""
QUICK_S = 0.1
"""A portion that took less is followed by one several times as large."""
_GROWTH = 4


class Browser:
    """Answers what people look for, on one reading of the log."""

    def __init__(self, reading: "DuckDBReading", browsing: Browsing, *, salt: bytes) -> None:
        self._reading = reading
        self._browsing = browsing
        self._end_s = time.monotonic() + browsing.budget_s
        import pyarrow as pa

        places = pa.array([line(s, salt) for s in browsing.without_samples], pa.int64())
        self._lines = reading.registered(pa.table({"line": places}))
        self._contents = reading.listed("content_hash", sorted(browsing.without_content))
        self._feedback = (
            reading.source("feedback")
            if browsing.where is not None and browsing.where.names_feedback
            else None
        )

    def page(self, after: LogPlace | None, limit: int) -> Found:
        """The first rows after a place."""
        rows: list[StoredPrediction] = []
        files = [f for f in self._reading.files("predictions") if _may_follow(f, after)]
        left = len(files)
        for some in _portions(files):
            source = self._reading.source_of("predictions", some)
            query = log_sql.first_of(self._query(source, after), limit=limit - len(rows))
            places = [LogPlace(r["batch"], r["line"]) for r in self._reading.rows(query)]
            rows += self._stored(some, places)
            left -= len(some)
            if len(rows) >= limit:
                return Found(rows=self._with_feedback(rows), searched_to=rows[-1].place)
            if left and time.monotonic() > self._end_s:
                first = min(_batches(file).first for file in some)
                end = LogPlace(first, 1 << 62)
                return Found(rows=self._with_feedback(rows), searched_to=end)
        return Found(rows=self._with_feedback(rows), searched_to=None)

    def count(self, at_most: int) -> Counted:
        """How many there are; counting ends above a number."""
        n = 0
        files = self._reading.files("predictions")
        left = len(files)
        for some in _portions(files):
            source = self._reading.source_of("predictions", some)
            query = log_sql.n_of(self._query(source, None), limit=at_most + 1 - n)
            n += next(self._reading.rows(query))["n"]
            left -= len(some)
            if n > at_most:
                return Counted(n=at_most, whole=False)
            if left and time.monotonic() > self._end_s:
                return Counted(n=n, whole=False)
        return Counted(n=n, whole=True)

    def _query(self, source: str, after: LogPlace | None) -> str:
        return log_sql.browse(
            source,
            self._feedback,
            self._browsing.where,
            lines=self._lines,
            contents=self._contents,
            after=None if after is None else (after.batch, after.line),
        )

    def _stored(
        self, files: Sequence[HeldFile], places: Sequence[LogPlace]
    ) -> list[StoredPrediction]:
        """The rows at these places, in their order: all columns, of the files that hold them alone."""
        if not places:
            return []
        batches = {place.batch for place in places}
        holding = [
            f for f in files if any(_batches(f).first <= b <= _batches(f).last for b in batches)
        ]
        source = self._reading.source_of("predictions", holding)
        found = map(stored, self._reading.rows(log_sql.at_lines(source, [p.line for p in places])))
        at = {row.place: row for row in found if row.role is Role.SERVING}
        return [at[place] for place in places]

    def _with_feedback(self, rows: Sequence[StoredPrediction]) -> list[StoredPrediction]:
        return with_feedback(self._reading, rows)


def with_feedback(
    reading: "DuckDBReading", rows: Sequence[StoredPrediction]
) -> list[StoredPrediction]:
    """Predictions beside what users said of their samples."""
    if not rows:
        return []
    wanted = reading.listed("sample_id", [row.sample_id for row in rows])
    statement = log_sql.said_of(reading.source("feedback"), wanted)
    said = {r["sample_id"]: r for r in reading.rows(statement)}
    return [
        replace(
            row,
            flagged=said[row.sample_id]["flagged"],
            corrected_class=said[row.sample_id]["corrected_class"],
        )
        if row.sample_id in said
        else row
        for row in rows
    ]


def stored(row: dict[str, Any]) -> StoredPrediction:
    """A row of the log, without feedback."""
    return StoredPrediction(
        **{
            **row,
            "predicted_at": row["predicted_at"].astimezone(UTC),
            "role": Role(row["role"]),
            "attributes": dict(row["attributes"] or ()),
            "flagged": None,
            "corrected_class": None,
        }
    )


def _batches(file: HeldFile) -> BatchFileName:
    name = BatchFileName.of(file.path)
    assert name is not None  # noqa: S101  the log wrote it
    return name


def _may_follow(file: HeldFile, after: LogPlace | None) -> bool:
    return after is None or _batches(file).first <= after.batch


def _portions(files: Sequence[HeldFile]) -> Iterator[list[HeldFile]]:
    """The files, the newest batches first: few of them, then more as long as they are read quickly."""
    most, portion = FIRST_ROWS, list[HeldFile]()
    n_rows = 0
    for file in sorted(files, key=lambda f: _batches(f).first, reverse=True):
        portion.append(file)
        n_rows += file.n_rows
        if n_rows >= most:
            begin_s = time.monotonic()
            yield portion
            most = most * _GROWTH if time.monotonic() - begin_s < QUICK_S else FIRST_ROWS
            n_rows, portion = 0, []
    if portion:
        yield portion
