"""What the answers that count of tasks make of their states and their labels."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from labelloop.core.annotation import Annotation, Label
from labelloop.core.task import Task, TaskState, path_after_answers
from labelloop.ledger import Transaction, annotations, tasks


class Moves:
    """The moves of tasks whose answers changed: gathered task by task, and written together."""

    def __init__(self, at: datetime, *, actor: str = "collect") -> None:
        self._at = at
        self._actor = actor
        self._cleared: list[str] = []
        self._labels: dict[str, Label] = {}
        self._paths: list[tuple[Task, Sequence[TaskState]]] = []
        self._said: dict[str, str] = {}

    def add(
        self,
        task: Task,
        held: Sequence[Annotation],
        label_before: Label | None,
        *,
        method: str | None = None,
    ) -> bool:
        """Note the state and the label that its answers give a task; True if it is its first label.

        method
            how the label came about, where that isn't plain from the answers
        """
        path, label = path_after_answers(task, held)
        if label is not None and method is not None:
            label = replace(label, method=method)
        if label is not None and task.state is TaskState.RESOLVED and label != label_before:
            path = (TaskState.ANNOTATED, TaskState.RESOLVED)
        if label is None and label_before is not None:
            self._cleared.append(task.task_key)
        elif label is not None and label != label_before:
            self._labels[task.task_key] = label
        self._paths.append((task, path))
        self._said[task.task_key] = "" if label is None else label.label
        return label is not None and label_before is None

    def write(self, tx: Transaction) -> None:
        """Write all of it: the first step of each task, then the second."""
        annotations.clear_labels(tx, self._cleared)
        annotations.put_labels(tx, [(label, self._at) for label in self._labels.values()])
        moving = self._paths
        while moving := [(task, path) for task, path in moving if path]:
            for state in dict.fromkeys(path[0] for _, path in moving):
                tasks.move(
                    tx,
                    [task for task, path in moving if path[0] is state],
                    state,
                    actor=self._actor,
                    at=self._at,
                    details=self._said if state is TaskState.RESOLVED else {},
                )
            moving = [(replace(task, state=path[0]), path[1:]) for task, path in moving]
