"""draw = "uncertainty": uneven chances, kept with the round, and an accuracy that allows for them."""

import random

import numpy as np
import pytest

from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.ledger import risks, rounds
from labelloop.sampling import inclusion_probabilities
from labelloop.statistics import Frame, RiskModel, accuracy
from labelloop.views.tables.plan import queues
from tests.unit.conftest import MakeWorld
from tests.world import LOW, World

UNCERTAIN = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
draw = "uncertainty"
budget = 60
"""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(UNCERTAIN + LOW)


def serve(world: World, n: int, seed: int) -> dict[str, str]:
    """Traffic whose model is right as often as its confidence says; returns the truth."""
    rng = random.Random(seed)
    truth = {}
    for i in range(n):
        key = f"{seed}-{i:04d}.png"
        sure = round(0.5 + 0.5 * rng.random() ** 0.3, 3)
        world.put(key, predicted_class="cat", confidence=f"{sure:.3f}")
        truth[key] = "cat" if rng.random() < sure else "dog"
    world.loop.index()
    return truth


def answer(world: World, truth: dict[str, str]) -> None:
    with world.loop.project.ledger.read() as tx:
        drawn = {d.task_key: d.sample_id for d in rounds.draws_with_labels(tx, Purpose.EVALUATION)}
    for page in world.annotator.tasks(world.project_ref("accuracy")):
        for task in page:
            if not task.annotations and drawn[task.task_key or ""] in truth:
                world.annotator.answer(task.remote_id, truth[drawn[task.task_key or ""]], by="ana")
    world.loop.collect()


def test_chances_are_kept_and_the_accuracy_allows_for_them(world: World) -> None:
    truth = serve(world, 400, 1)
    selected = world.loop.select(now=True)
    world.loop.send()
    assert selected.plans[0].n_matching == 400
    answer(world, truth)
    with world.loop.project.ledger.read() as tx:
        draws = list(rounds.draws_with_labels(tx, Purpose.EVALUATION))
        cells = [c for c in rounds.cells_of(tx, 1) if c.queue == "accuracy"]
    assert sum(c.n for c in cells) == 400
    assert [d.position for d in draws] == list(range(len(draws)))
    budget = round(sum(c.n * (c.inclusion or 0) for c in cells))  # less what pays for checks
    assert 30 <= budget <= 60
    draws = [d for d in draws if not d.audit_only]
    assert sum(d.uniform for d in draws) == round(0.3 * budget)

    frame = Frame.from_arrays(
        np.repeat([c.risk for c in cells], [c.n for c in cells]),
        np.repeat([c.inclusion for c in cells], [c.n for c in cells]),
    )
    wanted = accuracy(
        [d.label == "cat" for d in draws],
        [d.risk for d in draws],
        [d.inclusion for d in draws],
        frame,
    )
    found = world.loop.measure().rounds[0].estimate
    assert isinstance(wanted, Estimate)
    assert isinstance(found, Estimate)
    assert (found.value, found.low, found.high) == pytest.approx(
        (wanted.value, wanted.low, wanted.high)
    )
    true = sum(t == "cat" for t in truth.values()) / 400
    assert found.low <= true <= found.high


def test_the_plan_shows_the_range_of_chances_and_no_mean(world: World) -> None:
    serve(world, 400, 1)
    selected = world.loop.select(dry_run=True)
    [plan] = [p for p in selected.plans if p.queue == "accuracy"]
    world.loop.select(now=True)
    with world.loop.project.ledger.read() as tx:
        chances = [c.inclusion or 0 for c in rounds.cells_of(tx, 1) if c.queue == "accuracy"]
    assert plan.inclusion is None
    assert plan.chances == (min(chances), max(chances))
    assert queues(selected).rows[0][-1] == f"{min(chances):.3g}–{max(chances):.3g}"


def test_where_all_are_taken_the_chance_is_one(world: World) -> None:
    serve(world, 40, 1)
    plan = world.loop.select(dry_run=True).plans[0]
    assert (plan.inclusion, plan.chances) == (1.0, None)


def test_the_risk_is_learned_from_earlier_rounds_and_frozen(world: World) -> None:
    truth: dict[str, str] = {}
    for day in range(3):
        truth |= serve(world, 400, day)
        world.loop.select(now=True)
        world.loop.send()
        answer(world, truth)
        world.clock.pass_(days=1)
    with world.loop.project.ledger.read() as tx:
        made = rounds.every(tx)
        assert [r.risk_version for r in made] == [None, None, 1]
        learned = risks.get(tx, 1)
        cells = rounds.cells_of(tx, 3)
    assert learned.rounds == (1, 2)
    blind = [c for c in cells if c.queue == "accuracy"]
    assert all(c.risk == (c.risk_bin + 0.5) / 1024 for c in blind)
    model = RiskModel.from_json(learned.params)
    with world.loop.project.ledger.read() as tx:
        every = list(rounds.draws_with_labels(tx, Purpose.EVALUATION, 3))
    drawn = [d for d in every if not d.audit_only]
    budget = round(sum(c.n * (c.inclusion or 0) for c in cells if c.queue == "accuracy"))
    wanted = model.predict([d.confidence for d in drawn])
    assert [d.risk for d in drawn] == pytest.approx(wanted, abs=0.5 / 1024)
    chances = inclusion_probabilities(
        np.repeat([c.risk for c in blind], [c.n for c in blind]),
        budget=budget,
        n_uniform=round(0.3 * budget),
    )
    assert sorted(set(chances.tolist())) == sorted({c.inclusion for c in blind if c.inclusion})
    week = world.loop.measure().last_seven_days
    assert isinstance(week.estimate, Estimate)
    assert "3 rounds pooled by traffic" in week.estimate.method


def test_partial_answers_count_up_to_the_furthest_position(world: World) -> None:
    truth = serve(world, 400, 7)
    world.loop.select(now=True)
    world.loop.send()
    ids = world.annotator.task_ids(world.project_ref("accuracy"))
    for remote in ids[:30]:
        if remote != ids[10]:
            world.annotator.answer(remote, "cat", by="ana")
    world.loop.collect()
    found = world.loop.measure().rounds[0]
    assert isinstance(found.estimate, Estimate)
    assert (found.n_labelled, found.estimate.n) == (29, 29)
    assert found.estimate.worst_low < found.estimate.low
    assert truth


def test_a_frame_smaller_than_the_budget_is_labelled_whole(world: World) -> None:
    truth = serve(world, 40, 3)
    assert world.loop.select(now=True).plans[0].n_drawn == 40
    world.loop.send()
    answer(world, truth)
    found = world.loop.measure().rounds[0].estimate
    assert isinstance(found, Estimate)
    assert found.low == found.value == found.high
