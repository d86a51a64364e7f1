"""`labelloop log maintain`, and `run` when it is due: under the lease, told, and harmless."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.upkeep import Upkeep
from labelloop.errors import LeaseHeld, LogError
from labelloop.ledger import batches
from labelloop.views.verbs import upkeep_line
from tests.json_documents import result_of
from tests.lasting import LastingWorld
from tests.unit.test_damage import end
from tests.world import World


def paths(world: LastingWorld) -> set[str]:
    return {Path(batch.path).name for batch in world.loop.project.log.visible_after(0)}


def test_it_is_told_done_and_repeated_when_due(lasting: LastingWorld) -> None:
    loop = lasting.loop
    n_files = len(paths(lasting))
    told = loop.maintain(dry_run=True)
    assert told.n_small == n_files > 1
    assert len(paths(lasting)) == n_files
    before = end(lasting)
    assert loop.maintain().n_small == n_files
    assert end(lasting) == before
    assert len(paths(lasting)) == 1
    assert loop.maintain(dry_run=True).changes is False
    ran = loop.run()
    assert (ran.maintained, ran.failures) == (None, {})
    lasting.clock.at = datetime.now(UTC) + timedelta(days=2)  # the log's files have real times
    heard: list[str] = []
    ran = loop.run(report=lambda verb, _result: heard.append(verb))
    assert ran.failures == {}
    assert ran.maintained is not None
    assert ran.maintained.n_removed > n_files
    assert heard == ["index", "collect", "select", "send", "measure", "build", "log"]
    assert len(lasting.files("log/predictions/data/*")) == 1


def test_a_batch_that_a_killed_run_was_writing_is_finished_first(lasting: LastingWorld) -> None:
    lasting.traffic(3)
    lasting.loop.index()
    newest = max(batch.batch for batch in lasting.loop.project.log.visible_after(0))
    with lasting.loop.project.ledger.write_at_once() as tx:
        batches.finish(tx, newest, batches.WRITING)
        given_up = batches.reserve(tx, "predictions", 5)
    lasting.loop.maintain()
    with lasting.loop.project.ledger.read() as tx:
        assert batches.unfinished(tx) == []
        assert [b.batch for b in batches.in_state(tx, batches.VOID)] == [given_up]
    assert {b.batch for b in lasting.loop.project.log.visible_after(0)} >= {newest}


def test_a_log_that_lacks_a_batch_is_left_as_it_is(lasting: LastingWorld) -> None:
    with lasting.loop.project.ledger.write_at_once() as tx:
        batches.adopt(tx, 90, "predictions", "somewhere", 5)
    before = lasting.files("log/*/data/*")
    with pytest.raises(LogError, match="the prediction log lacks batch 90"):
        lasting.loop.maintain()
    assert lasting.files("log/*/data/*") == before


def test_it_waits_for_index_by_itself_and_leaves_it_to_the_next_in_a_run(world: World) -> None:
    with (
        world.loop.project.ledger.lease("index"),
        pytest.raises(LeaseHeld, match="is running `index`"),
    ):
        world.loop.maintain()
    assert world.loop.maintain() == Upkeep()


def test_the_command_says_what_there_is_to_do_and_what_was_done(lasting: LastingWorld) -> None:
    lasting.loop.close()
    config = str(lasting.folder / "labelloop.toml")
    command = ["log", "maintain", "--config", config]
    told = CliRunner().invoke(group, [*command, "--dry-run"])
    assert "small files to merge into 1; the log has" in told.output
    lasting.clock.at = datetime.now(UTC)
    found = CliRunner().invoke(group, [*command, "--json"])
    assert result_of(found.output)["n_merged"] == 1
    again = CliRunner().invoke(group, command)
    assert again.output == "nothing to tidy; the log has 1 file\n"


def test_what_was_done_is_a_line() -> None:
    done = Upkeep(
        n_files=310, n_small=300, n_merged=2, n_snapshots=3, n_removed=640, freed_bytes=12_345_678
    )
    assert upkeep_line(done) == (
        "300 small files merged into 2; 3 old versions let go; 640 files that nothing needs removed "
        "(12.3 MB); the log has 12 files"
    )
