"""A page of the annotator's tasks is taken into the ledger: answers, states and labels."""

from collections.abc import Sequence
from functools import partial

from labelloop.core.annotation import Annotation, Label
from labelloop.core.sighting import saw_before
from labelloop.core.task import Task, TaskState
from labelloop.ledger import Lease, Ledger, annotations, cursors, held_counts, seen, tasks
from labelloop.ports.annotator import Annotator, Project, RemoteTask
from labelloop.ports.clock import Clock
from labelloop.steps.collect.answers import AllowedAnswers, merge, strays_of
from labelloop.steps.collect.duplicates import Duplicates
from labelloop.steps.collect.moving import Moves
from labelloop.steps.collect.tally import Tally

_CHUNK = 500
_COUNTED_WITH = "collect:renamed classes"


class Intake:
    """Takes in what the annotator holds of our tasks."""

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        annotator: Annotator,
        allowed: AllowedAnswers,
        tally: Tally,
        *,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._annotator = annotator
        self._allowed = allowed
        self._tally = tally
        self._clock = clock
        self._duplicates = Duplicates(ledger, lease, annotator, tally)

    def take_in(self, project: Project, page: Sequence[RemoteTask]) -> None:
        """Take in a page of a project's tasks; those of others are passed over."""
        keys = sorted({remote.task_key for remote in page if remote.task_key is not None})
        with self._ledger.read() as tx:
            ours = tasks.by_key(tx, keys)
            before = annotations.latest(tx, keys)
        for remote in page:  # an older copy of the annotator may bring forgotten samples back
            if remote.task_key in ours and ours[remote.task_key].forgotten:
                self._annotator.delete_task(remote.remote_id)
        ours = {
            k: t
            for k, t in ours.items()
            # while a task is being sent, it is send's to move
            if t.project_ref == project.project_ref
            and t.state is not TaskState.SENDING
            and not t.forgotten
        }
        if not ours:
            return
        whole = self._duplicates.fold(project, page, ours, before)
        answered = [key for key, there in whole.items() if there.annotations]
        with self._ledger.read() as tx:
            sightings = seen.sightings(tx, answered)
        names = self._annotator.accounts() if sightings else {}
        with self._ledger.write(self._lease) as tx:
            ours = tasks.by_key(tx, list(ours))
            before = annotations.latest(tx, list(ours))
            labels = annotations.labels(tx, list(ours))
            strays: list[annotations.Stray] = []
            n_before = sum(map(len, annotations.strays_by(tx, list(whole)).values()))
            n_now = 0
            moves = Moves(self._clock.now())
            for remote in page:
                task = ours.get(remote.task_key or "")
                same = task is not None and task.remote_id == remote.remote_id
                if task is not None and same and task.people_asked != remote.people:
                    tasks.set_people_asked(tx, task.task_key, remote.people)
            for key, there in whole.items():
                known = before.get(key, [])
                now_held = merge(
                    tx,
                    key,
                    known,
                    there,
                    self._allowed,
                    saw=partial(saw_before, sightings.get(key, ()), names),
                    tally=self._tally,
                    now=self._clock.now(),
                )
                n_before += held_counts.n_not_deleted(known)
                n_now += held_counts.n_not_deleted(now_held)
                strays += strays_of(key, there.annotations, now_held)
                self._move(moves, ours[key], now_held, labels.get(key))
            moves.write(tx)
            annotations.set_strays(tx, list(whole), strays, self._clock.now())
            held_counts.add(tx, project.project_ref, n_now + len(strays) - n_before)

    def count_votes_again(self) -> None:
        """Where classes were renamed or merged, votes that differed may agree now: count them again."""
        digest = self._allowed.digest()
        with self._ledger.read() as tx:
            if cursors.get(tx, _COUNTED_WITH) == digest:
                return
            several = tasks.several_answers(tx)
        for start in range(0, len(several), _CHUNK):
            with self._ledger.write(self._lease) as tx:
                keys = [task.task_key for task in several[start : start + _CHUNK]]
                held = annotations.latest(tx, keys)
                labels = annotations.labels(tx, keys)
                moves = Moves(self._clock.now())
                for task in tasks.by_key(tx, keys).values():
                    if task.task_key in held:
                        self._move(moves, task, held[task.task_key], labels.get(task.task_key))
                moves.write(tx)
        with self._ledger.write(self._lease) as tx:
            cursors.put(tx, _COUNTED_WITH, digest)

    def _move(
        self, moves: Moves, task: Task, held: Sequence[Annotation], label_before: Label | None
    ) -> None:
        if task.is_second_look:  # `second_looks` says what its answers come to
            return
        self._tally.n_labels += moves.add(task, held, label_before)
