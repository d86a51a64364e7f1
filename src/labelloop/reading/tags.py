"""An object's tags -> a prediction and feedback, or the reason why not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from labelloop.core.line import line
from labelloop.core.sample import (
    NO_CLASS,
    SHOWN,
    UNUSABLE,
    Feedback,
    Prediction,
    Reject,
    RejectReason,
    Role,
)
from labelloop.reading.class_name import Classes
from labelloop.reading.confidence import confidence
from labelloop.reading.flag import flag
from labelloop.reading.model import NO_MODEL, model
from labelloop.reading.sampling_rate import sampling_rate
from labelloop.reading.tag_names import TagNames
from labelloop.reading.timestamp import timestamp


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
    confidence_divisor: float | None = None,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Reading:
    """What the tags of one object say of its sample.

    A timestamp without an offset is UTC; a missing confidence is normal; feedback that can't be read
    leaves the prediction as it is. An answer that names no class is a fault, or, if
    `unusable_is_wrong`, the class NO_CLASS.
    A class under a name that is a key of `renamed` counts as the one that it names.
    """
    tags = tagged.tags
    named = Classes(classes, renamed)
    if tagged.fault:
        return _rejected(tagged, RejectReason.UNREADABLE, tagged.fault)
    if not tags.keys() & {names.predicted_class, names.confidence, names.timestamp}:
        return _rejected(tagged, RejectReason.UNTAGGED, "")
    said_at, said_sure = tags.get(names.timestamp, ""), tags.get(names.confidence, "")
    answer = tags.get(names.predicted_class, "")
    try:
        at = timestamp(said_at)
    except ValueError:
        return _rejected(tagged, RejectReason.BAD_TIMESTAMP, said_at)
    if at is None:
        return _rejected(tagged, RejectReason.NO_TIMESTAMP, "")
    attributes = {k: v for k, v in tags.items() if names.is_attribute(k)}
    try:
        predicted = named.named(answer)
        if predicted is None and not unusable_is_wrong:
            return _rejected(tagged, RejectReason.NO_CLASS, "")
    except ValueError:
        if not unusable_is_wrong:
            return _rejected(tagged, RejectReason.UNKNOWN_CLASS, named.shown(answer))
        predicted = None
        attributes[UNUSABLE] = answer[:SHOWN]
    try:
        sure = confidence(said_sure, confidence_divisor)
    except ValueError:
        return _rejected(tagged, RejectReason.BAD_CONFIDENCE, said_sure)
    said_rate = tags.get(names.sampling_rate, "")
    try:
        rate = sampling_rate(said_rate)
    except ValueError:
        return _rejected(tagged, RejectReason.BAD_SAMPLING_RATE, said_rate)
    prediction = Prediction(
        sample_id=tagged.sample_id,
        uri=tagged.uri,
        predicted_at=at,
        model=model(tags.get(names.model, NO_MODEL)),
        predicted_class=predicted or NO_CLASS,
        confidence=sure,
        line=line(tagged.sample_id, salt),
        content_hash=tagged.content_hash,
        size_bytes=tagged.size_bytes,
        attributes=attributes,
        sampling_rate=rate,
    )
    feedback, reject = _feedback(tagged, names, named, received_at)
    shadows, unknown = _shadows(tagged, names, prediction, named, unusable_is_wrong)
    return Reading(prediction, feedback, reject or unknown, shadows)


def _rejected(tagged: TaggedObject, reason: RejectReason, value: str) -> Reading:
    return Reading(None, (), Reject(uri=tagged.uri, reason=reason, value=value))


def _shadows(
    tagged: TaggedObject,
    names: TagNames,
    serving: Prediction,
    classes: Classes,
    unusable_is_wrong: bool,
) -> tuple[tuple[Prediction, ...], Reject | None]:
    """What shadow models said of the sample, and the last answer of theirs that is no class."""
    found: list[Prediction] = []
    reject = None
    for tag, answer in tagged.tags.items():
        version = names.shadows(tag)
        if not version:
            continue
        try:
            predicted = classes.named(answer)
        except ValueError:
            predicted = None
        if predicted is None and not unusable_is_wrong:
            value = f"{tag}={classes.shown(answer)}"
            reject = Reject(uri=tagged.uri, reason=RejectReason.UNKNOWN_SHADOW, value=value)
            continue
        found.append(
            replace(
                serving,
                model=version,
                role=Role.SHADOW,
                predicted_class=predicted or NO_CLASS,
                confidence=None,
                attributes={},
            )
        )
    return tuple(found), reject


def _feedback(
    tagged: TaggedObject, names: TagNames, classes: Classes, received_at: datetime
) -> tuple[tuple[Feedback, ...], Reject | None]:
    found: list[Feedback] = []
    reject = None
    flagged = tagged.tags.get(names.flagged, "")
    try:
        is_flagged = flag(flagged)
    except ValueError:
        reject = Reject(uri=tagged.uri, reason=RejectReason.BAD_FLAG, value=flagged)
    else:
        if is_flagged is not None:
            found.append(_said(tagged, "flagged", str(is_flagged).lower(), received_at))
    if names.corrected_class in tagged.tags:
        corrected = tagged.tags[names.corrected_class]
        try:
            said = classes.corrected(corrected)
            found.append(_said(tagged, "corrected_class", said, received_at))
        except ValueError:
            value = classes.shown(corrected)
            reject = Reject(uri=tagged.uri, reason=RejectReason.UNKNOWN_CORRECTION, value=value)
    return tuple(found), reject


def _said(tagged: TaggedObject, kind: str, value: str, received_at: datetime) -> Feedback:
    return Feedback(sample_id=tagged.sample_id, kind=kind, value=value, received_at=received_at)
