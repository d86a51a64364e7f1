"""A task that was sent twice: its answers are those of all its copies, and an unanswered copy is deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.core.annotation import Annotation, Standing
from labelloop.core.remote_id import order_given
from labelloop.core.task import Task
from labelloop.ledger import Lease, Ledger, tasks
from labelloop.ports.annotator import Annotator, Project, RemoteAnnotation, RemoteTask
from labelloop.steps.collect.tally import Tally


@dataclass(frozen=True, slots=True)
class RemoteAnswers:
    """The annotations that the annotator holds of one task, over its copies."""

    annotations: tuple[RemoteAnnotation, ...]
    changed_at: datetime

    @classmethod
    def of(cls, copies: Sequence[RemoteTask]) -> "RemoteAnswers":
        """The annotations of a task's copies."""
        return cls(
            tuple(a for remote in copies for a in remote.annotations),
            max(remote.updated_at for remote in copies),
        )


class Duplicates:
    """Folds the copies of tasks into one."""

    def __init__(self, ledger: Ledger, lease: Lease, annotator: Annotator, tally: Tally) -> None:
        self._ledger = ledger
        self._lease = lease
        self._annotator = annotator
        self._tally = tally

    def fold(
        self,
        project: Project,
        page: Sequence[RemoteTask],
        ours: Mapping[str, Task],
        held: Mapping[str, Sequence[Annotation]],
    ) -> dict[str, RemoteAnswers]:
        """By key, the answers to each of our tasks on a page, over all its copies.

        A task that lacks an annotation we hold may have a copy outside the page that has it.
        """
        whole: dict[str, RemoteAnswers] = {}
        doubled: set[str] = set()
        for remote in page:
            task = ours.get(remote.task_key or "")
            if task is None or remote.task_key is None:
                continue
            if remote.remote_id == task.remote_id and remote.task_key not in whole:
                whole[remote.task_key] = RemoteAnswers.of([remote])
            elif remote.remote_id != task.remote_id:
                doubled.add(remote.task_key)
        for key, there_now in whole.items():
            ids = {a.remote_id for a in there_now.annotations}
            if any(
                not a.deleted and a.remote_id not in ids and a.standing is not Standing.DECISION
                for a in held.get(key, [])
            ):
                doubled.add(key)
        if doubled:
            copies: dict[str, list[RemoteTask]] = {}
            for remote in self._annotator.find(project.project_ref, sorted(doubled)):
                copies.setdefault(remote.task_key or "", []).append(remote)
            for key in doubled & copies.keys():
                there = sorted(copies[key], key=lambda r: order_given(r.remote_id))
                whole[key] = RemoteAnswers.of(there)
                self._keep_one(ours[key], there)
        return whole

    def _keep_one(self, task: Task, there: Sequence[RemoteTask]) -> None:
        # one that was answered before one that was not, the one we know before others
        stays = min(there, key=lambda r: (not r.annotations, r.remote_id != task.remote_id))
        if stays.remote_id != task.remote_id:
            with self._ledger.write(self._lease) as tx:
                tasks.set_remote_id(tx, task.task_key, stays.remote_id)
                tasks.set_people_asked(tx, task.task_key, stays.people)
        for remote in there:
            if remote.remote_id != stays.remote_id and not remote.annotations:
                self._annotator.delete_task(remote.remote_id)
                self._tally.n_duplicates += 1
