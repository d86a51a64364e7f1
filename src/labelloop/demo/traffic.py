"""A production application: it stores inputs, tags them with its answers, and hears its users.

What it writes is all that labelloop learns of it; the truth stays here, in memory.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from labelloop.core.outcome import is_wrong, outcome
from labelloop.demo.digits import CLASSES, Digits, to_png
from labelloop.demo.model import Model

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OPENS, OPEN_HOURS = time(7), 12
WORKERS = 8
BATCH = 25

FLAGGED_IF_WRONG = 0.04
FLAGGED_IF_RIGHT = 0.002
CORRECTED_IF_WRONG = 0.025
CORRECTION_IS_WRONG = 0.1
HEARD_LATE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One input that the application served, what its users said of it, and the truth.

    `late`: the users' word comes a day after the prediction.
    """

    key: str
    png: bytes
    truth: str
    predicted_class: str
    confidence: float
    predicted_at: datetime
    model: str
    flagged: bool
    corrected_class: str | None
    late: bool

    @property
    def right(self) -> bool:
        """Whether the model was."""
        return not is_wrong(outcome(self.truth, self.predicted_class))

    @property
    def has_feedback(self) -> bool:
        """Whether a user said anything of it."""
        return self.flagged or self.corrected_class is not None

    def tags(self, *, with_feedback: bool) -> dict[str, str]:
        """The tags that the application writes.

        S3 replaces all tags of an object at once, so feedback is written with the others.
        """
        tags = {
            "predicted_class": self.predicted_class,
            "confidence": f"{self.confidence:.3f}",
            "timestamp": self.predicted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "model": self.model,
        }
        if with_feedback and self.flagged:
            tags["flagged"] = "true"
        if with_feedback and self.corrected_class is not None:
            tags["corrected_class"] = self.corrected_class
        return tags


def serve(digits: Digits, model: Model, *, day: date, seed: int) -> tuple[Served, ...]:
    """What the application does with a day's inputs, in the order of the day; nothing is written.

    The same arguments give the same keys, instants and feedback.
    """
    import numpy as np

    random = np.random.default_rng((seed, day.toordinal()))
    answers = model.answer(digits.images)
    opens = datetime.combine(day, OPENS, UTC)
    seconds = np.sort(random.integers(0, OPEN_HOURS * 3600, len(digits)))
    served = []
    for i in range(len(digits)):
        truth, answer = int(digits.labels[i]), int(answers.classes[i])
        name = uuid.UUID(bytes=random.bytes(16), version=4)
        says, doubts, misleads, dawdles = random.random(4)
        wrong = is_wrong(outcome(CLASSES[truth], CLASSES[answer]))
        flags = FLAGGED_IF_WRONG if wrong else FLAGGED_IF_RIGHT
        corrected = None
        if wrong and doubts < CORRECTED_IF_WRONG:
            mistaken = misleads < CORRECTION_IS_WRONG
            corrected = (truth + 1 + int(random.integers(9))) % 10 if mistaken else truth
        served.append(
            Served(
                key=f"{CLASSES[answer]}/{name}.png",
                png=to_png(digits.images[i]),
                truth=CLASSES[truth],
                predicted_class=CLASSES[answer],
                confidence=float(answers.confidences[i]),
                predicted_at=opens + timedelta(seconds=int(seconds[i])),
                model=model.version,
                flagged=says < flags,
                corrected_class=None if corrected is None else CLASSES[corrected],
                late=dawdles < HEARD_LATE,
            )
        )
    return tuple(served)


class Bucket:
    """The application's bucket."""

    def __init__(self, name: str, client: "S3Client") -> None:
        self.name = name
        self._client = client

    def store(self, served: Sequence[Served], on_progress: Callable[[int], None]) -> None:
        """Upload the inputs, each tagged a moment after; `on_progress` hears how many are done."""

        def upload(batch: Sequence[Served]) -> int:
            for one in batch:
                self._client.put_object(
                    Bucket=self.name, Key=one.key, Body=one.png, ContentType="image/png"
                )
            for one in batch:
                self._tag(one, with_feedback=False)
            return len(batch)

        batches = [served[i : i + BATCH] for i in range(0, len(served), BATCH)]
        with ThreadPoolExecutor(WORKERS) as pool:
            for done in accumulate(pool.map(upload, batches)):
                on_progress(done)

    def hear(self, served: Iterable[Served]) -> None:
        """Tag those of `served` of which a user said something."""
        for one in served:
            if one.has_feedback:
                self._tag(one, with_feedback=True)

    def read(self, keys: Sequence[str], on_progress: Callable[[int], None]) -> dict[str, bytes]:
        """The bytes of each object."""

        def download(key: str) -> bytes:
            return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()

        found: dict[str, bytes] = {}
        with ThreadPoolExecutor(WORKERS) as pool:
            for key, body in zip(keys, pool.map(download, keys), strict=True):
                found[key] = body
                on_progress(len(found))
        return found

    def _tag(self, one: Served, *, with_feedback: bool) -> None:
        tags = one.tags(with_feedback=with_feedback)
        self._client.put_object_tagging(
            Bucket=self.name,
            Key=one.key,
            Tagging={"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]},
        )
