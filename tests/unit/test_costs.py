"""[costs]: what errors cost, from the settings to every screen."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.costs import Costs
from labelloop.core.estimate import Undefined
from labelloop.core.queue import Purpose
from labelloop.errors import ConfigError
from labelloop.ledger import rounds
from labelloop.pages.report import page
from labelloop.statistics import CostDifference, MeanCost
from labelloop.views.sentences import mean_cost
from labelloop.views.verbs import measure_line
from tests.json_documents import result_of
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, World

COSTS = """
[costs]
default = 2

[[costs.pair]]
label = "dog"
predicted_class = "cat"
cost = 10
"""


def judged(make_world: MakeWorld, *, costs: str = COSTS) -> World:
    """60 labelled samples of 60: cat was said each time, and a third of them are dogs."""
    world = make_world(ACCURACY.replace("5", "60") + costs)
    world.traffic(200, predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    for i, remote in enumerate(world.annotator.task_ids(world.project_ref("accuracy"))):
        world.annotator.answer(remote, "dog" if i % 3 == 0 else "cat", by="ana")
    world.loop.collect()
    return world


def test_measure_and_report_show_the_mean_cost(make_world: MakeWorld) -> None:
    world = judged(make_world)
    measured = world.loop.measure()
    found = measured.cost
    assert isinstance(found, MeanCost)
    assert found.value == pytest.approx(10 / 3)
    assert found.low < 10 / 3 < found.high
    said = mean_cost(measured)
    assert said.startswith("Mean cost of a prediction, last 7 days: 3.33 (95% interval 2.")
    assert said in measure_line(measured)
    assert said in page(world.loop.report())
    shown = CliRunner().invoke(group, ["report", "--config", str(world.folder / "labelloop.toml")])
    assert shown.exit_code == 0


def test_a_period_has_its_own_mean_cost(make_world: MakeWorld) -> None:
    world = judged(make_world)
    at = world.clock.now()
    measured = world.loop.measure(
        since=at.replace(year=at.year - 1), until=at.replace(year=at.year + 1)
    )
    assert isinstance(measured.cost, MeanCost)
    assert measured.period is not None
    assert f"Mean cost of a prediction, {measured.period.name}: 3.33" in mean_cost(measured)


def test_without_the_section_no_cost_is_told(make_world: MakeWorld) -> None:
    world = judged(make_world, costs="")
    assert world.loop.measure().cost is None
    assert mean_cost(world.loop.measure()) == ""


def test_without_labels_the_reason_is_told(make_world: MakeWorld) -> None:
    measured = make_world(ACCURACY + COSTS).loop.measure()
    assert measured.cost == Undefined("no rounds")
    assert mean_cost(measured) == "No mean cost, last 7 days: no rounds."


def test_compare_shows_the_difference_in_mean_cost(make_world: MakeWorld, tmp_path: Path) -> None:
    world = judged(make_world)
    with world.loop.project.ledger.read() as tx:
        labels = {d.sample_id: d.label for d in rounds.draws_with_labels(tx, Purpose.EVALUATION)}
    file = tmp_path / "candidate.csv"
    rows = [f"{name},{label}" for name, label in labels.items()]
    file.write_text("\n".join(["sample_id,predicted_class", *rows]) + "\n")
    found = world.loop.compare(file).cost
    assert isinstance(found, CostDifference)
    assert found.value == pytest.approx(-10 / 3)
    assert found.high < 0
    config = str(world.folder / "labelloop.toml")
    shown = CliRunner().invoke(group, ["compare", str(file), "--config", config])
    assert "difference in mean cost" in shown.output
    assert "-3.33 a prediction (95% interval -" in shown.output
    told = CliRunner().invoke(group, ["compare", str(file), "--config", config, "--json"])
    assert result_of(told.output)["cost"]["value"] == pytest.approx(-10 / 3)


def test_a_prediction_that_is_no_class_costs_the_default() -> None:
    costs = Costs(default=2, pairs={("dog", "cat"): 10})
    assert costs.of("dog", None) == 2
    assert costs.of("not a pet", "cat") == 2
    assert costs.of("cat", "cat") == 0
    assert costs.possible == (2, 10)
    assert Costs(default=0, pairs={("dog", "cat"): 3}).possible == (3,)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("cost = 10", "cost = -1"), r"pair\.0\.cost = -1: expected a number from 0 that is finite"),
        (("cost = 10", "cost = nan"), "expected a number from 0 that is finite"),
        (("cost = 10", "cost = inf"), "expected a number from 0 that is finite"),
        (("cost = 10", "cost = true"), r"pair\.0\.cost"),
        (("default = 2", "default = -2"), r"costs\.default = -2"),
        (('label = "dog"', 'label = "dgo"'), "label 'dgo' is no class of .*did you mean 'dog'"),
        (('predicted_class = "cat"', 'predicted_class = "caat"'), "did you mean 'cat'"),
        (('label = "dog"', 'label = "cat"'), "a right prediction costs nothing"),
        (("cost = 10", "costs = 10"), "unknown key costs.pair.0.costs"),
        (("default = 2", '"cat -> dog" = 2'), "unknown key costs.cat -> dog"),
        (("cost = 10", "cost = 0"), None),
    ],
)  # fmt: skip
def test_what_a_cost_can_not_be_is_named(
    make_world: MakeWorld, changed: tuple[str, str], said: str | None
) -> None:
    if said is None:
        assert make_world(ACCURACY + COSTS.replace(*changed)).loop.settings.costs is not None
        return
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        make_world(ACCURACY + COSTS.replace(*changed))


def test_a_pair_stands_once(make_world: MakeWorld) -> None:
    again = COSTS.replace("[costs]\ndefault = 2\n", "")
    with pytest.raises(ConfigError, match="is there twice"):
        make_world(ACCURACY + COSTS + again)


def test_costs_that_are_all_0_are_refused(make_world: MakeWorld) -> None:
    with pytest.raises(ConfigError, match="every cost is 0"):
        make_world(ACCURACY + "[costs]\ndefault = 0\n")
