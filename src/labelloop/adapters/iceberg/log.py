"""The prediction log on Apache Iceberg: written through pyiceberg, read by DuckDB.

pyiceberg plans which files a question touches; DuckDB reads just those. The two statements of a selection
may be Spark's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labelloop.adapters.iceberg import erasure as iceberg_erasure
from labelloop.adapters.iceberg import merging as iceberg_merging
from labelloop.adapters.iceberg import sql as log_sql
from labelloop.adapters.iceberg import sweeping as iceberg_sweeping
from labelloop.adapters.iceberg.browsing import Browser, stored, with_feedback
from labelloop.adapters.iceberg.catalog import is_absent
from labelloop.adapters.iceberg.duckdb_engine import SORT_MEMORY, DuckDBReading, engine
from labelloop.adapters.iceberg.places import Places, places_beside
from labelloop.adapters.iceberg.schema import arrow_rows
from labelloop.adapters.iceberg.selecting import SelectingEngine, SelectingReading
from labelloop.adapters.iceberg.snapshots import unneeded
from labelloop.adapters.iceberg.tables import (
    KINDS,
    IcebergTables,
    same_log,
    translated,
)
from labelloop.adapters.s3.access import S3Access
from labelloop.core.line import line
from labelloop.core.ranked import OF_PROBABILITIES, Best, Ranked, Score
from labelloop.core.round import Candidate, Count, FrameRange, RateCount, Span
from labelloop.core.sample import Role
from labelloop.core.slice_count import SliceCount, most_common
from labelloop.core.upkeep import LogShape, Upkeep
from labelloop.core.where import Where
from labelloop.errors import ArgumentError, LogError
from labelloop.ports.clock import Progress
from labelloop.ports.log import (
    BatchKind,
    Browsing,
    Counted,
    Found,
    HeldRows,
    LabelCount,
    LabelPart,
    LoggedPrediction,
    LoggedSample,
    LogPlace,
    Rows,
    SameSize,
    StoredPrediction,
    VisibleBatch,
    refuse_feedback,
)

if TYPE_CHECKING:
    import pyarrow as pa


class IcebergLog:
    """A PredictionLog in two Iceberg tables. Open it with `IcebergLog.open`."""

    def __init__(
        self,
        tables: IcebergTables,
        *,
        places: Path,
        ledger_id: str,
        salt: bytes,
        spark: SelectingEngine | None = None,
    ) -> None:
        self._tables = tables
        self._places = Places(tables, places / ledger_id)
        self._spark = spark
        self._ledger_id = ledger_id
        self._salt = salt
        self._attributes: tuple[int | None, frozenset[str]] = (None, frozenset())
        self._engine = engine()
        self._renamed: Mapping[str, str] = {}

    @classmethod
    def open(
        cls,
        *,
        warehouse: str,
        catalog: str,
        ledger_id: str,
        salt: bytes,
        s3: S3Access | None = None,
        spark: SelectingEngine | None = None,
    ) -> Self:
        """The log in `warehouse` (a folder or s3://bucket/prefix), created where it is absent.

        Its selections run on `spark`, where that is given.

        Raises:
            LogError: it can't be reached, has an unknown format, or belongs to another ledger.
        """
        tables = IcebergTables.connect(warehouse=warehouse, catalog=catalog, s3=s3)
        try:
            found = tables.identity()
            if found is not None:
                same_log(found, ledger_id=ledger_id, salt=salt)
            tables.create(ledger_id, salt)
            places = places_beside(warehouse, catalog)
            return cls(tables, places=places, ledger_id=ledger_id, salt=salt, spark=spark)
        except BaseException:
            tables.close()
            raise

    @classmethod
    def identity(
        cls, *, warehouse: str, catalog: str, s3: S3Access | None = None
    ) -> tuple[str, bytes] | None:
        """The ledger_id and salt of the log that stands there; None where there is none.

        Raises:
            LogError: it can't be reached or has an unknown format.
        """
        if is_absent(catalog):
            return None
        tables = IcebergTables.connect(warehouse=warehouse, catalog=catalog, s3=s3)
        try:
            return tables.identity()
        finally:
            tables.close()

    def close(self) -> None:
        """Give back the engines and the catalog's connections."""
        self._engine.close()
        self._tables.close()
        if self._spark is not None:
            self._spark.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ledger_id(self) -> str:
        """The ledger that writes this log."""
        return self._ledger_id

    @property
    def salt(self) -> bytes:
        """The key of the line."""
        return self._salt

    def read_as(self, renamed: Mapping[str, str]) -> None:
        """From now on, give every class under its present name; the keys of `renamed` are old ones."""
        self._renamed = dict(renamed)

    def _reading(self) -> DuckDBReading:
        return DuckDBReading(self._engine, self._tables, self._renamed)

    def _selecting(self) -> SelectingReading:
        """What answers the two statements of a selection."""
        if self._spark is None:
            return self._reading()
        return self._spark.reading(self._tables, self._renamed)

    # --- writing ----------------------------------------------------------------------------

    def write_batch(
        self,
        batch: int,
        kind: BatchKind,
        rows: Rows,
        indexed_at: datetime,
    ) -> str:
        """Write a batch durably, not yet visible; returns its path.

        Raises:
            ArgumentError: the batch is empty or its number isn't positive.
            LogError: it can't be written, or a batch of this number is visible already.
        """
        if batch < 1 or not len(rows):
            raise ArgumentError(
                f"batch {batch} of {len(rows)} rows: a batch has a positive number and a row",
                remedy="call this only with at least one row",
            )
        path = self._tables.path(batch, kind)
        if self._tables.committed(batch, kind):
            raise LogError(
                f"batch {batch} of {kind} is in the log already",
                remedy="the prediction log is newer than the ledger: restore a backup of the ledger that "
                "is as new as the log",
            )
        with translated(f"Writing batch {batch} of {kind}"):
            table = arrow_rows(kind, rows, batch, indexed_at, self._tables.columns(kind))
        self._tables.write(table, path)
        return path

    def commit_batch(self, batch: int, kind: BatchKind, path: str) -> None:
        """Make a written batch visible; a repeated call changes nothing.

        Raises:
            LogError: what stands at `path` isn't a whole batch, or it can't be committed.
        """
        if self._tables.n_rows(path) is None:
            raise LogError(
                f"{path} isn't a complete batch",
                remedy="run `labelloop index` again: it writes the batch again",
            )
        self._tables.commit(batch, kind, path)

    def is_whole(self, path: str, n_rows: int) -> bool:
        """Whether a batch of `n_rows` rows was written whole at `path`."""
        return self._tables.n_rows(path) == n_rows

    def erase(self, sample_ids: Sequence[str], *, allowed: Callable[[], None]) -> None:
        """Take every row of `sample_ids` out, and leave nothing of them where the log lies.

        Raises:
            LogError: the log can't be read or written, or others kept committing in between.
        """
        held = self.held(sample_ids)
        self._places.forget()
        for kind in KINDS:
            batches = sorted({rows.batch for rows in held if rows.kind == kind})
            if batches:
                iceberg_erasure.rewrite(self._tables, kind, batches, sample_ids)
            iceberg_erasure.sweep(self._tables, kind, allowed)

    # --- tidying ----------------------------------------------------------------------------

    def shape(self, *, closed_before: datetime, unused_before: datetime) -> LogShape:
        """How much there is to tidy."""
        newest = iceberg_merging.closed_to(self._tables, closed_before)
        n_files = n_small = n_unneeded = 0
        for kind in KINDS:
            files = self._tables.files(kind)
            n_files += len(files)
            n_small += sum(len(group) for group in iceberg_merging.groups(files, newest))
            n_unneeded += len(unneeded(self._tables.load(kind), unused_before))
        return LogShape(n_files=n_files, n_small=n_small, n_unneeded=n_unneeded)

    def maintain(
        self,
        *,
        closed_before: datetime,
        unused_before: datetime,
        allowed: Callable[[], None],
        progress: Progress,
        dry_run: bool = False,
    ) -> Upkeep:
        """Merge small files, let old versions go, remove what none of the others needs.

        Raises:
            LogError: the log can't be read or written, or a file of it is damaged.
        """
        newest = iceberg_merging.closed_to(self._tables, closed_before)
        n_files = n_small = n_merged = n_snapshots = 0
        removed: list[iceberg_sweeping.StrayFile] = []
        for kind in KINDS:
            files = self._tables.files(kind)
            found = iceberg_merging.groups(files, newest)
            n_files += len(files)
            n_small += sum(len(group) for group in found)
            n_merged += len(found)
            if found and not dry_run:
                iceberg_merging.merge(self._tables, kind, found, allowed=allowed, progress=progress)
            old = unneeded(self._tables.load(kind), unused_before)
            n_snapshots += len(old)
            if old and not dry_run:
                allowed()
                iceberg_sweeping.expire_snapshots(
                    self._tables, kind, lambda table: unneeded(table, unused_before)
                )
            strays = iceberg_sweeping.strays(
                self._tables, kind, without=old, written_before=unused_before
            )
            removed += strays
            if strays and not dry_run:
                allowed()
                iceberg_sweeping.remove(self._tables, kind, strays)
        return Upkeep(
            dry_run=dry_run,
            n_files=n_files,
            n_small=n_small,
            n_merged=n_merged,
            n_snapshots=n_snapshots,
            n_removed=len(removed),
            freed_bytes=sum(stray.size_bytes for stray in removed),
        )

    # --- reading ----------------------------------------------------------------------------

    def _rows_about(
        self, sample_ids: Sequence[str], statement: Callable[..., str], *kinds: BatchKind
    ) -> list[dict[str, Any]]:
        """The rows of a statement over the tables of `kinds` and a list of samples."""
        if not sample_ids:
            return []
        with self._reading() as reading:
            sources = [reading.source(kind) for kind in kinds]
            wanted = reading.samples(sample_ids, self._salt)
            return list(reading.rows(statement(*sources, wanted)))

    def held(self, sample_ids: Sequence[str]) -> Sequence[HeldRows]:
        """The visible rows of `sample_ids`, counted by sample and batch, in their order."""
        return [HeldRows(**row) for row in self._rows_about(sample_ids, log_sql.held, *KINDS)]

    def twins(self, sample_ids: Sequence[str], limit: int) -> Sequence[str]:
        """Other samples with the content of one of `sample_ids`, sorted, `limit` at most."""
        statement = partial(log_sql.twins, limit=limit)
        return [r["sample_id"] for r in self._rows_about(sample_ids, statement, "predictions")]

    def same_size(self, sample_ids: Sequence[str], limit: int) -> Sequence[SameSize]:
        """The contents that may be copies of those of `sample_ids` although their hashes differ."""
        statement = partial(log_sql.same_size, limit=limit)
        return [SameSize(**r) for r in self._rows_about(sample_ids, statement, "predictions")]

    def visible_after(self, batch: int) -> Sequence[VisibleBatch]:
        """The visible batches whose number is above `batch`, in their order."""
        return self._tables.visible_after(batch)

    def snapshot(self) -> int | None:
        """The log's present version; None while it is empty."""
        present = self._tables.load("predictions").current_snapshot()
        return None if present is None else present.snapshot_id

    def samples(self, sample_ids: Sequence[str]) -> Mapping[str, LoggedSample]:
        """Those of `sample_ids` that have a serving prediction."""
        rows = self._rows_about(sample_ids, log_sql.samples, *KINDS)
        return {row["sample_id"]: _logged_sample(row) for row in rows}

    def may_hold(self, places: Any, *, serving: bool = False) -> Any:
        """(N,) bool: whether a sample at each place on the line may have a prediction here."""
        return self._places.hold(places, serving=serving)

    def predictions(self, sample_ids: Sequence[str]) -> Sequence[LoggedPrediction]:
        """Every prediction of `sample_ids`, of any role, the earliest batch first."""
        rows = self._rows_about(sample_ids, log_sql.logged_predictions, *KINDS)
        return [LoggedPrediction(**row | {"role": Role(row["role"])}) for row in rows]

    def browse(self, browsing: Browsing, *, after: LogPlace | None, limit: int) -> Found:
        """The first serving predictions after a place that are looked for, `limit` at most."""
        with self._reading() as reading:
            return Browser(reading, browsing, salt=self._salt).page(after, limit)

    def count(self, browsing: Browsing, *, at_most: int) -> Counted:
        """How many serving predictions are looked for; counting ends above `at_most`."""
        with self._reading() as reading:
            return Browser(reading, browsing, salt=self._salt).count(at_most)

    def of_sample(self, sample_id: str) -> Sequence[StoredPrediction]:
        """Every prediction of one sample, of any role, the earliest batch first."""
        with self._reading() as reading:
            # the place on the line is an integer, and compared much faster than a text
            query = log_sql.at_lines(reading.source("predictions"), [line(sample_id, self._salt)])
            rows = [row for row in map(stored, reading.rows(query)) if row.sample_id == sample_id]
            return with_feedback(reading, rows)

    def texts(self, sample_ids: Sequence[str]) -> Mapping[str, str]:
        """The texts of those of `sample_ids` whose serving prediction has one."""
        rows = self._rows_about(sample_ids, log_sql.texts, "predictions")
        return {row["sample_id"]: row["text"] for row in rows}

    def attributes(self) -> frozenset[str]:
        """The names of the attributes that any prediction carries."""
        snapshot = self.snapshot()
        if snapshot is None:
            return frozenset()
        if self._attributes[0] != snapshot:
            with self._reading() as reading:
                statement = log_sql.attributes(reading.source("predictions"))
                names = frozenset(row["name"] for row in reading.rows(statement))
            self._attributes = (snapshot, names)
        return self._attributes[1]

    def counts(self, frame: FrameRange, conditions: Sequence[Where]) -> Sequence[Count]:
        """The frame's rows by predicted class, risk bin and pattern; bit i: conditions[i] holds."""
        refuse_feedback(conditions)
        with self._selecting() as reading:
            source = reading.source("predictions", frame)
            statement = log_sql.counts(source, frame, conditions)
            return [Count(**row) for row in reading.rows(statement)]

    def slices(self, frame: FrameRange) -> Sequence[SliceCount]:
        """The most frequent values of the frame's attributes, by attribute and value."""
        with self._selecting() as reading:
            statement = log_sql.slices(reading.source("predictions", frame), frame)
            return most_common([SliceCount(**row) for row in reading.rows(statement)])

    def rates(self, frame: FrameRange) -> Sequence[RateCount]:
        """The frame's rows by predicted class, risk bin and sampling rate; empty if all was logged."""
        with self._selecting() as reading:
            source = reading.source("predictions", frame)
            found = [RateCount(**row) for row in reading.rows(log_sql.rates(source, frame))]
        return found if any(one.sampling_rate < 1 for one in found) else []

    def rows(
        self, frame: FrameRange, conditions: Sequence[Where], spans: Sequence[Span]
    ) -> Sequence[Candidate]:
        """The frame's rows that lie in a span of their pattern, in order of their place."""
        refuse_feedback(conditions)
        if not spans:
            return []
        with self._selecting() as reading:
            source = reading.source("predictions", frame)
            statement = log_sql.rows(
                source, frame, conditions, reading.spans(spans), reading.margin
            )
            return [_candidate(row) for row in reading.rows(statement)]

    def scan(
        self, frame: FrameRange, conditions: Sequence[Where], attributes: Sequence[str]
    ) -> "Iterator[pa.RecordBatch]":
        """Every row of the frame, a batch at a time, in no order."""
        refuse_feedback(conditions)
        with self._reading() as reading:
            source = reading.source("predictions", frame)
            for batch in reading.batches(log_sql.scan(source, frame, conditions, attributes)):
                own = batch.schema.names[: batch.num_columns - len(attributes)]
                yield batch.rename_columns([*own, *(f"attributes.{name}" for name in attributes)])

    def beside(self, frame: FrameRange, model: str) -> "Iterator[pa.RecordBatch]":
        """The frame's rows whose samples `model` predicted too without serving, in no order."""
        with self._reading() as reading:
            source = reading.source("predictions", frame)
            # what a shadow says may come before or after what is served, in any batch
            every = reading.source("predictions", FrameRange(batch_to=frame.batch_to))
            yield from reading.batches(log_sql.beside(source, every, frame, model))

    def ranked(
        self,
        frame: FrameRange,
        score: Score,
        where: Where | None = None,
        *,
        n: int,
        by: Sequence[str] = (),
    ) -> Sequence[Ranked]:
        """The n rows of each group with the highest scores, in order of these."""
        refuse_feedback([where] if where else [])
        if score in OF_PROBABILITIES:
            return self._by_probabilities(frame, score, where, n, by)
        with self._selecting() as reading:
            source = reading.source("predictions", frame)
            if score is Score.DISAGREEMENT:
                every = reading.source("predictions", FrameRange(batch_to=frame.batch_to))
                inner = log_sql.disagreeing(source, every, frame, where, by)
            else:
                inner = log_sql.scored(source, frame, where, log_sql.score(score), by)
            found = reading.rows(log_sql.ranked(inner, n=n, by=len(by)))
            return [Ranked(i, place, of, tuple(g)) for i, place, of, *g in map(dict.values, found)]

    def _by_probabilities(
        self, frame: FrameRange, score: Score, where: Where | None, n: int, by: Sequence[str]
    ) -> Sequence[Ranked]:
        """By NumPy over a stream of rows: quicker than SQL on lists, and the same with any engine."""
        import pyarrow as pa

        best = Best(n)
        with self._reading() as reading:
            source = reading.source("predictions", frame)
            for batch in reading.batches(log_sql.scored(source, frame, where, "probabilities", by)):
                found = OF_PROBABILITIES[score](batch.column("score"))
                page = pa.Table.from_batches([batch])
                best.add(page.set_column(2, "score", pa.array(found, from_pandas=True)))
        return best.rows()

    def embeddings(
        self, frame: FrameRange, sample_ids: Sequence[str]
    ) -> Mapping[str, Sequence[float]]:
        """The embeddings of those of `sample_ids` whose row of the frame has one."""
        if not sample_ids:
            return {}
        with self._reading() as reading:
            source = reading.source("predictions", frame)
            wanted = reading.samples(sample_ids, self._salt)
            found: dict[str, Sequence[float]] = {}
            for batch in reading.batches(log_sql.embeddings(source, frame, wanted)):
                values = batch.column("embedding")
                for i, sample_id in enumerate(batch.column("sample_id").to_pylist()):
                    found[sample_id] = values[i].values.to_numpy(zero_copy_only=False)
            return found

    def opinions(
        self, sample_ids: Sequence[str], model: str | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """What was said last of those of `sample_ids` that the log knows; `model`: by this one alone."""
        with self._reading() as reading:
            wanted = reading.samples(sample_ids, self._salt)
            statement = log_sql.opinions(reading.source("predictions"), wanted, model)
            yield from reading.batches(statement)

    def rows_of(
        self, frame: FrameRange, conditions: Sequence[Where], sample_ids: Sequence[str]
    ) -> Sequence[Candidate]:
        """The frame's rows of these samples, in order of their place."""
        refuse_feedback(conditions)
        if not sample_ids:
            return []
        with self._reading() as reading:
            source = reading.source("predictions", frame)
            wanted = reading.samples(sample_ids, self._salt)
            statement = log_sql.rows_of(source, frame, conditions, wanted)
            return [_candidate(row) for row in reading.rows(statement)]

    def received(self, batch_after: int, batch_to: int, where: Where) -> Sequence[Candidate]:
        """Samples with feedback in the batches (batch_after, batch_to] that match `where`."""
        upto = FrameRange(batch_to=batch_to)
        with self._reading() as reading:
            statement = log_sql.received(
                reading.source("predictions", upto),
                reading.source("feedback", upto),
                batch_after,
                batch_to,
                where,
            )
            return [_candidate(row) for row in reading.rows(statement)]

    def model_labels(
        self,
        parts: Sequence[LabelPart],
        *,
        without_samples: Sequence[str],
        without_content: Sequence[str],
    ) -> "Iterator[pa.RecordBatch]":
        """Framed, uncontested serving predictions that their part admits, batch by batch."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not parts:
            return
        certificates = pa.array([part.certificate for part in parts], pa.int64())
        with self._reading() as reading, reading.within(SORT_MEMORY):
            statement = log_sql.model_labels(
                reading.source("predictions", _hull([f for part in parts for f in part.frames])),
                reading.source("feedback"),
                parts,
                cells=reading.cells(parts),
                without_samples=reading.listed("sample_id", without_samples),
                without_content=reading.listed("content_hash", without_content),
            )
            for batch in reading.batches(statement):
                certificate = pc.take(certificates, batch.column("part"))
                yield batch.drop_columns("part").append_column("certificate", certificate)

    def label_counts(
        self,
        frames: Sequence[FrameRange],
        *,
        without_samples: Sequence[str],
        without_content: Sequence[str],
    ) -> Sequence[LabelCount]:
        """The framed, uncontested serving predictions by frame, class and risk bin."""
        if not frames:
            return []
        with self._reading() as reading:
            statement = log_sql.label_counts(
                reading.source("predictions", _hull(frames)),
                reading.source("feedback"),
                frames,
                without_samples=reading.listed("sample_id", without_samples),
                without_content=reading.listed("content_hash", without_content),
            )
            return [LabelCount(**row) for row in reading.rows(statement)]


def _hull(frames: Sequence[FrameRange]) -> FrameRange:
    return FrameRange(
        batch_after=min(frame.batch_after for frame in frames),
        batch_to=max(frame.batch_to for frame in frames),
    )


def _candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(**row | {"attributes": dict(row["attributes"])})


def _logged_sample(row: Mapping[str, Any]) -> LoggedSample:
    lists = {"repeated": frozenset(row["repeated"] or ()), "shadows": dict(row["shadows"] or ())}
    return LoggedSample(**{**row, **lists})
