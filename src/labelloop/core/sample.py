"""Samples: the predictions of models, the feedback of users, and rejected rows."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelloop.core.row_range import ONE, RowRange

RISK_BINS = 1024

NO_CLASS = ""
"""The predicted class of an answer that names no class: every label of its sample contradicts it."""

UNUSABLE = "unusable_answer"
"""The attribute that holds what such an answer said."""

SHOWN = 200
"""Characters of a value that are shown where it can't be used."""

HASH_OF_TEXT, HASH_OF_URI = "text:", "uri:"
"""How a content hash begins that labelloop made: of a text, or of a place that nobody read."""


class Role(StrEnum):
    """Why a prediction was made.

    `repeated` is a second serving model's prediction of a sample that already has one:
    stored, but in no further frame.
    """

    SERVING = "serving"
    SHADOW = "shadow"
    REPEATED = "repeated"


class RejectReason(StrEnum):
    """Why a row was rejected."""

    UNTAGGED = "untagged"
    UNREADABLE = "can't be read"
    NO_TIMESTAMP = "no timestamp"
    BAD_TIMESTAMP = "timestamp can't be read"
    NO_CLASS = "no predicted class"
    UNKNOWN_CLASS = "unknown class"
    BAD_CONFIDENCE = "confidence isn't a number in [0, 1]"
    BAD_SAMPLING_RATE = "sampling rate isn't a number in (0, 1]"
    CHANGED = "changed"
    OVERWRITTEN = "overwritten"
    UNREADABLE_NOW = "can't be read any more"
    UNKNOWN_CORRECTION = "corrected class is unknown"
    BAD_FLAG = "flag is neither true nor false"
    UNKNOWN_SHADOW = "class of a shadow model is unknown"
    BAD_FILE = "file can't be read"
    BAD_ROW = "row can't be read"
    NO_SAMPLE_ID = "no sample id"
    BAD_ROLE = "role is neither serving nor shadow"
    NO_URI = "no uri"
    BAD_URI = "uri lies outside the store"
    NO_TEXT = "no text"
    TEXT_TOO_LONG = "text is too long"
    FAILED = "request failed"
    NO_PARTNER = "other half is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one model version said about one sample.

    sampling_rate
        the share of traffic like this that the application logged; None: all of it
    """

    sample_id: str
    uri: str
    predicted_at: datetime
    model: str
    predicted_class: str
    confidence: float | None
    line: int
    content_hash: str
    size_bytes: int
    role: Role = Role.SERVING
    probabilities: Sequence[float] | None = None
    embedding: Sequence[float] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    sampling_rate: float | None = None


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """Predictions in columns: a pyarrow Table that has the fields of Prediction, by their names."""

    table: Any

    def __len__(self) -> int:
        return int(self.table.num_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """The feedback of a user on one sample; its kind is `flagged` or `corrected_class`."""

    sample_id: str
    kind: str
    value: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that can't be used, and the value that prevents it, cut if it is long.

    rows
        how many rows it hides: more than one where a file, or a part of one, can't be read
    """

    uri: str
    reason: RejectReason
    value: str
    rows: RowRange = ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.value[:SHOWN])


def risk_bin(confidence: float | None) -> int:
    """The bin of 1,024 of the risk 1 - confidence, 0.5 where the confidence is missing.

    >>> risk_bin(1.0), risk_bin(0.0), risk_bin(None)
    (0, 1023, 512)
    """
    risk = 0.5 if confidence is None else 1.0 - confidence
    return min(RISK_BINS - 1, int(RISK_BINS * risk))


def margin(probabilities: Sequence[float | None] | None) -> float | None:
    """The largest probability less the second largest, as the log keeps them: in single precision.

    None where there are fewer than two, or one of them is no number.

    >>> margin([0.25, 0.625, 0.125]), margin([1.0]), margin(None)
    (0.375, None, None)
    """
    known = array("f", (p for p in probabilities or () if p is not None))
    if len(known) < 2 or any(math.isnan(p) for p in known):
        return None
    first, second = sorted(known, reverse=True)[:2]
    return first - second if math.isfinite(first - second) else None
