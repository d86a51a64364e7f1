"""select --top-up: a round's line goes on, what was drawn stays drawn, and its numbers are of all draws."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.estimate import Estimate
from labelloop.core.line import line
from labelloop.core.queue import Purpose
from labelloop.errors import ArgumentError
from labelloop.ledger import rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.statistics.compare import Difference
from labelloop.views.gate import to_settle
from labelloop.views.sentences import assumptions
from tests.unit.conftest import MakeWorld
from tests.unit.test_compare import answer, candidate, differing
from tests.world import ACCURACY, HEAD, LOW, Killed, World, kill_at_write

AUTO = ACCURACY.replace("budget = 5", 'draw = "auto"\nbudget = 120')
UNEVEN = ACCURACY.replace("budget = 5", 'draw = "uncertainty"\nbudget = 40')


def drawn(world: World, number: int = 1) -> list[DrawWithLabel]:
    with world.loop.project.ledger.read() as tx:
        found = rounds.draws_with_labels(tx, Purpose.EVALUATION, number)
        return [d for d in found if not d.audit_only]


def ids(found: list[DrawWithLabel]) -> list[str]:
    return [d.sample_id for d in found]


def round_of(world: World, n: int) -> list[str]:
    keys = world.traffic(n)
    world.loop.index()
    world.loop.select(now=True)
    return keys


def played(world: World, n: int, seed: int) -> None:
    """A day of traffic whose model is right as often as its confidence says, answered."""
    rng = random.Random(seed)
    truth = {}
    for i in range(n):
        sure = round(0.5 + 0.5 * rng.random() ** 0.4, 3)
        key = world.put(f"{seed}-{i:04d}.png", predicted_class="cat", confidence=f"{sure:.3f}")
        truth[key] = "cat" if rng.random() < sure else "dog"
    world.loop.index()
    world.loop.select(now=True)
    said(world, truth)
    world.clock.pass_(days=1)


def said(world: World, truth: dict[str, str]) -> None:
    """People answer all that is open with the truth; samples that it doesn't name are cats."""
    world.loop.send()
    asked = {t.remote_id: t.sample_id for t in world.tasks().values()}
    for page in world.annotator.tasks(world.project_ref("accuracy")):
        for task in page:
            if not task.annotations:
                world.annotator.answer(
                    task.remote_id, truth.get(asked[task.remote_id], "cat"), by="ana"
                )
    world.loop.collect()


# --- which samples --------------------------------------------------------------------------------


def test_a_top_up_draws_the_next_places_of_the_same_traffic(world: World) -> None:
    keys = round_of(world, 40)
    round_of(world, 30)  # what came later isn't in it
    order = sorted(keys, key=lambda key: line(key, world.log.salt))
    found = world.loop.top_up(1, labels=7)
    assert (found.round, found.tops_up, found.repeated) == (3, (1,), False)
    (plan,) = found.plans
    assert (plan.n_matching, plan.n_drawn, plan.inclusion) == (35, 7, 12 / 40)
    assert ids(drawn(world)) == order[:12]
    assert {d.inclusion for d in drawn(world)} == {12 / 40}
    assert all(d.uniform for d in drawn(world))
    said(world, {})
    world.loop.top_up(1, labels=3)
    assert ids(drawn(world)) == order[:15]
    assert {d.inclusion for d in drawn(world)} == {15 / 40}
    assert [d.position for d in drawn(world)][:5] == list(range(5))
    assert len({d.position for d in drawn(world)}) == 15


def test_top_ups_are_no_rounds_of_their_own(world: World) -> None:
    round_of(world, 40)
    world.loop.top_up(1, labels=7)
    with world.loop.project.ledger.read() as tx:
        (made,) = rounds.every(tx)
        assert rounds.latest(tx) == made
    assert [r.name for r in world.loop.measure().rounds] == ["round 1"]
    world.traffic(10)
    world.loop.index()
    world.clock.pass_(hours=25)
    assert world.loop.select().n_frame == 10


def test_evaluation_takes_what_training_drew_of_the_round_with_a_blind_task(
    make_world: MakeWorld,
) -> None:
    world = make_world(ACCURACY + LOW.replace("budget = 4", "budget = 30"))
    round_of(world, 40)
    before = {d.sample_id for d in world.draws("low")}
    world.loop.top_up(1, labels=35)
    assert len(drawn(world)) == 40
    assert before <= set(ids(drawn(world)))
    keys = {d.task_key for d in world.draws("low")} & {d.task_key for d in drawn(world)}
    assert keys == set()
    said(world, {})
    world.answer_all("cat")
    world.loop.collect()
    assert world.loop.build().training.n_human == 0, "what evaluation drew trains no model"


def test_what_was_topped_up_is_drawn_before_it_is_sent_with_its_reason(world: World) -> None:
    round_of(world, 40)
    world.loop.top_up(1, labels=7)
    import sqlalchemy as sa

    from labelloop.ledger import tables as t

    with world.loop.project.ledger.read() as tx:
        rows = tx.execute(sa.select(t.draws).where(t.draws.c.round == 2)).all()
        (row,) = tx.execute(sa.select(t.rounds).where(t.rounds.c.round == 2)).all()
    assert {(r.inclusion, r.reason) for r in rows} == {(0.3, "7 more of round 1: 12 of 40 by now")}
    assert (row.tops_up, row.scale, row.at_random, row.snapshot) == (
        1,
        12 / 5,
        0.0,
        world.log.snapshot(),
    )


# --- its numbers ----------------------------------------------------------------------------------


def test_the_accuracy_of_a_topped_up_round_is_of_all_its_answers(make_world: MakeWorld) -> None:
    small = make_world(ACCURACY.replace("budget = 5", 'draw = "uniform"\nbudget = 60'))
    keys = round_of(small, 300)
    truth = {key: "dog" if i % 4 == 0 else "cat" for i, key in enumerate(sorted(keys))}
    said(small, truth)
    before = small.loop.measure().rounds[0].estimate
    small.loop.top_up(1, labels=90)
    waiting = small.loop.measure().rounds[0]
    assert (waiting.n_waiting, waiting.estimate) == (90, before)
    said(small, truth)
    after = small.loop.measure().rounds[0].estimate
    assert isinstance(after, Estimate)
    assert isinstance(before, Estimate)
    assert (before.n, after.n) == (60, 150)
    assert after.high - after.low < 0.7 * (before.high - before.low)


def test_a_kept_result_notices_a_top_up(world: World) -> None:
    round_of(world, 40)
    said(world, {})
    world.loop.run()
    world.loop.top_up(1, labels=10)
    assert world.loop.run().measured.rounds[0].n_waiting == 10  # type: ignore[union-attr]


@pytest.mark.parametrize("queue", [AUTO, UNEVEN], ids=["auto", "uncertainty"])
def test_an_uneven_round_keeps_what_it_drew_and_every_chance_rises(
    make_world: MakeWorld, queue: str
) -> None:
    world = make_world(queue)
    for seed in (1, 2):
        played(world, 600, seed)
    number = 2
    before = {d.sample_id: d.inclusion or 0 for d in drawn(world, number)}
    found = world.loop.top_up(number, labels=60)
    assert abs(found.plans[0].n_drawn - 60) < 4 * 60**0.5
    now = drawn(world, number)
    assert ids(now)[: len(before)] == list(before)
    assert len(set(ids(now))) == len(now) == len(before) + found.plans[0].n_drawn
    assert all((d.inclusion or 0) >= before[d.sample_id] for d in now[: len(before)])
    said(world, {})
    again = world.loop.top_up(number, labels=60)
    twice = drawn(world, number)
    assert len(twice) == len(now) + again.plans[0].n_drawn
    by_risk = {(d.risk, round(d.inclusion or 0, 12)) for d in twice}
    assert len(by_risk) == len({d.risk for d in twice}), "one chance a risk, whenever it was drawn"


def test_a_top_up_of_the_whole_round_is_a_census(make_world: MakeWorld) -> None:
    world = make_world(UNEVEN)
    round_of(world, 100)
    n_left = 100 - len(drawn(world))
    with pytest.raises(ArgumentError, match="left to draw") as caught:
        world.loop.top_up(1, labels=90)
    all_of_them = int(caught.value.remedy.split()[1])  # on average: the draw is uneven
    (plan,) = world.loop.top_up(1, labels=all_of_them).plans
    assert plan.n_drawn == n_left
    assert {d.inclusion for d in drawn(world)} == {1.0}
    said(world, {})
    estimate = world.loop.measure().rounds[0].estimate
    assert isinstance(estimate, Estimate)
    assert (estimate.n, estimate.low) == (100, estimate.high)


def test_several_rounds_share_the_labels_by_their_traffic(world: World) -> None:
    round_of(world, 60)
    round_of(world, 20)
    found = world.loop.top_up(1, 2, labels=9)
    assert [p.n_drawn for p in found.plans] == [7, 2]
    assert (len(drawn(world, 1)), len(drawn(world, 2))) == (12, 7)


# --- compare --------------------------------------------------------------------------------------


def test_a_round_for_a_shadow_model_goes_on_where_the_two_differ(make_world: MakeWorld) -> None:
    world = differing(make_world)
    world.loop.select_where_they_differ(shadow="v2", labels=6)
    answer(world, lambda _: "dog")
    found = world.loop.top_up(1, labels=4)
    assert (found.extra, found.plans[0].n_drawn, found.plans[0].inclusion) == (True, 4, 10 / 15)
    answer(world, lambda _: "dog")
    both = world.loop.compare_shadow("v2")
    assert both.rounds == (1,)
    assert isinstance(both.difference, Difference)
    assert both.difference.n == 10
    world.traffic(20, predicted_class="cat", model="v1", **{"shadow:v2": "dog"})
    world.loop.index()
    world.loop.top_up(1, labels=5)
    with pytest.raises(ArgumentError, match="0 are left"):
        world.loop.top_up(1, labels=1)


def test_a_round_for_a_file_finds_it_again_and_refuses_another(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = differing(make_world)
    said = {f"class_01/{i:05d}.png": "dog" if i % 4 == 0 else "cat" for i in range(1, 401)}
    file = candidate(tmp_path / "c.parquet", said)
    world.loop.select_where_they_differ(candidate=file, labels=40)
    world.loop.top_up(1, labels=10)
    assert len(drawn(world)) == 50
    moved = file.rename(tmp_path / "moved.parquet")
    with pytest.raises(ArgumentError, match=r"there is no file .*c\.parquet"):
        world.loop.top_up(1, labels=5)
    assert world.loop.top_up(1, labels=5, candidate=moved).plans[0].n_drawn == 5
    other = candidate(tmp_path / "o.parquet", {**said, "class_01/00001.png": "dog"})
    with pytest.raises(ArgumentError, match="isn't the file that the round was drawn for"):
        world.loop.top_up(1, labels=6, candidate=other)


def test_what_would_settle_a_comparison_names_the_command(make_world: MakeWorld) -> None:
    world = differing(make_world)
    world.loop.select_where_they_differ(shadow="v2", labels=6)
    answer(world, lambda i: "dog" if i < 4 else "cat")
    open_yet = world.loop.compare_shadow("v2")
    assert open_yet.more_labels is not None
    assert open_yet.more_labels > 9, "so few of them are left that no command would help"
    assert open_yet.top_up == ()
    assert to_settle(40, (3, 4)) == (
        "about 40 more blind labels would settle it in 4 of 5 cases: "
        "`labelloop select --top-up 3 --top-up 4 --labels 40`"
    )
    assert to_settle(40, ()).endswith("They come with the next rounds: these have too few left")


def test_a_plan_names_the_command_for_the_newest_round(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("budget = 5", 'draw = "uniform"\nbudget = 60'))
    keys = round_of(world, 300)
    assert world.loop.plan(0.05).needs[0].top_up is None, "no answer yet"
    said(world, {key: "dog" if i % 4 == 0 else "cat" for i, key in enumerate(sorted(keys))})
    plan = world.loop.plan(0.05)
    (need,) = plan.needs
    assert need.top_up is not None
    assert (
        f"to know round 1 within ±5 points in 4 of 5 cases: `labelloop select --top-up 1 --labels "
        f"{need.top_up}`"
    ) in assumptions(plan)
    world.loop.top_up(1, labels=need.top_up)
    assert world.loop.plan(0.05).needs[0].top_up == 0, "what is awaited is counted on"
    assert world.loop.plan(0.2).needs[0].top_up == 0
    assert world.loop.plan(0.001).needs[0].top_up is None or plan.n_traffic == 300


# --- again, and killed ----------------------------------------------------------------------------


def test_the_same_top_up_again_adds_nothing_until_it_is_sent(world: World) -> None:
    round_of(world, 40)
    first = world.loop.top_up(1, labels=7)
    again = world.loop.top_up(1, labels=7)
    assert (again.repeated, again.round, again.plans) == (True, first.round, first.plans)
    assert len(drawn(world)) == 12
    world.loop.top_up(1, labels=3)
    assert len(drawn(world)) == 15, "another number is another top-up"
    world.loop.send()
    world.loop.top_up(1, labels=3)
    assert len(drawn(world)) == 18


@pytest.mark.parametrize("at", [1, 2])
def test_a_killed_top_up_stands_whole_or_not_at_all(world: World, at: int) -> None:
    round_of(world, 40)
    kill_at_write(world, at)
    with pytest.raises(Killed):
        world.loop.top_up(1, labels=7)
    assert len(drawn(world)) == 5
    world.restart()
    world.loop.top_up(1, labels=7)
    assert len(drawn(world)) == 12
    world.loop.send()
    assert sorted(world.remote_keys()) == sorted({*world.remote_keys()})


# --- bad input ------------------------------------------------------------------------------------


def test_what_cannot_be_topped_up_says_why(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    with pytest.raises(ArgumentError, match="no round 1, and none was drawn yet"):
        world.loop.top_up(1, labels=5)
    round_of(world, 40)
    with pytest.raises(ArgumentError, match="no round 9: the newest is round 1"):
        world.loop.top_up(9, labels=5)
    for bad in (0, -3):
        with pytest.raises(ArgumentError, match=f"labels = {bad}"):
            world.loop.top_up(1, labels=bad)
    with pytest.raises(ArgumentError, match="35 are left to draw") as caught:
        world.loop.top_up(1, labels=36)
    assert "--labels 35" in caught.value.remedy
    world.loop.top_up(1, labels=5)
    with pytest.raises(ArgumentError, match="2 is a top-up of round 1"):
        world.loop.top_up(2, labels=5)
    assert world.loop.top_up(1, labels=5, dry_run=True).plans[0].n_drawn == 5
    assert len(drawn(world)) == 10


def test_a_round_for_training_alone_and_a_released_one_are_refused(make_world: MakeWorld) -> None:
    world = make_world(LOW)
    round_of(world, 40)
    with pytest.raises(ArgumentError, match="no queue has purpose 'evaluation'"):
        world.loop.top_up(1, labels=5)
    world.configure(ACCURACY + LOW)
    with pytest.raises(ArgumentError, match="drew nothing for evaluation"):
        world.loop.top_up(1, labels=5)
    world.configure(
        ACCURACY + LOW,
        head=HEAD.replace("[training]", '[training]\nrelease_evaluation_after = "20 days"'),
    )
    round_of(world, 20)
    world.clock.pass_(days=40)
    round_of(world, 20)
    world.loop.build()
    with pytest.raises(ArgumentError, match="round 2 was released"):
        world.loop.top_up(2, labels=5)


def test_the_command_says_what_it_added(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    round_of(world, 40)
    monkeypatch.chdir(world.folder)
    wrong = CliRunner().invoke(group, ["select", "--top-up", "1", "--now"])
    assert wrong.exit_code == 2
    for value in ("0", "-4"):
        assert (
            CliRunner().invoke(group, ["select", "--top-up", "1", "--labels", value]).exit_code == 2
        )
    from labelloop.views.verbs import line as told

    found = world.loop.top_up(1, labels=7)
    assert told("select", found, "UTC") == "round 1: 7 more of the 35 that were left"
    again = world.loop.top_up(1, labels=7)
    assert told("select", again, "UTC").endswith(
        "; drawn before, so nothing was added: `labelloop send` sends them"
    )
    assert world.clock.at + timedelta(days=1) == again.due_at
