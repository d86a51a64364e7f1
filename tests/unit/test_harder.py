"""The hint that the traffic looks harder: which rounds it rests on, and where it is shown."""

from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.draw import Draw
from labelloop.core.estimate import Undefined
from labelloop.core.queue import Purpose
from labelloop.core.round import FrameRange, Round
from labelloop.core.row_range import RowRange
from labelloop.ledger import confidences, rounds
from labelloop.measuring.harder import Harder, harder
from labelloop.pages.report import page
from labelloop.views.sentences import HINT, harder_or_not, looks_harder
from tests.json_documents import result_of
from tests.world import START, World

BINS = {100: 600, 130: 400}
"""Confidences of 0.90 and 0.87: a mean of 0.89."""


def write(world: World, days: list[tuple[dict[int, int], str]], *, extra: bool = False) -> None:
    """A round a day, the last one yesterday: its confidences, and the model that served."""
    ledger = world.loop.project.ledger
    with ledger.read() as tx:
        number = rounds.next_number(tx)
    with ledger.lease("made") as lease, ledger.write(lease) as tx:
        for i, (counts, model) in enumerate(days):
            at = world.clock.now() - timedelta(days=len(days) - i)
            made = Round(
                round=number + i,
                frame=FrameRange(batch_to=number + i),
                extra=extra,
                n_frame=1000,
                snapshot=None,
                created_at=at,
            )
            rounds.insert(tx, made, {}, RowRange.exactly(0))
            confidences.insert(tx, number + i, counts)
            rounds.insert_draws(
                tx, [_draw(number + i, model, at)], {"accuracy": Purpose.EVALUATION}
            )


def _draw(number: int, model: str, at: datetime) -> Draw:
    key = f"{number}-{model}"
    return Draw(
        round=number,
        sample_id=key,
        uri=f"s3://production/{key}.png",
        model=model,
        queue="accuracy",
        predicted_at=at,
        predicted_class="cat",
        confidence=0.9,
        risk=0.1,
        line=number,
        inclusion=0.5,
        uniform=True,
        position=0,
        reason="made",
        content_hash=key,
        task_key=key,
    )


def looked(world: World) -> Harder | Undefined:
    with world.loop.project.ledger_to_read.read() as tx:
        return harder(tx, now=world.clock.now(), timezone="UTC")


def varied(i: int, *, lower: int = 0) -> dict[int, int]:
    """Confidences that vary a little from day to day."""
    return {100 + i % 5 + lower: 600, 130 + lower: 400}


def test_lower_confidences_are_told_on_every_screen(world: World) -> None:
    world.clock.at = datetime.now(UTC)  # commands have no other clock
    write(
        world,
        [(varied(i), "v1") for i in range(30)] + [(varied(i, lower=90), "v1") for i in range(6)],
    )
    found = looked(world)
    assert isinstance(found, Harder)
    assert found.alarm
    assert (found.model, found.on) == ("v1", (world.clock.at - timedelta(days=1)).date())
    assert (found.days.n_low, found.days.n_before) == (6, 28)
    assert found.days.now < found.days.before - 0.07
    says = "On 6 of the 7 days up to"
    assert any(says in text for text in looks_harder(found))
    config = ["--config", str(world.folder / "labelloop.toml")]
    for command in ("status", "measure", "report"):
        shown = " ".join(CliRunner().invoke(group, [command, *config]).output.split())
        assert says in shown, command
        assert HINT in shown
    assert says in page(world.loop.report())
    for command in ("status", "measure"):
        told = result_of(CliRunner().invoke(group, [command, *config, "--json"]).output)
        assert told["harder"]["days"]["n_low"] == 6


def test_steady_traffic_is_told_where_all_is_told(world: World) -> None:
    write(world, [(varied(i), "v1") for i in range(36)])
    found = looked(world)
    assert isinstance(found, Harder)
    assert not found.alarm
    assert list(looks_harder(found)) == []
    assert "The traffic doesn't look harder" in page(world.loop.report()).replace("&#39;", "'")
    assert any("False hints a year: 0.024 at most" in text for text in harder_or_not(found))


def test_a_hint_stays_for_four_weeks(world: World) -> None:
    days = [(varied(i), "v1") for i in range(30)] + [(varied(i, lower=90), "v1") for i in range(20)]
    write(world, days)
    found = looked(world)
    assert isinstance(found, Harder)
    assert found.alarm
    assert found.on < date(START.year, START.month, START.day) - timedelta(days=7)
    world.clock.at += timedelta(days=40)
    assert isinstance(looked(world), Undefined)


def test_another_model_version_has_confidences_of_its_own(world: World) -> None:
    write(
        world,
        [(varied(i), "v1") for i in range(30)] + [(varied(i, lower=90), "v2") for i in range(6)],
    )
    found = looked(world)
    assert found == Undefined("6 days against 0 before them: too few to tell")


def test_extra_rounds_and_rounds_of_today_do_not_count(world: World) -> None:
    write(world, [(varied(i), "v1") for i in range(36)])
    before = looked(world)
    write(world, [({900: 1000}, "v1")] * 6, extra=True)
    assert looked(world) == before


def test_without_confidences_there_is_no_look(world: World) -> None:
    none = Undefined("no day of the last four weeks has closed with a round that tells confidences")
    assert looked(world) == none
    (said,) = harder_or_not(none)
    assert said == f"Does the traffic look harder? No look: {none.reason}."
    world.traffic(8, confidence="")
    world.loop.run()
    world.clock.pass_(days=1)
    assert looked(world) == none


def test_select_counts_the_confidences_of_a_round(world: World) -> None:
    world.traffic(30, confidence="0.9")
    world.traffic(10, confidence="0.5")
    world.traffic(5, confidence="")
    world.loop.run()
    with world.loop.project.ledger.read() as tx:
        assert confidences.of_rounds(tx, [1]) == {1: {102: 30, 512: 10}}
        (found,) = confidences.claimed(tx, datetime(2020, 1, 1, tzinfo=UTC))
    assert (found.n, found.mean) == (40, pytest.approx(0.8, abs=0.001))


def test_a_row_counts_as_the_predictions_that_it_stands_for(world: World) -> None:
    world.traffic(6, confidence="0.9", predicted_class="cat", sampling_rate="0.1")
    world.traffic(2, confidence="0.9", predicted_class="cat")
    world.traffic(10, confidence="0.7", predicted_class="cat")
    world.loop.run()
    world.answer_all("cat")
    world.loop.run()
    with world.loop.project.ledger.read() as tx:
        assert confidences.of_rounds(tx, [1]) == {1: {102: 62, 307: 10}}
    parts = world.loop.report().calibrated.calibration.parts
    assert [p.share for p in parts] == pytest.approx([10 / 72, 62 / 72])
