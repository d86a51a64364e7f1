"""`labelloop doctor` finds damaged files; `--repair` mends what can be mended, and the rest is named."""

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from labelloop.doctor.finding import Finding, Outcome
from labelloop.errors import LabelloopError
from labelloop.ledger import batches
from tests.lasting import LastingWorld, alter, cut
from tests.unit.test_damage import end

Harm = Callable[[LastingWorld], object]


def failing(findings: Iterable[Finding]) -> list[Finding]:
    """Those that fail, but that the tests' folder may lie in memory."""
    return [f for f in findings if f.outcome is Outcome.FAIL and "on memory" not in f.says]


def failures(world: LastingWorld) -> list[Finding]:
    return failing(world.loop.doctor().findings)


def repaired(world: LastingWorld) -> tuple[list[str], list[Finding]]:
    """What was fixed, and what still fails."""
    found = world.loop.doctor(repair=True).findings
    fixed = [f.says for f in found if f.outcome is Outcome.FIXED]
    return fixed, failing(found)


def every(pattern: str, harm: Callable[[Path], object]) -> Harm:
    return lambda world: [harm(path) for path in world.files(pattern)]


def behind(world: LastingWorld) -> None:
    """The catalog as it was before the newest batch."""
    first = world.files("log/predictions/metadata/00001-*.json")[0]
    with sqlite3.connect(world.state / "catalog.db") as catalog:
        catalog.execute(
            "UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 'predictions'",
            (str(first),),
        )
    catalog.close()


CATALOG: dict[str, Harm] = {
    "no database": every("catalog.db", lambda path: path.write_bytes(b"?" * 9000)),
    "gone": every("catalog.db", Path.unlink),
    "table gone": every("log/*/metadata/*.json", Path.unlink),
    "table of something else": every(
        "log/*/metadata/*.json", lambda path: path.write_text('{"a": 1}')
    ),
    "list of batches cut": every("log/*/metadata/*.avro", cut),
    "behind": behind,
}


@pytest.mark.parametrize("harm", CATALOG.values(), ids=CATALOG)
def test_a_catalog_is_made_anew_from_the_batches(lasting: LastingWorld, harm: Harm) -> None:
    lasting.loop.project.log  # noqa: B018  opened, so that its identity is known
    before = end(lasting), sorted(lasting.loop.project.log.samples(["class_01/00001.png"]).items())
    lasting.loop.close()
    harm(lasting)
    assert [f.check for f in failures(lasting)][-1:] in (["batches"], ["log"])
    fixed, failed = repaired(lasting)
    assert fixed
    assert failed == []
    assert not lasting.loop.run().failures
    after = end(lasting), sorted(lasting.loop.project.log.samples(["class_01/00001.png"]).items())
    assert after == before


def test_a_catalog_is_not_made_anew_while_a_batch_is_missing(lasting: LastingWorld) -> None:
    (lasting.state / "catalog.db").unlink()
    batch = lasting.files("log/predictions/data/*")[0]
    kept = batch.read_bytes()
    batch.unlink()
    fixed, failed = repaired(lasting)
    assert fixed == []
    assert f"{batch} is gone" in [f.says for f in failed]
    batch.write_bytes(kept)
    fixed, failed = repaired(lasting)
    assert fixed
    assert failed == []


@pytest.mark.parametrize("thorough", [False, True])
def test_a_damaged_batch_is_named_and_its_backup_asked_for(
    lasting: LastingWorld, thorough: bool
) -> None:
    batch = lasting.files("log/predictions/data/*")[0]
    alter(batch, 0.3) if thorough else cut(batch)
    failed = repaired(lasting)[1] if thorough else failures(lasting)
    assert [(f.check, str(batch) in f.says, "backup" in f.remedy) for f in failed] == [
        ("batches", True, True)
    ]


def test_what_a_killed_run_left_is_finished_or_removed(lasting: LastingWorld) -> None:
    data = lasting.state / "log/predictions/data"
    (data / "batch-000000000009.partial").write_bytes(b"PAR1 half")
    lasting.traffic(3)
    lasting.loop.index()
    with lasting.loop.project.ledger.write_at_once() as tx:
        batches.finish(tx, 3, batches.WRITING)
        batches.reserve(tx, "predictions", 5)
    shutil.copy(data / "batch-000000000003.parquet", data / "batch-000000000004.parquet")
    fixed, failed = repaired(lasting)
    assert failed == []
    assert repaired(lasting) == ([], [])
    assert any(says.startswith("2 batches were begun") for says in fixed)
    assert sorted(path.name for path in data.iterdir()) == [
        f"batch-{n:012d}.parquet" for n in (1, 2, 3)
    ]
    with lasting.loop.project.ledger.read() as tx:
        assert [b.batch for b in batches.in_state(tx, batches.COMMITTED)] == [1, 2, 3]
        assert [b.batch for b in batches.in_state(tx, batches.VOID)] == [4]


DATASET: dict[str, Harm] = {
    "manifest altered": every("datasets/*/*/manifest.parquet", lambda path: alter(path, 0.2, 200)),
    "manifest gone": every("datasets/*/*/manifest.parquet", Path.unlink),
    "description cut": every("datasets/*/*/dataset.json", cut),
    "folder gone": every("datasets/*/v*", shutil.rmtree),
}


@pytest.mark.parametrize("harm", DATASET.values(), ids=DATASET)
def test_the_present_versions_are_written_anew_and_the_older_ones_named(
    lasting: LastingWorld, harm: Harm
) -> None:
    versions = lasting.loop.datasets()
    newest = {v.name: v for v in versions}.values()
    wholes = {v.uri: (Path(v.uri) / "manifest.parquet").read_bytes() for v in newest}
    harm(lasting)
    fixed, failed = repaired(lasting)
    assert sorted(fixed) == sorted(
        f"{v.name} v{v.version} is written anew in {v.uri}" for v in newest
    )
    assert [f.check for f in failed] == ["datasets"] * (len(versions) - len(newest))
    assert all("backup" in f.remedy for f in failed)
    for uri, whole in wholes.items():
        assert (Path(uri) / "manifest.parquet").read_bytes() == whole


def test_damaged_indexes_of_a_ledger_are_made_anew(lasting: LastingWorld) -> None:
    lasting.loop.close()
    path = lasting.state / "ledger.db"
    with sqlite3.connect(path) as ledger:
        ledger.execute("PRAGMA writable_schema = ON")
        row = ledger.execute("SELECT * FROM sqlite_schema WHERE name = 'events_subject'").fetchone()
        ledger.execute("DELETE FROM sqlite_schema WHERE name = 'events_subject'")
    ledger.close()
    with sqlite3.connect(path) as ledger:
        ledger.execute("DELETE FROM events WHERE id = 2")
        ledger.execute("PRAGMA writable_schema = ON")
        ledger.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    ledger.close()
    assert [f.check for f in failures(lasting)] == ["ledger's file"]
    lasting.loop.close()
    fixed, failed = repaired(lasting)
    assert len(fixed) == 1
    assert failed == []
    assert (lasting.state / "ledger.db.damaged-1").exists()
    assert failures(lasting) == []


def test_a_ledger_that_is_damaged_beyond_its_indexes_is_left_as_it_is(
    lasting: LastingWorld,
) -> None:
    lasting.loop.close()
    path = lasting.state / "ledger.db"
    cut(path)
    data = path.read_bytes()
    fixed, failed = repaired(lasting)
    assert fixed == []
    assert "backup" in failed[0].remedy
    assert path.read_bytes() == data
    with pytest.raises(LabelloopError):
        lasting.loop.run()
