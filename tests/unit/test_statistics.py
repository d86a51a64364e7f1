"""What the estimators say at the edges, and what they refuse."""

import itertools
import math
import sys

import numpy as np
import pyarrow as pa
import pytest

from labelloop.errors import ArgumentError
from labelloop.statistics import (
    BlindRound,
    ConfidenceSequence,
    Estimate,
    Frame,
    RiskModel,
    RoundsSequence,
    Undefined,
    Verdict,
    Window,
    accuracy,
    compare,
    days_to_show,
    latest_drop,
    pooled,
    sudden_drop,
    wilson,
)
from labelloop.statistics.drop import splits
from labelloop.statistics.greg import exact_bounds
from labelloop.statistics.quantiles import (
    beta_quantile,
    log_beta,
    normal_below,
    student_quantile,
)
from labelloop.statistics.risk import _falling
from labelloop.statistics.risk_features import _fitted
from tests.programs import output_of

FRAME = Frame.from_arrays([0.1] * 100, [0.2] * 100)


def simple_round(n_right: int, n: int, size: int) -> BlindRound:
    frame = Frame.from_arrays([0.1] * size, [n / size] * size)
    return BlindRound.checked(
        [True] * n_right + [False] * (n - n_right), [0.1] * n, [n / size] * n, frame
    )


def test_importing_statistics_loads_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, labelloop.statistics, labelloop.sampling; "
        "print([m for m in ('scipy', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    assert output_of([sys.executable, "-c", code]).strip() == "[]"


def test_no_labels_are_undefined() -> None:
    assert accuracy([], [], [], FRAME) == Undefined("no labels")
    assert pooled([]) == Undefined("no rounds")
    assert wilson(0, 0) == Undefined("no labels")
    assert accuracy([True], [0.1], [0.2], FRAME, answered=[False]) == Undefined("no labels")


def test_all_right_and_all_wrong_have_intervals_with_room() -> None:
    right = accuracy([True] * 20, [0.1] * 20, [0.2] * 20, FRAME)
    wrong = accuracy([False] * 20, [0.1] * 20, [0.2] * 20, FRAME)
    assert isinstance(right, Estimate)
    assert isinstance(wrong, Estimate)
    assert (right.value, right.high) == (1.0, 1.0)
    assert (wrong.value, wrong.low) == (0.0, 0.0)
    assert 0.8 < right.low < 0.9
    assert right.low == pytest.approx(1 - wrong.high)


def test_a_frame_of_one_is_known_exactly() -> None:
    found = accuracy([True], [0.3], [1.0], Frame.from_arrays([0.3], [1.0]))
    assert isinstance(found, Estimate)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert "every sample" in found.method


def test_every_sample_labelled_leaves_no_doubt_about_the_frame_but_some_about_fresh_traffic() -> (
    None
):
    frame = Frame.from_arrays([0.1] * 40, [1.0] * 40)
    correct = [True] * 30 + [False] * 10
    exact = accuracy(correct, [0.1] * 40, [1.0] * 40, frame)
    fresh = accuracy(correct, [0.1] * 40, [1.0] * 40, frame, fresh=True)
    assert isinstance(exact, Estimate)
    assert isinstance(fresh, Estimate)
    assert (exact.low, exact.value, exact.high) == (0.75, 0.75, 0.75)
    assert fresh.low < 0.62 < 0.86 < fresh.high
    assert "finite population" not in fresh.method
    assert "fresh traffic" in fresh.method


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_labels_is_estimated_with_hardly_any_certainty(n: int) -> None:
    found = accuracy([True] * n, [0.1] * n, [0.2] * n, FRAME)
    assert isinstance(found, Estimate)
    assert found.low < 0.5
    assert found.high == 1.0


def test_missing_answers_and_rows_set_aside_widen_the_worst_case_only() -> None:
    correct = [True] * 15 + [False] * 5
    plain = accuracy(
        correct[:18], [0.1] * 18, [0.18] * 18, Frame.from_arrays([0.1] * 100, [0.18] * 100)
    )
    missing = accuracy(
        correct, [0.1] * 20, [0.2] * 20, FRAME, answered=[True] * 18 + [False] * 2, n_set_aside=10
    )
    assert isinstance(plain, Estimate)
    assert isinstance(missing, Estimate)
    assert missing.value == pytest.approx(plain.value)
    assert (missing.low, missing.high) == pytest.approx((plain.low, plain.high))
    assert missing.worst_low < missing.low < missing.high < missing.worst_high <= 1
    assert missing.n == 18


def test_counts_and_arrays_give_the_same_frame() -> None:
    risk = np.random.default_rng(0).random(5000)
    inclusion = 0.1 + np.floor(risk * 1024) / 1024 * 0.5
    bins = np.minimum(1023, (risk * 1024).astype(int))
    per_bin = 0.1 + np.arange(1024) / 1024 * 0.5
    a = Frame.from_arrays(risk, inclusion)
    b = Frame.from_counts(np.bincount(bins, minlength=1024), per_bin)
    assert a.population == b.population == 5000
    assert np.array_equal(a.n, b.n)
    assert np.array_equal(a.bins, b.bins)
    assert np.allclose(a.inclusion, b.inclusion)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: accuracy([True], [0.1, 0.2], [0.2], FRAME), "different length"),
        (lambda: accuracy([True], [0.1], [0.2], FRAME, uniform=[True, False]), "different length"),
        (lambda: accuracy([True], [1.1], [0.2], FRAME), r"risk\[0\] = 1.1"),
        (lambda: accuracy([True], [-0.1], [0.2], FRAME), r"risk\[0\] = -0.1"),
        (lambda: accuracy([True], [float("nan")], [0.2], FRAME), "nan"),
        (lambda: accuracy([True], [0.1], [0.0], FRAME), r"inclusion\[0\] = 0.0"),
        (lambda: accuracy([True], [0.1], [1.01], FRAME), r"inclusion\[0\] = 1.01"),
        (lambda: accuracy([float("nan")], [0.1], [0.2], FRAME), "correct"),
        (lambda: accuracy([True], [0.1], [0.2], FRAME, level=1.0), "level = 1.0"),
        (lambda: accuracy([True], [0.1], [0.2], FRAME, n_set_aside=-1), "n_set_aside"),
        (lambda: accuracy([True] * 101, [0.1] * 101, [0.2] * 101, FRAME), "101 draws"),
        (lambda: Frame.from_arrays([], []), "no samples"),
        (lambda: Frame.from_arrays([0.1], [0.1, 0.2]), "different length"),
        (lambda: Frame.from_counts([0] * 1024, [0.1] * 1024), "counts"),
        (lambda: Frame.from_counts([1] * 3, [0.1] * 3), "1024"),
        (lambda: wilson(3, 2), "successes = 3"),
        (lambda: ConfidenceSequence().update(3, 2), "successes = 3"),
        (lambda: ConfidenceSequence(level=0), "level = 0"),
        (lambda: RoundsSequence(rho=0), "rho = 0"),
        (lambda: RoundsSequence(rho=1).update(0.5, float("nan")), "variance = nan"),
        (lambda: RiskModel.fit([], [], []), "no labels"),
        (lambda: RiskModel.fit([1.1], [True], [0.5]), "confidence"),
        (lambda: RiskModel.fit([0.9], [True, False], [0.5]), "different length"),
        (lambda: RiskModel.fit([0.9], [True], [0.0]), "inclusion"),
        (
            lambda: days_to_show(0.0, accuracy=0.9, labels_a_week=1, n_weeks=1),
            "fall = 0.0",
        ),
        (lambda: latest_drop([], spent=1.0), "spent = 1.0"),
        (lambda: sudden_drop([], false_alarms=0.0), "false_alarms = 0.0"),
        (lambda: compare([simple_round(9, 10, 50)], []), "1 rounds, 0 lists"),
        (lambda: compare([simple_round(9, 10, 50)], [[True]]), "different length"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call: object, named: str) -> None:
    assert callable(call)
    with pytest.raises(ArgumentError, match=named) as caught:
        call()
    assert caught.value.remedy


@pytest.mark.parametrize("accuracy", [0.6, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("labels", [7.3, 60.0, 400.0])
def test_no_shorter_wait_shows_a_fall(accuracy: float, labels: float) -> None:
    for fall, n_before in itertools.product([0.005, 0.02, 0.1, 0.5], [1, 6, 52]):
        found = days_to_show(fall, accuracy=accuracy, labels_a_week=labels, n_weeks=n_before)
        by_day = (
            j
            for j in (1, 2, 3, 4)
            if fall >= least_sure_fall(fall, accuracy, labels, n_before, j / 7, spent=2.7e-5)
        )
        by_week = (
            7 * j
            for j in range(1, 521)
            if fall
            >= least_sure_fall(
                fall, accuracy, labels, n_before, j, spent=0.05 / 52 / len(splits(n_before + j))
            )
        )
        assert found == next(by_day, next(by_week, None))


def least_sure_fall(
    fall: float, accuracy: float, labels: float, n_before: int, n_now: float, *, spent: float
) -> float:
    """What a fall must exceed to be sure, by the formula; the numbers are of weeks."""
    level = 1 - 2 * spent
    before, now, after = n_before * labels, n_now * labels, accuracy - fall
    low = exact_bounds(accuracy * before, before, level)[0]
    high = exact_bounds(after * now, now, level)[1]
    return math.hypot(accuracy - low, high - after)


def test_pooling_counts_a_busy_round_more() -> None:
    found = pooled([simple_round(90, 100, 1_000), simple_round(50, 100, 9_000)])
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(0.1 * 0.9 + 0.9 * 0.5)
    assert "2 rounds" in found.method


def test_a_round_without_labels_is_left_out_of_the_pool() -> None:
    one = simple_round(90, 100, 1_000)
    empty = BlindRound.checked([], [], [], FRAME)
    assert pooled([one, empty]) == pooled([one])


def test_risk_falls_with_confidence_and_knows_a_missing_one() -> None:
    rng = np.random.default_rng(3)
    sure = rng.random(600)
    right = rng.random(600) < 0.3 + 0.69 * sure
    sure[:60] = np.nan
    model = RiskModel.fit(sure, right, np.full(600, 0.1))
    risk = model.predict(np.linspace(0, 1, 101))
    assert (np.diff(risk) <= 1e-12).all()
    assert 0 <= risk.min() <= risk.max() <= 1
    assert model.predict([np.nan])[0] == pytest.approx(1 - right[:60].mean(), abs=0.02)


@pytest.mark.parametrize("right", [True, False])
def test_risk_can_be_learned_when_everything_was_right_or_wrong(right: bool) -> None:
    model = RiskModel.fit([0.9, 0.8, 0.99], [right] * 3, [0.5] * 3)
    assert np.isfinite(model.predict([0.5, 0.95, float("nan")])).all()
    alone = RiskModel.fit([float("nan")], [right], [0.5])
    assert np.isfinite(alone.predict([0.5, float("nan")])).all()


def test_a_frozen_risk_predicts_the_same_after_it_was_stored() -> None:
    rng = np.random.default_rng(5)
    kind = rng.integers(0, 2, 900)
    sure = rng.random(900)
    right = rng.random(900) > np.where(kind == 1, 0.6, 0.05)
    table = pa.table({"predicted_class": np.where(kind == 1, "cat", "dog"), "margin": sure})
    model = RiskModel.fit(sure, right, np.full(900, 0.1), features=table)
    assert model.features is not None
    stored = RiskModel.from_json(model.to_json())
    assert stored == model
    risk = stored.predict(sure, table)
    assert risk[kind == 1].mean() > 0.5 > 0.15 > risk[kind == 0].mean()
    with pytest.raises(ArgumentError, match="predicted_class"):
        model.predict(sure)
    with pytest.raises(ArgumentError, match="predicted_class"):
        model.predict(sure, table.drop_columns(["predicted_class"]))


def test_features_that_tell_nothing_are_not_used() -> None:
    rng = np.random.default_rng(6)
    sure = rng.random(400)
    right = rng.random(400) < 0.5 + sure / 2
    noise = pa.table({"noise": rng.normal(size=400), "word": rng.choice(["a", "b", "c"], 400)})
    assert RiskModel.fit(sure, right, np.full(400, 0.1), features=noise).features is None


def learned_from(values: pa.Array, wrong: list[float]) -> RiskModel:
    """The risk learned where the value of row i of 1,200 errs as often as wrong[i] says."""
    rng = np.random.default_rng(7)
    right = rng.random(1_200) >= np.resize(wrong, 1_200)
    table = pa.table({"site": values.take(pa.array(np.resize(np.arange(len(values)), 1_200)))})
    model = RiskModel.fit(np.full(1_200, 0.8), right, np.full(1_200, 0.1), features=table)
    assert model.features is not None
    assert RiskModel.from_json(model.to_json()) == model
    return model


def risks_of(model: RiskModel, values: pa.Array) -> list[float]:
    table = pa.table({"other": pa.nulls(len(values)), "site": values})
    found: list[float] = model.predict(np.full(len(values), 0.8), table).tolist()
    return found


def test_a_value_never_seen_says_nothing_and_an_absent_one_what_it_taught() -> None:
    model = learned_from(pa.array(["a", "b", None]), [0.02, 0.2, 0.7])
    a, b, none, unseen = risks_of(model, pa.array(["a", "b", None, "None"]))
    assert a < 0.1 < b < 0.4 < none
    assert a < unseen < none
    assert risks_of(model, pa.nulls(2)) == [none, none]
    rare = learned_from(pa.array(["a"] * 600 + ["b"] * 599 + [None]), [0.02] * 600 + [0.5] * 600)
    a, b, none = risks_of(rare, pa.array(["a", "b", None]))
    assert a < none < b


def test_numbers_may_come_as_text_and_count_as_no_more_than_labels_had() -> None:
    model = learned_from(pa.array([1.0, 2.0, 3.0, None]), [0.02, 0.2, 0.6, 0.2])
    wanted = risks_of(model, pa.array([1.0, 3.0, 3.0, None, None]))
    assert wanted[0] < 0.1 < 0.4 < wanted[1]
    assert risks_of(model, pa.array(["1", "3.0", "1e9", "?", None])) == wanted
    assert risks_of(model, pa.array(["nan", "1_0", "inf", "", "x"])) == [wanted[-1]] * 5
    assert risks_of(model, pa.array([1, 3, 10**9, None, None])) == wanted


def test_a_risk_is_the_same_in_any_batch() -> None:
    model = learned_from(pa.array([*"abcdefgh"]), [0.02, 0.6] * 4)
    values = pa.array([*"abcdefghijk"] * 91)
    whole = risks_of(model, values)
    for size in (1, 7, 64, 1_000):
        parts = [risks_of(model, values[i : i + size]) for i in range(0, len(values), size)]
        assert [risk for part in parts for risk in part] == whole


def test_the_candidate_that_is_better_passes_and_one_that_saw_the_draws_is_undefined() -> None:
    serving = simple_round(150, 200, 5_000)
    better = [True] * 190 + [False] * 10
    found = compare([serving], [better])
    assert not isinstance(found, Undefined)
    assert found.verdict() is Verdict.PASS
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert found.verdict(0.5) is Verdict.FAIL
    assert found.labels_to_settle() == 0
    assert found.labels_to_settle(0.19) > 1000
    many = compare([serving], [better], n_candidates=20)
    assert not isinstance(many, Undefined)
    assert many.low < found.low
    seen = compare([serving], [better], trained_on=[[True] + [False] * 199])
    assert isinstance(seen, Undefined)
    assert "trained on 1 of these 200" in seen.reason


def test_two_models_that_agree_everywhere_differ_by_nothing_within_a_margin() -> None:
    serving = simple_round(150, 200, 5_000)
    found = compare([serving], [serving.score])
    assert not isinstance(found, Undefined)
    assert found.value == 0
    assert -0.03 < found.low < 0 < found.high < 0.03
    assert found.verdict() is Verdict.NOT_YET
    assert found.labels_to_settle() is None


def test_a_steep_fall_raises_the_alarm_and_no_labels_are_undefined() -> None:
    before = [Window.of([simple_round(180, 200, 5_000)])] * 4
    low, high = (Window.of([simple_round(n, 200, 5_000)]) for n in (140, 178))
    fallen = latest_drop([*before[:1], low], spent=0.001)
    steady = latest_drop([*before[:1], high], spent=0.001)
    assert not isinstance(fallen, Undefined)
    assert not isinstance(steady, Undefined)
    assert fallen.alarm
    assert fallen.bound > 0
    assert not steady.alarm
    assert (fallen.before, fallen.now) == (pytest.approx(0.9), pytest.approx(0.7))
    assert (fallen.n_before, fallen.n_now, fallen.n_windows) == (200, 200, 1)
    assert latest_drop([*before[:1], Window.of([]), low], spent=0.001) == fallen
    found = latest_drop([*before, low, low], spent=0.001)
    assert not isinstance(found, Undefined)
    assert found.n_windows == 2
    assert found.bound > fallen.bound
    assert latest_drop([low], spent=0.001) == Undefined("two windows with labels are needed")


def test_the_newest_days_stand_against_all_before_them() -> None:
    high, low = (Window.of([simple_round(n, 70, 5_000)]) for n in (64, 50))
    empty = Window.of([])
    steady = sudden_drop([high] * 8)
    assert not isinstance(steady, Undefined)
    assert not steady.alarm
    found = sudden_drop([*[high] * 28, low, empty, low, low])
    assert not isinstance(found, Undefined)
    assert found.alarm
    assert (found.n_windows, found.n_now, found.n_before) == (3, 210, 28 * 70)
    fewer = sudden_drop([*[high] * 28, low, low, low], false_alarms=0.001)
    assert not isinstance(fewer, Undefined)
    assert fewer.value == found.value
    assert fewer.bound < found.bound
    # more days than half of all are never the newest ones
    short = sudden_drop([high, low, low])
    assert not isinstance(short, Undefined)
    assert short.n_windows == 1
    assert sudden_drop([low, empty]) == Undefined("two days with labels are needed")


def test_a_running_interval_before_any_label_is_undefined() -> None:
    running = ConfidenceSequence()
    assert running.update(0, 0) == Undefined("no labels")
    first = running.update(10, 10)
    assert isinstance(first, Estimate)
    assert first.high == 1.0
    assert 0.4 < first.low < 0.95
    assert RoundsSequence(rho=0.1).interval() == (0.0, 1.0)


def test_quantiles_are_those_of_scipy() -> None:
    from scipy.special import betaincinv, betaln, ndtr, stdtrit

    rng = np.random.default_rng(1)
    for _ in range(300):
        size, tail = 10 ** rng.uniform(0, 5), rng.choice([1e-4, 0.005, 0.025, 0.3])
        hits = size * rng.random() if rng.random() < 0.5 else min(size / 2, rng.uniform(0.1, 8))
        for a, b, p in ((hits, size - hits + 1, tail), (hits + 1, size - hits, 1 - tail)):
            assert beta_quantile(a, b, p) == pytest.approx(betaincinv(a, b, p), rel=1e-8)
            assert log_beta(a, b) == pytest.approx(betaln(a, b), rel=1e-9, abs=1e-8)
        assert student_quantile(size, 1 - tail) == pytest.approx(stdtrit(size, 1 - tail), rel=1e-8)
        assert student_quantile(size, tail) == -student_quantile(size, 1 - tail)
        x = rng.normal(0, 3)
        assert normal_below(x) == pytest.approx(ndtr(x), rel=1e-12)
    assert beta_quantile(0.001, 60, 0.025) == 0.0
    assert beta_quantile(60, 0.001, 0.975) == 1.0
    assert beta_quantile(0.0269, 0.0235, 1e-9) == pytest.approx(0, abs=1e-300)


def test_the_falling_curve_is_the_one_of_scipy() -> None:
    from scipy.optimize import isotonic_regression

    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 50, 3000):
        for _ in range(10):
            mean, weight = rng.random(n).round(2), rng.random(n) + 0.1
            theirs = isotonic_regression(mean, weights=weight, increasing=False).x
            assert _falling(mean, weight) == pytest.approx(theirs, abs=1e-12)


def test_the_logistic_regression_is_the_one_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    for _ in range(20):
        n, k = int(rng.integers(20, 1000)), int(rng.integers(1, 9))
        x = rng.normal(size=(n, k)) * rng.choice([0.1, 1, 5], size=k)
        wrong = rng.random(n) < 1 / (1 + np.exp(2 - x @ rng.normal(size=k)))
        wrong[:2] = True, False
        weight = rng.gamma(1, 1, n) + 0.01
        for penalty in (0.01, 1.0):
            theirs = LogisticRegression(C=penalty, solver="newton-cholesky", tol=1e-8)
            theirs.fit(x, wrong, sample_weight=weight)
            expected = [theirs.intercept_[0], *theirs.coef_[0]]
            assert _fitted(x, wrong, weight, penalty) == pytest.approx(expected, rel=1e-5, abs=1e-5)
