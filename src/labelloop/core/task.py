"""A task: a sample's task in Label Studio for one purpose, and how its state moves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelloop.core.annotation import Annotation, Label, resolve
from labelloop.core.queue import Purpose


class TaskState(StrEnum):
    """Where a task stands."""

    DRAWN = "drawn"
    SENDING = "sending"
    SENT = "sent"
    ANNOTATED = "annotated"
    RESOLVED = "resolved"
    TIED = "tied"
    SKIPPED = "skipped"
    UNAVAILABLE = "unavailable"
    ABANDONED = "abandoned"


MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.DRAWN: frozenset({TaskState.SENDING, TaskState.UNAVAILABLE, TaskState.ABANDONED}),
    TaskState.SENDING: frozenset(
        {TaskState.SENT, TaskState.DRAWN, TaskState.UNAVAILABLE, TaskState.ABANDONED}
    ),
    TaskState.SENT: frozenset(
        {
            TaskState.ANNOTATED,
            TaskState.SKIPPED,
            TaskState.DRAWN,
            TaskState.UNAVAILABLE,
            TaskState.ABANDONED,
        }
    ),
    TaskState.ANNOTATED: frozenset(
        {
            TaskState.RESOLVED,
            TaskState.TIED,
            TaskState.SENT,
            TaskState.DRAWN,
            TaskState.UNAVAILABLE,
            TaskState.ABANDONED,
        }
    ),
    TaskState.TIED: frozenset(
        {
            TaskState.RESOLVED,
            TaskState.SENT,
            TaskState.DRAWN,
            TaskState.UNAVAILABLE,
            TaskState.ABANDONED,
        }
    ),
    TaskState.SKIPPED: frozenset(
        {
            TaskState.ANNOTATED,
            TaskState.SENT,
            TaskState.DRAWN,
            TaskState.UNAVAILABLE,
            TaskState.ABANDONED,
        }
    ),
    TaskState.RESOLVED: frozenset({TaskState.ANNOTATED, TaskState.SENT}),
    TaskState.UNAVAILABLE: frozenset({TaskState.ANNOTATED}),
    TaskState.ABANDONED: frozenset({TaskState.ANNOTATED}),
}
"""The moves a task may make. A late answer still counts after `unavailable` and `abandoned`."""

OPEN = frozenset({TaskState.SENT, TaskState.ANNOTATED, TaskState.TIED, TaskState.SKIPPED})
"""In Label Studio, and not settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it stands in the ledger."""

    task_key: str
    sample_id: str
    uri: str
    queue: str
    purpose: Purpose
    state: TaskState
    project_id: int | None = None
    ls_task_id: int | None = None
    media_uri: str | None = None
    attempt: int = 0
    sent_at: datetime | None = None
    url_expires_at: datetime | None = None


def path_after_answers(
    task: Task, annotations: Iterable[Annotation]
) -> tuple[tuple[TaskState, ...], Label | None]:
    """The states a sent task moves through, in order, given its annotations; and its label, if any.

    `annotations` holds the latest revision of each annotation. An unchanged task moves nowhere.
    """
    latest = list(annotations)
    label = resolve(task.task_key, latest)
    if label is not None:
        if task.state is TaskState.RESOLVED:
            return (), label
        if task.state in {TaskState.ANNOTATED, TaskState.TIED}:
            return (TaskState.RESOLVED,), label
        return (TaskState.ANNOTATED, TaskState.RESOLVED), label
    if task.state not in OPEN and task.state is not TaskState.RESOLVED:
        return (), None
    skipped = any(a.skipped and not a.deleted for a in latest)
    wanted = TaskState.SKIPPED if skipped else TaskState.SENT
    if task.state is wanted:
        return (), None
    if wanted is TaskState.SENT or task.state is TaskState.SENT:
        return (wanted,), None
    return (TaskState.SENT, TaskState.SKIPPED), None
