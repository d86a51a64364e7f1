"""People's answers, and the label that they add up to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One person's answer, or one edit of it: the latest `updated_at` of an id is the one that holds.

    `answer` is a class of the project; None where the person skipped.
    """

    task_key: str
    annotation_id: int
    updated_at: datetime
    annotator: str
    answer: str | None
    skipped: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The answer that holds for a task. `revision` names the annotation and its edit."""

    task_key: str
    label: str
    method: str
    n_votes: int
    revision: str
    annotator: str


def resolve(task_key: str, annotations: Iterable[Annotation]) -> Label | None:
    """The label of a task that one answer settles: the first valid answer, as last edited.

    `annotations` holds the latest revision of each annotation. Deleted and skipped ones don't count.
    """
    valid = [a for a in annotations if not a.deleted and not a.skipped and a.answer is not None]
    if not valid:
        return None
    first = min(valid, key=lambda a: a.annotation_id)
    assert first.answer is not None  # noqa: S101  narrowed above; the type checker can't follow
    return Label(
        task_key=task_key,
        label=first.answer,
        method="single answer",
        n_votes=1,
        revision=f"{first.annotation_id}@{first.updated_at.isoformat()}",
        annotator=first.annotator,
    )
