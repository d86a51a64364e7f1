"""A log that holds a share of the traffic: the numbers speak of the traffic."""

import random

import pyarrow as pa
import pytest

from labelloop.core.estimate import Estimate
from labelloop.errors import ConfigError
from labelloop.ledger import rejects
from labelloop.reading.sampling_rate import sampling_rate, sampling_rates
from labelloop.statistics.compare import Difference
from labelloop.views.verbs import line
from tests.unit.conftest import MakeWorld
from tests.unit.test_top_up import said
from tests.world import ACCURACY, World

UNIFORM = ACCURACY.replace("budget = 5", 'draw = "uniform"\nbudget = {budget}')
UNEVEN = ACCURACY.replace("budget = 5", 'draw = "uncertainty"\nbudget = {budget}')


def test_a_rate_is_a_number_above_0_and_at_most_1() -> None:
    assert [sampling_rate(text) for text in ("0.1", "1", "1.0", "", " 5e-3 ")] == [
        *(0.1, None, None, None, 0.005)
    ]
    for bad in ("0", "-0.1", "1.01", "nan", "10%", "all"):
        with pytest.raises(ValueError, match=r".+"):
            sampling_rate(bad)
    numbers = sampling_rates(pa.array([0.1, None, float("nan"), 1.0, 0.0, 2.0]), "rate")
    assert numbers.values.to_pylist() == [0.1, None, None, None, None, None]
    assert numbers.bad.tolist() == [False, False, False, False, True, True]
    assert sampling_rates(pa.array([0.1], pa.float32()), "rate").values.to_pylist() == [0.1]
    with pytest.raises(ConfigError, match="rate"):
        sampling_rates(pa.array([[0.1]]), "rate")


def served(world: World, n: int, *, rate: str, right: float, seed: int) -> dict[str, str]:
    """n logged predictions at one rate; the truth."""
    rng = random.Random(seed)
    truth = {}
    for i in range(n):
        key = world.put(
            f"{seed}-{i:04d}.png",
            predicted_class="cat",
            confidence=f"{0.5 + rng.random() / 2:.3f}",
            sampling_rate=rate,
        )
        truth[key] = "cat" if rng.random() < right else "dog"
    return truth


def test_tags_say_the_rate_and_a_bad_one_is_rejected(world: World) -> None:
    world.put("a.png", sampling_rate="0.25")
    world.put("b.png", sampling_rate="1")
    world.put("c.png")
    world.put("d.png", sampling_rate="0")
    world.loop.index()
    with world.loop.project.ledger.read() as tx:
        (bad,) = rejects.every(tx)
    assert (bad.uri[-5:], bad.reason, bad.value) == (
        "d.png",
        "sampling rate isn't a number in (0, 1]",
        "0",
    )
    world.loop.select()
    assert {d.sample_id: d.sampling_rate for d in world.draws("accuracy")} == {
        "a.png": 0.25,
        "b.png": 1.0,
        "c.png": 1.0,
    }


def test_one_rate_scales_the_traffic(make_world: MakeWorld) -> None:
    world = make_world(UNIFORM.format(budget=40))
    truth = served(world, 200, rate="0.1", right=0.8, seed=1)
    world.loop.index()
    world.loop.select()
    said(world, truth)
    measured = world.loop.measure()
    (found,) = measured.rounds
    assert (found.n_traffic, found.n_logged) == (2000, 200)
    assert ", of about 2,000 predictions, of which 10% were logged" in line(
        "measure", measured, "UTC"
    )
    plain = make_world(UNIFORM.format(budget=40))
    other = served(plain, 200, rate="-", right=0.8, seed=1)
    plain.loop.index()
    plain.loop.select()
    said(plain, other)
    same = plain.loop.measure().rounds[0]
    assert (same.n_traffic, same.n_logged) == (200, 200)
    assert isinstance(found.estimate, Estimate)
    assert isinstance(same.estimate, Estimate)
    # 40 of 200 are a fifth of what was logged, and a fiftieth of the traffic
    width = found.estimate.high - found.estimate.low
    assert width > 1.05 * (same.estimate.high - same.estimate.low)


@pytest.mark.parametrize("queue", [UNIFORM, UNEVEN], ids=["uniform", "uneven"])
def test_mixed_rates_are_weighed_by_the_traffic(make_world: MakeWorld, queue: str) -> None:
    """All of the log is labelled: 300 right ones stand for 3,000 predictions, 300 wrong ones for 300."""
    world = make_world(queue.format(budget=590))
    truth = served(world, 300, rate="0.1", right=1, seed=1)
    truth |= served(world, 300, rate="-", right=0, seed=2)
    world.loop.index()
    world.loop.select()
    said(world, truth)
    (found,) = world.loop.measure().rounds
    assert (found.n_traffic, found.n_logged) == (3300, 600)
    assert isinstance(found.estimate, Estimate)
    assert found.estimate.value == pytest.approx(3000 / 3300, abs=0.005)
    assert found.estimate.low < found.estimate.value < found.estimate.high
    world.loop.top_up(1, labels=5)
    said(world, truth)
    after = world.loop.measure().rounds[0].estimate
    assert isinstance(after, Estimate)
    assert after.value == pytest.approx(3000 / 3300, abs=0.005)


def test_a_round_for_a_candidate_speaks_of_what_was_logged(make_world: MakeWorld) -> None:
    world = make_world(UNIFORM.format(budget=10))
    truth = {}
    for i in range(40):
        rate, right = ("0.1", "cat") if i < 20 else ("-", "dog")
        key = world.put(
            f"{i:02d}.png",
            predicted_class="cat",
            model="v1",
            sampling_rate=rate,
            **{"shadow:v2": "dog"},
        )
        truth[key] = right
    world.loop.index()
    world.loop.select_where_they_differ(shadow="v2", labels=40)
    said(world, truth)
    found = world.loop.compare_shadow("v2").difference
    assert isinstance(found, Difference)
    assert (found.gained, found.lost) == (pytest.approx(0.5), pytest.approx(0.5))
