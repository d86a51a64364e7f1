"""A prediction log in memory."""

import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labelloop.core.ranked import Ranked, Score, entropies
from labelloop.core.round import Candidate, Count, FrameRange, RateCount, Span
from labelloop.core.sample import (
    NO_CLASS,
    RISK_BINS,
    UNUSABLE,
    Feedback,
    Prediction,
    PredictionTable,
    Role,
    margin,
    risk_bin,
)
from labelloop.core.slice_count import LEAST_ROWS, MOST_VALUES, SliceCount, most_common
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

_SCAN_ROWS = 1_000
_COLUMNS = tuple(field.name for field in fields(Prediction))
_IN_PARTS = re.compile(".{32}-")
_LABELS = (
    "sample_id",
    "uri",
    "content_hash",
    "predicted_class",
    "confidence",
    "model",
    "certificate",
)


@dataclass(frozen=True, slots=True)
class _Batch:
    kind: BatchKind
    rows: tuple[Prediction | Feedback, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """What users have said of a sample so far."""

    flagged: bool | None = None
    corrected_class: str | None = None

    @property
    def contests(self) -> bool:
        return self.flagged is True or self.corrected_class is not None


class MemoryLog:
    """A PredictionLog that lives as long as the object.

    >>> log = MemoryLog()
    >>> log.snapshot() is None
    True
    """

    def __init__(self, ledger_id: str = "memory", salt: bytes = b"memory") -> None:
        self._ledger_id = ledger_id
        self._salt = salt
        self._written: dict[str, _Batch] = {}
        self._visible: dict[tuple[BatchKind, int], str] = {}
        self._renamed: Mapping[str, str] = {}

    @property
    def ledger_id(self) -> str:
        """The ledger that writes this log."""
        return self._ledger_id

    @property
    def salt(self) -> bytes:
        """The key of the line."""
        return self._salt

    def read_as(self, renamed: Mapping[str, str]) -> None:
        """From now on, give every class under its present name."""
        self._renamed = dict(renamed)

    def close(self) -> None:
        """Nothing has to be given back."""

    # --- writing ----------------------------------------------------------------------------

    def write_batch(
        self,
        batch: int,
        kind: BatchKind,
        rows: Rows,
        indexed_at: datetime,  # noqa: ARG002  the port's signature; no question reads it
    ) -> str:
        """Write a batch, not yet visible; returns its path.

        Raises:
            ArgumentError: the batch is empty or its number isn't positive.
            LogError: a batch of this number is visible already.
        """
        if isinstance(rows, PredictionTable):
            rows = [
                Prediction(
                    **{**row, "role": Role(row["role"]), "attributes": dict(row["attributes"])}
                )
                for row in rows.table.to_pylist()
            ]
        if batch < 1 or not rows:
            raise ArgumentError(f"batch {batch} of {len(rows)} rows: neither may be zero")
        if (kind, batch) in self._visible:
            raise LogError(f"batch {batch} of {kind} is in the log already")
        path = f"memory:{kind}/batch-{batch:012d}"
        self._written[path] = _Batch(kind, tuple(rows))
        return path

    def commit_batch(self, batch: int, kind: BatchKind, path: str) -> None:
        """Make a written batch visible; a repeated call changes nothing.

        Raises:
            LogError: what stands at `path` isn't a whole batch of this kind.
        """
        written = self._written.get(path)
        if written is None or written.kind != kind:
            raise LogError(f"{path} isn't a complete batch of {kind}")
        if self._visible.setdefault((kind, batch), path) != path:
            raise LogError(f"batch {batch} of {kind} is in the log already")

    def is_whole(self, path: str, n_rows: int) -> bool:
        """Whether a batch of `n_rows` rows was written at `path`."""
        return path in self._written and len(self._written[path].rows) == n_rows

    def erase(self, sample_ids: Sequence[str], *, allowed: Callable[[], None]) -> None:
        """Take every row of `sample_ids` out, and what was not committed."""
        found = set(self._written)
        allowed()
        gone = set(sample_ids)
        kept = {path: batch for path, batch in self._written.items() if path not in found}
        for (kind, batch), path in list(self._visible.items()):
            rows = tuple(r for r in self._written[path].rows if r.sample_id not in gone)
            if rows:
                kept[path] = _Batch(kind, rows)
            else:
                del self._visible[kind, batch]
        self._written = kept

    def shape(
        self,
        *,
        closed_before: datetime,  # noqa: ARG002  the port's signature: there is nothing to tidy
        unused_before: datetime,  # noqa: ARG002  as above
    ) -> LogShape:
        """Nothing to tidy: memory has no files."""
        return LogShape()

    def maintain(
        self,
        *,
        closed_before: datetime,  # noqa: ARG002  the port's signature: there is nothing to tidy
        unused_before: datetime,  # noqa: ARG002  as above
        allowed: Callable[[], None],  # noqa: ARG002  as above
        progress: Progress,  # noqa: ARG002  as above
        dry_run: bool = False,
    ) -> Upkeep:
        """Nothing to tidy: memory has no files."""
        return Upkeep(dry_run=dry_run)

    # --- reading ----------------------------------------------------------------------------

    def held(self, sample_ids: Sequence[str]) -> Sequence[HeldRows]:
        """The visible rows of `sample_ids`, counted by sample and batch, in their order."""
        wanted = set(sample_ids)
        found: dict[tuple[str, int], list[Prediction | Feedback]] = {}
        for batch, row in (*self._rows("predictions"), *self._rows("feedback")):
            if row.sample_id in wanted:
                found.setdefault((row.sample_id, batch), []).append(row)
        return [
            HeldRows(sample_id=sample_id, batch=batch, kind="feedback", n_rows=len(rows))
            if isinstance(rows[0], Feedback)
            else HeldRows(
                sample_id=sample_id,
                batch=batch,
                kind="predictions",
                n_rows=len(rows),
                uri=rows[0].uri,
                content_hash=rows[0].content_hash,
            )
            for (sample_id, batch), rows in sorted(found.items())
        ]

    def twins(self, sample_ids: Sequence[str], limit: int) -> Sequence[str]:
        """Other samples with the content of one of `sample_ids`, sorted, `limit` at most."""
        wanted = set(sample_ids)
        rows = [p for _, p in self._predictions()]
        contents = {p.content_hash for p in rows if p.sample_id in wanted} - {""}
        found = {p.sample_id for p in rows if p.content_hash in contents}
        return sorted(found - wanted)[:limit]

    def same_size(self, sample_ids: Sequence[str], limit: int) -> Sequence[SameSize]:
        """The contents that may be copies of those of `sample_ids` although their hashes differ."""
        wanted = set(sample_ids)
        rows = [p for _, p in self._predictions() if p.size_bytes and p.content_hash]
        sizes = {p.size_bytes for p in rows if p.sample_id in wanted}
        sizes &= {p.size_bytes for p in rows if _IN_PARTS.match(p.content_hash)}
        named: dict[tuple[int, str, str], bool] = {}
        for p in rows:
            if p.size_bytes in sizes:
                content = p.size_bytes, p.uri, p.content_hash
                named[content] = named.get(content, False) or p.sample_id in wanted
        return [
            SameSize(uri=uri, content_hash=content_hash, size_bytes=size, named=is_named)
            for (size, uri, content_hash), is_named in sorted(named.items())
        ][:limit]

    def visible_after(self, batch: int) -> Sequence[VisibleBatch]:
        """The visible batches whose number is above `batch`, in their order."""
        return [
            VisibleBatch(batch=number, kind=kind, path=path, n_rows=len(self._written[path].rows))
            for (kind, number), path in sorted(self._visible.items(), key=lambda item: item[0][1])
            if number > batch
        ]

    def snapshot(self) -> int | None:
        """The log's present version; None while it is empty."""
        return sum(kind == "predictions" for kind, _ in self._visible) or None

    def samples(self, sample_ids: Sequence[str]) -> Mapping[str, LoggedSample]:
        """Those of `sample_ids` that have a serving prediction."""
        said = self._said()
        serving = self._first_serving()
        repeated: dict[str, set[str]] = {}
        shadows: dict[str, dict[str, str]] = {}
        for _, p in self._predictions():
            if p.role is Role.REPEATED:
                repeated.setdefault(p.sample_id, set()).add(p.model)
            elif p.role is Role.SHADOW:
                shadows.setdefault(p.sample_id, {}).setdefault(p.model, p.predicted_class)
        found: dict[str, LoggedSample] = {}
        for sample_id in sample_ids:
            prediction = serving.get(sample_id)
            if prediction is None:
                continue
            feedback = said.get(sample_id, _Said())
            found[sample_id] = LoggedSample(
                sample_id=sample_id,
                model=prediction.model,
                predicted_at=prediction.predicted_at.astimezone(UTC),
                predicted_class=prediction.predicted_class,
                confidence=_confidence(prediction),
                content_hash=prediction.content_hash,
                flagged=feedback.flagged,
                corrected_class=feedback.corrected_class,
                repeated=frozenset(repeated.get(sample_id, ())),
                shadows=shadows.get(sample_id, {}),
            )
        return found

    def may_hold(self, places: Any, *, serving: bool = False) -> Any:
        """(N,) bool: whether a sample at each place on the line has a prediction here."""
        import numpy as np

        held = [p.line for _, p in self._predictions() if not (serving and p.role is Role.SHADOW)]
        return np.isin(places, np.array(held, np.int64))

    def predictions(self, sample_ids: Sequence[str]) -> Sequence[LoggedPrediction]:
        """Every prediction of `sample_ids`, of any role, the earliest batch first."""
        wanted = set(sample_ids)
        said = self._said()
        return [
            LoggedPrediction(
                sample_id=p.sample_id,
                role=p.role,
                model=p.model,
                predicted_class=p.predicted_class,
                content_hash=p.content_hash,
                flagged=said.get(p.sample_id, _Said()).flagged,
                corrected_class=said.get(p.sample_id, _Said()).corrected_class,
            )
            for _, p in self._predictions()
            if p.sample_id in wanted
        ]

    def browse(self, browsing: Browsing, *, after: LogPlace | None, limit: int) -> Found:
        """The first serving predictions after a place that are looked for, `limit` at most."""
        every = sorted(self._browsed(browsing), key=_newest_first)
        rows = [r for r in every if after is None or _newest_first(r) > (-after.batch, after.line)]
        there_are_more = len(rows) > limit
        return Found(
            rows=rows[:limit], searched_to=rows[limit - 1].place if there_are_more else None
        )

    def count(self, browsing: Browsing, *, at_most: int) -> Counted:
        """How many serving predictions are looked for; counting ends above `at_most`."""
        n = sum(1 for _ in self._browsed(browsing))
        return Counted(n=min(n, at_most), whole=n <= at_most)

    def _browsed(self, browsing: Browsing) -> Iterator[StoredPrediction]:
        said = self._said()
        for batch, p in self._predictions():
            if (
                p.role is Role.SERVING
                and p.sample_id not in browsing.without_samples
                and p.content_hash not in browsing.without_content
                and (
                    browsing.where is None
                    or browsing.where.matches(_row(p, said.get(p.sample_id, _Said())))
                )
            ):
                yield _stored(batch, p, said.get(p.sample_id, _Said()))

    def of_sample(self, sample_id: str) -> Sequence[StoredPrediction]:
        """Every prediction of one sample, of any role, the earliest batch first."""
        said = self._said().get(sample_id, _Said())
        rows = [_stored(b, p, said) for b, p in self._predictions() if p.sample_id == sample_id]
        return sorted(rows, key=lambda row: (row.batch, row.role))

    def texts(self, sample_ids: Sequence[str]) -> Mapping[str, str]:
        """The texts of those of `sample_ids` whose serving prediction has one."""
        serving = self._first_serving()
        found = [serving[sample_id] for sample_id in sample_ids if sample_id in serving]
        return {p.sample_id: p.text for p in found if p.text is not None}

    def attributes(self) -> frozenset[str]:
        """The names of the attributes that any prediction carries."""
        return frozenset(name for _, p in self._predictions() for name in p.attributes)

    def counts(self, frame: FrameRange, conditions: Sequence[Where]) -> Sequence[Count]:
        """The frame's rows by predicted class, risk bin and pattern; bit i: conditions[i] holds."""
        refuse_feedback(conditions)
        cells = Counter(
            (p.predicted_class, risk_bin(_confidence(p)), _pattern(p, conditions))
            for p in self._framed(frame)
        )
        return [
            Count(predicted_class=name, risk_bin=risk, pattern=pattern, n=n)
            for (name, risk, pattern), n in sorted(cells.items())
        ]

    def slices(self, frame: FrameRange) -> Sequence[SliceCount]:
        """How often the values of attributes occur in the frame."""
        counts: dict[str, Counter[str]] = {}
        for p in self._framed(frame):
            for name, value in p.attributes.items():
                if value and name != UNUSABLE:
                    counts.setdefault(name, Counter())[value] += 1
        return most_common(
            [
                SliceCount(attribute=name, value=value, n=n)
                for name, of in counts.items()
                for value, n in sorted(of.items(), key=lambda each: (-each[1], each[0]))[
                    :MOST_VALUES
                ]
                if n >= LEAST_ROWS
            ]
        )

    def rates(self, frame: FrameRange) -> Sequence[RateCount]:
        """The frame's rows by predicted class, risk bin and sampling rate; empty if all was logged."""
        found = Counter(
            (p.predicted_class, risk_bin(_confidence(p)), p.sampling_rate or 1.0)
            for p in self._framed(frame)
        )
        if all(rate == 1 for _, _, rate in found):
            return []
        return [
            RateCount(predicted_class=name, risk_bin=risk, sampling_rate=rate, n=n)
            for (name, risk, rate), n in sorted(found.items())
        ]

    def rows(
        self, frame: FrameRange, conditions: Sequence[Where], spans: Sequence[Span]
    ) -> Sequence[Candidate]:
        """The frame's rows that lie in a span of their pattern, in order of their place."""
        refuse_feedback(conditions)
        found = [
            _candidate(p, pattern, _Said())
            for p in self._framed(frame)
            for pattern in [_pattern(p, conditions)]
            if any(_lies_in(p, pattern, span) for span in spans)
        ]
        return sorted(found, key=_place)

    def scan(
        self, frame: FrameRange, conditions: Sequence[Where], attributes: Sequence[str]
    ) -> "Iterator[pa.RecordBatch]":
        """Every row of the frame, a batch at a time."""
        import pyarrow as pa

        refuse_feedback(conditions)
        framed = list(self._framed(frame))
        schema = pa.schema(
            [
                ("sample_id", pa.string()),
                ("line", pa.int64()),
                ("pattern", pa.int64()),
                ("predicted_class", pa.string()),
                ("confidence", pa.float64()),
                ("margin", pa.float64()),
                ("sampling_rate", pa.float64()),
                *((f"attributes.{name}", pa.string()) for name in attributes),
            ]
        )
        for start in range(0, len(framed), _SCAN_ROWS):
            page = framed[start : start + _SCAN_ROWS]
            columns = [
                [p.sample_id for p in page],
                [p.line for p in page],
                [_pattern(p, conditions) for p in page],
                [p.predicted_class for p in page],
                [_confidence(p) for p in page],
                [margin(p.probabilities) for p in page],
                [p.sampling_rate for p in page],
                *([p.attributes.get(name) for p in page] for name in attributes),
            ]
            yield pa.record_batch(
                [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
            )

    def beside(self, frame: FrameRange, model: str) -> "Iterator[pa.RecordBatch]":
        """The frame's rows whose samples `model` predicted too without serving."""
        import pyarrow as pa

        said: dict[str, str] = {}
        for batch, p in self._predictions():
            if p.role is not Role.SERVING and p.model == model and batch <= frame.batch_to:
                said.setdefault(p.sample_id, p.predicted_class)
        both = [p for p in self._framed(frame) if p.sample_id in said]
        yield pa.record_batch(
            [
                pa.array([p.sample_id for p in both], pa.string()),
                pa.array([p.line for p in both], pa.int64()),
                pa.array([p.predicted_class for p in both], pa.string()),
                pa.array([_confidence(p) for p in both], pa.float64()),
                pa.array([said[p.sample_id] for p in both], pa.string()),
            ],
            names=["sample_id", "line", "predicted_class", "confidence", "said"],
        )

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
        found: list[Ranked] = []
        for p in self._framed(frame):
            of = self._score(p, score, frame.batch_to)
            if of is not None and (where is None or where.matches(_row(p, _Said()))):
                found.append(Ranked(p.sample_id, p.line, of, tuple(_group(p, c) for c in by)))
        found.sort(key=lambda r: (-r.score, r.line, r.sample_id))
        taken: Counter[tuple[str | None, ...]] = Counter()
        kept = []
        for row in found:
            taken[row.groups] += 1
            if taken[row.groups] <= n:
                kept.append(row)
        return kept

    def _score(self, p: Prediction, score: Score, batch_to: int) -> float | None:
        confidence = _confidence(p)
        if score is Score.PLACE:
            return 0.0
        if score is Score.RISK:
            return (risk_bin(confidence) + 0.5) / RISK_BINS
        if score is Score.LEAST_CONFIDENT:
            return None if confidence is None else 1 - confidence
        if score is Score.MARGIN:
            between = margin(p.probabilities)
            return None if between is None else 1 - between
        if score is Score.ENTROPY:
            return _entropy(p)
        said = {"": p.predicted_class}
        for batch, other in self._predictions():
            shadows = other.role is not Role.SERVING and batch <= batch_to
            if shadows and other.sample_id == p.sample_id:
                said.setdefault(f"by {other.model}", other.predicted_class)
        if len(said) == 1:
            return None
        return 1 - Counter(said.values()).most_common(1)[0][1] / len(said)

    def embeddings(
        self, frame: FrameRange, sample_ids: Sequence[str]
    ) -> Mapping[str, Sequence[float]]:
        """The embeddings of those of `sample_ids` whose row of the frame has one."""
        wanted = set(sample_ids)
        return {
            p.sample_id: array("f", p.embedding)
            for p in self._framed(frame)
            if p.sample_id in wanted and p.embedding is not None
        }

    def opinions(
        self, sample_ids: Sequence[str], model: str | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """What was said last of those of `sample_ids` that the log knows; `model`: by this one alone."""
        import pyarrow as pa

        wanted = set(sample_ids)
        newest: dict[str, Prediction] = {}
        said = [(b, p) for b, p in self._predictions() if model in {None, p.model}]
        said.sort(key=lambda each: (-each[0], each[1].role is Role.SERVING, each[1].model))
        for _, p in said:
            if p.sample_id in wanted:
                newest.setdefault(p.sample_id, p)
        rows = list(newest.values())
        yield pa.record_batch(
            {
                "sample_id": pa.array([p.sample_id for p in rows], pa.string()),
                "model": pa.array([p.model for p in rows], pa.string()),
                "predicted_class": pa.array([p.predicted_class for p in rows], pa.string()),
                "confidence": pa.array([_confidence(p) for p in rows], pa.float64()),
                "probabilities": pa.array([p.probabilities for p in rows], pa.list_(pa.float32())),
            }
        )

    def rows_of(
        self, frame: FrameRange, conditions: Sequence[Where], sample_ids: Sequence[str]
    ) -> Sequence[Candidate]:
        """The frame's rows of these samples, in order of their place."""
        refuse_feedback(conditions)
        wanted = set(sample_ids)
        found = [
            _candidate(p, _pattern(p, conditions), _Said())
            for p in self._framed(frame)
            if p.sample_id in wanted
        ]
        return sorted(found, key=_place)

    def received(self, batch_after: int, batch_to: int, where: Where) -> Sequence[Candidate]:
        """Samples with feedback in the batches (batch_after, batch_to] that match `where`."""
        heard = {f.sample_id for batch, f in self._feedback() if batch_after < batch <= batch_to}
        serving = self._first_serving(batch_to)
        said = self._said(batch_to)
        found = [
            _candidate(serving[sample_id], 0, said[sample_id])
            for sample_id in heard & serving.keys()
            if where.matches(_row(serving[sample_id], said[sample_id]))
        ]
        return sorted(found, key=_place)

    def model_labels(
        self,
        parts: Sequence[LabelPart],
        *,
        without_samples: Sequence[str],
        without_content: Sequence[str],
    ) -> "Iterator[pa.RecordBatch]":
        """Framed, uncontested serving predictions that their part admits, in one batch."""
        import pyarrow as pa

        samples, contents = set(without_samples), set(without_content)
        page = [
            (
                p.sample_id,
                p.uri,
                p.content_hash,
                p.predicted_class,
                _confidence(p),
                p.model,
                parts[i].certificate,
            )
            for i, p in self._uncontested([part.frames for part in parts])
            if _admits(parts[i], p) and _may_label(p, samples, contents)
        ]
        if page:
            page.sort(key=lambda label: label[0])
            kinds = {"confidence": pa.float64(), "certificate": pa.int64()}
            schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _LABELS])
            columns = zip(*page, strict=True)
            yield pa.RecordBatch.from_arrays(
                [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)],
                schema=schema,
            )

    def label_counts(
        self,
        frames: Sequence[FrameRange],
        *,
        without_samples: Sequence[str],
        without_content: Sequence[str],
    ) -> Sequence[LabelCount]:
        """The framed, uncontested serving predictions by frame, class and risk bin."""
        samples, contents = set(without_samples), set(without_content)
        n: Counter[tuple[int, str, int]] = Counter()
        kept: Counter[tuple[int, str, int]] = Counter()
        for i, p in self._uncontested([(frame,) for frame in frames]):
            cell = (i, p.predicted_class, risk_bin(_confidence(p)))
            n[cell] += 1
            kept[cell] += _may_label(p, samples, contents)
        return [
            LabelCount(frame=i, predicted_class=name, risk_bin=risk, n=n[cell], n_kept=kept[cell])
            for cell in sorted(n)
            for i, name, risk in [cell]
        ]

    def _uncontested(
        self, groups: Sequence[Sequence[FrameRange]]
    ) -> Iterator[tuple[int, Prediction]]:
        """Framed predictions that nobody contests, with the first group that holds them."""
        said = self._said()
        for batch, p in self._predictions():
            held = (
                i for i, group in enumerate(groups) if any(_in_frame(batch, p, f) for f in group)
            )
            first = next(held, None)
            if first is not None and not said.get(p.sample_id, _Said()).contests:
                yield first, p

    # --- what is visible --------------------------------------------------------------------

    def _rows(self, kind: BatchKind) -> Iterator[tuple[int, Prediction | Feedback]]:
        for (of, batch), path in sorted(self._visible.items()):
            if of == kind:
                yield from ((batch, row) for row in self._written[path].rows)

    def _predictions(self) -> Iterator[tuple[int, Prediction]]:
        new = self._renamed
        return (
            (b, replace(r, predicted_class=new[r.predicted_class]))
            if r.predicted_class in new
            else (b, r)
            for b, r in self._rows("predictions")
            if isinstance(r, Prediction)
        )

    def _feedback(self) -> Iterator[tuple[int, Feedback]]:
        new = self._renamed
        return (
            (b, replace(r, value=new[r.value])) if r.value in new else (b, r)
            for b, r in self._rows("feedback")
            if isinstance(r, Feedback)
        )

    def _framed(self, frame: FrameRange) -> Iterator[Prediction]:
        return (p for batch, p in self._predictions() if _in_frame(batch, p, frame))

    def _first_serving(self, batch_to: int | None = None) -> dict[str, Prediction]:
        first: dict[str, Prediction] = {}
        for batch, p in self._predictions():
            if p.role is Role.SERVING and (batch_to is None or batch <= batch_to):
                first.setdefault(p.sample_id, p)
        return first

    def _said(self, batch_to: int | None = None) -> dict[str, _Said]:
        heard = [(b, f) for b, f in self._feedback() if batch_to is None or b <= batch_to]
        heard.sort(key=lambda one: (one[0], one[1].received_at, one[1].value))
        latest: dict[str, dict[str, str]] = {}
        for _, f in heard:
            latest.setdefault(f.sample_id, {})[f.kind] = f.value
        return {
            sample_id: _Said(
                {"true": True, "false": False}.get(kinds.get("flagged", "")),
                kinds.get("corrected_class") or None,
            )
            for sample_id, kinds in latest.items()
        }


def _in_frame(batch: int, p: Prediction, frame: FrameRange) -> bool:
    return (
        p.role is Role.SERVING
        and frame.batch_after < batch <= frame.batch_to
        and (frame.since is None or frame.since <= p.predicted_at)
        and (frame.until is None or p.predicted_at < frame.until)
    )


def _admits(part: LabelPart, p: Prediction) -> bool:
    confidence = _confidence(p)
    if part.cells is not None:
        return (p.predicted_class, risk_bin(confidence)) in part.cells
    return confidence is not None and confidence >= part.min_confidence


def _may_label(p: Prediction, samples: Collection[str], contents: Collection[str]) -> bool:
    """Whether it names a class, and is in neither list of what may not be a label."""
    named = p.predicted_class != NO_CLASS
    return named and p.sample_id not in samples and p.content_hash not in contents


def _confidence(p: Prediction) -> float | None:
    return None if p.confidence is None or p.confidence != p.confidence else p.confidence


def _entropy(p: Prediction) -> float | None:
    import pyarrow as pa

    (found,) = entropies(pa.array([p.probabilities], pa.list_(pa.float32()))).tolist()
    return None if math.isnan(found) else found


def _group(p: Prediction, column: str) -> str | None:
    if column == "predicted_class":
        return p.predicted_class
    return p.attributes.get(column.removeprefix("attributes."))


def _row(p: Prediction, said: _Said) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(p, name) for name in _COLUMNS}
    row["confidence"] = _confidence(p)
    return row | {"flagged": said.flagged, "corrected_class": said.corrected_class}


def _pattern(p: Prediction, conditions: Sequence[Where]) -> int:
    row = _row(p, _Said()) if conditions else {}
    return sum(1 << i for i, condition in enumerate(conditions) if condition.matches(row))


def _newest_first(row: StoredPrediction) -> tuple[int, int]:
    return -row.batch, row.line


def _stored(batch: int, p: Prediction, said: _Said) -> StoredPrediction:
    return StoredPrediction(
        sample_id=p.sample_id,
        uri=p.uri,
        predicted_at=p.predicted_at.astimezone(UTC),
        model=p.model,
        role=p.role,
        predicted_class=p.predicted_class,
        confidence=_confidence(p),
        attributes=p.attributes,
        content_hash=p.content_hash,
        text=p.text,
        batch=batch,
        line=p.line,
        flagged=said.flagged,
        corrected_class=said.corrected_class,
    )


def _candidate(p: Prediction, pattern: int, said: _Said) -> Candidate:
    return Candidate(
        sample_id=p.sample_id,
        uri=p.uri,
        predicted_at=p.predicted_at.astimezone(UTC),
        model=p.model,
        predicted_class=p.predicted_class,
        confidence=_confidence(p),
        line=p.line,
        content_hash=p.content_hash,
        risk_bin=risk_bin(_confidence(p)),
        pattern=pattern,
        margin=margin(p.probabilities),
        attributes=dict(p.attributes),
        flagged=said.flagged,
        corrected_class=said.corrected_class,
        sampling_rate=p.sampling_rate,
    )


def _place(candidate: Candidate) -> tuple[int, str]:
    return candidate.line, candidate.sample_id


def _lies_in(p: Prediction, pattern: int, span: Span) -> bool:
    if span.pattern != pattern or not span.above < p.line <= span.up_to:
        return False
    if span.predicted_class is None:
        return True
    return (p.predicted_class, risk_bin(_confidence(p))) == (span.predicted_class, span.risk_bin)
