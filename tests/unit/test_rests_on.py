"""What a number rests on stands beside it: single answers with a band, or confirmed errors."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.estimate import Undefined
from labelloop.core.looks import Look
from labelloop.measuring.answers import RestsOn
from labelloop.measuring.checks import Check, Checks
from labelloop.measuring.people import Person, named
from labelloop.views.people import judged_by, people, rests_on
from labelloop.views.verbs import measure_line
from tests.unit.test_second_looks import (
    LOOKS,
    PEOPLE,
    REFEREES,
    answer_firsts,
    checked,
    look_task,
    other,
    turn,
)
from tests.world import ACCURACY, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, LOOKS + REFEREES)
    world.annotator.members = list(PEOPLE)
    world.traffic(120)
    world.loop.run(now=True)
    yield world
    world.loop.close()


def test_single_answers_carry_the_band_of_what_they_would_mean_if_people_err(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, ACCURACY.replace("5", "40"))
    world.traffic(120)
    world.loop.run(now=True)
    answer_firsts(world, differing=4)
    world.loop.collect()
    measured = world.loop.measure()
    assert [w.error for w in measured.if_wrong] == [0.01, 0.02, 0.05]
    lows = [w.low for w in measured.if_wrong]
    assert lows == sorted(lows)
    said = rests_on(measured)
    assert "This holds if the labels are right. If people are wrong in 1%, 2% or 5%" in said
    assert "each by themselves" in said
    assert "if people err independently in 1%, 2% or 5%: " in measure_line(measured)
    world.loop.close()


def test_second_looks_move_the_number_to_confirmed_errors(world: World) -> None:
    draws = answer_firsts(world, differing=9)
    turn(world)
    before = world.loop.measure()
    assert before.rests_on is not None
    assert before.rests_on.n_unconfirmed == 9
    estimate = before.rounds[0].estimate
    assert not isinstance(estimate, Undefined)
    assert estimate.value == pytest.approx(31 / 40, abs=0.05)
    assert "9 answers that differ from the prediction wait" in rests_on(before)
    for i, d in enumerate(draws[:9]):
        said = d.predicted_class if i < 4 else other(d.predicted_class)
        world.annotator.answer(look_task(world, d.sample_id, Look.SECOND), str(said), by="ref")
    for d in draws[9:]:
        if checked(d):
            look = look_task(world, d.sample_id, Look.SECOND)
            world.annotator.answer(look, str(d.predicted_class), by="ref")
    turn(world)
    after = world.loop.measure()
    assert after.rests_on is not None
    rests = after.rests_on
    assert (rests.n_confirmed, rests.n_refuted, rests.n_unconfirmed) == (5, 4, 0)
    assert rests.n_checked == sum(checked(d) for d in draws[9:]) > 0
    estimate = after.rounds[0].estimate
    assert not isinstance(estimate, Undefined)
    assert estimate.value == pytest.approx(35 / 40, abs=0.05)
    assert after.if_wrong == ()
    said = rests_on(after)
    assert (
        "9 answers that differ from the prediction, second looks confirmed 5 and refuted 4." in said
    )
    assert "aren't taken off yet" in said
    assert "What referees overlook too, no number shows." in said
    for n, d in enumerate(draws[4:9], start=1):
        again = look_task(world, d.sample_id, Look.RECAPTURE)
        world.annotator.answer(again, str(d.predicted_class), by="ben")
        turn(world)
        recaptured = world.loop.measure()
        if n < 5:
            assert f"are needed; there are {n}" in rests_on(recaptured)
            assert recaptured.rounds[0].estimate == estimate
    assert "5 further answers to confirmed errors tell" in rests_on(recaptured)
    lower = recaptured.rounds[0].estimate
    assert not isinstance(lower, Undefined)
    assert lower.value < estimate.value
    assert "further answers" in lower.method


def test_kept_results_are_those_that_measuring_anew_gives(world: World) -> None:
    draws = answer_firsts(world, differing=3)
    world.loop.run()
    for d in draws[:3]:
        look = look_task(world, d.sample_id, Look.SECOND)
        world.annotator.answer(look, str(d.predicted_class), by="ref")
        ran = world.loop.run()
        assert ran.measured is not None
        assert ran.measured.rounds == world.loop.measure().rounds
        with world.loop.project.ledger.write_at_once() as tx:
            tx.exec_driver_sql("DELETE FROM measured")
        assert ran.measured.rounds == world.loop.measure().rounds


def check(number: int, **changes: object) -> Check:
    given = {"model": "m", "first_by": "ana", "found": number % 20 == 0, "inclusion": 0.1}
    return Check(round=number % 12 + 1, **{**given, **changes})  # type: ignore[arg-type]


def test_looks_are_pooled_over_ten_rounds_of_a_model_and_its_people(world: World) -> None:
    answer_firsts(world)
    world.loop.collect()
    draws = [d for d in world.draws("accuracy") if d.replies]
    model = draws[0].model
    every = tuple(check(i, model=model) for i in range(240))
    pooled = Checks(every, tuple(range(1, 13)))
    assert {c.round for c in pooled.of(draws)} == {1}
    assert pooled.missed(draws) is None
    last = Checks(tuple(check(0, model=model, found=i < 3) for i in range(160)), (1,))
    found = last.missed(draws)
    assert found is not None
    assert (found.n, found.n_found) == (160, 3)
    for changes in ({"model": "another"}, {"first_by": "ben"}):
        others = Checks(tuple(check(0, **{"model": model, **changes}) for _ in range(160)), (1,))
        assert others.of(draws) == ()
    assert pooled.pool(12) == frozenset(range(3, 13))
    assert pooled.with_those_that_pool([2]) == frozenset(range(2, 12))


def test_people_are_told_by_their_work_and_by_second_looks(world: World) -> None:
    draws = answer_firsts(world, differing=6)
    turn(world)
    for i, d in enumerate(draws[:6]):
        look = look_task(world, d.sample_id, Look.SECOND)
        if i == 0:
            world.annotator.answer(look, "cat", by="ben")
        world.annotator.answer(look, str(d.predicted_class), by="ref")
    turn(world)
    by_name = {p.annotator: p for p in world.loop.people()}
    assert by_name["ana"].name == "ana@labelloop.invalid"
    assert by_name["ana"].n_answers == 40
    assert (by_name["ben"].n_wasted, by_name["ref"].n_wasted) == (1, 0)
    assert by_name["ref"].referee
    error = by_name["ana"].error
    assert not isinstance(error, Undefined)
    assert error.value == pytest.approx(6 / 40)
    assert error.low < 6 / 40 < error.high
    assert isinstance(by_name["ben"].error, Undefined)
    shown = people(list(by_name.values()))
    assert any("ref@labelloop.invalid, referee" in row for row in shown.rows)


def test_without_label_studio_people_are_the_ids_of_their_accounts() -> None:
    person = Person(
        annotator="7",
        name="7",
        referee=False,
        n_answers=3,
        n_skips=0,
        n_wasted=0,
        pace_s=None,
        agreement=Undefined("nobody"),
        error=Undefined("nobody"),
    )
    assert named([person], {})[0].name == "7"
    assert named([person], {"7": "ana@example.com"})[0].name == "ana@example.com"


def test_measure_people_prints_a_table(world: World) -> None:
    world.clock.at = datetime.now(UTC)  # the command goes by the machine's
    answer_firsts(world, differing=2)
    world.loop.collect()
    done = CliRunner().invoke(
        group, ["measure", "--people", "--config", str(world.folder / "labelloop.toml")]
    )
    assert done.exit_code == 0, done.output
    assert "People, last 30 days" in done.output


def test_a_comparison_says_whether_its_labels_were_confirmed() -> None:
    none = RestsOn(
        n_differing=4,
        n_confirmed=0,
        n_refuted=0,
        n_unconfirmed=4,
        n_checked=0,
        n_overlooked=0,
        n_recaptured=0,
        n_single=0,
        n_people=1,
    )
    assert "if the labels are right" in judged_by(none)
