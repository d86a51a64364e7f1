"""Weeks, model changes, repeated looks, top-ups: what holds over time."""

import numpy as np

from labelloop.core.line import LINE_END
from labelloop.sampling import draw, inclusion_probabilities
from labelloop.statistics import (
    BlindRound,
    ConfidenceSequence,
    Difference,
    Estimate,
    Frame,
    RoundsSequence,
    Undefined,
    accuracy,
    compare,
    drop,
    pooled,
    wilson,
)
from tests.property.coverage import least, most
from tests.property.populations import Design, Population, population

RUNS = 250


def blind(design: Design, rng: np.random.Generator) -> BlindRound:
    s = design.label(rng)
    return BlindRound.checked(s.correct, s.risk, s.inclusion, design.frame)


def test_seven_unequal_days_with_a_change_of_model_cover_the_pooled_traffic() -> None:
    sizes = (8_000, 500, 3_000, 1_000, 9_000, 400, 2_000)
    days = [
        population(
            "calibrated" if h < 4 else "over-confident",
            0.08 if h < 4 else 0.2,
            size=size,
            seed=h,
        )
        for h, size in enumerate(sizes)
    ]
    designs = [Design(day, 60) for day in days]
    truth = 1 - sum(int(day.wrong.sum()) for day in days) / sum(sizes)
    new_truth = 1 - sum(int(day.wrong.sum()) for day in days[4:]) / sum(sizes[4:])
    rng = np.random.default_rng(1)
    covered = covered_new = 0
    widths = []
    for _ in range(RUNS):
        rounds = [blind(design, rng) for design in designs]
        week, new = pooled(rounds), pooled(rounds[4:])
        assert isinstance(week, Estimate)
        assert isinstance(new, Estimate)
        covered += week.low <= truth <= week.high
        covered_new += new.low <= new_truth <= new.high
        widths.append(week.high - week.low)
    assert covered / RUNS >= least(0.95, RUNS)
    assert covered_new / RUNS >= least(0.95, RUNS)
    assert np.mean(widths) < 0.1


def test_many_thin_days_cover_too() -> None:
    days = [population("calibrated", 0.05, size=1_000, seed=h) for h in range(30)]
    designs = [Design(day, 10) for day in days]
    truth = float(np.mean([day.accuracy for day in days]))
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(RUNS):
        found = pooled([blind(design, rng) for design in designs])
        assert isinstance(found, Estimate)
        covered += found.low <= truth <= found.high
    assert covered / RUNS >= least(0.95, RUNS)


def test_sixty_looks_at_a_running_interval_hold_where_a_plain_one_does_not() -> None:
    rng = np.random.default_rng(3)
    running_missed = plain_missed = 0
    for _ in range(RUNS):
        running = ConfidenceSequence()
        k = missed = missed_plain = 0
        for look in range(1, 61):
            right = int(rng.binomial(20, 0.9))
            k += right
            now = running.update(right, 20)
            plain = wilson(k, 20 * look)
            assert isinstance(now, Estimate)
            assert isinstance(plain, Estimate)
            missed |= not now.low <= 0.9 <= now.high
            missed_plain |= not plain.low <= 0.9 <= plain.high
        running_missed += missed
        plain_missed += missed_plain
    assert running_missed / RUNS <= most(0.05, RUNS)
    assert plain_missed / RUNS > 0.2


def test_weighted_rounds_hold_at_every_look_though_the_truth_moves() -> None:
    rng = np.random.default_rng(4)
    missed_runs = 0
    for _ in range(RUNS):
        sequence = RoundsSequence(rho=0.05)
        truths, missed = [], False
        for t in range(52):
            truth = 0.9 - 0.1 * (t > 20)
            variance = truth * (1 - truth) / 200
            truths.append(truth)
            sequence = sequence.update(float(rng.binomial(200, truth)) / 200, variance)
            low, high = sequence.interval()
            missed |= not low <= np.mean(truths) <= high
        missed_runs += missed
    assert missed_runs / RUNS <= most(0.05, RUNS)


def test_equal_windows_seldom_raise_an_alarm_in_a_year_and_a_deep_fall_does_soon() -> None:
    rng = np.random.default_rng(5)
    runs = 60
    alarms, found_after = 0, []
    for _ in range(runs):
        weeks = [weekly(0.1, rng) for _ in range(52)]
        looks = [drop(weeks[: j - 1], weeks[j - 1 : j], look=j - 1) for j in range(2, 53)]
        alarms += any(not isinstance(one, Undefined) and one.alarm for one in looks)
        fallen = [weekly(0.18, rng) for _ in range(8)]
        for j in range(1, 9):
            one = drop(weeks, fallen[:j], look=52 + j)
            assert not isinstance(one, Undefined)
            if one.alarm:
                found_after.append(j)
                break
    assert alarms / runs <= most(0.05, runs)
    assert len(found_after) > 0.8 * runs


def weekly(error_rate: float, rng: np.random.Generator) -> BlindRound:
    """A uniform draw of 200 from a frame of 400: small frames are where a test of frames errs."""
    wrong = rng.random(400) < error_rate
    frame = Frame.from_arrays(np.full(400, 0.1), np.full(400, 0.5))
    return BlindRound.checked(~wrong[:200], np.full(200, 0.1), np.full(200, 0.5), frame)


def test_a_top_up_decided_on_the_width_seen_so_far_still_covers() -> None:
    traffic = population("calibrated", 0.1, size=5_000, seed=6)
    rng = np.random.default_rng(7)
    covered = topped = 0
    for _ in range(RUNS):
        line = rng.integers(0, LINE_END, 5_000)
        found = labelled(traffic, line, 100)
        if found.high - found.low > 0.09:
            topped += 1
            found = labelled(traffic, line, 200)
        covered += found.low <= traffic.accuracy <= found.high
    assert 0.1 < topped / RUNS < 0.9
    assert covered / RUNS >= least(0.95, RUNS)


def labelled(traffic: Population, line: np.ndarray, budget: int) -> Estimate:
    inclusion = inclusion_probabilities(traffic.risk, budget=budget, n_uniform=30)
    mine = draw(inclusion, line, n_uniform=30).picked
    found = accuracy(
        ~traffic.wrong[mine],
        traffic.risk[mine],
        inclusion[mine],
        Frame.from_arrays(traffic.risk, inclusion),
    )
    assert isinstance(found, Estimate)
    return found


def test_a_difference_is_covered_and_a_model_trained_on_the_draws_is_undefined() -> None:
    traffic = population("calibrated", 0.12, size=5_000, seed=8)
    rng = np.random.default_rng(9)
    # the candidate mends half of the errors and breaks 3% of the rest
    candidate_wrong = np.where(traffic.wrong, rng.random(5_000) < 0.5, rng.random(5_000) < 0.03)
    truth = float(traffic.wrong.mean() - candidate_wrong.mean())
    design = Design(traffic, 200)
    covered = 0
    for _ in range(RUNS):
        s = design.label(rng)
        serving = BlindRound.checked(s.correct, s.risk, s.inclusion, design.frame)
        found = compare([serving], [~candidate_wrong[s.picked]])
        assert isinstance(found, Difference)
        covered += found.low <= truth <= found.high
        seen = np.zeros(s.picked.size, dtype=bool)
        seen[0] = True
        assert isinstance(
            compare([serving], [~candidate_wrong[s.picked]], trained_on=[seen]), Undefined
        )
    assert covered / RUNS >= least(0.95, RUNS)
