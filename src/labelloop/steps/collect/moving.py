"""What the answers that count of a task make of its state and its label."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from labelloop.core.annotation import Annotation, Label
from labelloop.core.task import Task, TaskState, path_after_answers
from labelloop.ledger import Transaction, annotations, tasks


def move(
    tx: Transaction,
    task: Task,
    held: Sequence[Annotation],
    label_before: Label | None,
    *,
    at: datetime,
    method: str | None = None,
) -> bool:
    """Bring a task to the state that its answers give it, with its label; True if it is its first label.

    method
        how the label came about, where that isn't plain from the answers
    """
    path, label = path_after_answers(task, held)
    if label is not None and method is not None:
        label = replace(label, method=method)
    if label is not None and task.state is TaskState.RESOLVED and label != label_before:
        path = (TaskState.ANNOTATED, TaskState.RESOLVED)
    if label is None and label_before is not None:
        annotations.clear_label(tx, task.task_key)
    elif label is not None and label != label_before:
        annotations.put_label(tx, label, at)
    moving = task
    for state in path:
        detail = label.label if label is not None and state is TaskState.RESOLVED else ""
        tasks.move(tx, [moving], state, actor="collect", at=at, detail=detail)
        moving = replace(moving, state=state)
    return label is not None and label_before is None
