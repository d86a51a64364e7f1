"""The looks by day and by week: when they are made, what they see, and that the past stays."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from labelloop.core.estimate import Estimate
from labelloop.core.row_range import NO_ROWS
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.measuring.trend import Look, Trend
from labelloop.views.sentences import over_time
from tests.frames import blind_frame, trend_of
from tests.history import History
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, START, World

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(days=7)


def weeks(
    shares: Sequence[float], *, n: int = 100, model: str = "v1", first: int = 0
) -> list[BlindFrame]:
    """A round each Wednesday noon, so many of its answers right."""
    return [
        blind_frame(
            first + i + 1,
            MONDAY + (first + i) * WEEK + timedelta(days=2, hours=12),
            [j < share * n for j in range(n)],
            model=model,
        )
        for i, share in enumerate(shares)
    ]


def looked(frames: Sequence[BlindFrame], *, n_weeks: float, timezone: str = "UTC") -> Trend:
    return trend_of(frames, now=MONDAY + n_weeks * WEEK, timezone=timezone)


def days(shares: Sequence[float], *, n: int = 70, first: int = 0) -> list[BlindFrame]:
    """A round each noon, so many of its answers right."""
    return [
        blind_frame(
            first + i + 1,
            MONDAY + (first + i) * DAY + timedelta(hours=12),
            [j < share * n for j in range(n)],
        )
        for i, share in enumerate(shares)
    ]


def by_week(found: Trend) -> list[Look]:
    return [k for k in found.looks if k.by == "week"]


def test_without_rounds_there_is_no_look_and_the_next_one_is_named() -> None:
    found = looked([], n_weeks=11 / 7)
    assert (found.model, found.looks, found.means, found.delays) == (None, (), (), ())
    assert found.next_at == MONDAY + 12 * DAY
    (said,) = over_time(found, "UTC")
    assert "Not tested yet: this needs two full days" in said


def test_each_closed_week_is_one_look_however_often_it_is_asked() -> None:
    frames = weeks([0.9] * 6)
    assert by_week(looked(frames, n_weeks=1.9)) == []
    assert [k.at for k in by_week(looked(frames, n_weeks=2))] == [MONDAY + 2 * WEEK]
    assert by_week(looked(frames, n_weeks=2.9)) == by_week(looked(frames, n_weeks=2))
    six = looked(frames, n_weeks=6).looks
    assert [k.at for k in six if k.by == "week"] == [MONDAY + i * WEEK for i in range(2, 7)]
    assert looked(frames, n_weeks=9).looks == six  # no answer came since


def test_each_closed_day_is_one_look_and_a_closed_week_joins_its_last() -> None:
    frames = days([0.9] * 16)
    found = looked(frames, n_weeks=16 / 7).looks
    assert [k.number for k in found] == list(range(1, 16))
    assert [k.at for k in found] == [MONDAY + i * DAY for i in range(2, 17)]
    assert {k.at for k in found if k.by == "week"} <= {MONDAY + 2 * WEEK}
    for n_days in (2, 9, 15):
        assert looked(frames, n_weeks=n_days / 7).looks == found[: n_days - 1]
    assert [k.by for k in looked(frames, n_weeks=6).looks[15:]] == ["week"]  # no answer came since


def test_a_deep_fall_shows_within_days_and_a_shallow_one_by_week() -> None:
    deep = looked(days([0.9] * 28 + [0.75] * 5), n_weeks=5).alarm
    assert deep is not None
    assert (deep.by, deep.since) == ("day", date(2026, 3, 30))
    assert deep.at <= MONDAY + 31 * DAY
    said = " ".join(over_time(looked(days([0.9] * 28 + [0.75] * 5), n_weeks=33 / 7), "UTC"))
    assert "The accuracy of v1 has fallen since 30 Mar: by 14.3 points" in said
    assert "At 490 labels a week, a fall shows with even odds: of 10 points after about" in said

    shallow = looked(days([0.9] * 28 + [0.85] * 28), n_weeks=8).alarm
    assert shallow is not None
    assert (shallow.by, shallow.since) == ("week", date(2026, 3, 30))


def test_a_large_fall_is_found_and_dated() -> None:
    found = looked(weeks([0.9, 0.91, 0.9, 0.89, 0.7, 0.7]), n_weeks=6)
    alarm = found.alarm
    assert alarm is not None
    # a single day of labels a week: the look by day sees it when Wednesday closes
    assert (alarm.at, alarm.by, alarm.since, alarm.rounds) == (
        MONDAY + 4 * WEEK + 3 * DAY,
        "day",
        date(2026, 4, 1),
        (5,),
    )
    assert 0 < alarm.drop.bound < alarm.drop.value
    assert found.latest is not None
    assert found.latest.drop.n_windows == 2
    said = " ".join(over_time(found, "UTC"))
    assert "The accuracy of v1 has fallen since 1 Apr: by 20 points" in said
    assert "found on Thu 2 Apr 2026; on Mon 13 Apr 2026: 70.0% in the last 2 weeks" in said


def test_a_look_sees_the_answers_that_were_there_when_its_week_closed() -> None:
    prompt = weeks([0.9, 0.9, 0.9, 0.9])
    late = blind_frame(
        5,
        MONDAY + 4 * WEEK + timedelta(days=1),
        [False] * 100,
        answered_after=timedelta(days=10),
    )
    before = by_week(looked([*prompt, late], n_weeks=5))
    after = by_week(looked([*prompt, late], n_weeks=7))
    assert [k.drop.n_now + k.drop.n_before for k in after] == [200, 300, 400, 500]
    assert after[: len(before)] == before
    assert [k.drop.alarm for k in after] == [False, False, False, True]


def test_another_model_starts_a_line_of_its_own() -> None:
    frames = [*weeks([0.9] * 4), *weeks([0.6, 0.6], model="v2", first=4)]
    found = looked(frames, n_weeks=6)
    for model, n_looks in (("v1", 6), ("v2", 2)):
        numbers = [k.number for k in found.looks if k.model == model]
        assert numbers == list(range(1, n_looks + 1))
    assert found.model == "v2"
    assert found.alarm is None  # v2 never was better
    assert [(m.model, m.n_weeks) for m in found.means] == [
        *(("v1", n) for n in range(1, 5)),
        ("v2", 1),
    ]


def test_a_round_of_several_models_belongs_to_none_of_them() -> None:
    mixed = blind_frame(3, MONDAY + 2 * WEEK + timedelta(days=2), [False] * 100)
    halves = [*mixed.draws[:50], *(blind_frame(3, MONDAY, [False] * 100, model="v2").draws[50:])]
    frames = [*weeks([0.9, 0.9]), BlindFrame(mixed.round, tuple(halves), NO_ROWS, mixed.cells)]
    found = looked(frames, n_weeks=3)
    assert (found.model, found.n_mixed, found.alarm) == ("v1", 1, None)
    assert [k.at for k in by_week(found)] == [MONDAY + 2 * WEEK]
    (said,) = over_time(looked(frames[2:], n_weeks=3), "UTC")
    assert "each round so far was served by several" in said


def test_days_and_weeks_close_at_midnight_of_the_project() -> None:
    zone = "America/New_York"
    frames = weeks([0.9] * 2)
    thursday = MONDAY + WEEK + 3 * DAY + timedelta(hours=4)  # summer time by then
    early = looked(frames, n_weeks=(thursday - MONDAY - timedelta(seconds=1)) / WEEK, timezone=zone)
    assert (early.looks, early.next_at) == ((), thursday)
    assert [k.at for k in looked(frames, n_weeks=1.9, timezone=zone).looks] == [thursday]
    assert by_week(looked(frames, n_weeks=2, timezone=zone)) == []
    assert len(by_week(looked(frames, n_weeks=2.1, timezone=zone))) == 1


def test_falls_that_would_show_are_told_at_the_present_rate_of_labels() -> None:
    few, many = (looked(weeks([0.9] * 9, n=n), n_weeks=9) for n in (30, 300))
    assert (round(few.labels_a_week), round(many.labels_a_week)) == (30, 300)
    for slow, fast in zip(few.delays, many.delays, strict=True):
        assert fast.days is not None or slow.days is None
    (steep, *_) = many.delays
    assert (steep.fall, steep.days) == (0.1, 7)


def test_a_mean_waits_a_week_for_answers_and_then_stays() -> None:
    frames = weeks([0.9, 0.7, 0.8])
    assert looked(frames, n_weeks=1.9).means == ()
    first = looked(frames, n_weeks=2).means
    found = looked(frames, n_weeks=4).means
    assert found[:1] == first
    assert [round(m.mean, 3) for m in found] == [0.9, 0.8, 0.8]
    assert [m.rounds for m in found] == [(1,), (2,), (3,)]
    for m in found:
        assert m.low < m.mean < m.high


def test_an_edit_does_not_move_when_a_task_was_first_labelled(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.traffic(20)
    world.loop.run()
    world.answer_all("cat")
    world.loop.collect()
    first = {d.sample_id: d.labelled_at for d in world.draws("accuracy")}
    assert set(first.values()) == {world.clock.at}
    world.clock.pass_(days=3)
    for page in world.annotator.tasks(world.project_ref("accuracy")):
        for task in page:
            world.annotator.edit(task.annotations[0].remote_id, "dog")
    world.loop.collect()
    assert {d.sample_id: d.labelled_at for d in world.draws("accuracy")} == first
    assert set(world.labels().values()) == {"dog"}


def test_measure_and_the_report_tell_a_fall(world: World) -> None:
    History(world.loop.project.ledger, world.folder / "made", ("cat", "dog"), now=START).write(
        42, n_blind=60, worse_from=29
    )
    measured = world.loop.measure()
    assert isinstance(measured.last_seven_days.estimate, Estimate)
    alarm = measured.trend.alarm
    assert alarm is not None
    assert alarm.drop.value > 0.15
    assert 28 <= alarm.rounds[0] <= 30
