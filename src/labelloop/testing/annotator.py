"""An annotator in memory: how a real one behaves, and the people in front of it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from labelloop.core.remote_id import order_given
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    ArgumentError,
    BucketRefused,
    ProjectGone,
    RequestTooLarge,
)
from labelloop.ports.annotator import (
    AnnotatorFacts,
    BucketAccess,
    Project,
    ProjectSpec,
    RemoteAnnotation,
    RemoteTask,
    Suggestion,
    TaskData,
)

P = ParamSpec("P")
R = TypeVar("R")
KEY = "labelloop"
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class _Project:
    spec: ProjectSpec
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class _Task:
    project_ref: str
    data: Mapping[str, Any]
    updated_at: datetime
    annotations: dict[str, RemoteAnnotation] = field(default_factory=dict)
    people: int = 1
    done: bool = False
    look_of: str | None = None
    by_referee: bool = False


@dataclass(slots=True, kw_only=True)
class _Fault:
    call: str
    error: BaseException
    carried_out: bool
    after_calls: int


@dataclass(slots=True, kw_only=True)
class _Late:
    calls_left: int
    carry_out: Callable[[], object]


def _call(
    method: Callable[Concatenate["MemoryAnnotator", P], R],
) -> Callable[Concatenate["MemoryAnnotator", P], R]:
    """A call of the port: it is noted in `calls`, and may be made to fail."""

    @wraps(method)
    def called(self: "MemoryAnnotator", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._called(method.__name__, partial(method, self, *args, **kwargs))

    return called


class MemoryAnnotator:
    """An annotator that holds projects, tasks and answers in dictionaries.

    A test plays people with `answer`, `skip`, `edit`, `offer`, `delete_annotation`, `delete_project`
    and `duplicate_task`, asks what they are `offered`, and makes trouble with `fail_next`.
    Instants come from `now`, and never repeat.

    >>> annotator = MemoryAnnotator()
    >>> spec = ProjectSpec(
    ...     title="Fruit", marker="labelloop:l1/accuracy", classes=("fig",), show=(), blind=True
    ... )
    >>> project = annotator.create_project(spec)
    >>> task = TaskData(task_key="k1", data={"image": "http://127.0.0.1/a.png"})
    >>> [remote_id] = annotator.import_tasks(project.project_ref, [task])
    >>> annotator.answer(remote_id, "fig", by="ana")
    'a1'
    >>> [a.choices for t in annotator.find(project.project_ref, ["k1"]) for a in t.annotations]
    [('fig',)]
    """

    def __init__(
        self,
        *,
        url: str = "http://annotator.invalid",
        timeout_s: float = 0.05,
        page_size: int = 100,
        now: Callable[[], datetime] = lambda: EARLIEST,
    ) -> None:
        self.name = "the annotator"
        self.url = url
        self.calls: list[str] = []
        """The names of the port's calls so far, in order."""
        self.version = "1.23.2"
        self.personal = False
        self.outside = False
        """Whether the account was removed from the organisation."""
        self.refused_buckets: set[str] = set()
        """The buckets that it won't open."""
        self.announced: dict[str, tuple[str, str]] = {}
        self.buckets: dict[str, dict[str, BucketAccess]] = {}
        """By project: the buckets that it may open."""
        self.most_bytes: int | None = None
        self.suggested: dict[str, Suggestion] = {}
        """The largest request that it takes; None: any."""
        self.members: list[str] = []
        """People who belong to the organisation, whether they answered or not."""
        self.waiting: set[str] = set()
        """People whose answers wait until somebody approves them: they hold their places."""
        self.access_expires_at: datetime | None = None
        self._timeout_s = timeout_s
        self._page_size = page_size
        self._now = now
        self._last = EARLIEST
        self._projects: dict[str, _Project] = {}
        self._tasks: dict[str, _Task] = {}
        self._n_made = {"project": 0, "task": 0, "annotation": 0}
        self._faults: list[_Fault] = []
        self._late: list[_Late] = []

    # --- the port ----------------------------------------------------------------------------

    @property
    def timeout_s(self) -> float:
        """After this long without an answer, a request that was received has been carried out."""
        return self._timeout_s

    @_call
    def facts(self) -> AnnotatorFacts:
        """Its version, and the account of the token."""
        return AnnotatorFacts(
            version=self.version,
            user="memory@labelloop.invalid",
            access="personal access token" if self.personal else "legacy token",
            access_expires_at=self.access_expires_at,
            served_at=self._now(),
        )

    @_call
    def check_account(self) -> None:
        """Return if the account is one that sees projects."""
        if self.outside:
            raise AnnotatorDenied("the account of the token belongs to no organisation")

    @_call
    def accounts(self) -> Mapping[str, str]:
        """The e-mail address of each member, and of everybody who answered."""
        answered = (a for task in self._tasks.values() for a in task.annotations.values())
        known = [*self.members, *(a.annotator for a in answered)]
        return {who: f"{who}@labelloop.invalid" for who in known}

    def project_url(self, project_ref: str) -> str:
        """Where a person would open the project."""
        return f"{self.url}/projects/{project_ref}"

    def task_url(self, project_ref: str, remote_id: str) -> str:
        """Where a person would open the task."""
        return f"{self.url}/projects/{project_ref}/tasks/{remote_id}"

    @_call
    def projects(self) -> Sequence[Project]:
        """The projects that carry a marker of labelloop, oldest first."""
        seen = () if self.outside else self._projects.items()
        return [self._project(i) for i, held in seen if held.spec.marker]

    @_call
    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project; not idempotent."""
        if spec.blind and spec.show:
            raise ArgumentError(f"a blind project can't show {', '.join(spec.show)}")
        project_ref = self._next("project")
        self._projects[project_ref] = _Project(spec=spec, created_at=self._instant())
        return self._project(project_ref)

    @_call
    def open_bucket(self, project_ref: str, access: BucketAccess) -> None:
        """See that the project can show s3:// links into a bucket. Idempotent."""
        self._require(project_ref)
        if access.bucket in self.refused_buckets:
            raise BucketRefused(
                f"bucket {access.bucket!r} was refused", remedy='set images = "presign"'
            )
        self.buckets.setdefault(project_ref, {})[access.bucket] = access

    @_call
    def announce(self, project_ref: str, url: str, secret: str) -> None:
        """Let it call `url` when an answer comes; `announced` holds what it would call. Idempotent."""
        self._require(project_ref)
        self.announced[project_ref] = url, secret

    @_call
    def import_tasks(self, project_ref: str, tasks: Sequence[TaskData]) -> Sequence[str]:
        """Import all tasks or none; their ids in the same order. Not idempotent."""
        self._require(project_ref)
        size = len(json.dumps([dict(task.data) for task in tasks]))
        if self.most_bytes is not None and size > self.most_bytes:
            raise RequestTooLarge(
                f"it refused a request of {size} bytes as too large", remedy="raise its most_bytes"
            )
        kind = self._projects[project_ref].spec.kind
        if any(kind not in task.data for task in tasks):
            raise AnnotatorError(
                f'"{kind}" key is expected in task data', remedy="mend the project"
            )
        self.suggested |= {t.task_key: t.suggestion for t in tasks if t.suggestion}
        return [
            self._add(
                project_ref,
                {**task.data, KEY: task.task_key},
                look_of=task.look_of,
                by_referee=task.by_referee,
            )
            for task in tasks
        ]

    @_call
    def find(self, project_ref: str, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`; a key may be found more than once."""
        self._require(project_ref)
        if self.outside:
            raise AnnotatorDenied(f"the account may not see project {project_ref}")
        return [task for task in self._listed(project_ref) if task.task_key in set(task_keys)]

    def tasks(
        self, project_ref: str, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page; changed since, or all."""

        def page(after_id: str) -> Sequence[RemoteTask]:
            self._require(project_ref)
            changed = [
                task
                for task in self._listed(project_ref)
                if order_given(task.remote_id) > order_given(after_id)
                and (updated_after is None or task.updated_at > updated_after)
            ]
            return changed[: self._page_size]

        last_id = ""
        while True:
            found = self._called("tasks", partial(page, last_id))
            if found:
                yield found
            if len(found) < self._page_size:
                return
            last_id = found[-1].remote_id

    @_call
    def replace_data(self, remote_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone. Idempotent."""
        if not isinstance(data.get(KEY), str):
            raise ArgumentError(f"the new data of task {remote_id} lacks its key")
        return self._change(remote_id, data=_stored(data))

    @_call
    def ask_people(self, remote_id: str, people: int, *, done: bool) -> bool:
        """Let a task ask this many different people, and say whether they have answered."""
        return self._change(remote_id, people=people, done=done)

    @_call
    def set_choices(self, project_ref: str, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from; answers stay as they are."""
        self._require(project_ref)
        if not self._projects[project_ref].spec.classes:
            raise AnnotatorError(
                f"the labelling config of project {project_ref} has no Choices named 'label'"
            )
        self._edit(project_ref, classes=tuple(choices))

    def choices(self, project_ref: str) -> Sequence[str]:
        """What a project's annotators choose from."""
        return self._projects[project_ref].spec.classes

    @_call
    def delete_task(self, remote_id: str) -> None:
        """Delete a task; one that is not there is fine."""
        self._tasks.pop(remote_id, None)

    # --- people ------------------------------------------------------------------------------

    def answer(self, remote_id: str, *choices: str, by: str) -> str:
        """The id of the annotation that says `choices`: any text, usually one, also none."""
        return self._annotate(remote_id, choices, by, skipped=False)

    def skip(self, remote_id: str, *, by: str) -> str:
        """The id of the annotation that skips the task."""
        return self._annotate(remote_id, (), by, skipped=True)

    def edit(self, annotation_id: str, choice: str) -> None:
        """Change an answer; a skip becomes an answer."""
        task = self._task_of(annotation_id)
        edited = replace(
            task.annotations[annotation_id],
            choices=(choice,),
            skipped=False,
            updated_at=self._instant(),
        )
        task.annotations[annotation_id] = edited
        self._count(task)

    def delete_annotation(self, annotation_id: str) -> None:
        """Delete an answer or a skip."""
        task = self._task_of(annotation_id)
        del task.annotations[annotation_id]
        self._count(task)

    def offered(self, project_ref: str, *, by: str) -> Sequence[str]:
        """The tasks that the labelling stream offers a person, in order.

        A second answer of the same person takes a place, though it doesn't make the task done.
        """
        return [
            i
            for i, task in self._tasks.items()
            if task.project_ref == project_ref
            and not task.done
            and by not in _answered_by(task)
            and sum(not a.skipped for a in task.annotations.values()) < task.people
        ]

    def offer(self, project_ref: str, choices: Sequence[str] | None) -> None:
        """Edit what annotators choose from, in the labelling config; None: our control is gone."""
        self._edit(project_ref, classes=tuple(choices or ()))

    def remove_marker(self, project_ref: str) -> None:
        """Edit a project's description, so that it holds no marker."""
        self._edit(project_ref, marker="")

    def rename_project(self, project_ref: str, title: str) -> None:
        """Give a project another title."""
        self._edit(project_ref, title=title)

    def delete_project(self, project_ref: str) -> None:
        """Delete a project with its tasks."""
        del self._projects[project_ref]
        self._tasks = {i: t for i, t in self._tasks.items() if t.project_ref != project_ref}

    def duplicate_task(self, remote_id: str) -> str:
        """The id of an unanswered copy of a task, key included."""
        task = self._tasks[remote_id]
        return self._add(task.project_ref, task.data)

    def task_ids(self, project_ref: str) -> Sequence[str]:
        """The ids of a project's tasks, in order."""
        return [i for i, task in self._tasks.items() if task.project_ref == project_ref]

    def data_of(self, remote_id: str) -> Mapping[str, Any]:
        """What a task holds, and so what its annotator can find out."""
        return self._tasks[remote_id].data

    # --- trouble -----------------------------------------------------------------------------

    def backup(self) -> object:
        """All that it holds now, for `restore`."""
        return deepcopy((self._projects, self._tasks, self._n_made))

    def restore(self, backup: object) -> None:
        """Hold what it held at `backup`; ids given since are given again."""
        self._projects, self._tasks, self._n_made = deepcopy(backup)  # type: ignore[misc]

    def fail_next(
        self,
        call: str,
        error: BaseException | None = None,
        *,
        carried_out: bool = True,
        after_calls: int = 0,
    ) -> None:
        """Let the next `call` ("import_tasks", say) raise `error`.

        carried_out
            whether it does its work all the same; without an `error`, the AnnotatorUnavailable
            that is raised says so too
        after_calls
            how many calls of the port pass before the work is done: what a server does that had
            not finished when its client stopped waiting
        """
        raised = error or AnnotatorUnavailable(
            f"{call} was made to fail", remedy="run again", carried_out=carried_out
        )
        self._faults.append(
            _Fault(call=call, error=raised, carried_out=carried_out, after_calls=after_calls)
        )

    def _called(self, call: str, carry_out: Callable[[], R]) -> R:
        self.calls.append(call)
        for late in list(self._late):
            late.calls_left -= 1
            if late.calls_left <= 0:
                self._late.remove(late)
                with suppress(AnnotatorError):  # nobody hears of it any more
                    late.carry_out()
        fault = next((f for f in self._faults if f.call == call), None)
        if fault is None:
            return carry_out()
        self._faults.remove(fault)
        if fault.carried_out and fault.after_calls:
            self._late.append(_Late(calls_left=fault.after_calls, carry_out=carry_out))
        elif fault.carried_out:
            carry_out()
        raise fault.error

    # --- state -------------------------------------------------------------------------------

    def _instant(self) -> datetime:
        self._last = max(self._now(), self._last + timedelta(microseconds=1))
        return self._last

    def _next(self, kind: str) -> str:
        self._n_made[kind] += 1
        return f"{kind[0]}{self._n_made[kind]}"

    def _require(self, project_ref: str) -> None:
        if project_ref not in self._projects:
            raise ProjectGone(f"project {project_ref} no longer exists")

    def _project(self, project_ref: str) -> Project:
        held = self._projects[project_ref]
        tasks = [t for t in self._tasks.values() if t.project_ref == project_ref]
        return Project(
            project_ref=project_ref,
            title=held.spec.title,
            marker=held.spec.marker,
            n_tasks=len(tasks),
            n_annotations=sum(len(t.annotations) for t in tasks),
            created_at=held.created_at,
            people=held.spec.people,
        )

    def _add(self, project_ref: str, data: Mapping[str, Any], **look: Any) -> str:
        remote_id = self._next("task")
        self._tasks[remote_id] = _Task(
            project_ref=project_ref,
            data=_stored(data),
            updated_at=self._instant(),
            people=self._projects[project_ref].spec.people,
            **look,
        )
        return remote_id

    def _change(self, remote_id: str, **changes: Any) -> bool:
        """Whether the task is there, and so was changed."""
        if remote_id not in self._tasks:
            return False
        self._tasks[remote_id] = replace(
            self._tasks[remote_id], updated_at=self._instant(), **changes
        )
        return True

    def _edit(self, project_ref: str, **changes: Any) -> None:
        held = self._projects[project_ref]
        held.spec = replace(held.spec, **changes)

    def _count(self, task: _Task) -> None:
        """Whether enough people have answered is found out when an answer changes, and only then."""
        task.done = len(_answered_by(task)) >= task.people
        task.updated_at = self._instant()

    def _annotate(self, remote_id: str, choices: tuple[str, ...], by: str, *, skipped: bool) -> str:
        annotation_id = self._next("annotation")
        self._tasks[remote_id].annotations[annotation_id] = RemoteAnnotation(
            remote_id=annotation_id,
            updated_at=self._instant(),
            annotator=by,
            choices=choices,
            skipped=skipped,
        )
        self._count(self._tasks[remote_id])
        return annotation_id

    def _task_of(self, annotation_id: str) -> _Task:
        return next(t for t in self._tasks.values() if annotation_id in t.annotations)

    def _listed(self, project_ref: str) -> list[RemoteTask]:
        return [
            RemoteTask(
                remote_id=remote_id,
                task_key=task.data.get(KEY),
                updated_at=task.updated_at,
                annotations=tuple(
                    a for a in task.annotations.values() if a.annotator not in self.waiting
                ),
                people=task.people,
            )
            for remote_id, task in self._tasks.items()
            if task.project_ref == project_ref
        ]


def _answered_by(task: _Task) -> set[str]:
    return {a.annotator for a in task.annotations.values() if not a.skipped}


def _stored(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of `data` as JSON keeps it."""
    stored: Mapping[str, Any] = json.loads(json.dumps(dict(data), allow_nan=False))
    return stored
