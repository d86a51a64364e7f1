"""An object's tags -> a prediction and feedback, or the reason why not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from labelloop.core.line import line
from labelloop.core.sample import (
    NO_CLASS,
    UNUSABLE,
    Feedback,
    Prediction,
    Reject,
    RejectReason,
    Role,
)
from labelloop.core.where import instant

NO_MODEL = "unversioned"
"""The model version of predictions that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagNames:
    """How the application calls its tags.

    shadow
        how a tag begins that holds what a shadow model said; its name follows
    """

    predicted_class: str = "predicted_class"
    confidence: str = "confidence"
    timestamp: str = "timestamp"
    model: str = "model"
    flagged: str = "flagged"
    corrected_class: str = "corrected_class"
    shadow: str = "shadow:"

    def is_attribute(self, tag: str) -> bool:
        """Whether a tag is none of those that have a meaning."""
        return tag not in _meant(self) and not self.shadows(tag)

    def shadows(self, tag: str) -> str:
        """The shadow model that a tag speaks of; empty: it speaks of none.

        >>> TagNames().shadows("shadow:v3")
        'v3'
        """
        return tag.removeprefix(self.shadow).strip() if tag.startswith(self.shadow) else ""


@lru_cache
def _meant(names: TagNames) -> frozenset[str]:
    """The tags that have a meaning."""
    return frozenset(getattr(names, f.name) for f in fields(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedObject:
    """An object of the store with its tags; `fault` says why they can't be read."""

    sample_id: str
    uri: str
    content_hash: str
    size_bytes: int
    tags: Mapping[str, str]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an object's tags say. Either a prediction or a reject; what else they say stands beside it.

    A reject beside a prediction is of feedback or of a shadow model.
    """

    prediction: Prediction | None
    feedback: tuple[Feedback, ...]
    reject: Reject | None
    shadows: tuple[Prediction, ...] = ()


def read_tags(
    tagged: TaggedObject,
    names: TagNames,
    *,
    classes: frozenset[str],
    salt: bytes,
    received_at: datetime,
    unusable_is_wrong: bool = False,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Reading:
    """What the tags of one object say of its sample.

    A timestamp without an offset is UTC; a missing confidence is normal; feedback that can't be read
    leaves the prediction as it is. An answer that names no class is a fault, or, if
    `unusable_is_wrong`, the class NO_CLASS.
    A class under a name that is a key of `renamed` counts as the one that it names.
    """
    if renamed:
        tagged = replace(tagged, tags=_present(tagged.tags, names, renamed))
    tags = tagged.tags
    fault = _fault(tags, names, None if unusable_is_wrong else classes)
    if tagged.fault:
        fault = RejectReason.UNREADABLE, tagged.fault
    if fault is not None:
        reason, value = fault
        return Reading(None, (), Reject(uri=tagged.uri, reason=reason, value=value))
    answer = tags.get(names.predicted_class, "")
    attributes = {k: v for k, v in tags.items() if names.is_attribute(k)}
    if answer not in classes:
        attributes |= {UNUSABLE: answer} if answer else {}
        answer = NO_CLASS
    confidence_text = tags.get(names.confidence, "").strip()
    prediction = Prediction(
        sample_id=tagged.sample_id,
        uri=tagged.uri,
        predicted_at=instant(tags[names.timestamp]),
        model=tags.get(names.model, "").strip().replace("\0", "\ufffd") or NO_MODEL,
        predicted_class=answer,
        confidence=float(confidence_text) if confidence_text else None,
        line=line(tagged.sample_id, salt),
        content_hash=tagged.content_hash,
        size_bytes=tagged.size_bytes,
        attributes=attributes,
    )
    feedback, reject = _feedback(tagged, names, classes, received_at)
    shadows, unknown = _shadows(tagged, names, prediction, classes, unusable_is_wrong)
    return Reading(prediction, feedback, reject or unknown, shadows)


def _present(
    tags: Mapping[str, str], names: TagNames, renamed: Mapping[str, str]
) -> Mapping[str, str]:
    """The tags with each class under its present name."""

    def names_a_class(tag: str) -> bool:
        return tag != names.model and not names.is_attribute(tag)

    return {k: renamed.get(v, v) if names_a_class(k) else v for k, v in tags.items()}


def _shadows(
    tagged: TaggedObject,
    names: TagNames,
    serving: Prediction,
    classes: frozenset[str],
    unusable_is_wrong: bool,
) -> tuple[tuple[Prediction, ...], Reject | None]:
    """What shadow models said of the sample, and the last answer of theirs that is no class."""
    found: list[Prediction] = []
    reject = None
    for tag, answer in tagged.tags.items():
        model = names.shadows(tag)
        if not model:
            continue
        if answer not in classes and not unusable_is_wrong:
            value = f"{tag}={answer}"
            reject = Reject(uri=tagged.uri, reason=RejectReason.UNKNOWN_SHADOW, value=value)
            continue
        found.append(
            replace(
                serving,
                model=model,
                role=Role.SHADOW,
                predicted_class=answer if answer in classes else NO_CLASS,
                confidence=None,
                attributes={},
            )
        )
    return tuple(found), reject


def _fault(
    tags: Mapping[str, str], names: TagNames, classes: frozenset[str] | None
) -> tuple[RejectReason, str] | None:
    """The first fault; `classes` None: any answer will do."""
    if not tags.keys() & {names.predicted_class, names.confidence, names.timestamp}:
        return RejectReason.UNTAGGED, ""
    if not tags.get(names.timestamp, "").strip():
        return RejectReason.NO_TIMESTAMP, ""
    if not _is_instant(tags[names.timestamp]):
        return RejectReason.BAD_TIMESTAMP, tags[names.timestamp]
    answer = tags.get(names.predicted_class, "")
    if classes is not None and not answer:
        return RejectReason.NO_CLASS, ""
    if classes is not None and answer not in classes:
        return RejectReason.UNKNOWN_CLASS, answer
    if not _is_confidence(tags.get(names.confidence, "").strip()):
        return RejectReason.BAD_CONFIDENCE, tags[names.confidence]
    return None


def _is_instant(text: str) -> bool:
    try:
        instant(text)
    except (ValueError, OverflowError):
        return False
    return True


def _is_confidence(text: str) -> bool:
    if not text:
        return True
    try:
        value = float(text)
    except ValueError:
        return False
    return "_" not in text and math.isfinite(value) and 0 <= value <= 1


def _feedback(
    tagged: TaggedObject, names: TagNames, classes: frozenset[str], received_at: datetime
) -> tuple[tuple[Feedback, ...], Reject | None]:
    found: list[Feedback] = []
    reject = None
    flag = tagged.tags.get(names.flagged, "").strip().lower()
    if flag in {"true", "false"}:
        found.append(_said(tagged, "flagged", flag, received_at))
    elif flag:
        reject = Reject(uri=tagged.uri, reason=RejectReason.BAD_FLAG, value=flag)
    corrected = tagged.tags.get(names.corrected_class, "")
    if corrected in classes or (not corrected and names.corrected_class in tagged.tags):
        found.append(_said(tagged, "corrected_class", corrected, received_at))
    elif corrected:
        reject = Reject(uri=tagged.uri, reason=RejectReason.UNKNOWN_CORRECTION, value=corrected)
    return tuple(found), reject


def _said(tagged: TaggedObject, kind: str, value: str, received_at: datetime) -> Feedback:
    return Feedback(sample_id=tagged.sample_id, kind=kind, value=value, received_at=received_at)
