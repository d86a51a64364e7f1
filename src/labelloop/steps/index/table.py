"""index, from a table of predictions: new files go into the prediction log, each row once."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from labelloop.core.due import AHEAD
from labelloop.core.row_range import NO_ROWS, RowRange
from labelloop.core.sample import Reject, RejectReason
from labelloop.core.tombstone import Tombstones
from labelloop.errors import ConfigError, SourceFileBad, SourceFileDenied, StoreDenied
from labelloop.ledger import (
    Lease,
    Ledger,
    Transaction,
    clocks_ahead,
    cursors,
    rejects,
    source_files,
    tombstones,
    waiting_rows,
)
from labelloop.ledger.source_files import FileRead
from labelloop.ledger.waiting_rows import WaitingRow
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.log import PredictionLog
from labelloop.ports.source import Source, SourceColumns, SourceFile
from labelloop.reading.columns import ColumnNames, TableRules
from labelloop.reading.rows import TableReading, read_rows
from labelloop.steps.index.ahead import ahead
from labelloop.steps.index.batch_writer import recover_batches, write_batches
from labelloop.steps.index.bucket import PENDING
from labelloop.steps.index.dedupe import once
from labelloop.steps.index.hidden_rows import Density, hidden_rows
from labelloop.steps.index.indexed import Indexed
from labelloop.steps.index.pairing import Pairing, WholeRows

BATCH_ROWS = 200_000
BATCH_BYTES = 256 << 20
_READING = "index:classes and columns"


@dataclass(slots=True)
class _Gathered:
    """What was read and not yet written; `ended` are the files whose last rows are in it.

    `waiting` are rows of those files without their other half, `completed` pairs that wait no longer.
    """

    readings: list[TableReading] = field(default_factory=list)
    set_aside: list[Reject] = field(default_factory=list)
    ended: list[tuple[SourceFile, int]] = field(default_factory=list)
    waiting: list[WaitingRow] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        n_bytes = sum(int(r.table.nbytes) for r in self.readings)
        n_rows = sum(len(r.where) for r in self.readings) + len(self.set_aside)
        return n_rows >= BATCH_ROWS or n_bytes >= BATCH_BYTES


@dataclass(slots=True)
class _Counts:
    new: int = 0
    set_aside: RowRange = NO_ROWS
    feedback: int = 0
    ahead: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a file can't be read, or not beyond its `n_read` first rows."""

    why: ConfigError | SourceFileBad
    n_read: int = 0


class IndexTable:
    """Indexes one table of predictions into one log."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        source: Source,
        *,
        names: ColumnNames,
        rules: TableRules,
        clock: Clock,
        progress: Progress,
        pair_within: timedelta = timedelta(days=1),
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._source = source
        self._names = names
        self._rules = rules
        self._clock = clock
        self._progress = progress
        self._rejected: defaultdict[str, set[str]] = defaultdict(set)
        self._unfinished: set[str] = set()
        self._faults: dict[str, _Fault] = {}
        self._forgotten = Tombstones(b"", frozenset())
        self._within = pair_within
        self._pairing = Pairing() if source.joins else None
        self._placed: set[str] = set()  # pairs of which the ledger knows a row

    def run(self) -> Indexed:
        """Read the files that are new or changed, and commit their rows in batches.

        A file is noted as read together with its last rows. A run that is killed before that reads
        the whole file again; rows that the log holds already are left out.

        Raises:
            ConfigError: a column that the settings name is in no file, or is of no use in any.
        """
        with self._ledger.lease("index") as lease:
            n_restored = recover_batches(self._ledger, self._log, lease, self._clock.now())
            return replace(self._run(lease), n_batches_restored=n_restored)

    def _run(self, lease: Lease) -> Indexed:
        now = self._clock.now()
        with self._ledger.read() as tx:
            before = source_files.every(tx)
            hidden_before = rejects.with_reason(tx, RejectReason.BAD_FILE)
            digest = cursors.get(tx, _READING)
            self._forgotten = tombstones.every(tx)
        retry = digest is not None and digest != self._digest()
        files = self._source.files()
        # a row whose other half stands elsewhere can't be mended by its own file alone
        anew = retry and self._source.joins
        wanted = [f for f in files if anew or _is_new(before.get(f.uri), f, retry)]
        if anew:
            with self._ledger.write(lease) as tx:
                waiting_rows.tell_again(tx)
        density = Density()
        for file in files:
            if file.uri in before:
                density.note(file, before[file.uri].n_rows)
        proven = bool(before) and digest == self._digest()
        self._faults = self._without_columns(wanted, proven=proven)
        known_before = (
            {*before, *hidden_before} if digest == self._digest() else {f.uri for f in files}
        )
        counts, gathered = _Counts(), _Gathered()
        for gathered in ahead(self._gather(wanted, counts, density, now)):
            if gathered.is_full:
                self._write(lease, gathered, counts, known_before, now)
        gathered = self._with_halves_of_before(lease, gathered, counts, files, known_before, now)
        self._refuse_what_concerns_all(wanted, files, before, proven=proven)
        self._reject_bad_files(wanted, gathered, counts, density)
        self._write(lease, gathered, counts, known_before, now)
        self._tell_overdue(lease, counts, now)
        with self._ledger.write(lease) as tx:
            if self._source.rewrites:
                _forget_replaced(tx, before, files)
            # a file that was denied, and so never noted as read, is gone
            rejects.clear(tx, sorted(hidden_before - before.keys() - {f.uri for f in files}))
            cursors.put(tx, _READING, self._digest())
            in_all = RowRange.total(rejects.by_reason(tx).values())
            n_waiting = waiting_rows.n_expected(tx) if self._pairing else 0
        return Indexed(
            n_listed=0,
            n_new=counts.new,
            n_set_aside=counts.set_aside.least,
            n_set_aside_most=counts.set_aside.most,
            n_pending=len(self._unfinished),
            n_waiting=n_waiting,
            n_feedback=counts.feedback,
            n_set_aside_in_all=in_all.least,
            n_set_aside_in_all_most=in_all.most,
            n_files=len(wanted),
            n_rows=counts.rows,
            n_ahead=counts.ahead,
        )

    def _digest(self) -> str:
        """What decides whether rows can be read: where it changes, rejected rows may be mended."""
        rules = self._rules
        text = "\0".join(
            [
                repr(replace(self._names, explicit=frozenset())),  # a set's order isn't lasting
                *sorted(rules.classes),
                *(f"{old} is {new}" for old, new in sorted(rules.renamed.items())),
                repr((rules.unusable_is_wrong, rules.confidence_divisor, rules.predicted_at_unit)),
                repr((rules.store_uri, rules.max_text_bytes)),
                *([repr(rules.class_order)] if rules.class_order else []),
            ]
        )
        return sha256(text.encode()).hexdigest()

    # --- reading ------------------------------------------------------------------------------

    def _without_columns(
        self, wanted: Sequence[SourceFile], *, proven: bool
    ) -> "dict[str, _Fault]":
        """The newest files that lack a column which the settings name, up to the first that has all.

        Older files may lack columns that came later.

        Raises:
            ConfigError: no file has it; `proven`: files that were read before had.
        """
        lacking: dict[str, _Fault] = {}
        for file in reversed(wanted):
            try:
                found = self._source.columns(file)
                if found.names:
                    refuse_unknown_columns(self._names, found, file.uri)
                    return lacking
            except SourceFileBad:
                continue
            except ConfigError as exc:
                lacking[file.uri] = _Fault(exc)
        if lacking and not proven:
            raise next(iter(lacking.values())).why
        return lacking

    def _gather(
        self, wanted: Sequence[SourceFile], counts: _Counts, density: Density, now: datetime
    ) -> Iterator[_Gathered]:
        """What the files say that have no fault, as much at a time as is written at once; then the rest."""
        gathered = _Gathered()
        for file in wanted:
            if file.uri in self._faults:
                continue
            n_before = counts.rows
            for reading, unreadable in self._readings(file, now):
                gathered.readings.append(reading)
                gathered.set_aside += [*reading.rejects, *unreadable]
                counts.rows += len(reading.where) + len(reading.rejects) + len(reading.feedback)
                counts.rows += sum(r.rows.least for r in unreadable)
                self._progress("rows read", counts.rows, None)
                if gathered.is_full:
                    yield self._sealed(gathered)
                    gathered = _Gathered()
            density.note(file, counts.rows - n_before)
            if file.uri not in self._faults:
                gathered.ended.append((file, counts.rows - n_before))
        yield self._sealed(gathered)

    def _sealed(self, gathered: _Gathered) -> _Gathered:
        """The same, and what is to be noted of its pairs as they are now: reading runs ahead of writing."""
        if self._pairing is None:
            return gathered
        ended = [file.uri for file, _ in gathered.ended]
        done = self._pairing.completed(ended)
        rows = [row for uri in ended for row in self._pairing.waiting(uri)]
        gone = self._forgotten.among(name for row in rows for name in row.sample_ids)
        gathered.waiting += [row for row in rows if gone.isdisjoint(row.sample_ids)]
        self._placed |= {row.pair for row in gathered.waiting}
        gathered.completed |= done & self._placed
        self._pairing.shrink()
        return gathered

    def _readings(
        self, file: SourceFile, now: datetime
    ) -> Iterator[tuple[TableReading, list[Reject]]]:
        """What a file says, some rows at a time, each beside the rows that can't be read at all.

        A last row without its end waits, while the file is young. What is wrong with the file itself,
        or with the type of a column, is noted as its fault.
        """
        self._unfinished.discard(file.uri)
        n_read = 0
        try:
            for rows in self._source.read(file, self._names.wanted()):
                if rows.cut and file.changed_at and now - file.changed_at < PENDING:
                    self._unfinished.add(file.uri)
                    continue
                unreadable = [
                    Reject(
                        uri=f"{file.uri}#{bad.number}",
                        reason=bad.reason,
                        value=bad.why,
                        rows=RowRange.exactly(bad.n_rows),
                    )
                    for bad in rows.unreadable
                ]
                whole = [WholeRows(file.uri, rows)]
                if self._pairing is not None:
                    whole = list(self._pairing.take(file, rows, now=now))
                readings = [self._read(some) for some in whole]
                n_read += len(rows.numbers) + sum(bad.n_rows for bad in rows.unreadable)
                for reading in readings:
                    yield reading, unreadable
                    unreadable = []
        except (ConfigError, SourceFileBad) as exc:
            self._faults[file.uri] = _Fault(exc, n_read)

    def _read(self, whole: WholeRows) -> TableReading:
        return read_rows(
            whole.rows.batch,
            whole.rows.numbers,
            file_uri=whole.file_uri,
            names=self._names,
            rules=self._rules,
        )

    # --- rows that belong together --------------------------------------------------------------

    def _with_halves_of_before(
        self,
        lease: Lease,
        gathered: _Gathered,
        counts: _Counts,
        files: Sequence[SourceFile],
        known_before: Collection[str],
        now: datetime,
    ) -> _Gathered:
        """What was gathered, and the rows that are whole with one which an earlier run left waiting.

        The files of those are read again.
        """
        if self._pairing is None:
            return gathered
        with self._ledger.read() as tx:
            left = waiting_rows.find(tx, self._pairing.unasked())
            held = self._pairing.unanswered()
            left += [row for row in waiting_rows.answers(tx) if row.pair in held]
        self._placed |= {row.pair for row in left}
        listed = {file.uri: file for file in files}
        pairs = {row.pair for row in left}
        for uri in sorted({row.file for row in left} & listed.keys()):
            for rows in self._source.read(listed[uri], self._names.wanted()):
                for whole in self._pairing.take(listed[uri], rows, now=now, only=pairs):
                    reading = self._read(whole)
                    gathered.readings.append(reading)
                    gathered.set_aside += reading.rejects
                    counts.rows += len(whole.rows.numbers)
                if gathered.is_full:
                    self._write(lease, self._sealed(gathered), counts, known_before, now)
                    gathered = _Gathered()
        return self._sealed(gathered)

    def _tell_overdue(self, lease: Lease, counts: _Counts, now: datetime) -> None:
        """Reject the rows whose other half didn't come in time."""
        if self._pairing is None:
            return
        with self._ledger.write(lease) as tx:
            overdue = waiting_rows.tell_overdue(tx, now - self._within)
            named = [name for row in overdue for name in row.sample_ids]
            known = self._log.samples(named).keys()  # logged twice
            told = [
                Reject(
                    uri=row.uri,
                    reason=RejectReason.NO_PARTNER,
                    value=row.pair,
                )
                for row in overdue
                if known.isdisjoint(row.sample_ids)
            ]
            counts.set_aside += rejects.put(tx, told, now)

    def _refuse_what_concerns_all(
        self,
        wanted: Sequence[SourceFile],
        files: Sequence[SourceFile],
        before: Mapping[str, FileRead],
        *,
        proven: bool,
    ) -> None:
        """Refuse settings or a key that no file goes with.

        Raises:
            ConfigError: a column is of no use in any file.
            StoreDenied: no file is given to this key.
        """
        faults = [self._faults.get(file.uri) for file in wanted]
        unfit = [f.why for f in faults if f and isinstance(f.why, ConfigError)]
        denied = [f.why for f in faults if f and isinstance(f.why, SourceFileDenied)]
        if unfit and not proven and len(unfit) + len(denied) == len(faults):
            raise unfit[0]
        if not denied or len(denied) < len(faults):
            return
        try:
            known = next(f for f in reversed(files) if f.uri in before)
            self._source.columns(known)
        except (StopIteration, SourceFileDenied):
            raise StoreDenied(
                f"none of {len(files):,} listed files can be opened: {denied[0].args[0]}",
                remedy="let the key in [store], or on files this user, read what [source] uri names",
            ) from None
        except SourceFileBad:
            return

    def _reject_bad_files(
        self, wanted: Sequence[SourceFile], gathered: _Gathered, counts: _Counts, density: Density
    ) -> None:
        """Reject the files that have a fault. One that is denied is tried again each time."""
        for file in wanted:
            fault = self._faults.get(file.uri)
            if fault is None:
                continue
            rows = hidden_rows(self._source.n_rows(file), file, fault.n_read, density)
            bad = Reject(
                uri=file.uri, reason=RejectReason.BAD_FILE, value=fault.why.args[0], rows=rows
            )
            gathered.readings.append(TableReading.empty())
            gathered.set_aside.append(bad)
            if not isinstance(fault.why, SourceFileDenied):
                gathered.ended.append((file, fault.n_read + rows.least))
                counts.rows += rows.least

    # --- writing ------------------------------------------------------------------------------

    def _write(
        self,
        lease: Lease,
        gathered: _Gathered,
        counts: _Counts,
        known_before: Collection[str],
        now: datetime,
    ) -> None:
        """Commit what was gathered, in one transaction with the note that its files were read."""
        if not gathered.readings and not gathered.ended:
            return
        readings = [r.without(self._forgotten) for r in gathered.readings]
        new = once(readings, self._log, received_at=now)
        set_aside = [*gathered.set_aside, *new.changed]
        for reject in set_aside:
            self._rejected[_file_of(reject.uri)].add(reject.uri)
        ended: list[FileRead] = []
        mended: list[str] = []
        for file, n_rows in gathered.ended:
            rejected = self._rejected.pop(file.uri, set())
            ended.append(
                FileRead(
                    uri=file.uri,
                    version=f"{file.version}, and a row without its end"
                    if file.uri in self._unfinished
                    else file.version,
                    n_rows=n_rows,
                    n_set_aside=len(rejected),
                )
            )
            if file.uri in known_before:
                with self._ledger.read() as tx:
                    mended += [u for u in rejects.of_file(tx, file.uri) if u not in rejected]
        counts.new += len(new.predictions)
        moments = new.predictions.table.column("predicted_at")
        ahead = moments.filter(pc.greater(moments, pa.scalar(now + AHEAD))).to_pylist()
        counts.ahead += len(ahead)
        counts.feedback += len(new.feedback)

        def note(tx: Transaction) -> None:
            source_files.put(tx, ended, now)
            waiting_rows.put(tx, gathered.waiting)
            again = {reject.uri for reject in set_aside}
            rejects.clear(
                tx, [u for u in waiting_rows.drop(tx, gathered.completed) if u not in again]
            )
            clocks_ahead.note(tx, ahead)

        counts.set_aside += write_batches(
            self._ledger,
            self._log,
            lease,
            predictions=new.predictions,
            feedback=new.feedback,
            set_aside=set_aside,
            mended=mended,
            now=now,
            also=note,
        )


def refuse_unknown_columns(names: ColumnNames, found: SourceColumns, uri: str) -> None:
    """Refuse a column that the settings name and a file hasn't: it is likely a typo.

    Rows of JSON may lack columns that are rare.

    Raises:
        ConfigError: a column isn't there.
    """
    for key, name in names.needed():
        if name in found.names:
            continue
        near = get_close_matches(name, found.names, n=1, cutoff=0.6)
        required = key in {"sample_id", "predicted_class", "predicted_at", "uri"}
        if found.sparse and not near and not required:
            continue
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"[source.columns] {key} = {name!r}: {uri} has no such column",
            remedy=f"{hint}it has {', '.join(found.names) or 'none'}",
        )


def _is_new(before: FileRead | None, file: SourceFile, retry: bool) -> bool:
    if before is None or before.version != file.version:
        return True
    return retry and before.n_set_aside > 0


def _file_of(uri: str) -> str:
    """The file of a row's uri; a file that can't be read is its own.

    >>> _file_of("s3://logs/a#1.jsonl#17"), _file_of("s3://logs/a.parquet")
    ('s3://logs/a#1.jsonl', 's3://logs/a.parquet')
    """
    file, _, row = uri.rpartition("#")
    return file if row.isdigit() else uri


def _forget_replaced(
    tx: Transaction, before: Mapping[str, FileRead], files: Sequence[SourceFile]
) -> None:
    """Take files that are gone off the lists: their rows were read again in other files."""
    gone = sorted(before.keys() - {f.uri for f in files})
    for uri in gone:
        rejects.clear(tx, rejects.of_file(tx, uri))
    source_files.forget(tx, gone)
