"""The number that matters can't mislead: what could change it stands beside it, or before it."""

from dataclasses import replace

import pytest

from labelloop.cli.verbs import exit_code
from labelloop.core.estimate import Undefined
from labelloop.core.row_range import NO_ROWS, RowRange
from labelloop.measuring.accuracy import Accuracy
from labelloop.measuring.missing import Missing, of_counts
from labelloop.pages.report import page
from labelloop.statistics import wilson
from labelloop.views.headline import headline
from labelloop.views.sentences import summary
from labelloop.views.verbs import measure_line
from tests.world import World


def accuracy(*, wider: float = 0.0, n_traffic: int = 2000) -> Accuracy:
    e = wilson(336, 372)
    assert not isinstance(e, Undefined)
    return Accuracy(
        name="last 7 days",
        estimate=replace(e, worst_low=e.low - wider, worst_high=e.high),
        n_drawn=372,
        n_labelled=372,
        n_skipped=0,
        n_waiting=0,
        n_set_aside=0,
        n_set_aside_most=0,
        n_traffic=n_traffic,
    )


def without(rejected: RowRange = NO_ROWS, *, n_traffic: int = 2000, **n: int) -> Missing:
    counts = {"n_future": 0, "n_too_old": 0, "n_lost": 0} | n
    return of_counts(rejected, **counts, n_traffic=n_traffic)


def test_a_number_that_nothing_could_change_stands_with_its_interval() -> None:
    assert headline(accuracy(), without()).says == (
        "90.3% (95% interval 86.9–92.9%), 372 blind labels, last 7 days"
    )


@pytest.mark.parametrize(("wider", "told"), [(0.0099, False), (0.0101, True)])
def test_a_worst_case_wider_by_a_point_stands_beside_the_number(wider: float, told: bool) -> None:
    found = headline(accuracy(wider=wider), without())
    assert found.worst_first == told
    assert ("90.3% (at worst 85.9–92.9%; " in found.says) == told


@pytest.mark.parametrize(("rejected", "told"), [(50, False), (51, True)])
def test_a_line_begins_with_what_was_rejected_where_that_is_much(rejected: int, told: bool) -> None:
    found = headline(accuracy(), without(RowRange.exactly(rejected), n_traffic=950))
    assert bool(found.warning) == told
    if told:
        assert found.says.startswith("5% of the traffic was rejected (51 of 1,001 predictions); 90")


@pytest.mark.parametrize(
    ("rejected", "warning"),
    [
        (RowRange(1, 50), ""),
        (
            RowRange(1, 51),
            "up to 5% of the traffic was rejected (1 to 51 of up to 1,001 predictions)",
        ),
        (RowRange(2, None), "nobody can tell how many rows were rejected (2 or more)"),
    ],
)
def test_rows_that_files_hide_count_with_the_most_that_they_may_be(
    rejected: RowRange, warning: str
) -> None:
    assert headline(accuracy(), without(rejected, n_traffic=950)).warning == warning


def test_without_an_accuracy_the_line_still_begins_with_what_was_rejected() -> None:
    nothing = replace(accuracy(), estimate=Undefined("no labels"))
    found = headline(nothing, without(RowRange.exactly(99), n_traffic=1))
    assert found.says == (
        "99% of the traffic was rejected (99 of 100 predictions); no accuracy yet: no labels"
    )


@pytest.mark.parametrize(("n", "told"), [(16, False), (18, True)])
def test_all_reasons_count_together(n: int, told: bool) -> None:
    found = without(RowRange.exactly(n), n_traffic=930, n_future=n, n_lost=n)
    assert found.much == told
    if told:
        assert headline(accuracy(), found).warning == (
            "6% of the traffic is missing from this number (18 rejected, 18 dated in the future, "
            "18 with a lost input; of 966 predictions)"
        )


@pytest.mark.parametrize("n_broken", [0, 9])
def test_every_place_begins_with_it_and_a_strict_run_ends_with_3(
    world: World, n_broken: int
) -> None:
    world.traffic(30)
    for i in range(n_broken):
        world.put(f"broken-{i}.png", confidence="very")
    world.clock.at = world.clock.at.replace(hour=23)
    world.loop.run()
    world.answer_all()
    ran = world.loop.run()
    assert ran.measured is not None
    warned = f"rejected ({n_broken} of {30 + n_broken} predictions)"
    report = world.loop.report()
    for text in (measure_line(ran.measured), summary(report), page(report)):
        assert (warned in text) == (n_broken > 0)
    assert exit_code(ran, strict=True) == (3 if n_broken else 0)
    assert exit_code(ran, strict=False) == 0


def told_everywhere(world: World) -> str:
    """The warning, which every place begins with, and which ends a strict run with 3."""
    ran = world.loop.run()
    assert ran.measured is not None
    warning = headline(ran.measured.last_seven_days, ran.measured.missing).warning
    report = world.loop.report()
    assert measure_line(ran.measured).startswith(warning)
    assert warning in summary(report)
    assert warning in page(report)
    assert warning == "" or exit_code(ran, strict=True) == 3
    return warning


def test_inputs_dated_in_the_future_count(world: World) -> None:
    world.traffic(20)
    world.traffic(20, timestamp="2099-01-01T00:00:00Z")
    world.clock.at = world.clock.at.replace(hour=23)
    world.loop.run()
    world.answer_all()
    assert "dated in the future; of 40 predictions" in told_everywhere(world)
    world.clock.pass_(days=8)
    assert told_everywhere(world) == "", "they came in more than seven days ago"


def test_inputs_too_old_for_the_first_round_count_even_if_none_is_drawn(world: World) -> None:
    world.traffic(20, timestamp="2019-01-01T00:00:00Z")
    world.clock.at = world.clock.at.replace(hour=23)
    assert told_everywhere(world) == (
        "100% of the traffic is missing from this number (20 too old; of 20 predictions)"
    )
    world.traffic(20)
    world.loop.run()
    assert "50% of the traffic is missing" in told_everywhere(world)


def test_inputs_dated_long_before_their_round_count(world: World) -> None:
    world.traffic(20)
    world.loop.run()
    world.clock.pass_(days=1)
    world.traffic(40, timestamp="2019-01-01T00:00:00Z")
    world.loop.run()
    assert "40 too old; of 60 predictions" in told_everywhere(world)


def test_lost_inputs_count(world: World) -> None:
    keys = world.traffic(20)
    world.loop.index()
    for key in keys:
        world.store.delete(f"s3://production/{key}")
    world.loop.select()
    world.loop.send()
    assert "20 with a lost input; of 20 predictions" in told_everywhere(world)


def test_rejected_rows_count_before_there_is_a_round_to_count_them(world: World) -> None:
    for i in range(9):
        world.put(f"broken-{i}.png", confidence="very")
    world.clock.at = world.clock.at.replace(hour=23)
    assert told_everywhere(world) == ("100% of the traffic was rejected (9 of 9 predictions)")
