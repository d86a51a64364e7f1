"""Through the whole loop, the intervals hold the truth as often as they say, and miss on both sides.

Traffic goes in by the bucket and answers come back by the annotator, with all that stands between a
sample and its label: byte-identical copies with other predictions, in the same round and in the next
one, inputs that are gone before they are sent, and people who skip.
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

RUNS, N, BUDGET = 24, 120, 40
COPIED, GONE, SKIPPED = 0.15, 0.05, 0.1


class Traffic:
    """Inputs with a true class each; `served` counts a day's predictions by whether they are right."""

    def __init__(self, world: World, run: int) -> None:
        self.world = world
        self.rng = random.Random(run)
        self.prefix = f"run{run}"
        self.truth: dict[str, str] = {}
        """By the key of a sample."""
        self.bodies: list[tuple[bytes, str]] = []

    def day(self) -> float:
        """Serve a day's inputs; the true accuracy."""
        served: Counter[bool] = Counter()
        for _ in range(N):
            copied = bool(self.bodies) and self.rng.random() < COPIED
            body, truth = self.rng.choice(self.bodies) if copied else self._fresh()
            confidence = self.rng.uniform(0.5, 1)
            right = self.rng.random() < confidence
            predicted = truth if right else {"cat": "dog", "dog": "cat"}[truth]
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

    def answer(self) -> None:
        """People, who are never wrong, answer what they don't skip."""
        asked = {t.remote_id: t.sample_id for t in self.world.tasks().values()}
        for project in self.world.annotator.projects():
            for page in self.world.annotator.tasks(project.project_ref):
                for task in page:
                    if task.annotations:
                        continue
                    if self.rng.random() < SKIPPED:
                        self.world.annotator.skip(task.remote_id, by="ana")
                    else:
                        said = self.truth[asked[task.remote_id]]
                        self.world.annotator.answer(task.remote_id, said, by="ana")


def two_days(world: World, run: int) -> list[tuple[float, Accuracy]]:
    """The true accuracy of each of two days, and what the loop says it is."""
    traffic = Traffic(world, run)
    truths = []
    for _ in range(2):
        truths.append(traffic.day())
        world.loop.index()
        world.loop.select(now=True)
        traffic.lose_some()
        world.loop.send()
        traffic.answer()
        world.loop.collect()
        world.clock.pass_(days=1)
    return list(zip(truths, world.loop.measure().rounds, strict=True))


@pytest.mark.parametrize("draw", ["uniform", "uncertainty"])
def test_intervals_hold_the_truth_as_often_as_they_say(draw: str, tmp_path: Path) -> None:
    template = tmp_path / "ledger.db"
    Ledger.open(f"sqlite:///{template}").close()
    queue = f'{ACCURACY.replace("= 5", f"= {BUDGET}")}draw = "{draw}"\n'
    misses, n_held, n_copies, n_unlabelled = [], 0, 0, 0
    for run in range(RUNS):
        folder = tmp_path / f"run{run}"
        (folder / ".labelloop").mkdir(parents=True)
        shutil.copy(template, folder / ".labelloop" / "ledger.db")
        world = World(folder, queue)
        for truth, found in two_days(world, run):
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
