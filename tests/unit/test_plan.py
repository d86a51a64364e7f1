"""plan: labels needed, checked against intervals of simulated draws."""

import random
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from labelloop.charts.plan import labels_and_width
from labelloop.cli.main import group
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics import Estimate as Found
from labelloop.statistics import accuracy
from labelloop.statistics.plan import (
    expected_half_width,
    fewest,
    shifted_to,
    uniform_half_width,
)
from tests.property.populations import Design, population
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, LOW, World

UNCERTAIN = ACCURACY.replace("budget = 5", 'budget = 60\ndraw = "uncertainty"') + LOW


@pytest.mark.parametrize("kind", ["calibrated", "under-confident", "ties"])
@pytest.mark.parametrize(("rate", "n"), [(0.02, 300), (0.1, 100), (0.1, 1000)])
def test_planned_widths_are_those_of_real_draws(kind: str, rate: float, n: int) -> None:
    """Within a fifth, where the risk's order is worth something."""
    traffic = population(kind, rate, seed=1)
    design, rng = Design(traffic, n), np.random.default_rng(3)
    frame = design.frame
    planned = expected_half_width(frame, shifted_to(frame.risk, frame.n, rate))
    assert planned == pytest.approx(simulated(design, rng), rel=0.2)


@pytest.mark.parametrize(("rate", "n"), [(0.02, 300), (0.1, 100), (0.3, 1000)])
@pytest.mark.parametrize("kind", ["calibrated", "over-confident", "permuted"])
def test_the_worst_case_is_no_narrower_than_real_draws(kind: str, rate: float, n: int) -> None:
    """A tenth of room: real intervals scatter."""
    design, rng = Design(population(kind, rate, seed=1), n), np.random.default_rng(3)
    flat = np.full(design.frame.n.size, rate)
    assert expected_half_width(design.frame, flat) > 0.9 * simulated(design, rng)


def simulated(design: Design, rng: np.random.Generator) -> float:
    widths = []
    for _ in range(25):
        s = design.label(rng)
        found = accuracy(s.correct, s.risk, s.inclusion, design.frame)
        assert isinstance(found, Found)
        widths.append((found.high - found.low) / 2)
    return float(np.mean(widths))


def test_a_census_has_no_width() -> None:
    design = Design(population("calibrated", 0.1, size=50), 50)
    assert expected_half_width(design.frame, np.full(design.frame.n.size, 0.1)) == 0
    assert uniform_half_width(0.9, 50, 50) == 0


def test_risks_are_shifted_to_the_share_and_keep_their_order() -> None:
    moved = shifted_to([0.01, 0.2, 0.7], [70, 20, 10], 0.3)
    assert moved @ [0.7, 0.2, 0.1] == pytest.approx(0.3)
    assert list(moved) == sorted(moved)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ArgumentError):
            shifted_to([0.1], [1], share)


def test_the_fewest_labels_are_found_and_widths_checked() -> None:
    assert fewest(lambda n: 1 / n, 0.1, at_most=1000) == 10
    assert fewest(lambda n: 1 / n, 0.1, at_most=5) == 5
    for width in (0, -0.1, 1, float("nan")):
        with pytest.raises(ArgumentError, match="half_width"):
            fewest(lambda n: 1 / n, width, at_most=10)


# --- over a project ---------------------------------------------------------------------------


def day(world: World, seed: int, n: int = 400) -> None:
    """A round of traffic whose model is right as often as its confidence says, answered."""
    rng = random.Random(seed)
    truth = {}
    for i in range(n):
        sure = round(0.5 + 0.5 * rng.random() ** 0.3, 3)
        key = world.put(f"{seed}-{i:04d}.png", confidence=f"{sure:.3f}")
        truth[key] = "cat" if rng.random() < sure else "dog"
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


def test_without_data_it_plans_for_the_accuracy_that_needs_most(make_world: MakeWorld) -> None:
    plan = make_world().loop.plan(0.02)
    assert (plan.accuracy, plan.share, plan.round) == (None, 0.5, None)
    (need,) = plan.needs
    assert need.random_sample == pytest.approx(2397, abs=3)
    assert need.uniform == Undefined("no round yet")
    assert plan.budget is None


def test_a_round_without_answers_knows_the_traffic_only(make_world: MakeWorld) -> None:
    world = make_world()
    world.traffic(300)
    world.loop.index()
    world.loop.select()
    plan = world.loop.plan(0.02)
    assert (plan.accuracy, plan.round, plan.n_traffic) == (None, 1, 300)
    assert isinstance(plan.needs[0].uniform, int)
    assert plan.needs[0].uniform < 300 < plan.needs[0].random_sample
    assert plan.needs[0].uneven == Undefined("no blind label is answered yet")


def test_a_learned_risk_saves_labels_and_few_labels_promise_nothing(make_world: MakeWorld) -> None:
    world = make_world(UNCERTAIN)
    day(world, 1)
    early = world.loop.plan()
    assert early.accuracy is not None
    assert isinstance(early.accuracy.estimate, Estimate)
    assert all(isinstance(n.uneven, Undefined) for n in early.needs)
    for seed in (2, 3, 4):
        day(world, seed)
    plan = world.loop.plan()
    # the newest round was drawn by what the three before it taught
    assert plan.risk_rounds == (1, 2, 3)
    assert [n.half_width for n in plan.needs] == [0.01, 0.02, 0.03, 0.05]
    for need in plan.needs:
        assert isinstance(need.uneven, int)
        assert isinstance(need.uniform, int)
        assert isinstance(need.at_worst, int)
        assert need.uneven <= need.uniform <= need.at_worst <= plan.n_traffic == 400
    assert plan.budget is not None
    assert (plan.budget.queue, plan.budget.labels) == ("accuracy", 60)
    assert isinstance(plan.budget.uneven, float)
    assert plan.budget.uneven < plan.budget.uniform < plan.budget.at_worst


def test_all_right_so_far_does_not_mean_always_right(make_world: MakeWorld) -> None:
    world = make_world()
    world.traffic(300)
    world.loop.index()
    world.loop.select()
    world.loop.send()
    said = {d.task_key: d.predicted_class or "" for d in world.draws("accuracy")}
    for page in world.annotator.tasks(world.project_ref("accuracy")):
        for task in page:
            world.annotator.answer(task.remote_id, said[task.task_key or ""], by="ana")
    world.loop.collect()
    plan = world.loop.plan(0.02)
    assert plan.accuracy is not None
    assert plan.share == pytest.approx(6 / 7)
    with pytest.raises(ArgumentError):
        world.loop.plan(float("nan"))


def test_the_command_prints_what_it_rests_on(make_world: MakeWorld) -> None:
    world = make_world(UNCERTAIN)
    config = str(world.folder / "labelloop.toml")

    def run(*words: str) -> str:
        done = CliRunner().invoke(group, ["plan", "--config", config, *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert "no accuracy is known yet" in run("--half-width", "0.02")
    for seed in (1, 2, 3):
        day(world, seed)
    shown = run()
    assert "400 inputs a round" in shown
    assert "±2 points" in shown
    assert "learned from 2 rounds" in shown
    assert '"half_width": 0.05' in run("--json", "--half-width", "0.05")
    wrong = CliRunner().invoke(group, ["plan", "--config", config, "--half-width", "2"])
    assert wrong.exit_code == 2


# --- the picture ----------------------------------------------------------------------------------


def test_half_widths_by_the_number_of_labels_end_at_a_census(make_world: MakeWorld) -> None:
    world = make_world(UNCERTAIN)
    for seed in (1, 2, 3):
        day(world, seed)
    plan = world.loop.plan()
    assert [e.labels for e in plan.expected] == sorted({e.labels for e in plan.expected})
    assert (plan.expected[0].labels, plan.expected[-1].labels) == (30, 400)
    for few, more in pairwise(plan.expected):
        assert isinstance(few.uniform, float)
        assert isinstance(more.uniform, float)
        assert few.uniform > more.uniform
    assert plan.expected[-1].uniform == 0
    picture = labels_and_width(plan)
    drawn = picture.svg
    for part in ("uniform draw", "uneven draw of", "tells nothing", "budget 60"):
        assert part in drawn, part
    assert "endless" not in drawn
    assert "The 60 labels a round of accuracy buy" in picture.says


def test_before_any_round_the_picture_shows_a_random_sample(make_world: MakeWorld) -> None:
    picture = labels_and_width(make_world().loop.plan())
    drawn = picture.svg
    assert "random sample of endless traffic" in drawn
    assert "uniform draw" not in drawn
    assert "accuracy of 50%" in picture.says


def test_a_round_smaller_than_a_few_labels_has_no_picture(make_world: MakeWorld) -> None:
    world = make_world()
    world.traffic(20)
    world.loop.index()
    world.loop.select()
    picture = labels_and_width(world.loop.plan())
    assert picture.drawing is None
    assert "a round has 20 inputs" in picture.says


def test_the_command_writes_a_page_and_a_picture(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(UNCERTAIN)
    day(world, 1)
    monkeypatch.chdir(world.folder)
    said = CliRunner().invoke(
        group, ["plan", "--html", "out/plan.html", "--png", "plan.png"], catch_exceptions=False
    )
    assert said.output.splitlines() == ["written: out/plan.html", "written: plan.png"]
    text = (world.folder / "out" / "plan.html").read_text()
    assert "pets: how many labels?" in text
    assert text.count("<svg ") == 1
    assert "±2 points" in text
    assert (world.folder / "plan.png").read_bytes().startswith(b"\x89PNG")
