"""Which samples the log holds, by their places on the line: sorted runs of integers beside the log.

A place is a hash of 62 bits, so what isn't in a run isn't in the log, and what is in one nearly always
is. Looking up new rows costs what they are, however long the log: a run is mapped into memory, and of it
only the pages around the places that are asked for are touched. Runs grow as those of a log-structured
merge tree (O'Neil et al. 1996, "The log-structured merge-tree"): each new one takes in its neighbours
that aren't much longer.

The runs are made from the log alone. They are made anew where they are lost, where the log no longer
knows the version that they were made from, and where its number of rows says that they lack some.
"""

import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import numpy as np

from labelloop.adapters.iceberg.batches import held
from labelloop.adapters.iceberg.catalog import sqlite_file
from labelloop.adapters.iceberg.tables import IcebergTables, translated
from labelloop.core.sample import Role

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

SHADOW = 1 << 62
"""Added to the place of a row that no one was served by: it makes no sample known as served."""

GROWTH = 4
"""A run takes in the one before it unless that is so many times as long."""

ASKED_TOGETHER = 4_096
"""Places: the pages of a long run that so many touch are let go before the next ones are asked for."""

MERGED_TOGETHER = 2_000_000
REBUILT_TOGETHER = 4_000_000
_INDEX = "runs.json"


@dataclass(frozen=True, slots=True)
class _Run:
    """A file of sorted places."""

    name: str
    n: int


def places_beside(warehouse: str, catalog: str) -> Path:
    """The folder of the runs of a log: where it lies, or its catalog; else one that may vanish."""
    file = sqlite_file(catalog)
    if "://" not in warehouse:
        return Path(warehouse) / "places"
    return (
        Path(tempfile.gettempdir()) / "labelloop-places" if file is None else file.parent / "places"
    )


class Places:
    """The places of all visible predictions. One writer, as of the log."""

    def __init__(self, tables: IcebergTables, folder: Path) -> None:
        self._tables = tables
        self._folder = folder
        self._runs: list[_Run] | None = None
        self._version: int | None = None
        self._batch = 0

    def hold(self, places: Any, *, serving: bool) -> Any:
        """Whether the log may hold a sample at each of `places`; never False where it does.

        places
            (N,) int64, in any order
        serving
            ask only for samples with a serving prediction
        """
        with translated(f"Looking up what the log holds in {self._folder}"):
            self._keep_up()
            order = np.argsort(places)
            asked = np.asarray(places)[order]
            found = self._among(asked)
            if not serving:
                found |= self._among(asked + SHADOW)
        answer = np.empty(len(asked), bool)
        answer[order] = found
        return answer

    def forget(self) -> None:
        """Remove every run: they are made anew when they are asked for."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._runs = None

    # --- keeping up with the log ------------------------------------------------------------

    def _keep_up(self) -> None:
        """Take in what became visible since the last time."""
        table = self._tables.load("predictions")
        snapshot = table.current_snapshot()
        version = None if snapshot is None else snapshot.snapshot_id
        if self._runs is None:
            self._read_index()
        if self._runs is not None and version == self._version:
            return
        n_rows = _n_rows(snapshot)
        grown = any(one.snapshot_id == self._version for one in table.snapshots())
        if self._runs is not None and grown:
            batch, added = self._since(table, self._batch)
            if sum(run.n for run in self._runs) + len(added) == n_rows:
                self._note(self._with(self._runs, added), version, batch)
                return
        self._rebuild(table, version)

    def _since(self, table: "Table", batch: int) -> tuple[int, Any]:
        """The last batch, and the sorted places of every row of batches above `batch`."""
        newest, parts = batch, [np.zeros(0, np.int64)]
        for numbers, places in _rows(table, batch):
            newest = max(newest, int(numbers.max()))
            parts.append(places)
        found = np.concatenate(parts)
        found.sort()
        return newest, found

    def _rebuild(self, table: "Table", version: int | None) -> None:
        """Make the runs from the log."""
        self.forget()
        self._folder.mkdir(parents=True, exist_ok=True)
        runs: list[_Run] = []
        newest, waiting = 0, [np.zeros(0, np.int64)]
        for numbers, places in _rows(table, 0):
            newest = max(newest, int(numbers.max()))
            waiting.append(places)
            if sum(map(len, waiting)) >= REBUILT_TOGETHER:
                runs = self._with(runs, np.sort(np.concatenate(waiting)))
                waiting = []
        if waiting:
            runs = self._with(runs, np.sort(np.concatenate(waiting)))
        self._note(runs, version, newest)

    def _read_index(self) -> None:
        try:
            said = json.loads((self._folder / _INDEX).read_text())
            runs = [_Run(name, n) for name, n in said["runs"]]
            whole = all((self._folder / r.name).stat().st_size == 8 * r.n for r in runs)
            version, batch = said["version"], int(said["batch"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return
        if whole:
            self._runs, self._version, self._batch = runs, version, batch

    def _note(self, runs: list[_Run], version: int | None, batch: int) -> None:
        """Write down which runs there are; what is no longer one is removed afterwards."""
        said = {"version": version, "batch": batch, "runs": [[r.name, r.n] for r in runs]}
        self._write(_INDEX, [json.dumps(said).encode()])
        self._runs, self._version, self._batch = runs, version, batch
        kept = {_INDEX, *(run.name for run in runs)}
        for file in self._folder.iterdir():
            if file.name not in kept:
                file.unlink()

    # --- runs -------------------------------------------------------------------------------

    def _with(self, runs: Sequence[_Run], places: Any) -> list[_Run]:
        """The runs and one of sorted places, which takes in its neighbours that aren't much longer."""
        if not len(places):
            return list(runs)
        left, together, n = list(runs), [places], len(places)
        while left and left[-1].n < GROWTH * n:
            run = left.pop()
            together.append(self._mapped(run))
            n += run.n
        name = f"{token_hex(8)}.places"
        self._write(name, _merged(together))
        return [*left, _Run(name, n)]

    def _write(self, name: str, parts: Iterable[Any]) -> None:
        """Write a file whole and durably, or not at all."""
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self._folder / name)

    def _mapped(self, run: _Run) -> Any:
        return np.memmap(self._folder / run.name, np.int64, "r", shape=(run.n,))

    def _among(self, asked: Any) -> Any:
        """Whether each of some sorted places is in a run."""
        found = np.zeros(len(asked), bool)
        for run in self._runs or []:
            places = self._mapped(run)
            if len(asked) and asked[0] <= places[-1]:
                for at in range(0, len(asked), ASKED_TOGETHER):
                    part = asked[at : at + ASKED_TOGETHER]
                    found[at : at + ASKED_TOGETHER] |= _is_in(part, places)
                    places._mmap.madvise(mmap.MADV_DONTNEED)
        return found


def _n_rows(snapshot: "Snapshot | None") -> int:
    """How many rows a version of the table says that it holds."""
    summary = None if snapshot is None else snapshot.summary
    return 0 if summary is None else int(summary["total-records"] or 0)


def _is_in(asked: Any, places: Any) -> Any:
    first, last = np.searchsorted(places, asked[[0, -1]])
    near = places[first : last + 1]
    at = np.minimum(np.searchsorted(near, asked), len(near) - 1)
    return near[at] == asked if len(near) else np.zeros(len(asked), bool)


def _merged(runs: Sequence[Any]) -> Iterator[Any]:
    """The places of sorted runs in their order, some at a time."""
    longest = max(runs, key=len)
    cuts = longest[MERGED_TOGETHER::MERGED_TOGETHER]
    bounds = [np.r_[0, np.searchsorted(run, cuts), len(run)] for run in runs]
    for i in range(len(cuts) + 1):
        part = np.concatenate([run[b[i] : b[i + 1]] for run, b in zip(runs, bounds, strict=True)])
        part.sort()
        yield part


def _rows(table: "Table", batch: int) -> Iterator[tuple[Any, Any]]:
    """The batches and places of the rows of batches above `batch`, in pieces; shadows are marked."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for file in held(table, "predictions", f"batch > {int(batch)}"):
        with table.io.new_input(file.path).open() as stream:
            for rows in pq.ParquetFile(stream).iter_batches(
                batch_size=1 << 20, columns=["line", "role", "batch"]
            ):
                numbers = rows.column("batch").to_numpy()
                places = rows.column("line").to_numpy()
                shadow = pc.equal(rows.column("role"), Role.SHADOW.value).to_numpy(False)
                new = numbers > batch
                if new.any():
                    yield numbers[new], (places + np.where(shadow, SHADOW, 0))[new]
