"""Doubtful requests: look whether a task is there before it is sent again.

Whenever the outcome of a request isn't certain, the tasks are looked up by their keys until the count has
not changed for one full time-out of the client. What is not there by then was not carried out.
"""

from collections.abc import Iterator, Sequence

from labelloop.core.remote_id import order_given
from labelloop.core.task import Task
from labelloop.errors import ProjectGone
from labelloop.ledger import tasks
from labelloop.ports.annotator import RemoteTask
from labelloop.steps.send.context import SendContext

LOOKED_UP = 80
"""How many tasks are looked up at a time before they are changed."""


def settle_earlier_doubts(context: SendContext) -> int:
    """Settle the requests that an earlier run didn't see answered; returns how many tasks are there."""
    with context.read() as tx:
        doubtful = tasks.in_doubt(tx)
    n_found = 0
    for project_ref in sorted({task.project_ref for task in doubtful if task.project_ref}):
        there = [task for task in doubtful if task.project_ref == project_ref]
        n_found += len(there) - len(settle(context, project_ref, there))
    return n_found


def settle(context: SendContext, project_ref: str, sending: Sequence[Task]) -> set[str]:
    """Note which of the tasks being sent are there; returns the keys of the others, which wait again."""
    keys = [task.task_key for task in sending]

    def complete(found: Sequence[RemoteTask]) -> bool:
        return len({remote.task_key for remote in found}) == len(keys)

    try:
        found = context.settled(lambda: context.annotator.find(project_ref, keys), complete)
    except ProjectGone:
        found = []
    held = by_key(found)
    absent = [task for task in sending if task.task_key not in held]
    now = context.clock.now()
    with context.write() as tx:
        there = [task for task in sending if task.task_key in held]
        remotes = [held[task.task_key] for task in there]
        tasks.confirm_sent(
            tx,
            there,
            [remote.remote_id for remote in remotes],
            at=now,
            people_asked=[remote.people for remote in remotes],
        )
        tasks.return_to_drawn(tx, absent, actor="send", at=now, why="a settled look found none")
    return {task.task_key for task in absent}


def by_key(found: Sequence[RemoteTask]) -> dict[str, RemoteTask]:
    """The remote task of each key: of duplicates one that was answered, else the oldest."""
    held: dict[str, RemoteTask] = {}
    for remote in sorted(found, key=lambda r: (not r.annotations, order_given(r.remote_id))):
        if remote.task_key is not None:
            held.setdefault(remote.task_key, remote)
    return held


def still_there(context: SendContext, believed: Sequence[Task]) -> Iterator[Task]:
    """Those that the annotator holds under the id that the ledger has; looked up some at a time.

    An id may be another task's by now: an annotator that was restored gives it again.
    """
    for project_ref in sorted({task.project_ref or "" for task in believed}):
        own = [task for task in believed if task.project_ref == project_ref]
        for start in range(0, len(own), LOOKED_UP):
            some = own[start : start + LOOKED_UP]
            try:
                found = context.annotator.find(project_ref, [task.task_key for task in some])
            except ProjectGone:  # collect takes its tasks back
                break
            there = {(remote.remote_id, remote.task_key) for remote in found}
            yield from (task for task in some if (task.remote_id, task.task_key) in there)
