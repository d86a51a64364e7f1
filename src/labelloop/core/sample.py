"""Samples: what the model said of them, and what users said back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

RISK_BINS = 1024


class Role(StrEnum):
    """Why a prediction was made.

    `repeated` is a second serving model's prediction of a sample that already has one:
    stored, but in no further frame.
    """

    SERVING = "serving"
    SHADOW = "shadow"
    REPEATED = "repeated"


class RejectReason(StrEnum):
    """Why a row was set aside."""

    UNTAGGED = "untagged"
    NO_TIMESTAMP = "no timestamp"
    BAD_TIMESTAMP = "timestamp can't be read"
    NO_CLASS = "no predicted class"
    UNKNOWN_CLASS = "unknown class"
    BAD_CONFIDENCE = "confidence isn't a number in [0, 1]"
    CHANGED = "changed"
    UNKNOWN_CORRECTION = "corrected class is unknown"
    BAD_FLAG = "flag is neither true nor false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one model version said about one sample."""

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
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the users of the application said of one sample: kind `flagged` or `corrected_class`."""

    sample_id: str
    kind: str
    value: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that can't be used as it is, with the value that stands in the way."""

    uri: str
    reason: RejectReason
    value: str


def risk_bin(confidence: float | None) -> int:
    """The bin of 1,024 of the risk 1 - confidence, 0.5 where the confidence is missing.

    >>> risk_bin(1.0), risk_bin(0.0), risk_bin(None)
    (0, 1023, 512)
    """
    risk = 0.5 if confidence is None else 1.0 - confidence
    return min(RISK_BINS - 1, int(RISK_BINS * risk))
