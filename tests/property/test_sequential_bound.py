"""Which prefix is kept, and that its error is above the bound as seldom as promised, at any look."""

import numpy as np
import pytest

from labelloop.errors import ArgumentError
from labelloop.statistics import SequentialBound
from labelloop.statistics.sequential_bound import GRID
from tests.property.coverage import most

# 20 equal parts of real predictions by confidence, the surest first: the share that is wrong
CIFAR10 = [0.0] * 5 + [0.004, 0.002, 0.0, 0.002, 0.002, 0.014, 0.006, 0.018, 0.026, 0.048]
CIFAR10 += [0.09, 0.12, 0.232, 0.342, 0.506]
IMAGENET_V2 = [0.01, 0.016, 0.028, 0.026, 0.076, 0.12, 0.112, 0.17, 0.25, 0.31]
IMAGENET_V2 += [0.41, 0.424, 0.51, 0.546, 0.592, 0.684, 0.746, 0.792, 0.902, 0.902]
MAX_ERROR = 0.05


def error_of(parts: list[float], prefix: float) -> float:
    """The true error of a prefix of the traffic."""
    n = prefix * len(parts)
    whole = int(n + 1e-9)
    rest = parts[whole] * (n - whole) if whole < len(parts) else 0.0
    return (sum(parts[:whole]) + rest) / n


def audits(parts: list[float], n: int, rng: np.random.Generator) -> list[float]:
    """The kept prefix after each of `n` audits, drawn where the test asks for them."""
    bound = SequentialBound(max_error=MAX_ERROR, failure_probability=0.05)
    kept = []
    for _ in range(n):
        rank = max(1e-9, rng.random() * bound.next_prefix)
        wrong = rng.random() < parts[min(len(parts) - 1, int(rank * len(parts)))]
        kept.append(bound.update([rank], [wrong]))
    return kept


def test_a_fifth_is_kept_within_a_hundred_audits_where_the_model_is_good() -> None:
    rng = np.random.default_rng(1)
    runs = [audits(CIFAR10, 450, rng) for _ in range(30)]
    assert np.mean([kept[99] >= 0.2 for kept in runs]) >= 0.8
    assert np.mean([kept[-1] for kept in runs]) >= 0.7


def test_a_prefix_just_too_wrong_is_kept_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(2)
    runs = 120
    broken = sum(max(audits([0.051] * 20, 150, rng)) > 0 for _ in range(runs))
    assert broken / runs <= most(0.05, runs)


def test_where_errors_grow_quickly_no_prefix_is_kept_too_long() -> None:
    rng = np.random.default_rng(3)
    runs = 40
    ends = [audits(IMAGENET_V2, 500, rng)[-1] for _ in range(runs)]
    broken = sum(end > 0 and error_of(IMAGENET_V2, end) > MAX_ERROR for end in ends)
    assert broken / runs <= most(0.05, runs)


def test_more_audits_never_keep_less() -> None:
    kept = audits(CIFAR10, 300, np.random.default_rng(4))
    assert kept == sorted(kept)


def test_audits_in_one_call_are_those_one_by_one() -> None:
    rng = np.random.default_rng(5)
    rank, wrong = rng.random(200) * 0.2 + 1e-9, rng.random(200) < 0.01
    together, apart = SequentialBound(), SequentialBound()
    together.update(rank, wrong, drawn_within=0.2)
    for r, w in zip(rank, wrong, strict=True):
        apart.update([r], [w], drawn_within=0.2)
    assert (together.kept, together.next_prefix) == (apart.kept, apart.next_prefix)


def test_an_audit_counts_only_for_prefixes_between_its_rank_and_where_it_was_drawn() -> None:
    bound = SequentialBound()
    bound.update([0.35], [False], drawn_within=0.5)
    counted = {float(g): bound.counts(float(g))[0] for g in GRID}
    assert {g for g, n in counted.items() if n} == {0.4, 0.5}


def test_waiting_answers_count_as_wrong_until_they_are_replayed() -> None:
    waiting, answered = SequentialBound(), SequentialBound()
    assert waiting.update([0.1] * 90, [True] * 10 + [False] * 80) == 0.0
    assert answered.update([0.1] * 90, [False] * 90) == 0.2


@pytest.mark.parametrize("field", ["max_error", "failure_probability"])
def test_terms_that_cant_be_are_refused(field: str) -> None:
    with pytest.raises(ArgumentError, match=f"{field} = 1.5"):
        SequentialBound(**{field: 1.5})


def test_an_audit_outside_its_prefix_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"rank\[0\] = 0.3, drawn within 0.2"):
        SequentialBound().update([0.3], [False])


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ArgumentError, match="rank 2, wrong 1"):
        SequentialBound().update([0.1, 0.1], [False])
