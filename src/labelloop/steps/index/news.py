"""What tagged objects say that the log doesn't hold yet, gathered until there is enough for a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from labelloop.core.sample import (
    HASH_OF_TEXT,
    HASH_OF_URI,
    NO_CLASS,
    Feedback,
    Prediction,
    Reject,
    RejectReason,
    Role,
)
from labelloop.ports.log import LoggedSample
from labelloop.ports.store import StoredObject
from labelloop.reading.tags import Reading

BATCH = 50_000


@dataclass(slots=True)
class News:
    """What was read and isn't written yet."""

    predictions: list[Prediction] = field(default_factory=list)
    shadows: list[Prediction] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    n_unreadable_yet: int = 0

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a batch."""
        return len(self.predictions) + len(self.shadows) >= BATCH

    def speaks_of(self, objects: Sequence[StoredObject]) -> bool:
        """Whether something of one of `objects` waits to be written."""
        named = {o.sample_id for o in objects}
        waiting = chain(
            (p.sample_id for p in chain(self.predictions, self.shadows)),
            (f.sample_id for f in self.feedback),
        )
        return not named.isdisjoint(waiting)

    def add_new(self, stored: StoredObject, reading: Reading, *, mended: bool) -> None:
        """Add a sample that the log doesn't hold; `mended`: it was rejected before."""
        if reading.prediction is not None:
            self.predictions.append(reading.prediction)
        self.shadows.extend(reading.shadows)
        self.feedback.extend(reading.feedback)
        if reading.reject is not None:
            self.rejects.append(reading.reject)
        elif mended:
            self.mended.append(stored.uri)

    def add_known(self, before: LoggedSample, stored: StoredObject, reading: Reading) -> None:
        """Add what is new of a sample that the log holds: feedback, and another model's answer."""
        prediction = reading.prediction
        if prediction is None:
            fault = reading.reject
            if fault is not None and fault.reason is not RejectReason.UNTAGGED:
                self.rejects.append(_fault_of_known(stored, fault))
            return
        overwritten = is_overwritten(before, stored)
        changed = (
            f"content {stored.content_hash}, was {before.content_hash}"
            if overwritten
            else _change(before, prediction) or _changed_shadow(before, reading)
        )
        if changed is not None:
            reason = RejectReason.OVERWRITTEN if overwritten else RejectReason.CHANGED
            self.rejects.append(Reject(uri=stored.uri, reason=reason, value=changed))
        elif prediction.model != before.model and prediction.model not in before.repeated:
            self.predictions.append(_repeated(prediction))
        if changed is None:
            self.shadows.extend(s for s in reading.shadows if s.model not in before.shadows)
        if reading.reject is not None and changed is None:
            self.rejects.append(reading.reject)
        elif changed is None:
            self.mended.append(stored.uri)
        known = {
            "flagged": None if before.flagged is None else str(before.flagged).lower(),
            "corrected_class": before.corrected_class,
        }
        self.feedback.extend(f for f in reading.feedback if f.value != (known[f.kind] or ""))


def _fault_of_known(stored: StoredObject, fault: Reject) -> Reject:
    """What can't be read of a sample whose prediction the log holds: it hides no row of a frame."""
    if fault.reason is RejectReason.UNREADABLE:
        return replace(fault, reason=RejectReason.UNREADABLE_NOW)
    value = f"{fault.reason}: {fault.value}"
    return Reject(uri=stored.uri, reason=RejectReason.CHANGED, value=value)


def said_before(known: LoggedSample | None) -> frozenset[str]:
    """The classes that the log holds of a sample: retired since or not, they are no news."""
    if known is None:
        return frozenset()
    return frozenset({known.predicted_class, *known.shadows.values()}) - {NO_CLASS}


def is_overwritten(before: LoggedSample, stored: StoredObject) -> bool:
    """Whether another content stands there than was predicted; a table's own hashes tell nothing."""
    return not _by_table(before) and stored.content_hash != before.content_hash


def _by_table(before: LoggedSample) -> bool:
    return before.content_hash.startswith((HASH_OF_TEXT, HASH_OF_URI))


def _change(before: LoggedSample, prediction: Prediction) -> str | None:
    """What contradicts the log, in words; None where nothing does.

    A row of a table that came first may say the same to other digits: then the class decides.
    """
    by_table = _by_table(before)
    if prediction.model != before.model:
        return None
    if prediction.predicted_class != before.predicted_class:
        return f"predicted_class {prediction.predicted_class}, was {before.predicted_class}"
    if by_table:
        return None
    if prediction.confidence != before.confidence:
        return f"confidence {prediction.confidence}, was {before.confidence}"
    if prediction.predicted_at != before.predicted_at:
        return f"timestamp {prediction.predicted_at}, was {before.predicted_at}"
    return None


def _changed_shadow(before: LoggedSample, reading: Reading) -> str | None:
    """The first answer of a shadow model that isn't what it was."""
    for s in reading.shadows:
        held = before.shadows.get(s.model, s.predicted_class)
        if held != s.predicted_class:
            return f"predicted_class {s.predicted_class} of {s.model}, was {held}"
    return None


def _repeated(prediction: Prediction) -> Prediction:
    return replace(prediction, role=Role.REPEATED)
