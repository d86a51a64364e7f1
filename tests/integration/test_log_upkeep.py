"""The log's files are tidied: what is merged and removed, for whom it stays, and what a kill leaves."""

import functools
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import PyArrowFile
from sqlalchemy.engine.default import DefaultDialect

from labelloop.adapters.iceberg import merging as iceberg_merging
from labelloop.adapters.iceberg import sweeping as iceberg_sweeping
from labelloop.adapters.iceberg.batches import HeldFile
from labelloop.adapters.iceberg.files import IcebergFiles
from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.core.round import FrameRange, Span
from labelloop.core.sample import Feedback
from labelloop.core.upkeep import Upkeep
from labelloop.errors import LogError
from tests.integration.test_iceberg_log import NOON, append, catalog, opened, place, row
from tests.lasting import alter

TOMORROW = NOON + timedelta(days=1)
WHOLE_LINE = [Span(pattern=0, above=-1, up_to=1 << 62)]


class Killed(BaseException):
    """A process that ends here."""


def tidied(
    log: IcebergLog,
    *,
    closed_before: datetime = TOMORROW,
    grace: timedelta = timedelta(days=1),
    allowed: Callable[[], None] = lambda: None,
) -> Upkeep:
    return log.maintain(
        closed_before=closed_before,
        unused_before=datetime.now(UTC) - grace,
        allowed=allowed,
        progress=lambda _what, _done, _total: None,
    )


SOON = timedelta(days=-1)
"""A grace after which even what was just replaced goes."""


def filled(folder: Path, n: int = 6) -> IcebergLog:
    """Predictions in batches 1 to n, then feedback, then one more batch of predictions."""
    log = opened(folder)
    for batch in range(1, n + 1):
        append(log, batch)
    said = [Feedback(sample_id="s1", kind="flagged", value="true", received_at=NOON)]
    for batch in (n + 1, n + 2):
        log.commit_batch(batch, "feedback", log.write_batch(batch, "feedback", said, NOON))
    append(log, n + 3)
    return log


def answers(log: IcebergLog, *, spans: Sequence[int] = range(7)) -> list[object]:
    """All that it tells; `spans`: after which batches each three are read."""
    return [
        [(b.batch, b.kind, b.n_rows) for b in log.visible_after(0)],
        *(log.rows(FrameRange(batch_after=n, batch_to=n + 3), [], WHOLE_LINE) for n in spans),
        sorted(log.samples(["s1", "s4"]).items()),
        log.held(["s1", "s6"]),
    ]


def data(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("log/*/data/*"))


def test_neighbours_become_one_up_to_a_size_and_not_around_a_large_one() -> None:
    def file(first: int, mb: float, last: int | None = None) -> HeldFile:
        name = f"batches-{first:012d}-{last:012d}-0123abcd" if last else f"batch-{first:012d}"
        return HeldFile("predictions", f"log/{name}.parquet", 1, int(mb * 2**20))

    files = [
        *(file(n, 30) for n in (1, 2, 3, 4, 5, 7)),  # four of them are 120 MB
        file(8, 32),
        *(file(n, 1) for n in (9, 11)),
        file(12, 1, last=14),
        file(15, 1),
        file(16, 0.1),
    ]
    found = iceberg_merging.groups(files[::-1], newest=15)
    assert [[int(f.path.split("-")[1][:12]) for f in group] for group in found] == [
        [1, 2, 3, 4],
        [5, 7],
        [9, 11, 12, 15],
    ]


def test_merged_rows_keep_their_batch_and_lie_in_its_order(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        for batch in (2, 1):
            path = log.write_batch(batch, "predictions", [row(f"s{i}") for i in "cab"], NOON)
            log.commit_batch(batch, "predictions", path)
        tidied(log)
        [path] = {b.path for b in log.visible_after(0)}
    table = pq.read_table(path)
    assert table["batch"].to_pylist() == [1, 1, 1, 2, 2, 2]
    assert table["sample_id"].to_pylist() == ["sa", "sb", "sc"] * 2
    assert set(table["indexed_at"].to_pylist()) == {NOON}
    assert Path(path).name.startswith("batches-000000000001-000000000002-")
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_row_groups_are_bounded_in_rows_and_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg_merging, "GROUP_ROWS", 4)
    with opened(tmp_path) as log:
        for batch in range(1, 6):
            rows = [row(f"s{i}") for i in range(3)]
            log.commit_batch(
                batch, "predictions", log.write_batch(batch, "predictions", rows, NOON)
            )
        tidied(log)
        [path] = {b.path for b in log.visible_after(0)}
    found = pq.ParquetFile(path).metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == [4, 4, 4, 3]


def test_an_open_day_stays_as_it_is(tmp_path: Path) -> None:
    with filled(tmp_path) as log:
        assert not tidied(log, closed_before=NOON).changes
        path = log.write_batch(10, "predictions", [row("today")], TOMORROW)
        log.commit_batch(10, "predictions", path)
        assert tidied(log).n_small == 9
        names = {Path(b.path).name for b in log.visible_after(9)}
        assert names == {"batch-000000000010.parquet"}


def test_whoever_reads_goes_on_with_what_was_replaced(tmp_path: Path) -> None:
    with filled(tmp_path) as log, opened(tmp_path) as other:
        reading = other.scan(FrameRange(batch_to=9), [], [])  # it plans its files now
        first = next(reading)
        tidied(log)
        for batch in range(10, 24):  # appends alone would let the version before go
            append(log, batch)
        assert tidied(log).n_removed == 0
        assert first.num_rows + sum(b.num_rows for b in reading) == 7
        before = catalog(tmp_path).load_table("labelloop.predictions")
        small = tmp_path / "log/predictions/data/batch-000000000001.parquet"
        assert small.exists()
        assert tidied(log, grace=SOON).n_removed
        assert not small.exists()
        present = before.refresh()
        assert len(present.metadata.snapshots) <= 10
        assert present.scan().to_arrow().num_rows == 21


def test_only_what_nothing_needs_and_nobody_may_be_writing_is_removed(tmp_path: Path) -> None:
    with filled(tmp_path) as log:
        begun = Path(log.write_batch(10, "predictions", [row("begun")], NOON))
        old = begun.with_name("batch-000000000099.partial")
        old.write_bytes(b"half")
        os.utime(old, (0, 0))
        kept = data(tmp_path)
        done = tidied(log, closed_before=NOON)
        assert (done.n_small, done.n_removed, done.freed_bytes) == (0, 1, 4)
        assert data(tmp_path) == [name for name in kept if name != old.name]
        log.commit_batch(10, "predictions", str(begun))


def test_a_damaged_file_is_named_and_not_merged(tmp_path: Path) -> None:
    with filled(tmp_path) as log:
        damaged = tmp_path / "log/predictions/data/batch-000000000003.parquet"
        alter(damaged, 0.1, 40)
        with pytest.raises(LogError, match=damaged.name):
            tidied(log)
        assert len({b.path for b in log.visible_after(0)}) == 9


def test_a_batch_whose_writer_stood_still_is_not_there_twice(tmp_path: Path) -> None:
    with filled(tmp_path) as log:
        before = answers(log)
        paths = {b.batch: b.path for b in log.visible_after(0)}
        tidied(log)
        log.commit_batch(3, "predictions", paths[3])
        assert answers(log) == before


# --- killed -----------------------------------------------------------------------------------


class Points:
    """Ends the process before its n-th write: after the one before."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.kill_at = 0
        for owner, name in (
            (DefaultDialect, "do_commit"),
            (PyArrowFile, "create"),
            (os, "replace"),
        ):
            patch.setattr(owner, name, self._around(getattr(owner, name), name))

    def _around(self, own: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(own)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.seen.append(name)
            if len(self.seen) == self.kill_at:
                raise Killed(name)
            return own(*args, **kwargs)

        return watched

    def watch(self, kill_at: int) -> None:
        self.seen, self.kill_at = [], kill_at


def test_killed_anywhere_nothing_is_lost_or_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(log: IcebergLog) -> list[object]:
        return answers(log, spans=(0, 3))  # of all six batches

    log = filled(tmp_path / "whole", 3)
    before = told(log)
    log.close()
    points = Points(monkeypatch)
    for kill_at in itertools.count(1):
        folder = tmp_path / "whole"  # the catalog knows the folder by its name
        shutil.copytree(folder, tmp_path / "kept", dirs_exist_ok=True)
        log = opened(folder)
        points.watch(kill_at)
        try:
            tidied(log, grace=SOON)
            killed = False
        except Killed:
            killed = True
        points.watch(0)
        log.close()
        with opened(folder) as again:
            assert told(again) == before
            tidied(again, grace=SOON)
            assert told(again) == before
            assert len(data(folder)) == 2
        shutil.rmtree(folder)
        shutil.move(tmp_path / "kept", folder)
        if not killed:
            break
    assert kill_at > 10, points.seen


def test_a_removal_that_was_killed_half_way_is_finished(tmp_path: Path) -> None:
    with filled(tmp_path) as log:
        before = answers(log)
        calls = iter([None, None, None, Killed()])  # merge, let go, remove: of the first table

        def allowed() -> None:
            left = next(calls)
            if left is not None:
                raise left

        with pytest.raises(Killed):
            tidied(log, grace=SOON, allowed=allowed)
        strays = iceberg_sweeping.strays(log._tables, "feedback")
        iceberg_sweeping.remove(log._tables, "feedback", strays[::2])
        tidied(log, grace=SOON)
        assert answers(log) == before
        assert len(data(tmp_path)) == 2


def test_a_merged_file_left_half_written_is_written_anew(tmp_path: Path) -> None:
    def stop() -> None:
        raise Killed

    with filled(tmp_path) as log:
        before = answers(log)
        with pytest.raises(Killed):
            tidied(log, allowed=stop)
        [left] = tmp_path.glob("log/predictions/data/batches-*")
        left.write_bytes(left.read_bytes()[:-9])
        tidied(log)
        assert answers(log) == before
        assert {Path(b.path).name for b in log.visible_after(0) if b.kind == "predictions"} == {
            left.name
        }


def test_a_catalog_that_numbers_columns_otherwise_is_followed(tmp_path: Path) -> None:
    opened(tmp_path).close()
    tables = catalog(tmp_path)
    table = tables.load_table("labelloop.predictions")
    before = table.schema().find_field("text")
    with table.update_schema() as update:
        update.delete_column("text")
    with table.update_schema() as update:
        update.add_column("text", before.field_type)
    assert table.schema().find_field("text").field_id != before.field_id

    def texts() -> list[str]:
        read = tables.load_table("labelloop.predictions").scan().to_arrow()
        return sorted(read["text"].to_pylist())

    with opened(tmp_path) as log:
        for batch in (1, 2, 3):
            rows = [replace(row(f"s{batch}"), text=f"text {batch}")]
            log.commit_batch(
                batch, "predictions", log.write_batch(batch, "predictions", rows, NOON)
            )
        assert texts() == ["text 1", "text 2", "text 3"]
        assert tidied(log).n_merged == 1
        log.erase(["s2"], allowed=lambda: None)
    assert texts() == ["text 1", "text 3"]
    tables.close()


# --- the catalog made anew --------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Iterator[IcebergFiles]:
    found = IcebergFiles(**place(tmp_path))
    yield found
    found.close()


@pytest.mark.parametrize("grace", [timedelta(days=1), SOON], ids=["both stand", "one is left"])
@pytest.mark.parametrize("lost", ["all of it", "what came after", "the merge"])
def test_a_catalog_is_made_anew_from_merged_files(
    tmp_path: Path, files: IcebergFiles, lost: str, grace: timedelta
) -> None:
    with filled(tmp_path) as log:
        shutil.copy(tmp_path / "catalog.db", tmp_path / "before")
        tidied(log)
        shutil.copy(tmp_path / "catalog.db", tmp_path / "after")
        append(log, 10)
        tidied(log, grace=grace)
        known, before = log.visible_after(0), answers(log)
    if lost == "all of it":
        (tmp_path / "catalog.db").unlink()
    else:
        shutil.copy(
            tmp_path / ("before" if lost == "the merge" else "after"), tmp_path / "catalog.db"
        )
    anew = files.unreadable() is not None or not files.visible()
    assert anew == (lost == "all of it" or grace is SOON)
    if anew:
        files.begin_anew("l1", b"salt")
    missing = [batch for batch in known if batch.batch not in files.visible()]
    assert files.not_whole(missing) == {}
    files.adopt(missing)
    with opened(tmp_path) as log:
        assert answers(log) == before
