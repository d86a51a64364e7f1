"""A guarantee over rounds breaks as seldom as promised, whatever happens to the answers and the traffic."""

from collections.abc import Callable

import numpy as np
import pytest

from labelloop.statistics.audited_rounds import AuditedRound, ProvenPart, proven_part
from labelloop.statistics.sequential_bound import GRID, SequentialBound
from tests.property.coverage import most
from tests.property.sets import CIFAR, NEWS, PARTS, SHARE_WRONG

MAX_ERROR = 0.05
Errors = Callable[[int, np.ndarray], np.ndarray]
"""The share wrong at ranks in (0, 1], by round."""


def like(name: str) -> Errors:
    surest_first = np.array(SHARE_WRONG[name][::-1])
    return lambda _r, rank: surest_first[np.minimum(PARTS - 1, (rank * PARTS).astype(int))]


def just_too_wrong(_r: int, rank: np.ndarray) -> np.ndarray:
    return np.full(rank.size, 0.051)


def better_then_worse(r: int, rank: np.ndarray) -> np.ndarray:
    """The mean over the rounds is too high from the second on."""
    return np.full(rank.size, 0.0 if r % 2 == 0 else 0.104)


def worse_each_day(r: int, rank: np.ndarray) -> np.ndarray:
    return np.full(rank.size, 0.012 * r)


def steps_up(_r: int, rank: np.ndarray) -> np.ndarray:
    """Prefixes are good up to 0.3 of the traffic, and too wrong from 0.4 on."""
    return np.where(rank <= 0.3, 0.03, 0.12)


def error_of(errors: Errors, kept: float, rounds: tuple[int, ...]) -> float:
    ranks = np.linspace(0, kept, 2_001)[1:]
    return float(np.mean([errors(r, ranks).mean() for r in rounds]))


def served(
    errors: Errors, n_rounds: int, n_audits: int, rng: np.random.Generator, *, late: float = 0.0
) -> list[ProvenPart]:
    """What is proven at every look, day by day, while answers come late: each at its own time."""
    drawn: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = []
    looks: list[ProvenPart] = []
    for day in range(n_rounds + 6):
        if day < n_rounds:
            bound = looks[-1].bound if looks else SequentialBound()
            within = bound.next_prefix
            # the same place on the line in every round: audits in proportion to the prefix
            rank = np.sort(rng.random(rng.binomial(n_audits, within))) * within
            rng.shuffle(rank)
            wrong = rng.random(rank.size) < errors(day, rank)
            drawn.append((within, rank, wrong, day + rng.geometric(1 - late, rank.size) - 1))
        looks.append(look(drawn, day))
    return looks


def look(drawn: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]], day: int) -> ProvenPart:
    return proven_part(
        [
            AuditedRound(
                r,
                1_000,
                within,
                [float(GRID[np.searchsorted(GRID, x - 1e-12)]) for x in rank],
                wrong | (at > day),
            )
            for r, (within, rank, wrong, at) in enumerate(drawn)
        ],
        max_error=MAX_ERROR,
        failure_probability=0.05,
    )


def broken(errors: Errors, looks: list[ProvenPart]) -> bool:
    return any(
        found.kept > 0 and error_of(errors, found.kept, found.rounds) > MAX_ERROR for found in looks
    )


ATTACKS: dict[str, tuple[Errors, float]] = {
    "a prefix that is just too wrong": (just_too_wrong, 0.0),
    "late answers": (just_too_wrong, 0.5),
    "late answers, and the next prefix chosen by them": (steps_up, 0.5),
    "good days and bad days": (better_then_worse, 0.0),
    "worse each day": (worse_each_day, 0.3),
    "errors like those on CIFAR-10": (like(CIFAR), 0.3),
    "errors like those on 20 newsgroups": (like(NEWS), 0.0),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_promise_breaks_at_any_look_as_seldom_as_stated(name: str) -> None:
    errors, late = ATTACKS[name]
    rng, runs = np.random.default_rng(7), 60
    failed = sum(broken(errors, served(errors, 8, 150, rng, late=late)) for _ in range(runs))
    assert failed / runs <= most(0.05, runs)


def test_more_audits_and_later_answers_never_keep_less() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        looks = served(like(CIFAR), 6, 200, rng, late=0.4)
        traffic = [found.kept * len(found.rounds) for found in looks]
        assert traffic == sorted(traffic)


def test_a_model_like_those_on_cifar_keeps_much_within_days() -> None:
    rng = np.random.default_rng(9)
    last = [served(like(CIFAR), 6, 200, rng)[-1] for _ in range(30)]
    assert np.mean([found.kept >= 0.2 for found in last]) >= 0.9


def test_a_prefix_covers_the_rounds_that_were_audited_in_it() -> None:
    short = AuditedRound(1, 100, 0.2, [0.2] * 100, [False] * 100)
    spread = [float(GRID[np.searchsorted(GRID, i / 500 - 1e-12)]) for i in range(1, 501)]
    whole = AuditedRound(2, 100, 1.0, spread, [False] * 500)
    found = proven_part([short, whole], max_error=0.05, failure_probability=0.05)
    assert (found.kept, found.rounds) == (1.0, (2,))


def test_a_round_that_went_badly_is_not_covered_by_what_went_before() -> None:
    good = AuditedRound(1, 100, 0.2, [0.2] * 120, [False] * 120)
    bad = AuditedRound(2, 100, 0.2, [0.2] * 120, [True] * 30 + [False] * 90)
    found = proven_part([good, bad], max_error=0.05, failure_probability=0.05)
    assert (found.kept, found.rounds) == (0.2, (1,))
