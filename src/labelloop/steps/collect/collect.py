"""collect: people's answers come home, every edit, skip and deletion of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from labelloop.core.annotation import Annotation, Label
from labelloop.core.task import OPEN, Task, TaskState, path_after_answers
from labelloop.errors import AnnotatorError, AnnotatorUnavailable, ProjectGone
from labelloop.ledger import (
    Lease,
    Ledger,
    Transaction,
    annotations,
    classes,
    cursors,
    held_counts,
    tasks,
)
from labelloop.ledger.annotations import Stray
from labelloop.ports.annotator import Annotator, Project, RemoteAnnotation, RemoteTask
from labelloop.ports.clock import Clock, Progress
from labelloop.steps.collect.whereabouts import whereabouts

OVERLAP = timedelta(minutes=1)
"""How far each reading goes back behind the last: a slow transaction may show late."""

_CHUNK = 500
_COUNTED_WITH = "collect:renamed classes"


@dataclass(frozen=True, slots=True)
class Collected:
    """What one `collect` brought. `strays` are answers that aren't one of the classes."""

    n_labels: int
    n_edited: int
    n_skipped: int
    n_deleted: int
    n_lost: int
    n_duplicates: int
    strays: tuple[Stray, ...]
    lost_projects: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    n_labels: int = 0
    n_edited: int = 0
    n_skipped: int = 0
    n_deleted: int = 0
    n_lost: int = 0
    n_duplicates: int = 0
    lost_projects: list[str] = field(default_factory=list)


class Collect:
    """Collects from every project that tasks were sent to."""

    def __init__(
        self,
        ledger: Ledger,
        annotator: Annotator,
        *,
        ledger_id: str,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._ledger = ledger
        self._annotator = annotator
        self._ledger_id = ledger_id
        self._clock = clock
        self._progress = progress

    def run(self, *, anew: bool = False) -> Collected:
        """Read what changed since last time; where the counts then differ, read everything.

        `anew`: projects that aren't at this address are gone, and their open tasks are sent again.

        Raises:
            AnnotatorError: a project can't be seen, and isn't gone, or can't be read; the others were
                collected.
        """
        tally = _Tally()
        with self._ledger.lease("collect") as lease:
            with self._ledger.read() as tx:
                queues = tasks.projects(tx)
                answers = _Answers(classes.live(tx), classes.renamed(tx))
            found = whereabouts(
                self._ledger, lease, self._annotator, ledger_id=self._ledger_id, anew=anew
            )
            for project_id in sorted(found.gone):
                self._lose_project(lease, project_id, queues[project_id], tally)
            troubles: list[AnnotatorError] = []
            for project_id, project in sorted(found.there.items()):
                try:
                    self._collect(lease, project, answers, tally)
                except ProjectGone:
                    self._lose_project(lease, project_id, queues[project_id], tally)
                except AnnotatorUnavailable as exc:
                    if troubles:  # it isn't that one project
                        raise
                    troubles.append(exc)
            self._count_again(lease, answers, tally)
            with self._ledger.read() as tx:
                strays = tuple(annotations.strays(tx))
        for trouble in (*troubles, *found.hidden.values()):
            raise trouble
        return Collected(
            tally.n_labels,
            tally.n_edited,
            tally.n_skipped,
            tally.n_deleted,
            tally.n_lost,
            tally.n_duplicates,
            strays,
            tuple(tally.lost_projects),
        )

    def _count_again(self, lease: Lease, answers: "_Answers", tally: _Tally) -> None:
        """Where classes were renamed or merged, votes that differed may agree now: count them again."""
        digest = answers.digest()
        with self._ledger.read() as tx:
            if cursors.get(tx, _COUNTED_WITH) == digest:
                return
            several = tasks.several_answers(tx)
        for start in range(0, len(several), _CHUNK):
            with self._ledger.write(lease) as tx:
                keys = [task.task_key for task in several[start : start + _CHUNK]]
                held = annotations.latest(tx, keys)
                labels = annotations.labels(tx, keys)
                for task in tasks.by_key(tx, keys).values():
                    if task.task_key in held:
                        given, before = held[task.task_key], labels.get(task.task_key)
                        self._move(tx, task, given, before, tally)
        with self._ledger.write(lease) as tx:
            cursors.put(tx, _COUNTED_WITH, digest)

    # --- a project ----------------------------------------------------------------------------

    def _collect(self, lease: Lease, project: Project, answers: "_Answers", tally: _Tally) -> None:
        cursor = f"collect:{project.project_id}"
        with self._ledger.read() as tx:
            text = cursors.get(tx, cursor)
        mark = datetime.fromisoformat(text) if text else None
        seen: dict[int, str | None] = {}
        newest = self._read(lease, project, mark - OVERLAP if mark else None, answers, tally, seen)
        with self._ledger.write(lease) as tx:
            if newest is not None and (mark is None or newest > mark):
                cursors.put(tx, cursor, newest.isoformat())
            counts = _Counts.of(tx, project)
            swept = cursors.get(tx, f"swept:{project.project_id}")
            usable = [s.task_key for s in annotations.strays(tx) if answers.has(s.value)]
            became_classes = bool(_believed(tx, project, usable))
            displaced = _displaced(tx, project, seen, swept)
        if became_classes or counts.differ(swept) or displaced:
            self._sweep(lease, project, answers, tally)

    def _read(
        self,
        lease: Lease,
        project: Project,
        after: datetime | None,
        answers: "_Answers",
        tally: _Tally,
        seen: dict[int, str | None],
    ) -> datetime | None:
        """Take in the pages of tasks changed after a moment; returns the newest change seen.

        `seen` is told the key under each id.
        """
        newest: datetime | None = None
        done = 0
        for page in self._annotator.tasks(project.project_id, after):
            seen.update((remote.ls_task_id, remote.task_key) for remote in page)
            self._take_in(lease, project, page, answers, tally)
            newest = max([r.updated_at for r in page] + ([newest] if newest else []), default=None)
            done += len(page)
            self._progress("tasks read", done, project.n_tasks if after is None else None)
        return newest

    def _sweep(self, lease: Lease, project: Project, answers: "_Answers", tally: _Tally) -> None:
        """Read a whole project, and note which of our tasks are no longer in it.

        The id of a task that is gone may be another's: a Label Studio that was restored gives it again.
        """
        with self._ledger.read() as tx:
            before = tasks.in_project(tx, project.project_id)
        seen: dict[int, str | None] = {}
        self._read(lease, project, None, answers, tally, seen)
        with self._ledger.read() as tx:  # a duplicate may have been adopted meanwhile
            believed = tasks.by_key(tx, [task.task_key for task in before]).values()
        gone = [t for t in believed if seen.get(t.ls_task_id or 0) != t.task_key]
        self._lose(lease, gone, "gone from Label Studio", tally)
        with self._ledger.write(lease) as tx:
            swept = _Counts.of(tx, project, anew=True).noted(max(seen, default=0))
            cursors.put(tx, f"swept:{project.project_id}", swept)

    def _lose_project(self, lease: Lease, project_id: int, queue: str, tally: _Tally) -> None:
        with self._ledger.read() as tx:
            open_tasks = tasks.open_in_project(tx, project_id)
        if open_tasks:
            tally.lost_projects.append(queue)
            self._lose(lease, open_tasks, f"project {project_id} is gone", tally)

    def _lose(self, lease: Lease, gone: Sequence[Task], why: str, tally: _Tally) -> None:
        """Tasks that people can't answer any more are sent again; a resolved label stands."""
        open_tasks = [task for task in gone if task.state in OPEN]
        if not open_tasks:
            return
        with self._ledger.write(lease) as tx:
            for state in {task.state for task in open_tasks}:
                tasks.take_back(
                    tx,
                    [task for task in open_tasks if task.state is state],
                    actor="collect",
                    at=self._clock.now(),
                    why=why,
                )
        tally.n_lost += len(open_tasks)

    # --- a page -------------------------------------------------------------------------------

    def _take_in(
        self,
        lease: Lease,
        project: Project,
        page: Sequence[RemoteTask],
        answers: "_Answers",
        tally: _Tally,
    ) -> None:
        keys = sorted({remote.task_key for remote in page if remote.task_key is not None})
        with self._ledger.read() as tx:
            ours = tasks.by_key(tx, keys)
            before = annotations.latest(tx, keys)
        for remote in page:  # an older copy of Label Studio's may bring forgotten samples back
            if remote.task_key in ours and ours[remote.task_key].forgotten:
                self._annotator.delete_task(remote.ls_task_id)
        ours = {
            k: t
            for k, t in ours.items()
            # while a task is being sent, it is send's to move
            if t.project_id == project.project_id
            and t.state is not TaskState.SENDING
            and not t.forgotten
        }
        if not ours:
            return
        whole = self._fold_duplicates(lease, project, page, ours, before, tally)
        with self._ledger.write(lease) as tx:
            ours = tasks.by_key(tx, list(ours))
            before = annotations.latest(tx, list(ours))
            labels = annotations.labels(tx, list(ours))
            strays: list[Stray] = []
            n_before = sum(map(len, annotations.strays_by(tx, list(whole)).values()))
            n_now = 0
            for remote in page:
                task = ours.get(remote.task_key or "")
                same = task is not None and task.ls_task_id == remote.ls_task_id
                if task is not None and same and task.people_asked != remote.people:
                    tasks.note_people(tx, task.task_key, remote.people)
            for key, there in whole.items():
                known = before.get(key, [])
                now_held = self._merge(tx, key, known, there, answers, tally)
                n_before += held_counts.standing(known)
                n_now += held_counts.standing(now_held)
                strays += _strays(key, there.annotations, now_held)
                self._move(tx, ours[key], now_held, labels.get(key), tally)
            annotations.set_strays(tx, list(whole), strays, self._clock.now())
            held_counts.add(tx, project.project_id, n_now + len(strays) - n_before)

    def _fold_duplicates(
        self,
        lease: Lease,
        project: Project,
        page: Sequence[RemoteTask],
        ours: dict[str, Task],
        held: dict[str, list[Annotation]],
        tally: _Tally,
    ) -> dict[str, "_There"]:
        """What stands of each of our tasks, over all its duplicates; unlabelled ones are deleted.

        A task that lacks an annotation we hold may have a duplicate outside the page that has it.
        """
        whole: dict[str, _There] = {}
        doubled: list[str] = []
        for remote in page:
            task = ours.get(remote.task_key or "")
            if task is None or remote.task_key is None:
                continue
            if remote.ls_task_id == task.ls_task_id and remote.task_key not in whole:
                whole[remote.task_key] = _There.of([remote])
            elif remote.ls_task_id != task.ls_task_id:
                doubled.append(remote.task_key)
        for key, there_now in whole.items():
            ids = {a.annotation_id for a in there_now.annotations}
            if any(not a.deleted and a.annotation_id not in ids for a in held.get(key, [])):
                doubled.append(key)
        if not doubled:
            return whole
        copies: dict[str, list[RemoteTask]] = {}
        for remote in self._annotator.find(project.project_id, sorted(set(doubled))):
            copies.setdefault(remote.task_key or "", []).append(remote)
        for key in set(doubled):
            there = sorted(copies.get(key, []), key=lambda r: r.ls_task_id)
            if there:
                whole[key] = _There.of(there)
                self._keep_one(lease, ours[key], there, tally)
        return whole

    def _keep_one(
        self, lease: Lease, task: Task, there: Sequence[RemoteTask], tally: _Tally
    ) -> None:
        # one that was answered before one that was not, the one we know before others
        stays = min(there, key=lambda r: (not r.annotations, r.ls_task_id != task.ls_task_id))
        if stays.ls_task_id != task.ls_task_id:
            with self._ledger.write(lease) as tx:
                tasks.adopt(tx, task.task_key, stays.ls_task_id)
                tasks.note_people(tx, task.task_key, stays.people)
        for remote in there:
            if remote.ls_task_id != stays.ls_task_id and not remote.annotations:
                self._annotator.delete_task(remote.ls_task_id)
                tally.n_duplicates += 1

    # --- a task -------------------------------------------------------------------------------

    def _merge(
        self,
        tx: Transaction,
        key: str,
        held: Sequence[Annotation],
        there: "_There",
        answers: "_Answers",
        tally: _Tally,
    ) -> list[Annotation]:
        """The latest revision of each annotation after Label Studio's word; new ones are written.

        A deletion changes its task. One that is missing from a task that hasn't changed since was
        lost by Label Studio, restored from a backup say, and stands.
        """
        latest = {a.annotation_id: a for a in held}
        fresh: list[Annotation] = []
        usable: set[int] = set()
        for said in there.annotations:
            known = latest.get(said.annotation_id)
            answer = _answer(said, answers)
            present = None if answer is None else answers.present(answer)
            if known is None or said.updated_at > known.updated_at:
                if answer is None and not said.skipped:
                    # an answer that became unusable withdraws what stood before it
                    continue
                revision = Annotation(
                    task_key=key,
                    annotation_id=said.annotation_id,
                    updated_at=said.updated_at,
                    annotator=said.annotator,
                    answer=answer,
                    skipped=said.skipped,
                )
                fresh.append(revision)
                latest[said.annotation_id] = replace(revision, answer=present)
                tally.n_edited += known is not None and known.answer != present
                tally.n_skipped += said.skipped and (known is None or not known.skipped)
            elif known.deleted:
                annotations.mark_deleted(tx, [known], None)
                latest[said.annotation_id] = replace(known, deleted=False)
            # what was taken in once stands, also when its class is retired since
            usable.add(said.annotation_id)
        said_ids = {said.annotation_id for said in there.annotations}
        gone = [
            a
            for a in latest.values()
            if a.annotation_id not in usable
            and not a.deleted
            and (a.annotation_id in said_ids or a.updated_at < there.changed_at)
        ]
        annotations.insert(tx, fresh)
        annotations.mark_deleted(tx, gone, self._clock.now())
        tally.n_deleted += len(gone)
        for a in gone:
            latest[a.annotation_id] = replace(a, deleted=True)
        return list(latest.values())

    def _move(
        self,
        tx: Transaction,
        task: Task,
        held: Sequence[Annotation],
        label_before: Label | None,
        tally: _Tally,
    ) -> None:
        now = self._clock.now()
        path, label = path_after_answers(task, held)
        if label is not None and task.state is TaskState.RESOLVED and label != label_before:
            path = (TaskState.ANNOTATED, TaskState.RESOLVED)
        if label is None and label_before is not None:
            annotations.clear_label(tx, task.task_key)
        elif label is not None and label != label_before:
            annotations.put_label(tx, label, now)
            tally.n_labels += label_before is None
        moving = task
        for state in path:
            detail = label.label if label is not None and state is TaskState.RESOLVED else ""
            tasks.move(tx, [moving], state, actor="collect", at=now, detail=detail)
            moving = replace(moving, state=state)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of a project's tasks and annotations: those the ledger believes in, and those that there are."""

    held: tuple[int, int]
    there: tuple[int, int]

    @classmethod
    def of(cls, tx: Transaction, project: Project, *, anew: bool = False) -> "_Counts":
        """Of a project; `anew`: counted annotation by annotation."""
        number = project.project_id
        believed = (tasks.n_in_project(tx, number), held_counts.in_project(tx, number, anew=anew))
        return cls(believed, (project.n_tasks, project.n_annotations))

    def noted(self, last_id: int) -> str:
        """What a cursor keeps of a sweep: the counts that it left, and the last id that it saw."""
        return f"{(*self.held, *self.there)} {last_id}"

    def differ(self, swept: str | None) -> bool:
        """Whether they differ, and not just as the last sweep left them: others' tasks stay others'."""
        return self.held != self.there and (swept or "").rpartition(" ")[0] != str(
            (*self.held, *self.there)
        )


def _believed(tx: Transaction, project: Project, keys: Sequence[str]) -> frozenset[str]:
    """Those of some keys whose tasks are believed to be in a project."""
    return frozenset(
        key
        for key, task in tasks.by_key(tx, keys).items()
        if task.project_id == project.project_id and task.ls_task_id is not None
    )


def _displaced(
    tx: Transaction, project: Project, seen: Mapping[int, str | None], swept: str | None
) -> bool:
    """Whether a task may be gone though the counts agree: another has its id, or others' came."""
    ours = _believed(tx, project, [key for key in seen.values() if key is not None])
    known = tasks.open_in_project(tx, project.project_id, list(seen))
    own = {task.ls_task_id: task.task_key for task in known}
    last_id = int((swept or "0").rpartition(" ")[2])
    return any(
        own.get(number, key) != key or (key not in ours and number > last_id)
        for number, key in seen.items()
    )


@dataclass(frozen=True, slots=True)
class _There:
    """What stands of one task in Label Studio, over its duplicates."""

    annotations: tuple[RemoteAnnotation, ...]
    changed_at: datetime

    @classmethod
    def of(cls, remotes: Sequence[RemoteTask]) -> "_There":
        return cls(
            tuple(a for remote in remotes for a in remote.annotations),
            max(remote.updated_at for remote in remotes),
        )


@dataclass(frozen=True, slots=True)
class _Answers:
    """What people may answer, and the old names that count as one of these."""

    live: frozenset[str]
    renamed: Mapping[str, str]

    def has(self, name: str) -> bool:
        return self.present(name) in self.live

    def present(self, name: str) -> str:
        return self.renamed.get(name, name)

    def digest(self) -> str:
        return sha256(repr(sorted(self.renamed.items())).encode()).hexdigest()


def _answer(said: RemoteAnnotation, answers: _Answers) -> str | None:
    """The class that was chosen, as it was called; None where it is no single one of ours."""
    if said.skipped or len(said.choices) != 1 or not answers.has(said.choices[0]):
        return None
    return said.choices[0]


def _strays(
    key: str, remote: Sequence[RemoteAnnotation], held: Sequence[Annotation]
) -> list[Stray]:
    usable = {a.annotation_id for a in held if not a.deleted}
    return [
        Stray(key, said.annotation_id, " + ".join(said.choices) or "(nothing)", said.annotator)
        for said in remote
        if said.annotation_id not in usable
    ]
