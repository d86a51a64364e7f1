"""Weeks, model changes, repeated looks, top-ups: what holds over time."""

from datetime import UTC, datetime, timedelta

import numpy as np

from labelloop.core.line import LINE_END
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.sampling import draw, inclusion_probabilities
from labelloop.statistics import (
    BlindRound,
    ConfidenceSequence,
    Difference,
    Estimate,
    Frame,
    RoundsSequence,
    Undefined,
    Verdict,
    accuracy,
    compare,
    days_to_show,
    pooled,
    where_they_differ,
    wilson,
)
from tests.frames import blind_frame, trend_of
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


def test_equal_days_seldom_raise_an_alarm_in_a_year_and_a_deep_fall_does_soon() -> None:
    """The pipeline's looks, on small frames: `bench/alarm.py` counts false alarms in 20,000 years."""
    rng = np.random.default_rng(5)
    runs, alarms, found_after = 8, 0, []
    n_days, n_fallen = 182, 14
    for _ in range(runs):
        steady = [daily(d, 0.1, rng) for d in range(n_days)]
        fallen = [daily(n_days + d, 0.25, rng) for d in range(n_fallen)]
        found = trend_of([*steady, *fallen], now=FIRST_ROUND + timedelta(days=n_days + n_fallen))
        turned_at = fallen[0].round.created_at
        alarms += any(k.drop.alarm for k in found.looks if k.at < turned_at)
        found_after += [
            (k.at - turned_at).days + 1 for k in found.looks if k.drop.alarm and k.at > turned_at
        ][:1]
    assert alarms / runs <= most(0.05, runs)
    assert len(found_after) == runs
    expected = days_to_show(0.15, accuracy=0.9, labels_a_week=7 * 40, n_weeks=26)
    assert expected is not None
    assert abs(float(np.median(found_after)) - expected) <= 1


FIRST_ROUND = datetime(2026, 3, 4, 12, tzinfo=UTC)


def daily(day: int, error_rate: float, rng: np.random.Generator) -> BlindFrame:
    """A uniform draw of 40 from a frame of 80: small frames are where a test of frames errs."""
    right = rng.random(40) >= error_rate
    at = FIRST_ROUND + timedelta(days=day)
    return blind_frame(day + 1, at, [bool(said) for said in right], n_frame=80)


def weekly(week: int, error_rate: float, rng: np.random.Generator) -> BlindFrame:
    """A uniform draw of 60 from a frame of 120: small frames are where a test of frames errs."""
    right = rng.random(60) >= error_rate
    at = FIRST_ROUND + timedelta(days=7 * week)
    return blind_frame(week + 1, at, [bool(said) for said in right], n_frame=120)


def test_the_mean_over_weeks_holds_at_every_look_of_a_year() -> None:
    rng = np.random.default_rng(10)
    runs, missed = 15, 0
    for _ in range(runs):
        truths = rng.uniform(0.9, 1, 52)
        frames = [weekly(w, 1 - truth, rng) for w, truth in enumerate(truths)]
        found = trend_of(frames, now=FIRST_ROUND + timedelta(days=7 * 54))
        assert [m.n_weeks for m in found.means] == list(range(1, 53))
        missed += any(not m.low <= float(truths[: m.n_weeks].mean()) <= m.high for m in found.means)
    assert missed / runs <= most(0.05, runs)


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


def test_labels_where_two_models_differ_settle_a_small_gain_and_cover_it() -> None:
    """A candidate mends 2% and breaks 0.5% of all traffic; both are wrong in two ways in 0.5%."""
    rng = np.random.default_rng(11)
    gained, lost, neither, n_both, n = 0.02, 0.005, 0.005, 8_000, 100
    covered = passed = 0
    for _ in range(RUNS):
        kinds = rng.choice(4, n_both, p=[gained, lost, neither, 1 - gained - lost - neither])
        differs = kinds[kinds < 3]
        picked = rng.permutation(differs)[:n]
        inclusion = np.full(n, n / differs.size)
        frame = Frame.from_arrays(
            np.full(differs.size, 0.1), np.full(differs.size, n / differs.size)
        )
        serving = BlindRound.checked(picked == 1, np.full(n, 0.1), inclusion, frame)
        found = compare([serving], [picked == 0])
        assert isinstance(found, Difference)
        found = where_they_differ(found, n_differ=differs.size, n_both=n_both)
        covered += found.low <= gained - lost <= found.high
        passed += found.verdict() is Verdict.PASS
    assert passed / RUNS >= 0.9
    assert covered / RUNS >= least(0.95, RUNS)


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
