"""A risk that learned what no longer holds costs width, within its bound, and no coverage."""

import shutil
from pathlib import Path

import numpy as np

from labelloop.core.estimate import Estimate
from labelloop.ledger import Ledger, rounds
from labelloop.statistics.greg import exact_bounds
from tests.learning import QUEUE, answer, blind, day, night, serve, traffic
from tests.property.coverage import least
from tests.world import World

RUNS = 40
N, BUDGET = 400, 100


def test_a_risk_learned_from_another_world_keeps_its_coverage(tmp_path: Path) -> None:
    """Errors were at night while it learned; now they are by day. Through select and measure."""
    taught = tmp_path / "taught"
    (taught / ".labelloop").mkdir(parents=True)
    Ledger.open(f"sqlite:///{taught / '.labelloop' / 'ledger.db'}").close()
    world = World(taught, QUEUE.format(budget=BUDGET))
    for number in (1, 2):
        day(world, night(0.02, 0.7), n=N, seed=number, cameras=1)
    at = world.clock.at
    world.loop.close()

    held, widths, plain, misled = 0, 0.0, 0.0, 0
    for run in range(RUNS):
        folder = tmp_path / f"run{run}"
        shutil.copytree(taught, folder)
        world = World(folder, QUEUE.format(budget=BUDGET))
        world.clock.at = at
        for number in (1, 2):
            # the log of the past: what the ledger knows of is in it
            rows = traffic(world, night(0.02, 0.7), n=N, seed=number, cameras=1)[0]
            world.log.commit_batch(
                number, "predictions", world.log.write_batch(number, "predictions", rows, at)
            )
        truth = serve(world, night(0.2, 0.02), n=N, seed=1_000 + run, cameras=1)
        world.loop.select(now=True)
        answer(world, truth)
        with world.loop.project.ledger.read() as tx:
            assert rounds.every(tx)[2].risk_version is not None
        drawn = blind(world, 3)
        by_day = [d.inclusion or 0 for d in drawn if d.attributes["light"] == "day"]
        by_night = [d.inclusion or 0 for d in drawn if d.attributes["light"] == "night"]
        misled += max(by_day) < min(by_night)
        found = world.loop.measure().rounds[2].estimate
        assert isinstance(found, Estimate)
        right = sum(said == "cat" for said in truth.values())
        held += found.low <= right / N <= found.high
        widths += found.high - found.low
        low, high = exact_bounds(float(np.round(right / N * len(drawn))), len(drawn), 0.95)
        plain += high - low
        world.loop.close()
    assert misled == RUNS
    assert held / RUNS >= least(0.95, RUNS)
    assert widths / plain <= 1.35
