"""One prediction as it is captured, and what is stored of it."""

import json
import os
import random
import time
from datetime import UTC, datetime

ENDINGS = (
    (b"\xff\xd8\xff", ".jpg", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", ".png", "image/png"),
    (b"GIF8", ".gif", "image/gif"),
    (b"BM", ".bmp", "image/bmp"),
)
"""First bytes, ending and media type."""
_random = random.Random()  # noqa: S311  keys are no secrets; asking the system would give up the GIL
os.register_at_fork(after_in_child=_random.seed)
TAGS = 8
"""S3 takes ten an object; two are kept for what users say later."""


class Prediction:
    """What the model said about one input. A `redact` hook may change every field but `sample_id`."""

    # no dataclass: importing those takes a third of what this package may take
    __slots__ = (
        "attributes",
        "body",
        "confidence",
        "content_type",
        "model",
        "predicted_at",
        "predicted_class",
        "probabilities",
        "sample_id",
        "sampling_rate",
    )

    def __init__(
        self,
        sample_id: str,
        body: bytes,
        predicted_class: str,
        confidence: float | None = None,
        model: str | None = None,
        predicted_at: datetime | None = None,
        probabilities: tuple[float, ...] | None = None,
        attributes: dict[str, str] | None = None,
        sampling_rate: float | None = None,
        content_type: str = "application/octet-stream",
    ) -> None:
        self.sample_id = sample_id
        self.body = body
        self.predicted_class = predicted_class
        self.confidence = confidence
        self.model = model
        self.predicted_at = predicted_at or datetime.now(UTC)
        self.probabilities = probabilities
        self.attributes = {} if attributes is None else attributes
        self.sampling_rate = sampling_rate
        self.content_type = content_type

    def tags(self) -> dict[str, str]:
        """The tags that labelloop reads.

        Raises:
            ValueError: S3 doesn't take as many.
        """
        said = {
            "predicted_class": self.predicted_class,
            "timestamp": instant(self.predicted_at),
            "confidence": None if self.confidence is None else repr(float(self.confidence)),
            "model": self.model,
            "sampling_rate": None if self.sampling_rate is None else repr(self.sampling_rate),
        }
        tags = {name: value for name, value in said.items() if value is not None}
        tags |= self.attributes
        if len(tags) > TAGS:
            raise ValueError(
                f"{len(tags)} tags, where {TAGS} fit beside what users say later: give fewer "
                'attributes, or write a log with form="jsonl"'
            )
        return tags

    def row(self) -> dict[str, object]:
        """The same as a row of a log."""
        return {
            **EMPTY_ROW,
            "sample_id": self.sample_id,
            "predicted_class": self.predicted_class,
            "predicted_at": instant(self.predicted_at),
            "confidence": None if self.confidence is None else float(self.confidence),
            "model": self.model,
            "probabilities": self.probabilities,
            "sampling_rate": self.sampling_rate,
            **self.attributes,
        }


class Word:
    """What a user said of a sample that was captured before."""

    __slots__ = ("corrected_class", "flagged", "sample_id")

    def __init__(
        self, sample_id: str, flagged: bool | None = None, corrected_class: str | None = None
    ) -> None:
        self.sample_id = sample_id
        self.flagged = flagged
        self.corrected_class = corrected_class

    def tags(self) -> dict[str, str]:
        """The tags that labelloop reads."""
        tags = {} if self.flagged is None else {"flagged": str(self.flagged).lower()}
        return (
            tags
            if self.corrected_class is None
            else tags | {"corrected_class": self.corrected_class}
        )

    def row(self) -> dict[str, object]:
        """The same as a row of a log, which holds no prediction."""
        return {
            **EMPTY_ROW,
            "sample_id": self.sample_id,
            "flagged": self.flagged,
            "corrected_class": self.corrected_class,
        }


EMPTY_ROW: dict[str, object] = {
    "sample_id": None,
    "predicted_class": None,
    "predicted_at": None,
    "confidence": None,
    "model": None,
    "probabilities": None,
    "sampling_rate": None,
    "flagged": None,
    "corrected_class": None,
}
"""Every row has every column, so that no file lacks one."""


def instant(at: datetime) -> str:
    """An instant in ISO 8601 and UTC; one without a zone is taken as UTC."""
    own = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return own.isoformat().replace("+00:00", "Z")


_day: tuple[int, str] = (0, "1970/01/01")
"""The last day that was written into a key, in days since 1970: a request is spared the calendar."""


def new_id(body: bytes, prefix: str, at: float | None = None) -> tuple[str, str]:
    """A random key that tells the day and nothing of the answer, and the media type of the input."""
    global _day
    ending, kind = "", "application/octet-stream"
    for start, each_ending, each_kind in ENDINGS:
        if body.startswith(start):
            ending, kind = each_ending, each_kind
            break
    else:
        if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
            ending, kind = ".webp", "image/webp"
    now = time.time() if at is None else at
    day = _day
    if day[0] != now // 86400:
        _day = day = (int(now // 86400), time.strftime("%Y/%m/%d", time.gmtime(now)))
    return f"{prefix}{day[1]}/{_random.getrandbits(128):032x}{ending}", kind


def to_bytes(one: Prediction | Word) -> bytes:
    """As a file of the spool: a line that describes it, and the input."""
    if isinstance(one, Word):
        return (
            json.dumps({"word": [one.sample_id, one.flagged, one.corrected_class]}).encode() + b"\n"
        )
    said = {name: getattr(one, name) for name in Prediction.__slots__ if name != "body"}
    return (
        json.dumps(said | {"predicted_at": instant(one.predicted_at)}).encode() + b"\n" + one.body
    )


def from_bytes(held: bytes) -> Prediction | Word:
    """What `to_bytes` wrote.

    Raises:
        ValueError: it is no file of the spool.
    """
    head, _, body = held.partition(b"\n")
    said = json.loads(head)
    if "word" in said:
        return Word(*said["word"])
    said["predicted_at"] = datetime.fromisoformat(said["predicted_at"])
    said["probabilities"] = said["probabilities"] and tuple(said["probabilities"])
    return Prediction(body=body, **said)
