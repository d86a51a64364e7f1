"""What the ledger believes of a project beside what there is: where they differ, all of it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.core.remote_id import order_given
from labelloop.ledger import Transaction, held_counts, tasks
from labelloop.ports.annotator import Project


@dataclass(frozen=True, slots=True)
class ProjectCounts:
    """A project's tasks and annotations: those the ledger believes in, and those that there are."""

    held: tuple[int, int]
    there: tuple[int, int]

    @classmethod
    def of(cls, tx: Transaction, project: Project, *, anew: bool = False) -> "ProjectCounts":
        """The counts of a project; `anew`: counted annotation by annotation."""
        number = project.project_ref
        believed = (tasks.n_in_project(tx, number), held_counts.in_project(tx, number, anew=anew))
        return cls(believed, (project.n_tasks, project.n_annotations))

    def noted(self, last_id: str) -> str:
        """What a cursor keeps of a sweep: the counts that it left, and the last id that it saw."""
        return f"{(*self.held, *self.there)} {last_id}"

    def differ(self, swept: str | None) -> bool:
        """True if they differ, and not just as the last sweep left them: others' tasks stay others'."""
        return self.held != self.there and (swept or "").rpartition(" ")[0] != str(
            (*self.held, *self.there)
        )


def believed_in(tx: Transaction, project: Project, keys: Sequence[str]) -> frozenset[str]:
    """Those of some keys whose tasks are believed to be in a project."""
    return frozenset(
        key
        for key, task in tasks.by_key(tx, keys).items()
        if task.project_ref == project.project_ref and task.remote_id is not None
    )


def is_displaced(
    tx: Transaction, project: Project, seen: Mapping[str, str | None], swept: str | None
) -> bool:
    """True if a task may be gone though the counts agree: another has its id, or others' came.

    `seen` holds the key under each id.
    """
    ours = believed_in(tx, project, [key for key in seen.values() if key is not None])
    known = tasks.open_in_project(tx, project.project_ref, list(seen))
    own = {task.remote_id: task.task_key for task in known}
    last = order_given((swept or "").rpartition(" ")[2])
    return any(
        own.get(number, key) != key or (key not in ours and order_given(number) > last)
        for number, key in seen.items()
    )
