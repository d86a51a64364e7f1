"""A round's frame as select draws from it: counts by class, risk bin and pattern, and rows by span."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from labelloop.core.arrays import Ints, risk_bins
from labelloop.core.round import Candidate, Count, FrameRange, RateCount, Span
from labelloop.core.sample import RISK_BINS
from labelloop.core.where import Where
from labelloop.measuring.learned_risk import LearnedRisk
from labelloop.ports.log import PredictionLog

if TYPE_CHECKING:
    import pyarrow as pa

_Kind = tuple[str, int]
"""Predicted class and pattern."""


class Framed(Protocol):
    """A frame that can be counted and read, as a selection needs it."""

    def counts(self) -> Sequence[Count]:
        """The frame's rows by predicted class, risk bin and pattern."""

    def rates(self) -> Sequence[RateCount]:
        """The frame's rows by predicted class, risk bin and sampling rate; empty if all was logged."""

    def rows(self, spans: Sequence[Span]) -> Sequence[Candidate]:
        """The frame's rows that lie in their span, in order of their place; no two spans speak of the
        same row.
        """

    def rows_of(self, sample_ids: Sequence[str]) -> Sequence[Candidate]:
        """The frame's rows of these samples, in order of their place."""


@contextmanager
def framed(
    log: PredictionLog,
    frame: FrameRange,
    conditions: Sequence[Where],
    risk: LearnedRisk | None,
) -> Iterator[Framed]:
    """The frame by the bins of 1 - confidence, which the log's engine counts; or of a learned risk.

    A learned risk is computed once for each row, by NumPy over batches that the log streams, and
    laid down in a temporary file: memory holds one batch, and both questions see the same bins.
    """
    if risk is None:
        yield _Logged(log, frame, conditions)
        return
    with tempfile.TemporaryFile() as file:
        yield _Scored(log, frame, conditions, risk, file)


@dataclass(frozen=True, slots=True)
class _Logged:
    """A frame whose bins the log's engine computes itself."""

    log: PredictionLog
    frame: FrameRange
    conditions: Sequence[Where]

    def counts(self) -> Sequence[Count]:
        return self.log.counts(self.frame, self.conditions)

    def rates(self) -> Sequence[RateCount]:
        return self.log.rates(self.frame)

    def rows(self, spans: Sequence[Span]) -> Sequence[Candidate]:
        return self.log.rows(self.frame, self.conditions, spans)

    def rows_of(self, sample_ids: Sequence[str]) -> Sequence[Candidate]:
        return self.log.rows_of(self.frame, self.conditions, sample_ids)


class _Scored:
    """A frame in a file: sample_id, line and cell of each row.

    A cell is the number of its kind times 1,024, plus its risk bin.
    """

    def __init__(
        self,
        log: PredictionLog,
        frame: FrameRange,
        conditions: Sequence[Where],
        risk: LearnedRisk,
        file: IO[bytes],
    ) -> None:
        self._log = log
        self._frame = frame
        self._conditions = conditions
        self._file = file
        self._kinds: dict[_Kind, int] = {}
        self._sizes: Ints = np.zeros(0, dtype=np.int64)
        self._rates: Counter[tuple[int, float]] = Counter()
        self._write(risk)
        self._named = list(self._kinds)

    def counts(self) -> Sequence[Count]:
        return [
            Count(
                predicted_class=self._named[cell // RISK_BINS][0],
                risk_bin=cell % RISK_BINS,
                pattern=self._named[cell // RISK_BINS][1],
                n=int(self._sizes[cell]),
            )
            for cell in np.flatnonzero(self._sizes).tolist()
        ]

    def rates(self) -> Sequence[RateCount]:
        summed: Counter[tuple[str, int, float]] = Counter()
        for (cell, rate), n in self._rates.items():
            summed[self._named[cell // RISK_BINS][0], cell % RISK_BINS, rate] += n
        if all(rate == 1 for _, _, rate in summed):
            return []
        return [
            RateCount(predicted_class=name, risk_bin=number, sampling_rate=rate, n=n)
            for (name, number, rate), n in sorted(summed.items())
        ]

    def rows(self, spans: Sequence[Span]) -> Sequence[Candidate]:
        return self._with_bins(dict(self._within(spans)))

    def rows_of(self, sample_ids: Sequence[str]) -> Sequence[Candidate]:
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(sample_ids, pa.large_string())
        cells: dict[str, int] = {}
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            for batch in reader:
                found = batch.filter(pc.is_in(batch.column("sample_id"), wanted))
                ids, numbers = found.column("sample_id"), found.column("cell")
                cells.update(zip(ids.to_pylist(), numbers.to_pylist(), strict=True))
        return self._with_bins(cells)

    def _with_bins(self, cells: Mapping[str, int]) -> Sequence[Candidate]:
        found = self._log.rows_of(self._frame, self._conditions, list(cells))
        return [replace(row, risk_bin=cells[row.sample_id] % RISK_BINS) for row in found]

    def _write(self, risk: LearnedRisk) -> None:
        import pyarrow as pa

        schema = pa.schema(
            [("line", pa.int64()), ("cell", pa.int64()), ("sample_id", pa.large_string())]
        )
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(self._file, schema, options=options) as writer:
            for batch in self._log.scan(self._frame, self._conditions, risk.attributes):
                cells = self._cells(batch, bins_of(batch, risk))
                self._count(cells)
                self._count_rates(cells, batch.column("sampling_rate"))
                ids = batch.column("sample_id").cast(pa.large_string())
                writer.write_batch(
                    pa.record_batch([batch.column("line"), pa.array(cells), ids], schema=schema)
                )

    def _cells(self, batch: "pa.RecordBatch", bins: Ints) -> Ints:
        """The cell of each row; kinds are numbered as they first appear."""
        import pyarrow as pa

        classes = batch.column("predicted_class").cast(pa.large_string()).dictionary_encode()
        names = classes.dictionary.to_pylist()
        codes = classes.indices.to_numpy().astype(np.int64)
        patterns, held = np.unique(batch.column("pattern").to_numpy(), return_inverse=True)
        pairs = codes * patterns.size + held
        numbers = np.zeros(len(names) * patterns.size, dtype=np.int64)
        for pair in np.unique(pairs).tolist():
            name, pattern = divmod(pair, patterns.size)
            kind = (names[name], int(patterns[pattern]))
            numbers[pair] = self._kinds.setdefault(kind, len(self._kinds))
        cells: Ints = numbers[pairs] * RISK_BINS + bins
        return cells

    def _count(self, cells: Ints) -> None:
        found = np.bincount(cells, minlength=len(self._kinds) * RISK_BINS)
        found[: self._sizes.size] += self._sizes
        self._sizes = found

    def _count_rates(self, cells: Ints, column: "pa.Array") -> None:
        rates = column.fill_null(1.0).to_numpy(zero_copy_only=False)
        pairs, n = np.unique(cells + 1j * rates, return_counts=True)
        for pair, of_it in zip(pairs.tolist(), n.tolist(), strict=True):
            self._rates[int(pair.real), pair.imag] += of_it

    def _within(self, spans: Sequence[Span]) -> Iterator[tuple[str, int]]:
        """The rows in the spans, each with its cell."""
        import pyarrow as pa

        above, up_to = self._limits(spans)
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            for batch in reader:
                lines, cells = batch.column("line").to_numpy(), batch.column("cell").to_numpy()
                picked = np.flatnonzero((above[cells] < lines) & (lines <= up_to[cells]))
                ids = batch.column("sample_id").take(pa.array(picked)).to_pylist()
                yield from zip(ids, cells[picked].tolist(), strict=True)

    def _limits(self, spans: Sequence[Span]) -> tuple[Ints, Ints]:
        """`above` and `up_to` of the span of each cell; nothing lies within a cell without one."""
        above = np.zeros_like(self._sizes)
        up_to = np.full_like(self._sizes, -1)
        of_pattern: dict[int, list[int]] = {}
        for (_, pattern), number in self._kinds.items():
            of_pattern.setdefault(pattern, []).append(number)
        for span in spans:
            numbers = of_pattern.get(span.pattern, [])
            bins = range(RISK_BINS)
            if span.predicted_class is not None and span.risk_bin is not None:
                known = self._kinds.get((span.predicted_class, span.pattern))
                numbers = [] if known is None else [known]
                bins = range(span.risk_bin, span.risk_bin + 1)
            for number in numbers:
                cells = slice(number * RISK_BINS + bins.start, number * RISK_BINS + bins.stop)
                above[cells], up_to[cells] = span.above, span.up_to
        return above, up_to


def bins_of(batch: "pa.RecordBatch", risk: LearnedRisk) -> Ints:
    """The bin of the risk of each row of a scan."""
    import pyarrow as pa

    confidence = batch.column("confidence").to_numpy(zero_copy_only=False)
    return risk_bins(risk.model.predict(confidence, pa.Table.from_batches([batch])))
