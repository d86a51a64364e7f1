"""`measure --by`: the accuracy of each value of an attribute, and the slices that are worse."""

from datetime import timedelta

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.cli.screen import table_lines
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.measuring.slices import MOST_SHOWN, NOTHING_TESTED, Slice, Sliced
from labelloop.pages.report import page
from labelloop.views.tables.slices import of_slices
from tests.unit.conftest import MakeWorld
from tests.world import World

QUEUE = '[[queue]]\nname = "accuracy"\npurpose = "evaluation"\nbudget = {}\n'


def drawn(make_world: MakeWorld, budget: int, *sites: tuple[str, int], **more: str) -> World:
    """A world whose traffic comes from sites; every prediction says "cat"."""
    world = make_world(QUEUE.format(budget))
    for site, n in sites:
        tags = {"site": site} if site else {}
        world.traffic(n, predicted_class="cat", **tags, **more)
    world.loop.index()
    world.loop.select()
    world.loop.send()
    return world


def answer(world: World, *, wrong: frozenset[str] = frozenset()) -> None:
    """Answer every open task: "dog" at the sites of `wrong`, else "cat"."""
    site = {d.task_key: d.attributes.get("site", "") for d in world.draws("accuracy")}
    for pages in world.annotator.tasks(world.project_ref("accuracy")):
        for task in pages:
            said = "dog" if site[task.task_key] in wrong else "cat"
            world.annotator.answer(task.remote_id, said, by="ana")
    world.loop.collect()


def by_name(found: Sliced | None) -> dict[str, Slice]:
    assert found is not None
    return {s.accuracy.name: s for s in found.slices}


def test_each_value_has_an_accuracy_and_its_count_of_the_traffic(make_world: MakeWorld) -> None:
    world = drawn(make_world, 120, ("north", 200), ("south", 100), ("", 50))
    answer(world, wrong=frozenset({"south"}))
    found = by_name(world.loop.measure(by="site").by)
    assert list(found) == ["north", "south", "(none)"]
    north, south, without = found.values()
    assert (north.value, without.value) == ("north", None)
    assert isinstance(north.accuracy.estimate, Estimate)
    assert isinstance(south.accuracy.estimate, Estimate)
    assert (north.accuracy.estimate.value, south.accuracy.estimate.value) == (1.0, 0.0)
    assert (north.accuracy.n_traffic, north.counted) == (200, True)
    assert (south.accuracy.n_traffic, south.counted) == (100, True)
    assert not without.counted
    assert sum(s.share for s in found.values()) == pytest.approx(1)
    assert sum(s.accuracy.n_labelled for s in found.values()) == 120


def test_each_value_has_the_numbers_of_its_classes(make_world: MakeWorld) -> None:
    world = drawn(make_world, 120, ("north", 200), ("south", 100))
    answer(world, wrong=frozenset({"south"}))
    found = by_name(world.loop.measure(by="site").by)
    (cat,) = found["north"].by_class.rows
    assert isinstance(cat.precision, Estimate)
    assert (cat.name, cat.precision.value) == ("cat", 1.0)
    of_south = {row.name: row for row in found["south"].by_class.rows}
    assert of_south["cat"].recall == Undefined("no label that people called so")
    assert isinstance(of_south["dog"].share, Estimate)
    assert of_south["dog"].share.value == pytest.approx(1.0)


def test_a_slice_that_is_surely_worse_is_named_with_both_numbers(make_world: MakeWorld) -> None:
    world = drawn(make_world, 120, ("north", 200), ("south", 100))
    answer(world, wrong=frozenset({"south"}))
    measured = world.loop.measure()
    assert (measured.worst_slices.n_tested, measured.worst_slices.n_attributes) == (2, 1)
    (worst,) = measured.worst_slices.found
    assert (worst.attribute, worst.name) == ("site", "south")
    assert (worst.accuracy.value, worst.rest.value) == (0.0, 1.0)
    assert worst.p_value < 1e-6
    report = world.loop.report()
    assert "site = south" in page(report)
    asked = ["measure", "--by", "site", "--since", "2020-01-01", "--config"]
    asked.append(str(world.folder / "labelloop.toml"))
    shown = CliRunner().invoke(group, asked).output
    assert "Worse than the rest: site = south with 0.0% against 100.0%" in shown
    rows = [line.split()[:3] for line in shown.splitlines() if line[:5] in {"north", "south"}]
    assert rows == [["north", "66.7%", "100.0%"], ["south", "33.3%", "0.0%"]]
    assert "By class, site = south" in CliRunner().invoke(group, [*asked, "--all"]).output


def test_the_slices_fit_a_line_of_eighty(make_world: MakeWorld) -> None:
    world = drawn(make_world, 60, ("a site with a long name", 150), ("", 90))
    answer(world)
    (table,) = of_slices(world.loop.measure(by="site"), every=False)
    shown = "\n".join(table_lines(table, 80))
    assert all(row[-1] in shown for row in table.rows)


def test_where_no_slice_is_worse_it_says_so(make_world: MakeWorld) -> None:
    world = drawn(make_world, 60, ("north", 100), ("south", 100))
    answer(world)
    found = world.loop.measure().worst_slices
    assert (found.n_tested, found.found) == (2, ())
    says = "No slice is surely worse than the rest (2 slices of 1 attribute tested)."
    assert says in page(world.loop.report())


def test_without_attributes_nothing_is_tested(make_world: MakeWorld) -> None:
    world = drawn(make_world, 30, ("", 60))
    answer(world)
    assert world.loop.measure().worst_slices == NOTHING_TESTED


def test_an_unknown_attribute_is_named_with_the_nearest(make_world: MakeWorld) -> None:
    world = drawn(make_world, 30, ("north", 60))
    with pytest.raises(ArgumentError, match="by = 'sight'") as raised:
        world.loop.measure(by="sight")
    assert raised.value.remedy == "did you mean 'site'? known: model, predicted_class, site"


def test_of_many_values_the_rest_are_pooled(make_world: MakeWorld) -> None:
    sites = [(f"s{i:02d}", 8 if i < MOST_SHOWN else 2) for i in range(MOST_SHOWN + 10)]
    world = drawn(make_world, 180, *sites)
    answer(world)
    measured = world.loop.measure(by="site")
    found = by_name(measured.by)
    assert list(found)[-1] == "other"
    assert len(found) == MOST_SHOWN + 1
    assert measured.by is not None
    assert measured.by.n_values == MOST_SHOWN + 10
    assert found["other"].accuracy.n_drawn == 20
    assert not found["s00"].counted  # fewer than ten predictions might name a person


def test_models_and_predicted_classes_are_slices_too(make_world: MakeWorld) -> None:
    world = drawn(make_world, 60, ("north", 60), model="v7")
    answer(world)
    assert list(by_name(world.loop.measure(by="model").by)) == ["v7"]
    cat = by_name(world.loop.measure(by="predicted_class").by)["cat"]
    assert (cat.accuracy.n_traffic, cat.counted, cat.share) == (60, True, 1.0)


def test_of_a_round_that_the_period_cuts_the_draws_tell_how_much_lies_inside(
    make_world: MakeWorld,
) -> None:
    world = make_world(QUEUE.format(120))
    world.traffic(40, site="north", predicted_class="cat")
    world.clock.pass_(hours=2)
    world.traffic(80, site="north", predicted_class="cat")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    answer(world)
    middle = world.clock.at - timedelta(hours=1)
    found = by_name(world.loop.measure(since=middle, by="site").by)["north"]
    assert (found.accuracy.n_traffic, found.counted, found.share) == (80, True, 1.0)
    assert found.accuracy.n_labelled == 80


def test_a_forgotten_sample_belongs_to_no_slice(make_world: MakeWorld) -> None:
    world = drawn(make_world, 60, ("north", 60), ("", 0))
    answer(world)
    world.loop.forget([world.draws("accuracy")[0].sample_id])
    found = by_name(world.loop.measure(by="site").by)
    assert list(found) == ["north"]
    assert (found["north"].accuracy.n_labelled, found["north"].accuracy.n_traffic) == (59, 60)
