"""How many people each task asks: kept in step with what its answers still need."""

from collections.abc import Sequence

from labelloop.core.annotation import Annotation
from labelloop.core.task import Task, TaskState, people_to_ask
from labelloop.ledger import annotations, tasks
from labelloop.steps.send.context import SendContext
from labelloop.steps.send.doubts import still_there


def ask_people(context: SendContext) -> int:
    """Let each task ask as many people as are still needed; returns how many ask one more."""
    with context.read() as tx:
        perhaps = tasks.to_check_people_asked(tx)
        keys = [task.task_key for task in perhaps]
        held = annotations.latest(tx, keys)
        unusable = annotations.strays_by(tx, keys)
    wanted = {
        task.task_key: _still_needed(
            task, held.get(task.task_key, []), unusable.get(task.task_key, ())
        )
        for task in perhaps
    }
    asking = [task for task in perhaps if wanted[task.task_key] is not None]
    n = 0
    for done, task in enumerate(still_there(context, asking), start=1):
        given, people = held.get(task.task_key), wanted[task.task_key]
        assert task.remote_id is not None  # noqa: S101  the query asks for it
        assert people is not None  # noqa: S101  as are all that are asking
        is_settled = task.state is TaskState.RESOLVED
        if context.annotator.ask_people(task.remote_id, people, done=is_settled):
            with context.write() as tx:
                tasks.set_people_asked(tx, task.task_key, people)
            n += bool(given) and not is_settled
        context.progress("people asked", done, len(asking))
    return n


def _still_needed(task: Task, held: Sequence[Annotation], unusable: Sequence[str]) -> int | None:
    """How many answers the annotator should take; None: as it stands is right.

    A second look that waits though it was answered was answered by people who may not give it.
    """
    if not task.is_second_look or task.state not in {TaskState.SENT, TaskState.SKIPPED}:
        return people_to_ask(task, held, unusable)
    skips = [a for a in held if a.skipped]
    wasted = [a.annotator for a in held if not a.skipped and not a.deleted]  # void ones among them
    return people_to_ask(task, skips, [*unusable, *wasted])
