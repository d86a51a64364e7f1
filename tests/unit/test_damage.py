"""Damaged, missing and unwritable files of the state: named, with the remedy, and nothing lost in silence."""

import re
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from labelloop.errors import DatasetError, LabelloopError, LedgerError, LogError
from labelloop.ledger import Ledger, cursors, datasets
from labelloop.ledger import tables as t
from labelloop.ports.log import PredictionLog
from tests.lasting import Kept, LastingWorld, alter, cut
from tests.world import HEAD


@contextmanager
def no_more_than(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: what a full disk is to a program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


BATCH = "log/predictions/data/batch-000000000001.parquet"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (cut, "bytes instead of"),
        (Path.unlink, "is gone"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of"),
        (lambda path: alter(path, 0.3, 400), "is damaged"),
    ],
    ids=["cut", "gone", "empty", "altered"],
)
def test_a_damaged_batch_is_named(
    lasting: LastingWorld, harm: Callable[[Path], object], says: str
) -> None:
    path = lasting.state / BATCH
    harm(path)
    with pytest.raises(LogError, match=says) as caught:
        lasting.loop.build()
    assert str(path) in str(caught.value)
    assert "backup" in caught.value.remedy


@pytest.mark.parametrize("at", [0.01, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_manifest_altered_in_one_bit_is_never_exported(
    lasting: LastingWorld, tmp_path: Path, at: float
) -> None:
    version = lasting.loop.dataset("training")
    whole = tmp_path / "whole.csv"
    lasting.loop.export([version], "csv", whole)
    alter(Path(version.uri) / "manifest.parquet", at)
    target = tmp_path / "altered.csv"
    with suppress(DatasetError):
        lasting.loop.export([version], "csv", target)
    # what was altered may be a byte that says nothing
    assert not target.exists() or target.read_bytes() == whole.read_bytes()


def test_a_manifest_that_somebody_edited_is_never_exported(
    lasting: LastingWorld, tmp_path: Path
) -> None:
    version = lasting.loop.dataset("training")
    path = Path(version.uri) / "manifest.parquet"
    table = pq.read_table(path)
    labels = pa.array(["cat"] * len(table))
    pq.write_table(table.set_column(table.schema.names.index("label"), "label", labels), path)
    with pytest.raises(DatasetError, match="changed after its release"):
        lasting.loop.export([version], "csv", tmp_path / "edited.csv")


def test_a_cut_manifest_stops_who_must_read_it(lasting: LastingWorld, tmp_path: Path) -> None:
    version = lasting.loop.dataset("training")
    cut(Path(version.uri) / "manifest.parquet")
    for asks in (
        lambda: lasting.loop.export([version], "jsonl", tmp_path / "x.jsonl"),
        lambda: lasting.loop.diff(version, version),
    ):
        with pytest.raises(DatasetError, match="manifest") as caught:
            asks()
        assert "backup" in caught.value.remedy
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize("harm", [cut, lambda path: path.write_bytes(b"no database" * 900)])
def test_a_damaged_catalog_is_named(lasting: LastingWorld, harm: Callable[[Path], object]) -> None:
    harm(lasting.state / "catalog.db")
    with pytest.raises(LogError, match=r"catalog\.db") as caught:
        lasting.loop.run()
    assert "doctor --repair" in caught.value.remedy


def test_a_damaged_ledger_is_named(lasting: LastingWorld) -> None:
    lasting.loop.close()
    cut(lasting.state / "ledger.db")
    with pytest.raises(LedgerError, match=r"ledger\.db.*malformed") as caught:
        lasting.loop.status()
    assert "backup" in caught.value.remedy


def test_a_catalog_that_cannot_be_written_is_asked_once(lasting: LastingWorld) -> None:
    lasting.traffic(12)
    log = lasting.loop.project.log
    lasting.loop.index()
    path = lasting.state / "log/predictions/data/batch-000000000009.parquet"
    path.write_bytes((lasting.state / BATCH).read_bytes())
    n_before = len(lasting.files("log/predictions/metadata/*.json"))
    with pytest.raises(LogError, match="Committing batch 9") as caught, no_more_than(8_000):
        log.commit_batch(9, "predictions", str(path))
    assert "free disk space" in caught.value.remedy
    assert len(lasting.files("log/predictions/metadata/*.json")) == n_before + 1


# --- a full disk ----------------------------------------------------------------------------------


def test_a_full_ledger_says_so_and_holds_nothing_half(
    ledger_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(ledger_template.read_bytes())
    ledger = Ledger.open(f"sqlite:///{path}")

    @sa.event.listens_for(ledger._engine, "begin")
    def fill(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    def write() -> None:
        with ledger.write_at_once() as tx:
            cursors.put(tx, "first", "1")
            cursors.put(tx, "second", "2" * 10_000_000)

    with pytest.raises(LedgerError, match=f"{path} can't be read or written: .*full") as caught:
        write()
    assert "free disk space" in caught.value.remedy
    with ledger.read() as tx:
        assert cursors.get(tx, "first") is None
    ledger.close()


def end(world: LastingWorld) -> object:
    """All that a run may not change by having failed before."""
    with world.loop.project.ledger.read() as tx:
        hashes = [(v.name, v.version, v.content_hash) for v in datasets.every(tx)]
    drawn = sorted((d.round, d.sample_id, d.queue, d.inclusion or 0) for d in world.draws())
    return drawn, sorted(world.remote_keys()), sorted(world.labels().items()), hashes


def attempt(world: LastingWorld) -> list[LabelloopError]:
    """What a run complains of."""
    try:
        return list(world.loop.run().failures.values())
    except LabelloopError as exc:
        return [exc]


def make_room(world: LastingWorld) -> None:
    """Run again, in a new process, on a disk with room."""
    world.restart()
    with world.loop.project.ledger.write_at_once() as tx:
        tx.execute(sa.delete(t.leases))  # the next process sees that their holder is dead
    assert not world.loop.run().failures


class OnFullDisk:
    """A log whose disk holds only so many bytes of a file when one call is made."""

    def __init__(self, log: PredictionLog, full_in: str, n_bytes: int) -> None:
        self._log = log
        self._full_in = full_in
        self._n_bytes = n_bytes

    def __getattr__(self, name: str) -> Any:
        if name != self._full_in:
            return getattr(self._log, name)

        def call(*args: Any) -> Any:
            with no_more_than(self._n_bytes):
                return getattr(self._log, name)(*args)

        return call


FULL = [
    ("ledger", LedgerError, 40_000),
    ("write_batch", LogError, 6_000),
    ("commit_batch", LogError, 0),
    ("commit_batch", LogError, 5_000),
    ("datasets", DatasetError, 100),
]


def test_a_full_disk_loses_nothing(kept: Kept[LastingWorld]) -> None:
    ends = []
    for where, expected, n_bytes in [("nowhere", LabelloopError, 0), *FULL]:
        with kept.again() as world:
            world.traffic(12, confidence="0.95", predicted_class="cat")
            if where == "ledger":
                with no_more_than(n_bytes):
                    errors = attempt(world)
            elif where == "datasets":
                with no_more_than(10**9):
                    world.progress = lambda what, _done, _total: (
                        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
                        if what == "training rows"
                        else None
                    )
                    errors = attempt(world)
                world.progress = lambda _what, _done, _total: None
            else:
                full = OnFullDisk(world.loop.project.log, where, n_bytes)
                world.loop.project.__dict__["log"] = full
                errors = attempt(world)
            assert bool(errors) == (where != "nowhere"), where
            assert not world.files("log/*/data/*.partial")
            for error in errors:
                assert isinstance(error, expected)
                assert re.search("free disk space", error.remedy), error
            make_room(world)
            ends.append(end(world))
    assert ends == ends[:1] * len(ends)


# --- no rights, and somebody else in the way ------------------------------------------------------

CLOSED = "/sys/kernel/labelloop"
"""Where nobody may make a file, not even root."""


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        (f'ledger = "sqlite:///{CLOSED}/ledger.db"', LedgerError),
        (f'catalog = "sqlite:///{CLOSED}/catalog.db"', LogError),
        (f'warehouse = "{CLOSED}/log"', LogError),
        (f'datasets = "{CLOSED}/datasets"', DatasetError),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, setting: str, kind: type[LabelloopError]
) -> None:
    world = LastingWorld(tmp_path, head=HEAD + f"\n[state]\n{setting}\n")
    world.traffic(6)
    (error,) = attempt(world)
    assert type(error) is kind
    assert CLOSED in str(error)
    assert re.search("right|writable", error.remedy)
    world.loop.close()


def test_a_ledger_that_somebody_else_holds_is_waited_for_and_then_named(
    lasting: LastingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.ledger.engine.WAIT_S", 0.1)
    lasting.restart()
    lasting.traffic(3)
    lasting.loop.project.log  # noqa: B018  opened before
    other = sqlite3.connect(lasting.state / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked") as caught:
        lasting.loop.index()
    assert "another process" in caught.value.remedy
    other.execute("ROLLBACK")
    other.close()
    make_room(lasting)
    assert (
        len(lasting.loop.project.log.samples([f"class_01/{n:05d}.png" for n in (25, 26, 27)])) == 3
    )
