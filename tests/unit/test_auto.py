"""draw = "auto", the default: at random until a risk is learned, then more often where it may be wrong."""

import random
from datetime import timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.ledger import rounds
from labelloop.ledger import tables as t
from labelloop.measuring.blind_frame import blind_frames
from labelloop.measuring.classes import class_table
from labelloop.sampling import auto_inclusion
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, LOW, World

AUTO = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 120
"""
CLASSES = [f"class{i}" for i in range(10)]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(
        AUTO + LOW, head=HEAD.replace('["cat", "dog"]', str(CLASSES).replace("'", '"'))
    )


def day(world: World, seed: int) -> None:
    """Traffic of ten classes whose model is right as often as its confidence says, answered."""
    rng = random.Random(seed)
    truth = {}
    for i in range(600):
        said = rng.choice(CLASSES)
        sure = round(0.4 + 0.6 * rng.random() ** 0.3, 3)
        key = world.put(f"{seed}-{i:04d}.png", predicted_class=said, confidence=f"{sure:.3f}")
        other = CLASSES[(CLASSES.index(said) + 1) % 10]
        truth[key] = said if rng.random() < sure else other
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    drawn = {d.task_key: d.sample_id for d in world.draws("accuracy")}
    for page in world.annotator.tasks(world.project_ref("accuracy")):
        for task in page:
            if not task.annotations:
                said = truth[drawn[task.task_key or ""]]
                world.annotator.answer(task.remote_id, said, by="ana")
    world.loop.collect()
    world.clock.pass_(days=1)


def test_the_first_round_is_a_random_sample_and_the_second_goes_by_what_it_taught(
    world: World,
) -> None:
    day(world, 1)
    day(world, 2)
    with world.loop.project.ledger.read() as tx:
        first, second = rounds.every(tx)
        drawn = list(rounds.draws_with_labels(tx, Purpose.EVALUATION))
        cells = [c for c in rounds.cells_of(tx, 2) if c.queue == "accuracy"]
    assert (first.risk_version, second.risk_version) == (None, 1)
    assert {(d.inclusion, d.uniform) for d in drawn if d.round == 1} == {(0.2, True)}
    assert not any(d.uniform for d in drawn if d.round == 2)
    with world.loop.project.ledger.read() as tx:
        asked = sa.select(t.draws.c.round, t.draws.c.reason).where(
            t.draws.c.queue == "accuracy", ~t.draws.c.audit_only
        )
        reasons = {r.round: r.reason for r in tx.execute(asked).all()}
    sizes = np.zeros(1024, dtype=int)
    for c in cells:
        sizes[c.risk_bin] += c.n
    of_second = [d for d in drawn if d.round == 2]
    alone = [d for d in of_second if d.audit_only]  # checks are paid from the budget
    chances = auto_inclusion(sizes, budget=round(sum(c.n * (c.inclusion or 0) for c in cells)))
    assert [c.inclusion for c in cells] == [chances[c.risk_bin] for c in cells]
    assert reasons[1] == "auto 120 of all traffic: 120 of 600, at random until a risk is learned"
    n_second = len(of_second) - len(alone)
    assert reasons[2] == f"auto 120 of all traffic: {n_second} of 600, more where it may be wrong"


def test_each_class_has_an_accuracy_from_200_uneven_labels(world: World) -> None:
    day(world, 1)
    day(world, 2)
    by_class = world.loop.measure(since=world.clock.at - timedelta(days=1)).by_class
    assert [row.name for row in by_class.rows] == CLASSES
    assert sum(row.n_predicted for row in by_class.rows) < 200
    for row in by_class.rows:
        assert isinstance(row.precision, Estimate), row
        assert row.precision.low < row.precision.high
    assert sum(row.share_predicted for row in by_class.rows) == pytest.approx(1)
    with world.loop.project.ledger.read() as tx:
        newest = blind_frames(tx)[-1]
    cut = class_table([newest], lambda d: d is not newest.draws[0], 0.95)
    assert all(isinstance(row.precision, Estimate) for row in cut.rows)
