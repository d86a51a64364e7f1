"""A tie is settled by decision: whoever leads the annotators says which answer holds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from labelloop.core.annotation import Annotation, Standing, votes
from labelloop.core.sighting import saw_before
from labelloop.core.task import Task, TaskState
from labelloop.errors import ArgumentError
from labelloop.ledger import Transaction, annotations, classes, events, seen, tasks
from labelloop.steps.collect.answers import AllowedAnswers
from labelloop.steps.collect.moving import Moves

_LATER = timedelta(microseconds=1)
_ID = "decision"
"""What stands in place of an annotator's id of the annotation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A tie and the answer that holds; `anew`: False where it held already, by the same decision."""

    task_key: str
    queue: str
    answer: str
    by: str
    anew: bool


def tie_of(tx: Transaction, sample_id: str, queue: str | None) -> str:
    """The key of the task of a sample on which people disagree, or that a decision settled.

    Raises:
        ArgumentError: there is none, or `queue` would have to say which.
    """
    asked = [task for task in tasks.of_samples(tx, [sample_id]) if queue in {None, task.queue}]
    held = annotations.latest(tx, [task.task_key for task in asked])
    found = [
        task
        for task in asked
        if task.state is TaskState.TIED
        or any(a.standing is Standing.DECISION for a in held.get(task.task_key, ()))
    ]
    if not found:
        raise ArgumentError(
            f"there is no disagreement on a sample {sample_id!r}"
            f"{f' in queue {queue!r}' if queue else ''}",
            remedy="check the sample_id: `labelloop status --ties` lists the tasks on which people disagree",
        )
    if len(found) > 1:
        raise ArgumentError(
            f"people disagree on {sample_id!r} in several queues",
            remedy=f"say which by --queue: {', '.join(sorted(task.queue for task in found))}",
        )
    return found[0].task_key


def settle(
    tx: Transaction, task_key: str, answer: str, *, by: str, at: datetime, instead_of: str = ""
) -> Settled:
    """Let an answer hold for a task on which people disagree. The same again changes nothing.

    instead_of
        the decision before, where one is to be changed knowingly

    Raises:
        ArgumentError: there is no such tie any more, somebody else decided meanwhile, the answer is no
            class, or who decides has looked at what the model said of a blind sample.
    """
    task = tasks.by_key(tx, [task_key]).get(task_key)
    if task is None or task.forgotten:
        raise ArgumentError(
            f"there is no task {task_key[:100]!r}",
            remedy="`labelloop status --ties` lists the tasks on which people disagree",
        )
    allowed = AllowedAnswers(classes.live(tx), classes.renamed(tx))
    if not allowed.has(answer):
        raise ArgumentError(
            f"{answer[:100]!r} is no class of the project",
            remedy=f"choose one of {', '.join(sorted(allowed.live))}",
        )
    answer = allowed.present(answer)
    held = annotations.latest(tx, [task_key]).get(task_key, [])
    before = next((a for a in held if a.standing is Standing.DECISION), None)
    if before is not None and before.answer == answer:
        return Settled(
            task_key=task_key, queue=task.queue, answer=answer, by=before.annotator, anew=False
        )
    _refuse_settled(tx, task, before, instead_of)
    if saw_before(seen.sightings(tx, [task_key]).get(task_key, ()), {}, by, at):
        raise ArgumentError(
            f"{by} has looked at what the model said of this sample, so their decision wouldn't be blind",
            remedy="let somebody settle it who hasn't looked",
        )
    decision = Annotation(
        task_key=task_key,
        remote_id=_ID,
        # later than the one before, also where the clock was set back
        updated_at=at if before is None else max(at, before.updated_at + _LATER),
        annotator=by,
        answer=answer,
        skipped=False,
        standing=Standing.DECISION,
    )
    annotations.insert(tx, [decision])
    moves = Moves(at, actor=by)
    label_before = annotations.labels(tx, [task_key]).get(task_key)
    moves.add(task, [*(a for a in held if a is not before), decision], label_before)
    moves.write(tx)
    said = ", ".join(sorted(f"{a.answer} by {a.annotator}" for a in votes(held)))
    events.record(tx, [events.Event(at, by, "settle", task_key, f"{answer}, in place of {said}")])
    return Settled(task_key=task_key, queue=task.queue, answer=answer, by=by, anew=True)


def _refuse_settled(
    tx: Transaction, task: Task, before: Annotation | None, instead_of: str
) -> None:
    """Refuse a tie that is none any more.

    Raises:
        ArgumentError: it is none.
    """
    if before is not None and before.answer != instead_of:
        raise ArgumentError(
            f"{before.annotator} has settled this tie meanwhile: {before.answer}",
            remedy="it stands; to change it, say that you know it: open the sample, or use --instead-of",
        )
    if before is None and task.state is not TaskState.TIED:
        label = annotations.labels(tx, [task.task_key]).get(task.task_key)
        now = f"the label is {label.label}, by {label.method}" if label else f"it is {task.state}"
        raise ArgumentError(
            f"this is no tie any more, as people answered meanwhile: {now}",
            remedy="nothing is left to do here",
        )
