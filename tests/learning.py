"""Traffic whose errors hang on more than the confidence, written to the log with its probabilities."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import numpy as np

from labelloop.core.annotation import Label
from labelloop.core.line import line
from labelloop.core.queue import Purpose
from labelloop.core.sample import Prediction
from labelloop.ledger import annotations, batches, rounds
from labelloop.ledger.rounds import DrawWithLabel
from tests.world import World

QUEUE = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
draw = "uncertainty"
budget = {budget}
"""

ErrorRate = Callable[[Mapping[str, str]], float]
"""How often the model is wrong on samples with these attributes."""


def night(wrong_by_day: float, wrong_at_night: float) -> ErrorRate:
    return lambda attributes: wrong_at_night if attributes["light"] == "night" else wrong_by_day


def serve(world: World, rate: ErrorRate, *, n: int, seed: int, cameras: int = 3) -> dict[str, str]:
    """One batch of traffic in the log; the truth."""
    rows, truth = traffic(world, rate, n=n, seed=seed, cameras=cameras)
    write(world, rows)
    return truth


def traffic(
    world: World, rate: ErrorRate, *, n: int, seed: int, cameras: int = 3
) -> tuple[list[Prediction], dict[str, str]]:
    """n predictions of the class cat, 0.9 sure, a fifth of them at night; and the truth."""
    rng = np.random.default_rng(seed)
    truth: dict[str, str] = {}
    rows = []
    for i in range(n):
        sample_id = f"{seed:06d}-{i:05d}"
        attributes = {
            "light": "night" if rng.random() < 0.2 else "day",
            "camera": f"c{rng.integers(cameras)}",
        }
        truth[sample_id] = "dog" if rng.random() < rate(attributes) else "cat"
        rows.append(
            Prediction(
                sample_id=sample_id,
                uri=f"s3://production/{sample_id}",
                predicted_at=world.clock.at - timedelta(seconds=n - i),
                model="m",
                predicted_class="cat",
                confidence=0.9,
                probabilities=[0.9, 0.1],
                line=line(sample_id, world.log.salt),
                content_hash=sample_id,
                size_bytes=1,
                attributes=attributes,
            )
        )
    return rows, truth


def write(world: World, rows: list[Prediction]) -> None:
    """One committed batch, as index leaves it."""
    ledger = world.loop.project.ledger
    with ledger.lease("index") as lease:
        with ledger.write(lease) as tx:
            number = batches.reserve(tx, "predictions", len(rows))
        path = world.log.write_batch(number, "predictions", rows, world.clock.at)
        world.log.commit_batch(number, "predictions", path)
        with ledger.write(lease) as tx:
            batches.finish(tx, number, batches.COMMITTED)


def answer(world: World, truth: Mapping[str, str]) -> None:
    """Label every blind draw that has no label yet, as collect does."""
    ledger = world.loop.project.ledger
    with ledger.lease("collect") as lease, ledger.write(lease) as tx:
        said = [
            Label(
                task_key=d.task_key,
                label=truth[d.sample_id],
                method="single answer",
                n_votes=1,
                revision="1",
                annotator="ana",
            )
            for d in rounds.draws_with_labels(tx, Purpose.EVALUATION)
            if d.label is None
        ]
        annotations.put_labels(tx, [(label, world.clock.at) for label in said])


def day(world: World, rate: ErrorRate, *, n: int, seed: int, cameras: int = 3) -> dict[str, str]:
    """A day of traffic, drawn from and answered."""
    truth = serve(world, rate, n=n, seed=seed, cameras=cameras)
    world.loop.select(now=True)
    answer(world, truth)
    world.clock.pass_(days=1)
    return truth


def blind(world: World, number: int) -> list[DrawWithLabel]:
    with world.loop.project.ledger.read() as tx:
        return list(rounds.draws_with_labels(tx, Purpose.EVALUATION, number))
