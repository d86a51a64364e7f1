"""measure: what the blind labels say, with what is missing beside it."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.measuring.accuracy import Accuracy
from labelloop.statistics import wilson
from labelloop.statistics.classes import ClassTable
from labelloop.views.sentences import summary
from labelloop.views.verbs import measure_line, select_line
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, LOW, World

TEN = ACCURACY.replace("5", "10")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(TEN)


def draw(world: World, n: int, **tags: str) -> None:
    world.traffic(n, **tags)
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()


def answer(world: World, says: dict[int, str | None], *, queue: str = "accuracy") -> None:
    """Answer the open tasks by their position; None skips."""
    for position, remote in enumerate(world.annotator.task_ids(world.project_ref(queue))):
        if position in says:
            said = says[position]
            if said is None:
                world.annotator.skip(remote, by="ana")
            else:
                world.annotator.answer(remote, said, by="ana")
    world.loop.collect()


def estimate(accuracy: Accuracy) -> Estimate:
    assert isinstance(accuracy.estimate, Estimate)
    return accuracy.estimate


def test_without_any_round_nothing_is_estimated(world: World) -> None:
    found = world.loop.measure()
    assert found.last_seven_days.estimate == Undefined("nothing was drawn for evaluation")
    assert (found.rounds, found.days, found.by_class.rows, found.confusion) == ((), (), (), ())
    assert found.n_random_sample is None


def test_without_any_answer_the_reason_is_given(world: World) -> None:
    draw(world, 50)
    found = world.loop.measure()
    for accuracy in (found.last_seven_days, *found.rounds, *found.days):
        assert accuracy.estimate == Undefined("no blind draw has an answer")
    assert found.by_class == ClassTable(rows=(), macro_f1=Undefined("no labels"))
    assert (found.rounds[0].n_drawn, found.rounds[0].n_waiting) == (10, 10)


def test_without_an_evaluation_queue_the_reason_is_given(make_world: MakeWorld) -> None:
    world = make_world(LOW)
    draw(world, 20)
    (only,) = world.loop.measure().rounds
    assert only.estimate == Undefined("nothing was drawn for evaluation")


def test_all_answers_give_wilson_with_the_finite_population(world: World) -> None:
    draw(world, 50, predicted_class="cat")
    answer(world, {n: "cat" if n < 8 else "dog" for n in range(10)})
    found = world.loop.measure()
    plain = wilson(8, 10, population=50)
    assert isinstance(plain, Estimate)
    for accuracy in (found.last_seven_days, found.rounds[0], found.days[0]):
        got = estimate(accuracy)
        assert (got.value, got.low, got.high, got.n) == (0.8, plain.low, plain.high, 10)
        assert (got.worst_low, got.worst_high) == (got.low, got.high)
        assert accuracy.n_traffic == 50
    cat, dog = found.by_class.rows
    assert (cat.name, dog.name) == ("cat", "dog")
    assert isinstance(cat.precision, Estimate)
    assert (cat.precision.value, cat.precision.n) == (0.8, 10)
    assert cat.precision.low <= plain.low < plain.high <= cat.precision.high
    assert isinstance(cat.recall, Estimate)
    assert cat.recall.value == 1.0
    assert isinstance(dog.share, Estimate)
    assert (cat.share_predicted, dog.share_predicted) == (1.0, 0.0)
    assert dog.share.value == pytest.approx(0.2)
    assert [(c.predicted_class, c.label, c.n) for c in found.confusion] == [
        ("cat", "cat", 8),
        ("cat", "dog", 2),
    ]
    assert found.n_random_sample is not None
    assert found.n_random_sample >= 10


def test_what_lies_behind_the_furthest_answer_is_not_missing_yet(world: World) -> None:
    draw(world, 50, predicted_class="cat")
    answer(world, {0: "cat", 1: "cat", 3: "dog"})
    (accuracy,) = world.loop.measure().rounds
    got = estimate(accuracy)
    assert (got.value, got.n) == (pytest.approx(2 / 3), 3)
    worst, best = wilson(2, 4, population=50), wilson(3, 4, population=50)
    assert isinstance(worst, Estimate)
    assert isinstance(best, Estimate)
    assert (got.worst_low, got.worst_high) == (min(got.low, worst.low), max(got.high, best.high))
    assert (accuracy.n_labelled, accuracy.n_waiting, accuracy.n_skipped) == (3, 7, 0)


def test_skips_are_missing_answers(world: World) -> None:
    draw(world, 50, predicted_class="cat")
    answer(world, {0: "cat", 1: None, 2: "cat", 9: None})
    (accuracy,) = world.loop.measure().rounds
    got = estimate(accuracy)
    assert (got.value, got.n) == (1.0, 2)
    worst = wilson(2, 3, population=50)
    assert isinstance(worst, Estimate)
    assert got.worst_low == pytest.approx(worst.low)
    assert (accuracy.n_labelled, accuracy.n_skipped, accuracy.n_waiting) == (2, 2, 6)


@pytest.mark.mistake("input-gone")
def test_inputs_that_are_gone_count_as_missing(world: World) -> None:
    world.traffic(50, predicted_class="cat")
    world.loop.index()
    world.loop.select()
    gone = world.draws("accuracy")[0].sample_id
    del world.store.objects_by_uri[f"s3://production/{gone}"]
    world.loop.send()
    answer(world, dict.fromkeys(range(9), "cat"))
    (accuracy,) = world.loop.measure().rounds
    assert (accuracy.n_labelled, accuracy.n_skipped, accuracy.n_drawn) == (9, 1, 10)
    assert estimate(accuracy).worst_low < estimate(accuracy).low


def test_rows_set_aside_widen_the_worst_case(world: World) -> None:
    for n in range(10):
        world.put(f"bad{n}.png", confidence="abc")
    draw(world, 40, predicted_class="cat")
    answer(world, dict.fromkeys(range(10), "cat"))
    (accuracy,) = world.loop.measure().rounds
    got = estimate(accuracy)
    assert accuracy.n_set_aside == 10
    assert got.worst_low == pytest.approx(got.low * 40 / 50)
    assert got.worst_high == 1.0


def test_a_day_is_cut_in_the_projects_time_zone(make_world: MakeWorld) -> None:
    late = "2026-03-01T23:30:00Z"  # half past midnight in Zurich
    by_zone = {}
    for zone in ("UTC", "Europe/Zurich"):
        world = make_world(TEN, head=HEAD.replace("[store]", f'timezone = "{zone}"\n[store]', 1))
        draw(world, 20, timestamp=late)
        by_zone[zone] = [d.name for d in world.loop.measure().days]
    assert by_zone == {"UTC": ["2026-03-01"], "Europe/Zurich": ["2026-03-02"]}


def test_days_and_rounds_are_apart_and_the_window_pools_them_by_traffic(world: World) -> None:
    world.put("bad.png", confidence="abc")
    draw(world, 30, predicted_class="cat")
    answer(world, dict.fromkeys(range(10), "cat"))
    world.clock.pass_(days=1)
    draw(world, 90, predicted_class="cat")
    answer(world, dict.fromkeys(range(10, 20), "dog"))
    found = world.loop.measure()
    assert [estimate(r).value for r in found.rounds] == [1.0, 0.0]
    assert [estimate(d).value for d in found.days] == [1.0, 0.0]
    assert [d.n_set_aside for d in found.days] == [1, 0]
    assert estimate(found.last_seven_days).value == pytest.approx(30 / 120)
    assert found.last_seven_days.n_traffic == 120


def test_the_window_ends_seven_days_ago(world: World) -> None:
    draw(world, 30, predicted_class="cat")
    answer(world, dict.fromkeys(range(10), "dog"))
    world.clock.pass_(days=5)
    draw(world, 30, predicted_class="cat")
    answer(world, dict.fromkeys(range(10, 20), "cat"))
    world.clock.pass_(days=3)
    found = world.loop.measure()
    assert estimate(found.last_seven_days).value == 1.0
    assert len(found.rounds) == 2
    world.clock.pass_(days=30)
    found = world.loop.measure()
    assert found.last_seven_days.estimate == Undefined("nothing was drawn for evaluation")
    assert found.by_class.rows == ()


def test_extra_rounds_are_apart_and_never_pooled(world: World) -> None:
    draw(world, 30, predicted_class="cat")
    world.clock.pass_(hours=1)
    before = world.loop.measure()
    world.loop.select(since=datetime(2026, 1, 1, tzinfo=world.clock.at.tzinfo))
    world.loop.send()
    answer(world, dict.fromkeys(range(10), "cat"))
    found = world.loop.measure()
    assert [r.name for r in found.rounds] == ["round 1"]
    assert [r.name for r in found.extra_rounds] == ["round 2 (extra)"]
    assert found.last_seven_days.n_drawn == before.last_seven_days.n_drawn == 10
    assert estimate(found.extra_rounds[0]).value == 1.0


def test_training_labels_are_in_no_accuracy(make_world: MakeWorld) -> None:
    world = make_world(TEN + LOW)
    draw(world, 60, predicted_class="cat", confidence="0.3")
    answer(world, dict.fromkeys(range(10), "dog"), queue="low")
    found = world.loop.measure()
    assert isinstance(found.last_seven_days.estimate, Undefined)
    assert found.confusion == ()


def test_an_edited_answer_changes_the_number(world: World) -> None:
    draw(world, 30, predicted_class="cat")
    answer(world, dict.fromkeys(range(10), "cat"))
    page = next(iter(world.annotator.tasks(world.project_ref("accuracy"))))
    world.annotator.edit(page[0].annotations[0].remote_id, "dog")
    world.loop.collect()
    assert estimate(world.loop.measure().rounds[0]).value == 0.9


def test_measuring_writes_nothing_but_what_it_keeps(world: World) -> None:
    draw(world, 30)

    def held() -> list[str]:
        with closing(sqlite3.connect(world.folder / ".labelloop/ledger.db")) as connection:
            dump = list(connection.iterdump())
        return [line for line in dump if not line.startswith('INSERT INTO "measured"')]

    before = held()
    world.loop.measure()
    world.loop.status()
    assert held() == before


def test_status_says_what_waits_and_when_a_round_is_due(world: World) -> None:
    assert world.loop.status().due
    draw(world, 30)
    answer(world, {0: "cat", 1: None})
    found = world.loop.status()
    (queue,) = found.queues
    assert (queue.n_open, queue.n_resolved, queue.n_skipped, queue.n_to_send) == (8, 1, 1, 0)
    assert (found.due, found.due_at) == (False, world.clock.at + timedelta(days=1))


def test_a_period_has_its_own_accuracy_classes_and_models(world: World) -> None:
    start = world.clock.at
    draw(world, 40, predicted_class="cat", model="v1")
    answer(world, dict.fromkeys(range(10), "cat"))
    world.clock.pass_(days=10)
    draw(world, 40, predicted_class="dog", model="v2")
    answer(world, {10 + n: "dog" if n < 6 else "cat" for n in range(10)})
    now = world.loop.measure()
    assert now.period is None
    assert [a.name for a in now.by_model] == ["v2"]
    early = world.loop.measure(until=start + timedelta(days=1))
    assert early.period is not None
    assert estimate(early.period).value == 1.0
    assert [a.name for a in early.by_model] == ["v1"]
    assert [row.name for row in early.by_class.rows] == ["cat"]
    assert {(c.predicted_class, c.label) for c in early.confusion} == {("cat", "cat")}
    both = world.loop.measure(since=start)
    assert both.period is not None
    assert (estimate(both.period).value, estimate(both.period).n) == (0.8, 20)
    assert [(a.name, estimate(a).value) for a in both.by_model] == [("v1", 1.0), ("v2", 0.6)]
    assert estimate(both.last_seven_days).value == 0.6


def test_a_period_without_draws_says_so_and_one_that_ends_before_it_begins_is_refused(
    world: World,
) -> None:
    draw(world, 20)
    none = world.loop.measure(until=world.clock.at - timedelta(days=30)).period
    assert none is not None
    assert isinstance(none.estimate, Undefined)
    with pytest.raises(ArgumentError, match="isn't before --until"):
        world.loop.measure(since=world.clock.at, until=world.clock.at)


def test_a_prediction_from_the_future_counts_when_its_time_comes(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("= 5", "= 50"))
    for i in range(6):
        world.put(f"{i}.png")
    world.put("ahead.png", timestamp=(world.clock.at + timedelta(days=99)).isoformat())
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all("dog")
    world.loop.collect()
    assert world.loop.measure().last_seven_days.n_labelled == 6
    world.clock.at += timedelta(days=50)
    assert world.loop.measure().last_seven_days.n_labelled == 0
    world.clock.at += timedelta(days=50)
    assert world.loop.measure().last_seven_days.n_labelled == 1


# --- a bucket with history --------------------------------------------------------------------


@pytest.fixture
def history(make_world: MakeWorld) -> World:
    """Traffic that ended a month ago."""
    world = make_world(ACCURACY.replace("budget = 5", "budget = 40"))
    world.traffic(200, predicted_class="cat", confidence="0.9")
    world.clock.pass_(days=40)
    return world


@pytest.mark.mistake("history")
def test_one_command_measures_a_past_period(history: World) -> None:
    since = history.clock.at - timedelta(days=60)
    drawn = history.loop.run(since=since).selected
    assert drawn is not None
    assert (drawn.extra, drawn.n_frame) == (True, 200)
    history.answer_all("cat")
    again = history.loop.run(since=since)
    assert again.selected is None
    assert not again.failures
    assert again.measured is not None
    [found] = again.measured.extra_rounds
    assert isinstance(found.estimate, Estimate)
    assert found.estimate.n == 40
    assert measure_line(again.measured).startswith("round 1 (extra): 100.0%")


def test_with_only_extra_rounds_every_screen_shows_them(history: World) -> None:
    select = history.loop.run().selected
    assert select is not None
    assert "`labelloop run --since DATE`" in select_line(select, "UTC")
    history.loop.run(since=history.clock.at - timedelta(days=60))
    assert "round 1 (extra): no blind draw has an answer" in measure_line(history.loop.measure())
    history.answer_all("cat")
    history.loop.collect()
    assert "Of a period of its own: round 1 (extra): 100.0%" in summary(history.loop.report())
    planned = history.loop.plan()
    assert planned.accuracy is not None
    assert planned.accuracy.name == "round 1 (extra)"
    assert (planned.round, planned.n_traffic) == (1, 200)
