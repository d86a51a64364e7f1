"""Accuracy from blind uniform draws: simulated coverage, and worst cases that are the worst."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import ArgumentError
from labelloop.statistics import Stratum, uniform_accuracy, wilson

RUNS = 1500


def found(*strata: Stratum) -> Estimate:
    estimate = uniform_accuracy(strata)
    assert isinstance(estimate, Estimate)
    return estimate


def covered(sizes: list[int], shares: list[float], draws: list[int], seed: int) -> float:
    """The share of simulated intervals that hold the accuracy of the pooled finite traffic."""
    rng = np.random.default_rng(seed)
    correct = [round(share * size) for share, size in zip(shares, sizes, strict=True)]
    truth = sum(correct) / sum(sizes)
    hits = 0
    counts = [
        rng.hypergeometric(k, size - k, n, size=RUNS)
        for k, size, n in zip(correct, sizes, draws, strict=True)
    ]
    for labelled in zip(*counts, strict=True):
        estimate = found(
            *(
                Stratum(n_correct=int(k), n_labelled=n, population=size)
                for k, n, size in zip(labelled, draws, sizes, strict=True)
            )
        )
        hits += estimate.low <= truth <= estimate.high
    return hits / RUNS


GRID = [
    ([2000], [0.9], [100]),
    ([300], [0.8], [100]),
    ([5000], [0.7], [300]),
    ([2000, 500, 8000], [0.9, 0.8, 0.85], [100, 100, 100]),
    ([10_000, 200], [0.92, 0.6], [60, 60]),
    ([900, 1100, 1000, 950, 1050, 1000, 1000], [0.9] * 7, [50] * 7),
]


def test_intervals_cover_the_pooled_traffic_at_their_level() -> None:
    cover = [covered(*case, seed=i) for i, case in enumerate(GRID)]
    error = math.sqrt(0.95 * 0.05 / RUNS)
    assert np.mean(cover) >= 0.95 - 2.5 * error / math.sqrt(len(GRID)), cover
    assert min(cover) >= 0.93 - 2.5 * error, cover


def test_one_frame_is_wilson_with_its_finite_population() -> None:
    one, plain = (
        found(Stratum(n_correct=85, n_labelled=100, population=700)),
        wilson(85, 100, population=700),
    )
    assert isinstance(plain, Estimate)
    assert (one.low, one.high, one.n_effective) == (plain.low, plain.high, plain.n_effective)


def test_frames_are_pooled_by_traffic_and_not_by_labels() -> None:
    pooled = found(
        Stratum(n_correct=10, n_labelled=10, population=900),
        Stratum(n_correct=0, n_labelled=90, population=100),
    )
    assert pooled.value == pytest.approx(0.9)
    assert pooled.n == 100
    assert "2 rounds" in pooled.method


def test_all_frames_labelled_whole_leave_no_doubt() -> None:
    census = found(
        Stratum(n_correct=9, n_labelled=10, population=10),
        Stratum(n_correct=20, n_labelled=40, population=40),
    )
    assert census.value == pytest.approx(29 / 50)
    assert census.high - census.low < 1e-6


def test_a_frame_without_labels_is_left_out() -> None:
    full = Stratum(n_correct=9, n_labelled=10, population=100)
    empty = Stratum(n_correct=0, n_labelled=0, population=900, n_set_aside=50)
    assert found(full, empty) == found(full)


@pytest.mark.parametrize(
    ("strata", "why"),
    [
        ([], "nothing was drawn for evaluation"),
        ([Stratum(n_correct=0, n_labelled=0, population=0)], "no traffic"),
        (
            [Stratum(n_correct=0, n_labelled=0, population=9)],
            "no blind draw has an answer",
        ),
    ],
)
def test_what_cannot_be_estimated_says_why(strata: list[Stratum], why: str) -> None:
    assert uniform_accuracy(strata) == Undefined(why)


@pytest.mark.parametrize(
    "impossible",
    [
        Stratum(n_correct=3, n_labelled=2, population=10),
        Stratum(n_correct=3, n_labelled=2, population=10, n_missing=5),
        Stratum(n_correct=1, n_labelled=5, population=5, n_missing=1),
        Stratum(n_correct=1, n_labelled=5, population=9, n_missing=-1),
        Stratum(n_correct=1, n_labelled=5, population=9, n_set_aside=-1),
    ],
)
def test_impossible_counts_are_refused(impossible: Stratum) -> None:
    with pytest.raises(ArgumentError):
        uniform_accuracy([impossible])


def strata(n: int) -> st.SearchStrategy[list[Stratum]]:
    @st.composite
    def one(draw: st.DrawFn) -> Stratum:
        labelled = draw(st.integers(1, 12))
        missing = draw(st.integers(0, 3))
        return Stratum(
            n_correct=draw(st.integers(0, labelled)),
            n_labelled=labelled,
            n_missing=missing,
            population=labelled + missing + draw(st.integers(0, 60)),
        )

    return st.lists(one(), min_size=1, max_size=n)


@settings(max_examples=150, deadline=None)
@given(strata(3))
def test_the_worst_case_holds_every_completion_of_the_missing_answers(
    given_: list[Stratum],
) -> None:
    estimate = found(*given_)
    for more in itertools.product(*(range(s.n_missing + 1) for s in given_)):
        complete = found(
            *(
                Stratum(
                    n_correct=s.n_correct + extra,
                    n_labelled=s.n_labelled + s.n_missing,
                    population=s.population,
                )
                for s, extra in zip(given_, more, strict=True)
            )
        )
        assert estimate.worst_low <= complete.value <= estimate.worst_high
        # exact for one frame; over several, of a handful of labels each, the search may stop beside
        beside = 1e-9 if len(given_) == 1 else 0.01
        assert estimate.worst_low <= complete.low + beside
        assert complete.high - beside <= estimate.worst_high
    assert estimate.worst_low <= estimate.low <= estimate.high <= estimate.worst_high


@given(st.integers(1, 40), st.integers(0, 100), st.data())
def test_rows_set_aside_widen_the_worst_case_by_all_they_could_be(
    n: int, aside: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, n))
    population = n + data.draw(st.integers(0, 100))
    estimate = found(Stratum(n_correct=k, n_labelled=n, population=population, n_set_aside=aside))
    whole = population + aside
    for right in (0, aside):
        assert estimate.worst_low <= (estimate.low * population + right) / whole + 1e-12
        assert (estimate.high * population + right) / whole <= estimate.worst_high + 1e-12
