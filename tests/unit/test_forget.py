"""A person asked to be erased: nothing is left of their samples, and every estimate stands."""

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from labelloop.cli.screen import table_lines
from labelloop.core.task import TaskState
from labelloop.core.tombstone import sample_hash
from labelloop.errors import (
    AnnotatorUnavailable,
    ArgumentError,
    DatasetError,
    LabelloopError,
    LeaseHeld,
    StoreUnavailable,
)
from labelloop.exports import manifest
from labelloop.ledger import events
from labelloop.ledger import tables as t
from labelloop.steps.forget.forget import OTHERS
from labelloop.views.tables.datasets import versions
from tests.json_documents import result_of
from tests.postgres import PostgreSQL
from tests.remains import holding
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, FLAGGED, HEAD, LOW, Killed, World, kill_at_write

PERSON = "zoe/portrait 17.png"


def play(world: World) -> None:
    """A day of traffic, the person's among it, drawn, answered and built into both sets."""
    world.put(PERSON, confidence="0.31", flagged="true", nickname="zoe")
    world.traffic(9)
    world.loop.run()
    world.answer_all("dog")
    world.loop.collect()
    world.loop.build()


def dump(world: World) -> str:
    """Every row of every table of the ledger."""
    with world.loop.project.ledger.read() as tx:
        rows = {
            table.name: [tuple(row) for row in tx.execute(sa.select(table))]
            for table in t.metadata.sorted_tables
            if table is not t.leases
        }
    return repr(rows)


def measured(world: World) -> Any:
    """All that `measure` says, without the counts of what waits."""
    found = world.loop.measure()
    return [
        replace(a, n_waiting=0, n_skipped=0)
        for a in (found.last_seven_days, *found.rounds, *found.days)
    ] + [found.by_class, found.confusion, found.agreement, found.trend]


def wide(make_world: MakeWorld) -> World:
    """A project whose every sample is drawn, so that the person is in the evaluation set."""
    return make_world(ACCURACY.replace("5", "50") + LOW + FLAGGED)


def training(make_world: MakeWorld) -> World:
    """A project whose evaluation draws nobody of the first day but by chance; the person trains."""
    return make_world(ACCURACY.replace("5", "1") + LOW.replace("4", "50") + FLAGGED)


@pytest.mark.parametrize("project", [wide, training])
def test_nothing_is_left_of_a_sample_and_the_measures_stand(
    make_world: MakeWorld, kind: str, project: Any
) -> None:
    world = project(make_world)
    play(world)
    before, n_tasks = measured(world), len(world.annotator._tasks)
    assert "zoe" in dump(world)
    done = world.loop.forget([PERSON])

    assert (done.n_samples, done.n_predictions, done.n_draws, done.n_tasks) == (1, 1, 1, 1)
    assert "zoe" not in dump(world)
    assert world.log.held([PERSON]) == []
    assert "zoe" not in repr(world.log._written)
    assert "zoe" not in repr(world.annotator._tasks)
    assert len(world.annotator._tasks) == n_tasks - 1
    assert holding(world.folder / ".labelloop", "zoe") == []
    assert measured(world) == before
    assert done.inputs == (f"s3://production/{PERSON}",)
    assert world.store.exists(done.inputs[0])


def test_an_open_task_is_one_that_nobody_can_answer(world: World) -> None:
    play(world)
    world.clock.pass_(days=1, minutes=1)
    world.put("late.png", confidence="0.2", flagged="true")
    world.loop.run()
    [key] = [x.task_key for x in world.tasks().values() if x.sample_id == "late.png"]
    assert key in world.remote_keys()
    world.loop.forget(["late.png"])
    assert key not in world.remote_keys()
    [task] = [x for x in world.tasks().values() if x.forgotten]
    assert task.state is TaskState.UNAVAILABLE
    assert (task.uri, task.media_uri, task.remote_id) == ("", None, None)
    # what follows neither sends it again nor misses it
    for _ in range(2):
        assert not world.loop.run(now=True).failures
    assert key not in world.remote_keys()


def test_blind_copies_go_with_their_samples(make_world: MakeWorld) -> None:
    world = wide(make_world)
    play(world)
    [copy] = [task.media_uri for task in world.tasks().values() if task.sample_id == PERSON]
    assert copy is not None
    assert world.store.exists(copy)
    assert world.loop.forget([PERSON]).n_copies == 1
    assert not world.store.exists(copy)


def test_twins_that_stay_are_named(make_world: MakeWorld) -> None:
    world = wide(make_world)
    world.put("again.png", PERSON.encode())
    play(world)
    done = world.loop.forget([PERSON])
    assert done.twins == ("again.png",)
    assert world.log.held(["again.png"]) != []
    assert world.loop.forget(["again.png"]).twins == ()


def test_a_forgotten_sample_never_comes_back(world: World) -> None:
    play(world)
    world.loop.forget([PERSON, "not yet there.png"], unknown_too=True)
    world.put("not yet there.png")
    world.retag(PERSON, flagged="false")
    world.clock.pass_(hours=1)
    indexed = world.loop.index()
    assert (indexed.n_new, indexed.n_feedback, indexed.n_set_aside) == (0, 0, 0)
    assert world.log.held([PERSON, "not yet there.png"]) == []


def test_redacted_versions_name_their_old_hash_and_the_exports_taken(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    version = world.loop.dataset("training")
    untouched = world.loop.dataset("evaluation")
    assert any(row.sample_id == PERSON for row in manifest.rows(version))
    target = world.folder / "out.jsonl"
    world.loop.export([version], "jsonl", target)
    done = world.loop.forget([PERSON])

    now = world.loop.dataset("training")
    assert now.redacted_from == version.content_hash != now.content_hash
    assert now.n_human == version.n_human - 1
    [change] = done.redacted
    assert (change.name, change.version, change.n_rows) == ("training", version.version, 1)
    assert (change.old_hash, change.new_hash) == (version.content_hash, now.content_hash)
    assert [(e.format, e.target) for e in done.exports] == [("jsonl", str(target))]
    described = json.loads((Path(now.uri) / "dataset.json").read_text())
    assert described["content_hash"] == now.content_hash
    assert described["counts"]["human"] == now.n_human
    [said] = described["redacted"]
    assert (said["from"], said["rows"]) == (version.content_hash, 1)
    assert world.loop.dataset("evaluation") == untouched
    with world.loop.project.ledger.read() as tx:
        [event] = [e for e in events.of(tx, f"training v{now.version}") if e.verb == "redact"]
    assert version.content_hash in event.detail


def test_an_export_says_what_was_taken_out_of_its_version(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    version = world.loop.dataset("training")
    before, again = world.folder / "before", world.folder / "again.csv"
    assert world.loop.export([version], "imagefolder", before).redacted == ()
    world.loop.export([version], "csv", again)
    world.clock.pass_(hours=1)
    world.loop.forget([PERSON])
    world.clock.pass_(hours=1)
    now = world.loop.dataset("training")
    [said] = world.loop.export([now], "csv", again).redacted
    assert (said.dataset, said.version, said.n_rows) == ("training", now.version, 1)
    assert said.exports == (str(before),)
    assert "taken out" in (world.folder / "again.croissant.json").read_text()
    with pytest.raises(DatasetError, match="from before `labelloop forget` erased samples"):
        world.loop.export([now], "imagefolder", before)
    target = str(world.folder / "t.jsonl")
    cli = command(world, "datasets", "export", "training", "--to", "jsonl", "--target", target)
    assert f"1 sample was taken out of training v{now.version}" in cli.output, cli.output
    assert str(before) in cli.output
    built = world.loop.build()
    assert not built.training.is_new
    assert not built.evaluation.is_new


def test_a_version_that_only_the_folder_knows_is_redacted_too(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    home = world.folder / ".labelloop" / "datasets" / "training"
    shutil.copytree(home / "v0001", home / "v0009")
    (home / ".writing-killed").mkdir()
    shutil.copy(home / "v0001" / "manifest.parquet", home / ".writing-killed")
    world.loop.forget([PERSON])
    assert holding(home, "zoe") == []


def test_unknown_samples_are_named_and_nothing_is_done(world: World) -> None:
    play(world)
    before = dump(world)
    with pytest.raises(ArgumentError, match=r"doesn't know 'zoe/portait 17\.png'") as caught:
        world.loop.forget([PERSON, "zoe/portait 17.png"])
    assert "--unknown-too" in caught.value.remedy
    assert dump(world) == before
    with pytest.raises(ArgumentError, match="no sample was given"):
        world.loop.forget([])


def test_an_object_that_was_set_aside_or_never_read_can_be_forgotten(world: World) -> None:
    world.put("bad.png", confidence="2")
    world.loop.index()
    world.put("new.png")
    done = world.loop.forget(["bad.png", "new.png"])
    assert done.n_set_aside == 1
    assert "bad.png" not in dump(world)
    indexed = world.loop.index()
    assert (indexed.n_new, indexed.n_set_aside_in_all) == (0, 0)


def test_forgetting_again_is_no_error_and_does_it_again(world: World) -> None:
    play(world)
    world.loop.forget([PERSON])
    again = world.loop.forget([PERSON])
    assert (again.n_samples, again.n_again, again.n_predictions) == (1, 1, 0)


def test_a_dry_run_tells_what_would_go_and_writes_nothing(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    before = dump(world)
    told = world.loop.forget([PERSON], dry_run=True)
    assert dump(world) == before
    done = world.loop.forget([PERSON])
    assert told == replace(
        done, dry_run=True, redacted=tuple(replace(r, new_hash="") for r in done.redacted)
    )


@pytest.mark.parametrize("step", OTHERS)
def test_no_verb_runs_meanwhile(world: World, step: str) -> None:
    play(world)
    before = world.log.held([PERSON])
    with world.loop.project.ledger.lease(step), pytest.raises(LeaseHeld, match=step):
        world.loop.forget([PERSON])
    assert world.log.held([PERSON]) == before


def test_killed_again_and_again_it_finishes(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    told, before = world.loop.forget([PERSON], dry_run=True), measured(world)
    done = None
    begun: list[int] = []
    # the leases come first; then the note, and from there the runs that resume
    for at in (6, 7, 8, 7, 8, 9, 8, 99):
        kill_at_write(world, at)
        try:
            done = world.loop.forget([] if unfinished(world) else [PERSON])
        except Killed:
            _bury(world)
            # what runs in between neither fails nor brings anything back
            assert not world.loop.run().failures
        begun.append(len(unfinished(world)))
    assert begun == [0, 0, 1, 1, 1, 1, 1, 0]
    assert done is not None
    assert replace(done, dry_run=True, redacted=()) == replace(told, redacted=())
    assert [replace(r, new_hash="") for r in done.redacted] == list(told.redacted)
    assert measured(world) == before
    assert "zoe" not in dump(world)
    assert "zoe" not in repr((world.annotator._tasks, world.log._written))
    assert holding(world.folder / ".labelloop", "zoe") == []
    salt = world.loop.project.ledger.identity().salt  # type: ignore[union-attr]
    assert [x.sample_id for x in world.tasks().values() if x.forgotten] == [
        sample_hash(PERSON, salt)
    ]


def unfinished(world: World) -> list[Any]:
    with world.loop.project.ledger.read() as tx:
        return list(tx.execute(sa.select(t.erasures)))


def _bury(world: World) -> None:
    """A killed process can't give its leases back; this one lives on."""
    world.restart()
    engine = sa.create_engine(world.settings.state.ledger.get_secret_value())
    with engine.begin() as tx:
        tx.execute(t.leases.update().values(expires_at=0.0))
    engine.dispose()


def test_one_part_in_trouble_does_not_stop_the_others(make_world: MakeWorld) -> None:
    world = wide(make_world)
    play(world)
    world.annotator.fail_next("projects", carried_out=False)
    with pytest.raises(LabelloopError, match="aren't erased everywhere yet") as caught:
        world.loop.forget([PERSON])
    assert "without a sample" in caught.value.remedy
    assert isinstance(caught.value.__cause__, AnnotatorUnavailable)
    assert world.log.held([PERSON]) == []
    assert len(world.remote_keys()) == len(set(world.remote_keys()))
    done = world.loop.forget([])
    assert (done.n_samples, done.n_tasks) == (1, 1)
    assert "zoe" not in dump(world)


def test_a_store_in_trouble_is_waited_for(make_world: MakeWorld) -> None:
    world = wide(make_world)
    play(world)

    def refuse(call: str, _uri: str) -> None:
        if call == "delete":
            raise StoreUnavailable("down")

    world.store.before = refuse
    with pytest.raises(LabelloopError, match="yet: down"):
        world.loop.forget([PERSON])
    world.store.before = lambda _call, _uri: None
    assert world.loop.forget([]).n_copies == 1


def test_a_task_that_label_studio_brings_back_is_deleted_by_collect(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    held = dict(world.annotator._tasks)
    world.loop.forget([PERSON])
    assert len(world.annotator._tasks) == len(held) - 1
    world.annotator._tasks.update(held)
    world.loop.collect()
    assert set(world.annotator._tasks) < set(held)


def test_the_sqlite_file_keeps_no_byte_of_it(make_world: MakeWorld) -> None:
    world = wide(make_world)
    play(world)
    ledger = world.folder / ".labelloop" / "ledger.db"
    assert b"zoe/portrait" in ledger.read_bytes() + Path(f"{ledger}-wal").read_bytes()
    world.loop.forget([PERSON])
    for path in ledger.parent.glob("ledger.db*"):
        assert b"zoe" not in path.read_bytes(), path.name


def test_the_tables_of_postgresql_keep_no_byte_of_it(
    postgresql: PostgreSQL, make_world: MakeWorld
) -> None:
    world = make_world(
        ACCURACY.replace("5", "50"), head=f'{HEAD}\n[state]\nledger = "{postgresql.ledger()}"\n'
    )
    play(world)
    files = postgresql.files(world.loop.project.ledger.place.rpartition("/")[2])
    assert any(b"zoe/portrait" in path.read_bytes() for path in files)
    world.loop.forget([PERSON])
    files = postgresql.files(world.loop.project.ledger.place.rpartition("/")[2])
    assert [path.name for path in files if b"zoe" in path.read_bytes()] == []


def test_a_reader_that_stays_keeps_the_forgetting_open(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.ledger.engine.WAIT_S", 0.2)
    world = wide(make_world)
    play(world)
    reader = sqlite3.connect(world.folder / ".labelloop" / "ledger.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM tasks").fetchone()
    with pytest.raises(LabelloopError, match="another process kept reading the ledger"):
        world.loop.forget([PERSON])
    reader.close()
    world.loop.forget([])
    assert unfinished(world) == []
    assert holding(world.folder / ".labelloop", "zoe") == []


# --- the command ------------------------------------------------------------------------------


def command(world: World, *args: str, **keywords: Any) -> Any:
    """`labelloop ARGS` over a world in memory."""
    from click.testing import CliRunner

    from labelloop.cli import datasets, forget
    from labelloop.cli.main import group

    class Opened:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Any:
            return world.loop

        def __exit__(self, *_: object) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        for module in (forget, datasets):
            patch.setattr(module, "opened", Opened)
        return CliRunner().invoke(group, args, **keywords)


def test_the_command_says_what_went_and_what_is_left_to_do(make_world: MakeWorld) -> None:
    world = training(make_world)
    play(world)
    version = world.loop.dataset("training")
    world.loop.export([version], "jsonl", world.folder / "out.jsonl")
    asked = command(world, "forget", PERSON)
    assert asked.exit_code == 1
    assert "this isn't a terminal" in str(asked.exception)
    assert world.log.held([PERSON]) != []
    told = command(world, "forget", PERSON, "--dry-run")
    assert "1 sample would be forgotten" in told.output
    listed = world.folder / "list.txt"
    listed.write_text(f"{PERSON}\r\n\n")
    done = command(world, "forget", "--from", str(listed), "--yes")
    assert done.exit_code == 0, done.output
    assert "1 prediction, 1 flag or correction" in done.output
    assert f"training v{version.version}" in done.output
    assert version.content_hash[:12] in done.output
    assert str(world.folder / "out.jsonl") in done.output
    assert f"s3://production/{PERSON}" in done.output
    listed.write_text("\n")
    nothing = command(world, "forget", "--from", str(listed), "--yes")
    assert "contains no sample_id" in str(nothing.exception)
    again = result_of(command(world, "forget", PERSON, "--yes", "--json").output)
    assert (again["n_again"], again["n_predictions"]) == (1, 0)
    told_again = command(world, "forget", PERSON, "--yes").output
    assert told_again.startswith("1 sample, forgotten before\n")


def test_the_list_of_versions_shows_what_was_redacted_on_eighty_columns(
    make_world: MakeWorld,
) -> None:
    world = training(make_world)
    play(world)
    before = world.loop.dataset("training")
    world.loop.forget([PERSON])
    after = world.loop.dataset("training")
    shown = table_lines(versions(world.loop.datasets(), "UTC"), 80)
    (row,) = (line for line in shown if after.content_hash[:12] in line)
    assert row.split()[:2] == ["training", "v1"]
    assert before.content_hash[:12] in row
    assert "redaction" in shown[1]
