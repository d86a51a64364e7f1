"""Topping up the checks of a guarantee whenever they look good breaks its promise no more often."""

import numpy as np
import pytest

from labelloop.core.arrays import Bools
from labelloop.statistics.audited_rounds import AuditedRound, ProvenPart, proven_part
from tests.property.coverage import most

RUNS, MAX_ERROR, FAILURE = 1_500, 0.05, 0.05
PREFIX = 0.2


def proven(steps: list[tuple[int, int, Bools]]) -> ProvenPart:
    """The proven part after rounds and top-ups (traffic 0), all audited within the first prefix."""
    return proven_part(
        [
            AuditedRound(number, traffic, PREFIX if traffic else 0.0, np.full(bad.size, PREFIX), bad,
                         np.full(bad.size, PREFIX))
            for number, traffic, bad in steps
        ],
        max_error=MAX_ERROR,
        failure_probability=FAILURE,
    )  # fmt: skip


@pytest.mark.parametrize("errors", [(0.0505, 0.0505), (0.02, 0.081), (0.09, 0.012)])
def test_whoever_tops_up_as_long_as_it_looks_good_breaks_the_promise_rarely(
    errors: tuple[float, float],
) -> None:
    """Two rounds of the same traffic, whose error together is a little too high."""
    rng = np.random.default_rng(7)
    broken = 0
    for _ in range(RUNS):
        wrong = [rng.random(400) < error for error in errors]
        taken = [60, 0]
        steps = [(1, 1_000, wrong[0][:60])]
        for number in range(2, 9):
            if number == 3:
                taken[1] = taken[0]
                steps.append((2, 1_000, wrong[1][: taken[0]]))
            held = np.concatenate([bad for _, _, bad in steps])
            if held.mean() > 0.045:  # the answers so far look bad: ask for no more
                continue
            more = 40
            added = [w[n : n + more] for w, n in zip(wrong, taken, strict=True) if n]
            taken = [n + more if n else 0 for n in taken]
            steps.append((9 + number, 0, np.concatenate(added)))
        part = proven(steps)
        true = np.mean([errors[number - 1] for number in part.rounds]) if part.kept else 0.0
        broken += bool(true > MAX_ERROR)
    assert broken / RUNS <= most(FAILURE, RUNS)


def test_a_good_part_is_proven_by_topping_up_and_never_taken_back() -> None:
    good = np.zeros(200, dtype=bool)
    steps = [(1, 1_000, good[:40])]
    assert proven(steps).kept == 0
    steps.append((2, 0, good[40:110]))
    found = proven(steps)
    assert (found.kept, found.rounds) == (PREFIX, (1,))
    steps.append((3, 0, ~good[:30]))
    assert proven(steps).rounds == (1,)
