"""Over many salts each sample is drawn as often as its stated probability says."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from labelloop.core.certificate import Terms
from labelloop.core.line import LINE_END, line
from labelloop.core.queue import Purpose, Queue
from labelloop.core.round import Candidate, Count
from labelloop.core.sample import Prediction, risk_bin
from labelloop.core.where import Where
from labelloop.ledger import Ledger, batches, rounds
from labelloop.sampling.remaining import Remaining, likely_cut
from labelloop.steps.select.select import Select
from labelloop.steps.select.vectors import Inputs
from labelloop.testing import MemoryLog
from tests.world import START, StoppedClock

N, SALTS = 200, 800
AT = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = [f"class_{n % 7:02d}/{n}.png" for n in range(N)]
CONFIDENCE = [((n * 37) % N) / N for n in range(N)]

Rule = tuple[str, Callable[[int], bool], int | None]
RULES: Sequence[Rule] = (
    ("evaluation", lambda _pattern: True, 20),
    ("low", lambda pattern: bool(pattern & 1), 25),
    ("overlapping", lambda pattern: bool(pattern & 2), 30),
    ("broad", lambda _pattern: True, 15),
    ("every high", lambda pattern: bool(pattern & 4), None),
)


def pattern_of(n: int) -> int:
    confidence = CONFIDENCE[n]
    return (confidence < 0.4) | (0.2 <= confidence < 0.7) << 1 | (confidence >= 0.93) << 2


@dataclass
class Tally:
    """Per sample: how often it was drawn, and the sum and the variance of the stated probability."""

    drawn: np.ndarray = field(default_factory=lambda: np.zeros(N))
    stated: np.ndarray = field(default_factory=lambda: np.zeros(N))
    variance: np.ndarray = field(default_factory=lambda: np.zeros(N))
    together: np.ndarray = field(default_factory=lambda: np.zeros((N, N)))


def tallies() -> dict[str, Tally]:
    found = {name: Tally() for name, _, _ in RULES}
    patterns = [pattern_of(n) for n in range(N)]
    bins = [risk_bin(c) for c in CONFIDENCE]
    cells: dict[tuple[int, int], int] = {}
    for cell in zip(bins, patterns, strict=True):
        cells[cell] = cells.get(cell, 0) + 1
    counts = [
        Count(predicted_class="cat", risk_bin=b, pattern=p, n=n) for (b, p), n in cells.items()
    ]
    for salt in range(SALTS):
        rows = [
            Candidate(
                sample_id=str(n),
                uri="",
                predicted_at=AT,
                model="m",
                predicted_class="cat",
                confidence=CONFIDENCE[n],
                risk_bin=risk_bin(CONFIDENCE[n]),
                line=line(NAMES[n], salt.to_bytes(8, "big")),
                content_hash="",
                pattern=patterns[n],
            )
            for n in range(N)
        ]
        left, taken = Remaining(counts), np.zeros(N, dtype=bool)
        for name, matches, budget in RULES:
            n_left = left.n(matches)
            spans = left.spans(matches, likely_cut(budget, n_left))
            within = [
                r
                for r in rows
                if any(s.pattern == r.pattern and s.above < r.line <= s.up_to for s in spans)
            ]
            drawing = left.draw(matches, within, budget)
            tally = found[name]
            was_left = np.array([matches(p) for p in patterns]) & ~taken
            assert was_left.sum() == n_left
            tally.stated[was_left] += drawing.inclusion
            tally.variance[was_left] += drawing.inclusion * (1 - drawing.inclusion)
            chosen = np.array([int(r.sample_id) for r in drawing.rows], dtype=int)
            assert not taken[chosen].any()
            tally.drawn[chosen] += 1
            taken[chosen] = True
            if name == "evaluation":
                tally.together[np.ix_(chosen, chosen)] += 1
    return found


def test_each_sample_is_drawn_as_often_as_stated_in_every_queue() -> None:
    found = tallies()
    assert np.allclose(found["evaluation"].stated, SALTS * 20 / N)
    for name, tally in found.items():
        off = np.abs(tally.drawn - tally.stated)
        # of 800 right deviations one is beyond 4 in 5% of runs; the salts are fixed, so this run stands
        assert (off <= 4 * np.sqrt(tally.variance) + 1e-9).all(), name
        random = tally.variance > 0
        if random.any():
            spread = (off[random] ** 2 / tally.variance[random]).mean()
            assert spread < 1 + 4 * math.sqrt(2 / random.sum()), name
    both = found["evaluation"].together[~np.eye(N, dtype=bool)]
    pair = 20 * 19 / (N * (N - 1))
    assert abs(both.mean() / SALTS - pair) < 1e-9
    assert (np.abs(both - SALTS * pair) <= 5.5 * math.sqrt(SALTS * pair * (1 - pair))).all()


def test_places_are_spread_over_the_whole_line() -> None:
    places = np.array([line(name, b"salt") / LINE_END for name in map(str, range(4000))])
    worst = np.abs(np.sort(places) - (np.arange(4000) + 0.5) / 4000).max()
    assert worst < 1.95 / math.sqrt(4000)  # Kolmogorov, 0.1%


def test_select_writes_the_probabilities_that_hold(tmp_path: Path) -> None:
    """The whole step, over a fresh ledger, for fewer salts."""
    queues = (
        Queue(name="accuracy", purpose=Purpose.EVALUATION, budget=20),
        Queue(
            name="low",
            purpose=Purpose.TRAINING,
            where=Where.parse("confidence < 0.4"),
            budget=25,
        ),
        Queue(
            name="cats", purpose=Purpose.TRAINING, where=Where.parse("predicted_class = 'cat'"),
            budget=30,
        ),
        Queue(name="all low", purpose=Purpose.TRAINING, where=Where.parse("confidence < 0.1")),
    )  # fmt: skip
    empty = tmp_path / "empty.db"
    Ledger.open(f"sqlite:///{empty}").close()
    runs = 60
    drawn = {q.name: np.zeros(N) for q in queues}
    stated = {q.name: 0.0 for q in queues}
    squares = {q.name: 0.0 for q in queues}
    for salt in range(runs):
        log = MemoryLog(salt=b"%d" % salt)
        rows = [
            Prediction(
                sample_id=name,
                uri=f"s3://b/{name}",
                predicted_at=START,
                model="m",
                predicted_class="cat" if n % 3 else "dog",
                confidence=CONFIDENCE[n],
                line=line(name, log.salt),
                content_hash=name,
                size_bytes=1,
            )
            for n, name in enumerate(NAMES)
        ]
        log.commit_batch(1, "predictions", log.write_batch(1, "predictions", rows, START))
        fresh = tmp_path / f"{salt}.db"
        shutil.copy(empty, fresh)
        ledger = Ledger.open(f"sqlite:///{fresh}")
        with ledger.lease("index") as lease, ledger.write(lease) as tx:
            batches.finish(tx, batches.reserve(tx, "predictions", N), batches.COMMITTED)
        selected = Select(
            ledger,
            log,
            queues,
            every=START - AT,
            first_window=START - AT,
            terms=Terms(max_error=0.05, failure_probability=0.05),
            classes=(),
            inputs=partial(Inputs, log, lambda _uri, _hash: b"", "image", tmp_path),
            clock=StoppedClock(),
        ).run()
        with ledger.read() as tx:
            made = list(rounds.draws_with_labels(tx))
        ledger.close()
        for plan in selected.plans:
            own = [d for d in made if d.queue == plan.queue]
            assert len(own) == plan.n_drawn
            assert {d.inclusion for d in own} <= {plan.inclusion}
            p = plan.n_drawn / plan.n_matching
            stated[plan.queue] += plan.n_matching * p
            squares[plan.queue] += p
            for d in own:
                drawn[plan.queue][NAMES.index(d.sample_id)] += 1
        assert len({d.sample_id for d in made}) == len(made)
    for queue in queues:
        assert drawn[queue.name].sum() == stated[queue.name]
    accuracy = drawn["accuracy"]
    assert (np.abs(accuracy - runs * 0.1) <= 4 * math.sqrt(runs * 0.1 * 0.9)).all()
