"""Certificates from counts keep their promise, with whatever the line takes out of the list."""

import numpy as np
import numpy.typing as npt
import pytest

from labelloop.core.line import LINE_END
from labelloop.core.sample import RISK_BINS
from labelloop.statistics import ListCounts, certify, certify_counts
from tests.property.coverage import most

RUNS = 200
SIZE = 4_000

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def counted(bins: Ints, line: Ints, wrong: Bools, audited: Bools, withheld: Bools) -> ListCounts:
    """The counts of one frame, as a log and a ledger tell them."""
    return ListCounts.checked(
        np.bincount(bins, minlength=RISK_BINS),
        np.bincount(bins[~(audited | withheld)], minlength=RISK_BINS),
        bins=bins[audited],
        lines=line[audited],
        wrong=wrong[audited],
    )


def smallest(line: Ints, n: int, among: Bools) -> Bools:
    """Which of `among` have the n smallest places."""
    chosen = np.zeros(line.size, dtype=bool)
    places = np.flatnonzero(among)
    chosen[places[np.argsort(line[places])[:n]]] = True
    return chosen


def untrue(errors: Bools, kept: Bools, human: int, promise: str) -> bool:
    """Whether the promise at 5% is untrue."""
    n = int(errors[kept].sum())
    return n > 0.05 * (errors.size if promise == "frame" else int(kept.sum()) + human)


@pytest.mark.parametrize("promise", ["training-set", "model-labels", "frame"])
@pytest.mark.parametrize("n_frames", [1, 3])
def test_promises_hold_where_training_draws_are_taken_out_of_the_sure_part(
    promise: str, n_frames: int
) -> None:
    """A training queue takes by the line what is sure; errors lie where it takes nothing."""
    rng = np.random.default_rng(11)
    broken = n_kept = 0
    for _ in range(RUNS):
        frames, bins, wrong, audited, withheld = [], [], [], [], []
        for h in range(n_frames):
            size = SIZE * (1 + h)
            line = rng.integers(0, LINE_END, size)
            risk = rng.beta(0.5, 2, size)
            # the training queue asks for one site, errors are at the other
            site = rng.random(size) < 0.5
            is_wrong = ~site & (rng.random(size) < 0.02 + 0.5 * risk + 0.02 * h)
            binned = np.minimum((risk * RISK_BINS).astype(np.int64), RISK_BINS - 1)
            audit = smallest(line, 600, np.ones(size, dtype=bool))
            taken = smallest(line, size // 4, site & ~audit)
            frames.append(counted(binned, line, is_wrong, audit, taken))
            for into, part in zip(
                (bins, wrong, audited, withheld), (binned, is_wrong, audit, taken), strict=True
            ):
                into.append(part)
        human = 200 if promise == "training-set" else 0
        found = certify_counts(frames, promise=promise, human_labels=human)
        kept = (np.concatenate(bins) < found.n_bins) & ~np.concatenate(audited)
        kept &= ~np.concatenate(withheld)
        assert int(kept.sum()) == found.n_accepted
        broken += untrue(np.concatenate(wrong), kept, human, promise)
        n_kept += found.n_accepted
    assert broken / RUNS <= most(0.05, RUNS)
    assert n_kept / RUNS > 0.02 * SIZE


def test_taking_the_drawn_out_of_the_list_would_break_it_and_withholding_them_does_not() -> None:
    """What a line-dependent removal does to an audit, and why `withheld` exists."""
    rng = np.random.default_rng(12)
    naive = fair = 0
    for _ in range(RUNS):
        line = rng.integers(0, LINE_END, SIZE)
        site = rng.random(SIZE) < 0.75
        wrong = ~site & (rng.random(SIZE) < 0.1)
        audit = smallest(line, 1_000, np.ones(SIZE, dtype=bool))
        taken = site & ~audit  # the queue has no budget: it takes every sample of its site
        risk = np.zeros(SIZE)
        left = ~taken
        place = np.cumsum(left) - 1
        out = certify(
            risk[left], place[audit], wrong[audit], promise="model-labels", line=line[left]
        )
        naive += untrue(wrong[left], out.accepted, 0, "model-labels")
        within = certify(
            risk, np.flatnonzero(audit), wrong[audit], promise="model-labels", line=line,
            withheld=taken,
        )  # fmt: skip
        fair += untrue(wrong, within.accepted, 0, "model-labels")
    assert naive / RUNS > most(0.05, RUNS)
    assert fair / RUNS <= most(0.05, RUNS)


def test_looking_at_every_answer_keeps_the_promise() -> None:
    """Unanswered audits count as wrong, so a look at any time is no second chance."""
    rng = np.random.default_rng(13)
    broken = 0
    for _ in range(RUNS):
        line = rng.integers(0, LINE_END, SIZE)
        risk = rng.beta(0.5, 2, SIZE)
        wrong = rng.random(SIZE) < 0.004 + 0.4 * risk
        bins = np.minimum((risk * RISK_BINS).astype(np.int64), RISK_BINS - 1)
        audit = smallest(line, 800, np.ones(SIZE, dtype=bool))
        answered = np.zeros(SIZE, dtype=bool)
        failed = False
        for part in np.array_split(rng.permutation(np.flatnonzero(audit)), 10):
            answered[part] = True
            seen = np.where(answered, wrong, True)
            one = counted(bins, line, seen, audit, np.zeros(SIZE, dtype=bool))
            found = certify_counts([one], promise="model-labels")
            failed |= untrue(wrong, (bins < found.n_bins) & ~audit, 0, "model-labels")
        broken += failed
    assert broken / RUNS <= most(0.05, RUNS)
