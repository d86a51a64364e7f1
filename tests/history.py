"""A ledger with a past: rounds, draws, answers and versions as the steps would have written them."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from labelloop.core.dataset import DatasetVersion, Origin, Row
from labelloop.core.draw import Draw
from labelloop.core.queue import Purpose
from labelloop.core.round import Cell, FrameRange, Round
from labelloop.core.row_range import RowRange
from labelloop.core.task import TaskState
from labelloop.ledger import Ledger, confidences, datasets, rounds
from labelloop.ledger import tables as t
from labelloop.steps.build.manifest_file import manifest_schema

PURPOSES = {
    "accuracy": Purpose.EVALUATION,
    "low-confidence": Purpose.TRAINING,
    "flagged": Purpose.TRAINING,
}


class History:
    """Writes one round a day, the last of them at `now`."""

    def __init__(
        self, ledger: Ledger, folder: Path, classes: Sequence[str], *, now: datetime, seed: int = 1
    ) -> None:
        self.ledger = ledger
        self.folder = folder
        self.classes = classes
        self.now = now
        self.rng = random.Random(seed)
        self.worse = False

    def write(
        self,
        n_rounds: int,
        *,
        n_blind: int = 60,
        n_training: int = 15,
        silent: Sequence[int] = (),
        models: Sequence[str] = ("v1",),
        worse_from: int | None = None,
    ) -> "History":
        """Write rounds; `silent` ones have no answer, the models take turns evenly, and from the round
        `worse_from` on a third of what was right is wrong.
        """
        for number in range(1, n_rounds + 1):
            model = models[(number - 1) * len(models) // n_rounds]
            at = self.now - timedelta(days=n_rounds - number)
            draws = self._draws(number, "accuracy", n_blind, at, model)
            draws += self._draws(number, "low-confidence", n_training, at, model)
            draws += self._draws(number, "flagged", n_training // 3, at, model)
            self.worse = worse_from is not None and number >= worse_from
            self._write(number, draws, at, silent=number in silent)
            self._release(number, number * n_training, number * 20, at)
        return self

    def _draws(self, number: int, queue: str, n: int, at: datetime, model: str) -> list[Draw]:
        found = []
        for i in range(n):
            key = f"{queue}-{number}-{i}"
            found.append(
                Draw(
                    round=number,
                    sample_id=key,
                    uri=f"s3://production/{key}.png",
                    model=model,
                    queue=queue,
                    predicted_at=at - timedelta(hours=20 * self.rng.random()),
                    predicted_class=self.rng.choice(self.classes),
                    confidence=None if i == 1 else round(1 - 0.6 * self.rng.random() ** 3, 3),
                    risk=None,
                    line=i,
                    inclusion=n / 2000 if queue == "accuracy" else None,
                    uniform=queue == "accuracy",
                    position=i,
                    reason="made",
                    content_hash=key,
                    task_key=key,
                    attributes={"site": "bern" if i % 8 == 3 else f"site {i % 2}"},
                )
            )
        return found

    def _write(self, number: int, draws: list[Draw], at: datetime, *, silent: bool) -> None:
        made = Round(
            round=number,
            frame=FrameRange(batch_after=number - 1, batch_to=number),
            extra=False,
            n_frame=2000,
            snapshot=None,
            created_at=at,
        )
        with self.ledger.lease("made") as lease, self.ledger.write(lease) as tx:
            rounds.insert(tx, made, {}, RowRange.exactly(3))
            rounds.insert_draws(tx, draws, PURPOSES)
            rounds.insert_cells(tx, number, self._cells(draws))
            of_bins = Counter(int(1024 * 0.6 * ((i + 1) / 40) ** 3) for i in range(40))
            confidences.insert(tx, number, {k: 50 * n for k, n in of_bins.items()})
            labels: list[dict[str, object]] = []
            skipped: list[str] = []
            for d in draws:
                fate = self.rng.random()
                if silent or fate > 0.96:
                    continue
                if fate > 0.94:
                    skipped.append(d.task_key)
                    continue
                labels.append(
                    {
                        "task_key": d.task_key,
                        "label": self._answer(d),
                        "method": "single answer",
                        "n_votes": 1,
                        "revision": "1@1",
                        "annotator": "ana",
                        "first_at": at,
                        "resolved_at": at,
                    }
                )
            if labels:
                tx.execute(t.labels.insert(), labels)
            key = t.tasks.c.task_key
            for state, keys in (
                (TaskState.RESOLVED, [label["task_key"] for label in labels]),
                (TaskState.SKIPPED, skipped),
            ):
                tx.execute(t.tasks.update().where(key.in_(keys)).values(state=state.value))

    def _cells(self, draws: Sequence[Draw]) -> list[Cell]:
        """The frame by confidence: every row had the same chance."""
        n_blind = sum(d.queue == "accuracy" for d in draws)
        rows = Counter(
            (self.classes[i % len(self.classes)], int(1024 * 0.6 * ((i // 50 + 0.5) / 40) ** 3))
            for i in range(2000)
        )
        return [
            Cell(
                queue="accuracy",
                predicted_class=name,
                risk_bin=risk_bin,
                n=n,
                cut=None,
                risk=0.0,
                inclusion=n_blind / 2000,
            )
            for (name, risk_bin), n in rows.items()
        ]

    def _answer(self, d: Draw) -> str:
        """Right a little less often than the model claims; in Bern it never is."""
        said = d.predicted_class or ""
        right = self.rng.random() < (0.63 if self.worse else 0.95) * (d.confidence or 0.9)
        right = right and d.attributes["site"] != "bern"
        return said if right else self.rng.choice([c for c in self.classes if c != said])

    def _release(self, number: int, n_human: int, n_model: int, at: datetime) -> None:
        home = self.folder / f"v{number:04d}"
        home.mkdir(parents=True)
        queues = ["low-confidence" if i % 4 else "flagged" for i in range(n_human)]
        table = _manifest([*queues, *[None] * n_model])
        pq.write_table(table, home / "manifest.parquet")
        (home / "dataset.json").write_text('{"guarantee": "no guarantee: 0.9 or above"}')
        version = DatasetVersion(
            name="training",
            version=number,
            content_hash="0" * 64,
            parent=number - 1 or None,
            uri=str(home),
            n_human=n_human,
            n_model=n_model,
            n_certified=n_model if number % 2 == 0 else 0,
            created_at=at,
        )
        with self.ledger.lease("made") as lease, self.ledger.write(lease) as tx:
            datasets.begin(tx, version)
            datasets.release(tx, "training", number)


def _manifest(queues: Sequence[str | None]) -> pa.Table:
    """A manifest with a row a queue; None is a label of the model."""
    n = len(queues)
    row = Row(
        sample_id="",
        uri="s3://production/x.png",
        content_hash="x",
        label="cat",
        origin=Origin.HUMAN,
        confidence=0.5,
        model="v1",
        round=None,
        queue=None,
        inclusion=None,
        annotator=None,
        annotation_revision=None,
    )
    columns: dict[str, list[object]] = {name: [value] * n for name, value in asdict(row).items()}
    columns["sample_id"] = [f"{i}" for i in range(n)]
    columns["origin"] = [Origin.MODEL if queue is None else Origin.HUMAN for queue in queues]
    columns["queue"] = list(queues)
    return pa.table(columns, schema=manifest_schema())
