"""Who follows the advice on how many more labels are needed gets what it promises, in 4 of 5 cases."""

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.core.estimate import Estimate
from labelloop.core.line import line
from labelloop.core.sample import Prediction, Role
from labelloop.ledger import Ledger
from labelloop.statistics.compare import Verdict
from tests.learning import answer, write
from tests.property.coverage import least
from tests.world import ACCURACY, World

RUNS, PROMISED = 24, 0.8
QUEUE = ACCURACY.replace("budget = 5", 'draw = "{draw}"\nbudget = {budget}')
Play = Callable[[World, random.Random], bool | None]


def share_that_succeeds(tmp_path: Path, queue: str, play: Play, *, runs: int = RUNS) -> list[bool]:
    """Play projects of other salts; those in which nothing was advised don't count."""
    template = tmp_path / "ledger.db"
    Ledger.open(f"sqlite:///{template}").close()
    found = []
    for run in range(runs):
        folder = tmp_path / str(run)
        (folder / ".labelloop").mkdir(parents=True)
        shutil.copy(template, folder / ".labelloop" / "ledger.db")
        world = World(folder, queue)
        result = play(world, random.Random(run))
        world.loop.close()
        if result is not None:
            found.append(result)
    return found


def traffic(world: World, rng: random.Random, n: int, name: str) -> dict[str, str]:
    """Predictions of a model that is right as often as its confidence says; the truth."""
    truth, rows = {}, []
    for i in range(n):
        sure = round(0.5 + 0.5 * rng.random() ** 0.35, 3)
        key = f"{rng.random()}-{name}-{i}"
        truth[key] = "cat" if rng.random() < sure else "dog"
        rows.append(prediction(world, key, sure))
    write(world, rows)
    return truth


def prediction(world: World, key: str, sure: float) -> Prediction:
    return Prediction(
        sample_id=key,
        uri=f"s3://production/{key}",
        predicted_at=world.clock.at,
        model="m",
        predicted_class="cat",
        confidence=sure,
        line=line(key, world.log.salt),
        content_hash=key,
        size_bytes=1,
    )


def enough(found: list[bool], at_least: int) -> None:
    assert len(found) >= at_least, "the advice was rarely given"
    assert sum(found) / len(found) >= least(PROMISED, len(found)), f"{sum(found)} of {len(found)}"


@pytest.mark.parametrize("draw", ["uniform", "uncertainty"])
def test_a_plan_that_is_followed_makes_the_interval_so_narrow(draw: str, tmp_path: Path) -> None:
    def play(world: World, rng: random.Random) -> bool | None:
        truth = traffic(world, rng, 1_000, "a")
        world.loop.select(now=True)
        answer(world, truth)
        (need,) = world.loop.plan(0.05).needs
        if not need.top_up:
            return None
        world.loop.top_up(1, labels=need.top_up)
        answer(world, truth)
        e = world.loop.measure().rounds[0].estimate
        assert isinstance(e, Estimate)
        return (e.high - e.low) / 2 <= 0.05

    found = share_that_succeeds(tmp_path, QUEUE.format(draw=draw, budget=80), play)
    enough(found, RUNS // 2)


def test_a_comparison_that_is_followed_up_is_settled(tmp_path: Path) -> None:
    """A shadow model that mends three times as often as it breaks; 24 of its changes are labelled first."""

    def play(world: World, rng: random.Random) -> bool | None:
        truth, rows = {}, []
        for i in range(400):
            key = f"{rng.random()}-{i}"
            said = "dog" if i < 200 else "cat"
            truth[key] = "dog" if i < 200 and rng.random() < 0.68 else "cat"
            rows += [
                prediction(world, key, 0.9),
                replace(
                    prediction(world, key, 0.9),
                    model="m2",
                    role=Role.SHADOW,
                    predicted_class=said,
                ),
            ]
        write(world, rows)
        world.loop.select_where_they_differ(shadow="m2", labels=24)
        answer(world, truth)
        first = world.loop.compare_shadow("m2")
        if not first.top_up or not first.more_labels:
            return None
        world.loop.top_up(*first.top_up, labels=first.more_labels)
        answer(world, truth)
        return world.loop.compare_shadow("m2").verdict is not Verdict.NOT_YET

    found = share_that_succeeds(tmp_path, QUEUE.format(draw="uniform", budget=20), play)
    enough(found, RUNS // 4)
