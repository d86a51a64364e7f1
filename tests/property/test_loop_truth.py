"""Through the whole loop, the intervals hold the truth as often as they say, and miss on both sides.

Traffic goes in by the bucket and answers come back by the annotator, with all that stands between a
sample and its label: byte-identical copies with other predictions, in the same round and in the next
one, inputs that are gone before they are sent, and people who skip. With second looks people err too.
"""

import random
import shutil
from collections import Counter
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import pytest

from labelloop.core.estimate import Estimate
from labelloop.ledger import Ledger
from labelloop.measuring.accuracy import Accuracy
from tests.property.coverage import least
from tests.world import ACCURACY, World

RUNS, N, BUDGET = 16, 120, 40
COPIED, GONE, SKIPPED = 0.15, 0.05, 0.1
OTHER = {"cat": "dog", "dog": "cat"}
PEOPLE = ["ana", "ben", "cem"]
WRONG = 0.1
"""In what share of their answers people err, where second looks are there to find it."""
TURNS = 4
"""First answer, second look, settling or recapture, and one in which nothing may happen."""
REFEREES = f"""second_look = true
[people]
referees = {[f"{name}@labelloop.invalid" for name in PEOPLE]}
"""


class Traffic:
    """Inputs with a true class each; `served` counts a day's predictions by whether they are right."""

    def __init__(self, world: World, run: int) -> None:
        self.world = world
        self.rng = random.Random(run)
        self.prefix = f"run{run}"
        self.truth: dict[str, str] = {}
        """By the key of a sample."""
        self.bodies: list[tuple[bytes, str]] = []
        self.answered: set[tuple[str, str]] = set()

    def day(self) -> float:
        """Serve a day's inputs; the true accuracy."""
        served: Counter[bool] = Counter()
        for _ in range(N):
            copied = bool(self.bodies) and self.rng.random() < COPIED
            body, truth = self.rng.choice(self.bodies) if copied else self._fresh()
            confidence = self.rng.uniform(0.5, 1)
            right = self.rng.random() < confidence
            predicted = truth if right else OTHER[truth]
            self.world.n += 1
            key = f"{self.prefix}/{self.world.n:04d}.png"
            self.world.put(key, body, predicted_class=predicted, confidence=f"{confidence:.3f}")
            self.truth[key] = truth
            served[right] += 1
        return served[True] / N

    def _fresh(self) -> tuple[bytes, str]:
        self.bodies.append((self.rng.randbytes(8), self.rng.choice(["cat", "dog"])))
        return self.bodies[-1]

    def lose_some(self) -> None:
        for key in [*self.truth]:
            if self.rng.random() < GONE:
                self.world.store.delete(f"s3://production/{key}")

    def answer(self, wrong: float) -> None:
        """People answer, each a sample at most once; first answers are skipped now and then."""
        firsts = {t.remote_id: t.sample_id for t in self.world.tasks().values()}
        looks = {t.remote_id: t.sample_id for t in self.world.looks().values()}
        annotator = self.world.annotator
        for project in annotator.projects():
            for task in (t for page in annotator.tasks(project.project_ref) for t in page):
                if task.annotations:
                    continue
                sample = (firsts | looks)[task.remote_id]
                who = self.rng.choice([p for p in PEOPLE if (p, sample) not in self.answered])
                self.answered.add((who, sample))
                if task.remote_id in firsts and self.rng.random() < SKIPPED:
                    annotator.skip(task.remote_id, by=who)
                    continue
                truth = self.truth[sample]
                said = OTHER[truth] if self.rng.random() < wrong else truth
                annotator.answer(task.remote_id, said, by=who)


def two_days(world: World, run: int, *, wrong: float) -> list[tuple[float, Accuracy]]:
    """The true accuracy of each of two days, and what the loop says it is."""
    traffic = Traffic(world, run)
    truths = []
    for _ in range(2):
        truths.append(traffic.day())
        world.loop.index()
        world.loop.select(now=True)
        traffic.lose_some()
        for _ in range(TURNS if wrong else 1):
            world.loop.send()
            traffic.answer(wrong)
            world.loop.collect()
        world.clock.pass_(days=1)
    return list(zip(truths, world.loop.measure().rounds, strict=True))


@pytest.mark.parametrize(
    ("draw", "more", "wrong"),
    [("uniform", "", 0), ("uncertainty", "", 0), ("uniform", REFEREES, WRONG)],
    ids=["uniform", "uncertainty", "second looks"],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    draw: str, more: str, wrong: float, tmp_path: Path
) -> None:
    template = tmp_path / "ledger.db"
    Ledger.open(f"sqlite:///{template}").close()
    queue = f'{ACCURACY.replace("= 5", f"= {BUDGET}")}draw = "{draw}"\n{more}'
    misses, n_held, n_copies, n_unlabelled = [], 0, 0, 0
    for run in range(RUNS):
        folder = tmp_path / f"run{run}"
        (folder / ".labelloop").mkdir(parents=True)
        shutil.copy(template, folder / ".labelloop" / "ledger.db")
        world = World(folder, queue)
        world.annotator.members = PEOPLE
        for truth, found in two_days(world, run, wrong=wrong):
            assert isinstance(found.estimate, Estimate)
            misses.append(found.estimate.value - truth)
            n_held += found.estimate.low <= truth <= found.estimate.high
            n_unlabelled += found.n_drawn - found.n_labelled
        n_copies += len(world.draws()) - len(world.tasks())
        world.loop.close()
    assert n_copies > RUNS, "copies were drawn"
    assert n_unlabelled > RUNS, "answers were missing"
    assert abs(fmean(misses)) <= 2.5 * stdev(misses) / sqrt(len(misses))
    assert n_held / len(misses) >= least(0.95, len(misses))
