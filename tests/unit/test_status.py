"""What waits for whom, since when, and what blocks."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from labelloop.cli import status as cli
from labelloop.cli.main import group
from labelloop.core.task import TaskState
from labelloop.ledger import tables as t
from labelloop.views.status import AGES, OLDER, Status
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, FLAGGED, HEAD, LOW, Killed, World, kill_at_write

IN_MID_SEND = 6
"""The write that notes the ids of the first batch, after its tasks were sent."""


def blocks(found: Status) -> dict[str, int]:
    return {block.kind: block.n for block in found.blocks}


def bury(world: World) -> None:
    """A killed process can't give its leases back; this one lives on."""
    world.restart()
    engine = sa.create_engine(world.settings.state.ledger.get_secret_value())
    with engine.begin() as tx:
        tx.execute(t.leases.update().values(expires_at=0.0))
    engine.dispose()


def morning(world: World) -> None:
    """Rounds of nine, five, two and no days ago, of which people answered little."""
    for days in (4, 3, 2, 0.1):
        world.traffic(12, confidence="0.5")
        world.loop.run(now=True)
        world.clock.pass_(days=days)


def test_a_new_project_waits_for_nobody(world: World) -> None:
    found = world.loop.status()
    assert (found.queues, found.blocks, dict(found.running)) == ((), (), {})
    assert world.loop.waits() == []


def test_what_waits_is_told_by_queue_and_age_the_longest_first(
    make_world: MakeWorld, kind: str
) -> None:
    world = make_world()
    morning(world)
    answered = world.annotator.task_ids(world.project_ref("accuracy"))[:5]
    for remote_id in answered:
        world.annotator.answer(remote_id, "cat", by="ana")
    world.loop.collect()
    accuracy, low = sorted(world.loop.status().queues, key=lambda q: q.queue)
    assert accuracy.by_age == dict(zip((*AGES, OLDER), (5, 5, 5, 0), strict=True))
    assert low.by_age == dict(zip((*AGES, OLDER), (4, 4, 4, 4), strict=True))
    assert [q.queue for q in world.loop.status().queues] == ["low", "accuracy"]
    assert low.oldest_at is not None
    assert accuracy.oldest_at is not None
    assert low.oldest_at < accuracy.oldest_at
    waits = world.loop.waits()
    assert len(waits) == 15 + 16
    assert [w.since for w in waits] == sorted(w.since for w in waits if w.since)
    assert {w.queue for w in waits[:4]} == {"low"}


def test_what_is_drawn_and_not_sent_waits_since_its_round(world: World) -> None:
    world.traffic(12)
    world.loop.index()
    world.loop.select()
    drawn_at = world.clock.at
    world.clock.pass_(hours=5)
    for queue in world.loop.status().queues:
        assert (queue.drawn_at, queue.oldest_at) == (drawn_at, None)


def tied(world: World) -> None:
    ids = world.annotator.task_ids(world.project_ref("accuracy"))
    for person, choice in (("ana", "cat"), ("ben", "dog")):
        world.annotator.answer(ids[0], choice, by=person)
    world.annotator.skip(ids[1], by="ana")
    world.loop.collect()


def gone(world: World) -> None:
    held = world.annotator
    held._tasks.pop(held.task_ids(world.project_ref("accuracy"))[0])
    world.loop.collect()


def interrupted(world: World) -> None:
    world.traffic(12, confidence="0.5")
    world.loop.index()
    world.loop.select(now=True)
    kill_at_write(world, IN_MID_SEND)
    with pytest.raises(Killed):
        world.loop.send()
    bury(world)


def lapsed(world: World) -> None:
    world.clock.pass_(days=8)


def half_indexed(world: World) -> None:
    world.traffic(3)
    kill_at_write(world, 3)
    with pytest.raises(Killed):
        world.loop.index()
    bury(world)


def no_input(world: World) -> None:
    world.traffic(12)
    world.loop.index()
    world.loop.select(now=True)
    for draw in world.draws("accuracy")[-2:]:
        del world.store.objects_by_uri[f"s3://production/{draw.sample_id}"]
    world.loop.send()


def half_forgotten(world: World) -> None:
    sample = world.draws("accuracy")[0].sample_id
    kill_at_write(world, 8)
    with pytest.raises(Killed):
        world.loop.forget([sample])
    bury(world)


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (tied, {"tied": 1, "skipped": 1}),
        (gone, {"to send again": 1}),
        (interrupted, {"in doubt": 5, "to send": 4}),
        (lapsed, {"lapsed": 9}),
        (half_indexed, {"batches": 1}),
        (no_input, {"unavailable": 2}),
        (half_forgotten, {"forgotten": 1, "erasures": 1}),
    ],
)
def test_what_blocks_is_named_with_its_remedy(
    make_world: MakeWorld, trouble: Callable[[World], None], expected: dict[str, int]
) -> None:
    world = make_world(ACCURACY + "annotators_per_sample = 2\n" + LOW + FLAGGED)
    world.traffic(12)
    world.loop.run()
    assert blocks(world.loop.status()) == {}
    trouble(world)
    found = world.loop.status()
    assert blocks(found) == expected
    assert all(block.says and block.remedy for block in found.blocks)


def test_a_verb_that_runs_is_named_and_its_work_is_not_stuck(world: World) -> None:
    world.traffic(3)
    half_indexed(world)
    with world.loop.project.ledger.lease("index"):
        found = world.loop.status()
    assert list(found.running) == ["index"]
    assert "process" in found.running["index"]
    assert blocks(found) == {}
    assert world.loop.status().running == {}


def test_what_was_set_aside_since_yesterday_stands_apart(world: World) -> None:
    world.put("old.png", confidence="much")
    world.loop.index()
    world.clock.pass_(days=2)
    world.put("new.png", confidence="more")
    world.put("newer.png", predicted_class="cow")
    world.loop.index()
    found = world.loop.status()
    number = "confidence isn't a number in [0, 1]"
    assert dict(found.n_rejected) == {number: 2, "unknown class": 1}
    assert dict(found.n_rejected_last_day) == {number: 1, "unknown class": 1}


def command(world: World, *args: str) -> Any:
    class Opened:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Any:
            return world.loop

        def __exit__(self, *_: object) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "opened", Opened)
        return CliRunner().invoke(group, ["status", *args])


def test_the_screen_shows_ages_blocks_and_the_tasks_with_their_pages(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + "annotators_per_sample = 2\n" + LOW + FLAGGED)
    morning(world)
    tied(world)
    shown = command(world).output
    assert "under 1 day" in shown
    assert "over 7 days" in shown
    assert "What blocks" in shown
    assert "- 1 task tied: people disagree. `labelloop status --ties` lists them" in shown
    assert world.states()[TaskState.TIED] == 1
    listed = command(world, "--waiting").output.splitlines()
    assert len(listed) == len(world.loop.waits())
    assert listed[0].startswith("02 Mar 12:00")
    assert "/tasks/" in listed[0]
    assert '"by_age"' in command(world, "--json").output


def test_skipped_tasks_are_listed_with_their_pages(world: World) -> None:
    world.traffic(6)
    world.loop.run()
    [ref] = {task.project_ref for task in world.loop.waits()[:1]}
    first = world.loop.waits()[0]
    world.annotator.skip(first.remote_id, by="ana")
    assert command(world, "--skipped").output == "nothing was skipped\n", "not collected yet"
    world.loop.collect()
    [line] = command(world, "--skipped").output.replace("\n  ", " ").splitlines()
    assert first.sample_id in line
    assert "/tasks/" in line or ref in line


def test_rows_set_aside_are_listed_in_the_projects_time_zone(make_world: MakeWorld) -> None:
    world = make_world(head=HEAD.replace("[project]", '[project]\ntimezone = "Asia/Tokyo"'))
    world.put("odd.png", confidence="much")
    world.loop.index()
    utc, there = world.clock.at, world.clock.at + timedelta(hours=9)
    [line] = command(world, "--rejected").output.splitlines()
    assert line.startswith(f"{there:%Y-%m-%d %H:%M}  ")
    assert not line.startswith(f"{utc:%Y-%m-%d %H:%M}")


def test_an_answer_that_is_no_class_is_shown_with_its_page_and_its_person(world: World) -> None:
    morning(world)
    world.annotator.answer("t1", "a bird", by="ana")
    world.loop.collect()
    said = "An answer that is no class: 'a bird' by account ana, in accuracy: http://"
    assert said in " ".join(command(world).output.split())


def test_it_says_why_a_queue_drew_more_than_it_sent(make_world: MakeWorld) -> None:
    world = make_world(LOW.replace("budget = 4\n", ""))
    for name in ("a", "b", "c"):
        world.put(f"{name}.png", b"the same", confidence="0.2")
    for name in ("gone", "there", "there too"):
        world.put(f"{name}.png", confidence="0.2")
    world.loop.index()
    del world.store.objects_by_uri["s3://production/gone.png"]
    world.loop.select()
    [waiting] = world.loop.status().not_sent
    assert (waiting.n_sent, waiting.why["waiting to be sent"]) == (0, 4)
    world.loop.send()
    [found] = world.loop.status().not_sent
    assert (found.n_drawn, found.n_sent) == (6, 3)
    assert dict(found.why) == {
        "share the task of a byte-identical copy": 2,
        "lost: the input is gone, overwritten, or can't be shown": 1,
    }


def test_a_queue_that_sent_what_it_drew_needs_no_words(world: World) -> None:
    world.traffic(20)
    world.loop.run(now=True)
    world.answer_all("cat")
    world.loop.collect()
    assert world.loop.status().not_sent == ()
