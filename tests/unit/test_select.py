"""select: frames neither overlap nor leave gaps, budgets are spent once, evaluation goes first."""

from datetime import datetime, timedelta

import pytest

from labelloop.core.queue import Purpose
from labelloop.errors import ArgumentError, WhereError
from labelloop.ledger import events, rounds
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, FLAGGED, LOW, Killed, World, kill_at_write

ALL = """
[[queue]]
name = "everything"
purpose = "training"
"""


def test_a_round_is_drawn_when_it_is_due_and_not_before(world: World) -> None:
    world.traffic(30)
    world.loop.index()
    first = world.loop.select()
    assert (first.round, first.n_frame) == (1, 30)
    assert first.due_at == world.clock.at + timedelta(days=1)
    world.traffic(30)
    world.loop.index()
    again = world.loop.select()
    assert (again.round, again.due, again.plans) == (None, False, ())
    assert again.due_at == first.due_at
    assert world.loop.select(now=True).round == 2
    world.clock.pass_(hours=25)
    assert world.loop.select().round is None
    world.traffic(1)
    world.loop.index()
    assert world.loop.select().round == 3


def test_a_retry_spends_no_second_budget(world: World) -> None:
    world.traffic(30)
    world.loop.index()
    world.loop.select()
    before = world.draws()
    for _ in range(3):
        world.loop.select()
    world.loop.select(now=True)
    assert world.draws() == before


def test_a_frame_of_nothing_makes_no_round(world: World) -> None:
    found = world.loop.select()
    assert (found.round, found.n_frame, found.due) == (None, 0, True)


def test_frames_neither_overlap_nor_leave_gaps(make_world: MakeWorld) -> None:
    world = make_world(ALL)
    everything = []
    for day in range(6):
        late = (world.clock.at - timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        everything += world.traffic(3 + day)
        everything += world.traffic(2, timestamp=late)
        world.loop.index()
        if day % 2:
            everything += world.traffic(1)
            world.loop.index()
        world.loop.select()
        world.clock.pass_(days=1)
    with world.loop.project.ledger.read() as tx:
        made = rounds.every(tx)
    assert [r.frame.batch_after for r in made[1:]] == [r.frame.batch_to for r in made[:-1]]
    drawn = [d.sample_id for d in world.draws()]
    assert sorted(drawn) == sorted(everything)
    assert sum(r.n_frame for r in made) == len(everything)


def test_the_first_round_skips_what_is_older_than_its_window_and_counts_it(world: World) -> None:
    old = world.traffic(4, timestamp="2026-02-01T00:00:00Z")
    world.traffic(6)
    world.loop.index()
    found = world.loop.select()
    assert (found.n_frame, found.n_skipped) == (6, 4)
    world.clock.pass_(days=1)
    world.traffic(2)
    world.traffic(3, timestamp="2026-02-01T00:00:00Z")
    world.loop.index()
    found = world.loop.select()
    assert (found.n_frame, found.n_skipped) == (5, 0)
    assert not set(old) & {d.sample_id for d in world.draws()}


def test_a_budget_larger_than_the_frame_draws_all_of_it(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("5", "500"))
    world.traffic(8)
    world.loop.index()
    (plan,) = world.loop.select().plans
    assert (plan.n_matching, plan.n_drawn, plan.inclusion) == (8, 8, 1.0)


def test_queues_draw_by_their_rules_and_none_twice(world: World) -> None:
    world.traffic(20, confidence="0.95")
    world.traffic(20, confidence="0.3")
    world.loop.index()
    accuracy, low, flagged = world.loop.select().plans
    assert (accuracy.n_matching, accuracy.n_drawn, accuracy.inclusion) == (40, 5, 5 / 40)
    drawn_low = sum((d.confidence or 0) < 0.7 for d in world.draws("accuracy"))
    assert (low.n_matching, low.n_drawn) == (20 - drawn_low, 4)
    assert low.inclusion == pytest.approx(4 / (20 - drawn_low))
    assert (flagged.n_matching, flagged.n_drawn) == (0, 0)
    ids = [d.sample_id for d in world.draws()]
    assert len(ids) == len(set(ids)) == 9
    assert all((d.confidence or 0) < 0.7 for d in world.draws("low"))


def test_a_missing_confidence_matches_no_comparison(world: World) -> None:
    world.traffic(20, confidence="-")
    world.loop.index()
    accuracy, low, _ = world.loop.select().plans
    assert (accuracy.n_drawn, low.n_matching) == (5, 0)


def test_the_evaluation_sample_is_the_smallest_places_in_their_order(world: World) -> None:
    keys = world.traffic(40)
    world.loop.index()
    world.loop.select()
    from labelloop.core.line import line

    expected = sorted(keys, key=lambda key: line(key, world.log.salt))[:5]
    assert [d.sample_id for d in world.draws("accuracy")] == expected
    assert [d.position for d in world.draws("accuracy")] == list(range(5))
    assert all(d.uniform for d in world.draws("accuracy"))


def test_the_histogram_of_the_frame_stands_with_the_round(world: World) -> None:
    world.traffic(40)
    world.loop.index()
    selected = world.loop.select()
    with world.loop.project.ledger.read() as tx:
        cells = rounds.cells_of(tx, 1)
        told = events.of(tx, "1")
    for plan in selected.plans[:2]:
        assert sum(c.n for c in cells if c.queue == plan.queue) == plan.n_matching
    assert {c.cut for c in cells if c.queue == "accuracy"} == {
        max(d.line for d in _draws_with_line(world))
    }
    assert [e.detail for e in told] == ["accuracy 5, low 4, flagged 0"]


def _draws_with_line(world: World):  # type: ignore[no-untyped-def]
    import sqlalchemy as sa

    from labelloop.ledger import tables as t

    with world.loop.project.ledger.read() as tx:
        return tx.execute(sa.select(t.draws).where(t.draws.c.queue == "accuracy")).all()


def test_a_dry_run_shows_the_same_and_writes_nothing(world: World) -> None:
    world.traffic(40)
    world.loop.index()
    world.loop.close()  # which folds the write-ahead log into the file
    before = (world.folder / ".labelloop/ledger.db").read_bytes()
    shown = world.loop.select(dry_run=True)
    world.loop.close()
    assert (world.folder / ".labelloop/ledger.db").read_bytes() == before
    world.restart()
    assert shown.round is None
    assert world.draws() == []
    assert world.loop.select().plans == shown.plans
    assert world.loop.select(dry_run=True).n_frame == 0


def test_feedback_is_drawn_by_its_own_clock_however_old_the_prediction(world: World) -> None:
    old = world.traffic(30, confidence="0.99")
    world.loop.index()
    world.loop.select()
    evaluated = {d.sample_id for d in world.draws("accuracy")}
    for key in old:
        world.retag(key, flagged="true")
    world.clock.pass_(days=1)
    world.loop.index()
    found = world.loop.select()
    assert found.n_frame == 0
    assert {d.sample_id for d in world.draws("flagged")} == set(old) - evaluated
    world.clock.pass_(days=1)
    assert world.loop.select().round is None


def test_feedback_in_the_frame_itself_goes_to_one_queue_only(world: World) -> None:
    keys = world.traffic(12, confidence="0.1", flagged="true")
    world.loop.index()
    accuracy, low, flagged = world.loop.select().plans
    assert (accuracy.n_drawn, low.n_drawn, flagged.n_drawn) == (5, 4, 3)
    assert sorted(d.sample_id for d in world.draws()) == sorted(keys)


def test_a_budget_on_feedback_is_no_probability_sample(make_world: MakeWorld) -> None:
    world = make_world(FLAGGED.replace("show", "budget = 2\nshow"))
    world.traffic(6, flagged="true")
    world.loop.index()
    (plan,) = world.loop.select().plans
    assert (plan.n_matching, plan.n_drawn, plan.inclusion) == (6, 2, None)
    assert {d.inclusion for d in world.draws()} == {None}


def test_an_extra_round_takes_exactly_the_matching_rows_and_moves_no_frame(world: World) -> None:
    for day in range(3):
        world.traffic(10)
        world.loop.index()
        if day == 0:
            world.loop.select()
        world.clock.pass_(days=1)
    start = world.clock.at - timedelta(days=3)
    extra = world.loop.select(since=start, until=start + timedelta(days=1))
    assert (extra.extra, extra.n_frame, extra.round) == (True, 10, 2)
    regular = world.loop.select()
    assert (regular.extra, regular.n_frame, regular.round) == (False, 20, 3)


def test_an_extra_round_shares_the_tasks_of_its_samples(world: World) -> None:
    world.traffic(10)
    world.loop.index()
    world.loop.select()
    before = world.tasks()
    world.loop.select(since=world.clock.at - timedelta(days=1))
    assert len(world.draws("accuracy")) == 10
    evaluation = {k for k in before if k.startswith("evaluation")}
    assert {k for k in world.tasks() if k.startswith("evaluation")} == evaluation


def test_evaluation_wins_over_training_with_a_blind_task_of_its_own(make_world: MakeWorld) -> None:
    world = make_world(LOW)
    world.traffic(4, confidence="0.1")
    world.loop.index()
    world.loop.select()
    world.configure(ACCURACY + LOW)
    world.loop.select(since=datetime(2026, 1, 1, tzinfo=world.clock.at.tzinfo))
    tasks = world.tasks()
    assert len(tasks) == 8
    assert {t.purpose for t in tasks.values()} == {Purpose.EVALUATION, Purpose.TRAINING}
    assert len({t.task_key for t in tasks.values()}) == 8


def test_versions_that_hold_what_is_drawn_for_evaluation_are_named(make_world: MakeWorld) -> None:
    world = make_world(LOW)
    world.traffic(4, confidence="0.95")
    world.loop.index()
    world.loop.select()
    assert world.loop.build().training.n_model == 4
    world.configure(ACCURACY + LOW)
    selected = world.loop.select(since=datetime(2026, 1, 1, tzinfo=world.clock.at.tzinfo))
    assert selected.already_trained == (("training v1", 4),)
    assert world.loop.build().training.n_model == 0


def test_training_never_takes_what_evaluation_took_before(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.traffic(5, confidence="0.1")
    world.loop.index()
    world.loop.select()
    world.configure(LOW)
    found = world.loop.select(since=world.clock.at - timedelta(days=1))
    assert found.plans[0].n_drawn == 0


def test_a_since_that_is_not_before_until_is_refused(world: World) -> None:
    with pytest.raises(ArgumentError, match="isn't before --until"):
        world.loop.select(since=world.clock.at, until=world.clock.at)


def test_a_tag_that_no_prediction_carries_is_refused_with_those_that_are_there(
    make_world: MakeWorld,
) -> None:
    world = make_world(LOW.replace("confidence < 0.7", "attributes.sit = 'Bern'"))
    assert world.loop.select().round is None
    world.traffic(3, site="Bern")
    world.loop.index()
    with pytest.raises(WhereError, match="'sit'") as caught:
        world.loop.select()
    assert "site" in caught.value.remedy


def test_draws_name_what_they_were_drawn_by(world: World) -> None:
    world.traffic(20, confidence="0.1")
    world.loop.index()
    world.loop.select()
    rows = _draws_with_line(world)
    assert {r.reason for r in rows} == {
        "auto 5 of all traffic: 5 of 20, at random until a risk is learned"
    }
    assert {r.inclusion for r in rows} == {0.25}
    assert all(r.risk == pytest.approx(0.9, abs=1e-3) for r in rows)
    with world.loop.project.ledger.read() as tx:
        (made,) = rounds.every(tx)
    assert made.snapshot == world.log.snapshot()


@pytest.mark.parametrize("at", [1, 2])
def test_a_round_is_written_whole_or_not_at_all(make_world: MakeWorld, at: int) -> None:
    killed, whole = make_world(), make_world()
    for world in (killed, whole):
        world.traffic(30)
        world.loop.index()
    kill_at_write(killed, at)
    with pytest.raises(Killed):
        killed.loop.select()
    assert killed.draws() == []
    killed.restart()
    assert killed.loop.select() == whole.loop.select()
    assert killed.draws() == whole.draws()


def test_what_was_set_aside_is_counted_once_over_regular_rounds(world: World) -> None:
    def set_aside() -> dict[int, int]:
        with world.loop.project.ledger.read() as tx:
            return {n: rows.least for n, rows in rounds.n_rejected(tx).items()}

    world.traffic(5)
    world.put("bad1.png", confidence="abc")
    world.loop.index()
    world.loop.select()
    world.clock.pass_(days=1)
    world.traffic(5)
    world.put("bad2.png", confidence="abc")
    world.put("odd.png", flagged="maybe")  # its prediction is in the frame
    world.loop.index()
    world.loop.select(since=world.clock.at - timedelta(days=9))
    world.loop.select()
    assert set_aside() == {1: 1, 2: 2, 3: 1}
