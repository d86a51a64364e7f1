"""The number of annotations, strays included, that each labelling project should hold.

collect compares it with what the annotator says, each time. To count them joins every task of the project
with its annotations; so the count is kept in a cursor, and changed by whatever changes what it counts.
"""

from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from labelloop.core.annotation import Annotation, Standing
from labelloop.core.task import Task
from labelloop.ledger import cursors
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_CHUNK = 500


def in_project(tx: Transaction, project_ref: str, *, anew: bool = False) -> int:
    """The count of a project; it is counted and stored if `anew` or if there is none yet."""
    kept = None if anew else cursors.get(tx, _name(project_ref))
    if kept is not None:
        return int(kept)
    n = count_again(tx, project_ref)
    cursors.put(tx, _name(project_ref), str(n))
    return n


def count_again(tx: Transaction, project_ref: str) -> int:
    """The count of a project, annotation by annotation."""
    of_project = sa.select(t.tasks.c.task_key).where(
        t.tasks.c.project_ref == project_ref, t.tasks.c.remote_id.is_not(None)
    )
    return _standing(tx, of_project)


def n_not_deleted(annotations: Iterable[Annotation]) -> int:
    """How many of one task's annotations aren't deleted; a decision is none of the annotator's."""
    return len(
        {a.remote_id for a in annotations if not a.deleted and a.standing is not Standing.DECISION}
    )


def add(tx: Transaction, project_ref: str, more: int) -> None:
    """Add to the count of a project, if it has one; a negative number subtracts."""
    kept = cursors.get(tx, _name(project_ref))
    if kept is not None and more:
        cursors.put(tx, _name(project_ref), str(int(kept) + more))


def add_tasks(tx: Transaction, tasks: Collection[Task]) -> None:
    """Add the annotations of tasks that are in their projects from now on."""
    _all(tx, tasks, 1)


def remove_tasks(tx: Transaction, tasks: Collection[Task]) -> None:
    """Subtract the annotations of tasks that left their projects; call it before these change."""
    _all(tx, tasks, -1)


def _all(tx: Transaction, tasks: Collection[Task], sign: int) -> None:
    keys: dict[str, list[str]] = {}
    for task in tasks:
        if task.project_ref is not None:
            keys.setdefault(task.project_ref, []).append(task.task_key)
    for project_ref, own in keys.items():
        chunks = (own[start : start + _CHUNK] for start in range(0, len(own), _CHUNK))
        add(tx, project_ref, sign * sum(_standing(tx, chunk) for chunk in chunks))


def _standing(tx: Transaction, keys: Sequence[str] | sa.Select[tuple[str]]) -> int:
    kept = t.annotations.c
    each = (
        sa.select(kept.task_key, kept.remote_id)
        .where(
            kept.deleted_at.is_(None),
            kept.standing != Standing.DECISION.value,
            kept.task_key.in_(keys),
        )
        .distinct()
        .subquery()
    )
    n = tx.execute(sa.select(sa.func.count()).select_from(each)).scalar_one()
    strays = tx.execute(
        sa.select(sa.func.count()).select_from(t.strays).where(t.strays.c.task_key.in_(keys))
    ).scalar_one()
    return int(n) + int(strays)


def _name(project_ref: str) -> str:
    return f"held:{project_ref}"
