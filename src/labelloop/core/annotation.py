"""People's answers, and the label that they add up to."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelloop.core.remote_id import order_given


class Standing(StrEnum):
    """How an answer counts."""

    VOTE = "vote"
    VOID = "void"
    """As none: before a blind answer its author had seen what the model said."""
    DECISION = "decision"
    """Alone: whoever leads the annotators settled a tie with it. The annotator knows nothing of it."""


SETTLED = "settled by decision"
"""The method of a label that somebody decided on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One person's answer, or one edit of it; of one id the latest `updated_at` is the valid one.

    `answer` is a class of the project; None where the person skipped.
    """

    task_key: str
    remote_id: str
    updated_at: datetime
    annotator: str
    answer: str | None
    skipped: bool
    deleted: bool = False
    standing: Standing = Standing.VOTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The answer that holds for a task.

    `revision` names the annotations that were counted and the edit of each, `annotator` the people
    who gave this answer; several are joined by " + ".
    """

    task_key: str
    label: str
    method: str
    n_votes: int
    revision: str
    annotator: str


def votes(annotations: Iterable[Annotation]) -> list[Annotation]:
    """The vote of each person, in the order of answering: the first valid answer, as last edited.

    `annotations` holds the latest revision of each annotation. Deleted, skipped and void ones don't count.
    """
    valid = [
        a
        for a in annotations
        if a.standing is Standing.VOTE and not a.deleted and not a.skipped and a.answer is not None
    ]
    first: dict[str, Annotation] = {}
    for a in sorted(valid, key=lambda a: order_given(a.remote_id)):
        first.setdefault(a.annotator, a)
    return list(first.values())


def resolve(task_key: str, annotations: Iterable[Annotation], *, wanted: int = 1) -> Label | None:
    """The label that the answers of `wanted` people give a task; None if they don't give one yet.

    If one answer is wanted, the label is the first answer. If several are wanted, it is the class with
    most votes, once that many people have answered; later votes count too. A decision holds whatever
    the votes.
    """
    latest = list(annotations)
    decision = next((a for a in latest if a.standing is Standing.DECISION and not a.deleted), None)
    if decision is not None:
        return _label(task_key, decision.answer or "", SETTLED, [decision], [decision])
    cast = votes(latest)
    if len(cast) < wanted or not cast:
        return None
    if wanted == 1:
        return _label(task_key, cast[0].answer or "", "single answer", cast[:1], cast[:1])
    counts = Counter(a.answer or "" for a in cast).most_common(2)
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return None
    winner = counts[0][0]
    agreeing = [a for a in cast if a.answer == winner]
    return _label(task_key, winner, f"majority of {len(cast)}", agreeing, cast)


def _label(
    task_key: str,
    label: str,
    method: str,
    agreeing: Sequence[Annotation],
    cast: Sequence[Annotation],
) -> Label:
    return Label(
        task_key=task_key,
        label=label,
        method=method,
        n_votes=len(cast),
        revision=" + ".join(f"{a.remote_id}@{a.updated_at.isoformat()}" for a in cast),
        annotator=" + ".join(a.annotator for a in agreeing),
    )
