"""What the Iceberg adapter promises beyond the port: identity, damage, pruning, open formats."""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog

from labelloop.adapters.iceberg import erasure as iceberg_erasure
from labelloop.adapters.iceberg import places as log_places
from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.core.round import FrameRange, Span
from labelloop.core.sample import Feedback, Prediction
from labelloop.errors import LogError
from tests.remains import holding

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHOLE_LINE = [Span(pattern=0, above=-1, up_to=1 << 62)]


def place(folder: Path) -> dict[str, str]:
    return {"warehouse": str(folder / "log"), "catalog": f"sqlite:///{folder / 'catalog.db'}"}


def opened(folder: Path, ledger_id: str = "l1", salt: bytes = b"salt") -> IcebergLog:
    return IcebergLog.open(**place(folder), ledger_id=ledger_id, salt=salt)


def catalog(folder: Path) -> SqlCatalog:
    return SqlCatalog("labelloop", uri=place(folder)["catalog"])


def row(sample_id: str = "a") -> Prediction:
    return Prediction(
        sample_id=sample_id,
        uri="u",
        predicted_at=NOON,
        model="m",
        predicted_class="cat",
        confidence=0.5,
        line=1,
        content_hash="h",
        size_bytes=1,
        attributes={"site": "Bern"},
    )


def append(log: IcebergLog, batch: int) -> Path:
    path = log.write_batch(batch, "predictions", [row(f"s{batch}")], NOON)
    log.commit_batch(batch, "predictions", path)
    return Path(path)


def test_the_identity_of_a_log_is_read_without_its_ledger(tmp_path: Path) -> None:
    assert IcebergLog.identity(**place(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
    with opened(tmp_path, salt=b"\x00\xff"):
        pass
    assert IcebergLog.identity(**place(tmp_path)) == ("l1", b"\x00\xff")


def test_a_log_of_another_ledger_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with pytest.raises(LogError, match=r"belongs to ledger l1(.|\n)*remedy"):
        opened(tmp_path, ledger_id="l2")
    with pytest.raises(LogError, match="have different salts"):
        opened(tmp_path, salt=b"other")


@pytest.mark.mistake("log-newer")
def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    tables = catalog(tmp_path)
    with tables.load_table("labelloop.predictions").transaction() as transaction:
        transaction.set_properties({"labelloop.format": "2"})
    tables.close()
    for attempt in (lambda: opened(tmp_path), lambda: IcebergLog.identity(**place(tmp_path))):
        with pytest.raises(LogError, match="format '2', and this labelloop reads format '1'"):
            attempt()


def test_a_log_left_half_created_is_completed(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    tables = catalog(tmp_path)
    tables.drop_table("labelloop.feedback")
    tables.close()
    with opened(tmp_path) as log:
        log.write_batch(
            1, "feedback", [Feedback(sample_id="a", kind="k", value="v", received_at=NOON)], NOON
        )


def test_batches_without_their_catalog_are_not_taken_for_a_new_log(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        append(log, 1)
    (tmp_path / "catalog.db").unlink()
    with pytest.raises(LogError, match="holds batches of predictions, but the catalog has no log"):
        opened(tmp_path)


def test_a_damaged_batch_is_not_whole_and_not_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        path = log.write_batch(1, "predictions", [row()], NOON)
        content = Path(path).read_bytes()
        for n_bytes in (0, 3, len(content) // 2, len(content) - 1):
            Path(path).write_bytes(content[:n_bytes])
            assert not log.is_whole(path, 1)
            with pytest.raises(LogError, match="isn't a complete batch"):
                log.commit_batch(1, "predictions", path)
        Path(path).write_bytes(content)
        assert log.is_whole(path, 1)


def test_a_batch_that_went_missing_is_named_with_a_remedy(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        append(log, 1).unlink()
        with pytest.raises(LogError, match=r"batch-000000000001(.|\n)*remedy"):
            log.rows(FrameRange(batch_to=1), [], WHOLE_LINE)


def test_a_frame_opens_only_its_own_batches(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        paths = [append(log, batch) for batch in range(1, 5)]
        for outside in (paths[0], paths[3]):
            outside.write_bytes(b"opening this would fail")
        frame = FrameRange(batch_after=1, batch_to=3)
        found = log.rows(frame, [], WHOLE_LINE)
        assert [candidate.sample_id for candidate in found] == ["s2", "s3"]


def test_files_carry_the_schema_and_the_batch_in_their_path(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        path = append(log, 12)
    assert path.name == "batch-000000000012.parquet"
    assert list(path.parent.iterdir()) == [path]
    table = pq.read_table(path)
    assert table.column_names == [
        *("sample_id", "uri", "predicted_at", "model", "role", "predicted_class", "confidence"),
        *("probabilities", "embedding", "attributes", "line", "content_hash", "size_bytes"),
        *("batch", "indexed_at", "text", "sampling_rate"),
    ]
    assert table["batch"].to_pylist() == [12]
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_other_engines_read_the_same_table(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        append(log, 1)
        append(log, 2)
    tables = catalog(tmp_path)
    read = tables.load_table("labelloop.predictions").scan(row_filter="batch = 2").to_arrow()
    tables.close()
    assert read["sample_id"].to_pylist() == ["s2"]
    assert read["attributes"].to_pylist() == [[("site", "Bern")]]


def test_a_named_catalog_keeps_its_own_warehouse_and_files_lie_in_ours(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'company.db'}"
    name = "PYICEBERG_CATALOG__COMPANY"
    own = {f"{name}__TYPE": "sql", f"{name}__URI": uri, f"{name}__WAREHOUSE": "lake of all"}
    code = (
        "import sys; from labelloop.adapters.iceberg.tables import IcebergTables\n"
        "tables = IcebergTables.connect(warehouse=sys.argv[1], catalog='company', s3=None)\n"
        "tables.create('l1', b'salt')\n"
        "print(tables.file_io().properties['warehouse'], tables.load('feedback').location())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        env=os.environ | own,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout.strip() == f"lake of all {tmp_path / 'log' / 'feedback'}"


def test_old_snapshots_go_rows_stay_and_few_manifests_list_them(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        for batch in range(1, 16):
            append(log, batch)
        assert len(log.rows(FrameRange(batch_to=15), [], WHOLE_LINE)) == 15
    tables = catalog(tmp_path)
    table = tables.load_table("labelloop.predictions")
    assert len(table.metadata.snapshots) == 10
    present = table.current_snapshot()
    assert present is not None
    assert len(present.manifests(table.io)) < 10  # each is read by each question
    tables.close()


def test_a_batch_committed_by_two_processes_at_once_is_there_once(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        for batch in range(1, 6):
            path = first.write_batch(batch, "predictions", [row(f"s{batch}")], NOON)
            both = [
                threading.Thread(target=log.commit_batch, args=(batch, "predictions", path))
                for log in (first, second)
            ]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
        found = first.rows(FrameRange(batch_to=9), [], WHOLE_LINE)
        assert sorted(candidate.sample_id for candidate in found) == ["s1", "s2", "s3", "s4", "s5"]


def test_a_warehouse_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    with pytest.raises(LogError, match=r"(.|\n)*remedy: check \[state\] warehouse"):
        opened(tmp_path)


def test_no_file_of_the_log_holds_an_erased_sample(tmp_path: Path) -> None:
    secret = "zoe"
    with opened(tmp_path) as log:
        for batch in range(1, 14):
            rows = [row(f"s{batch}"), row(secret)] if batch % 3 else [row(secret)]
            log.commit_batch(
                batch, "predictions", log.write_batch(batch, "predictions", rows, NOON)
            )
        said = [Feedback(sample_id=secret, kind="flagged", value="true", received_at=NOON)]
        log.commit_batch(14, "feedback", log.write_batch(14, "feedback", said, NOON))
        log.write_batch(15, "predictions", [row(secret)], NOON)  # never committed
        (tmp_path / "log/predictions/data/batch-000000000016.partial").write_text(secret)
        before = holding(tmp_path, secret)
        assert {Path(name).suffix for name in before} == {".parquet", ".avro", ".partial"}
        log.erase([secret], allowed=lambda: None)
        assert holding(tmp_path, secret) == []
        assert [b.batch for b in log.visible_after(0)] == [1, 2, 4, 5, 7, 8, 10, 11, 13]
        assert all(Path(b.path).exists() for b in log.visible_after(0))


def test_an_erasure_killed_after_its_commit_is_finished_by_the_next(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        append(log, 1)
        append(log, 2)
        iceberg_erasure.rewrite(log._tables, "predictions", [1], ["s1"])
        assert log.held(["s1"]) == []
        assert holding(tmp_path, "s1")
        log.erase(["s1"], allowed=lambda: None)
        assert holding(tmp_path, "s1") == []
        assert [rows.batch for rows in log.held(["s2"])] == [2]


# --- the places of what it holds ------------------------------------------------------------


def placed(places: Sequence[int]) -> list[Prediction]:
    return [replace(row(f"s{place}"), line=place) for place in places]


def fill(log: IcebergLog, batch: int, places: Sequence[int]) -> None:
    path = log.write_batch(batch, "predictions", placed(places), NOON)
    log.commit_batch(batch, "predictions", path)


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "log" / "places" / "l1").glob("*.places"))


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
    together=st.integers(1, 50),
)
@settings(max_examples=12, deadline=None)
def test_runs_of_places_of_any_sizes_hold_what_the_batches_held(
    sizes: list[int], seed: int, together: int
) -> None:
    rng = np.random.default_rng(seed)
    every = rng.permutation(200)
    known: set[int] = set()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_places, "ASKED_TOGETHER", together)
        patch.setattr(log_places, "MERGED_TOGETHER", together)
        with opened(Path(name)) as log:
            for batch, size in enumerate(sizes, 1):
                some = rng.choice(every[:150], size).tolist()
                fill(log, batch, some)
                known |= set(some)
                assert every[log.may_hold(every)].tolist() == [p for p in every if p in known]
        assert len(runs(Path(name))) <= 1 + math.log(sum(sizes), log_places.GROWTH)


def spoilt_runs(folder: Path) -> Iterator[str]:
    """The folder as a crash or a person may leave it, one way after another."""
    place = folder / "log" / "places"
    index = place / "l1" / "runs.json"
    yield "as it was"
    shutil.rmtree(place)
    yield "lost"
    runs(folder)[0].write_bytes(b"")
    yield "a run without its bytes"
    runs(folder)[0].unlink()
    yield "a run that is gone"
    index.write_text('{"version": 1')
    yield "half an index"
    index.unlink()
    yield "runs without an index"
    (place / "l1" / "0011223344556677.places").write_bytes(b"x" * 8)
    (place / "l1" / "runs.json.partial").write_bytes(b"{")
    yield "what a killed process left"


def test_places_that_are_lost_or_torn_are_made_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        fill(log, 1, [1, 2, 3])
        fill(log, 2, [1 << 61, 5])
        assert log.may_hold(np.array([1, 4, 5])).tolist() == [True, False, True]
    for how in spoilt_runs(tmp_path):
        with opened(tmp_path) as log:
            asked = np.array([6, 1 << 61, 1, 4, 5])
            assert log.may_hold(asked).tolist() == [False, True, True, False, True], how
    with opened(tmp_path) as log:
        fill(log, 3, [4])
        assert log.may_hold(np.array([4, 6])).tolist() == [True, False]
    assert len(list((tmp_path / "log" / "places" / "l1").iterdir())) == len(runs(tmp_path)) + 1


def test_an_older_log_that_comes_back_is_not_mistaken_for_the_newer(tmp_path: Path) -> None:
    """Its batches have the same numbers and as many rows, but others."""
    with opened(tmp_path) as log:
        fill(log, 1, [1])
        shutil.copytree(tmp_path, tmp_path.with_name("before"))
        fill(log, 2, [2, 3])
        assert log.may_hold(np.array([2, 9])).tolist() == [True, False]
    places = tmp_path / "log" / "places"
    saved = shutil.copytree(places, tmp_path.with_name("places"))
    for part in ("catalog.db", "log"):
        there, back = tmp_path / part, tmp_path.with_name("before") / part
        if there.is_dir():
            shutil.rmtree(there)
            shutil.copytree(back, there)
        else:
            shutil.copy(back, there)
    shutil.copytree(saved, places, dirs_exist_ok=True)
    with opened(tmp_path) as log:
        fill(log, 2, [7, 8])
        assert log.may_hold(np.array([1, 2, 7])).tolist() == [True, False, True]


def test_a_log_in_a_bucket_keeps_its_places_beside_its_catalog(tmp_path: Path) -> None:
    catalog_file = tmp_path / "state" / "catalog.db"
    assert log_places.places_beside("s3://b/log", f"sqlite:///{catalog_file}") == (
        tmp_path / "state" / "places"
    )
    assert log_places.places_beside("s3://b/log", "postgresql://h/d").is_absolute()
