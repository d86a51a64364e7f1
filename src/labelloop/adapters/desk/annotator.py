"""The labelling page as an Annotator: projects, tasks and answers in a database of their own."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from labelloop.adapters.desk import tables as t
from labelloop.adapters.desk.database import Database, Writing, micros, moment
from labelloop.adapters.desk.tasks import count_open, told, turn
from labelloop.core.remote_id import PAGE_PREFIX as PREFIX
from labelloop.core.remote_id import is_of_page
from labelloop.errors import AnnotatorError, ArgumentError, ProjectGone
from labelloop.ports.annotator import (
    AnnotatorFacts,
    BucketAccess,
    Project,
    ProjectSpec,
    RemoteAnnotation,
    RemoteTask,
    TaskData,
)

KEY = "labelloop"
"""The data key of a task's identity."""
KEYS_A_QUERY = 500
MANY = 100
"""After an import of so many tasks people get a turn: SQLite's writers aren't served in order."""
TURN_S = 0.1
"""How long: longer than an import, so that people wait for none in most cases."""


class DeskAnnotator:
    """The labelling page whose state lies at `url`, a database URL.

    page_url
        where people open the labelling page
    now
        what time it is
    page_size
        tasks to a page
    """

    def __init__(
        self,
        url: str,
        *,
        page_url: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        page_size: int = 500,
    ) -> None:
        self.database = Database(url, now=now)
        self._page_url = page_url.rstrip("/")
        self._page_size = page_size

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    @property
    def name(self) -> str:
        """What people call it."""
        return "the labelling page"

    @property
    def url(self) -> str:
        """The database that holds its state."""
        return self.database.address

    @property
    def timeout_s(self) -> float:
        """No request is ever carried out later: each is a transaction of a database."""
        return 0.0

    def facts(self) -> AnnotatorFacts:
        """Its version, which is labelloop's."""
        with self.database.read() as tx:
            tx.execute(sa.select(t.meta.c.format)).scalar_one()
        return AnnotatorFacts(
            version=version("labelloop"),
            user="labelloop@localhost",
            access="the answers' database",
            access_expires_at=None,
            served_at=moment(self.database.now()),
        )

    def check_account(self) -> None:
        """Return: there is no account that could see no projects."""

    def accounts(self) -> Mapping[str, str]:
        """The name of everybody who may answer or has."""
        with self.database.read() as tx:
            excluded = t.members.c.excluded_at.is_not(None)
            left = set(tx.scalars(sa.select(t.members.c.name).where(excluded)))
            known = tx.scalars(sa.select(t.members.c.name))
            answered = tx.scalars(sa.select(t.annotations.c.person).distinct())
            return {name: name for name in sorted({*known, *answered} - left)}

    def project_url(self, project_ref: str) -> str:
        """Where a person opens the project's queue."""
        return f"{self._page_url}/label/{self._queue(project_ref)}"

    def task_url(self, project_ref: str, remote_id: str) -> str:
        """Where a person opens the task's queue."""
        return f"{self.project_url(project_ref)}#{remote_id}"

    def _queue(self, project_ref: str) -> str:
        with self.database.read() as tx:
            of = t.projects.c.project == number(project_ref)
            return tx.scalar(sa.select(t.projects.c.queue).where(of)) or project_ref

    # --- projects ---------------------------------------------------------------------------------

    def projects(self) -> Sequence[Project]:
        """The projects that carry a marker of labelloop, oldest first."""
        with self.database.read() as tx:
            return _projects(tx, t.projects.c.marker != "")

    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project; not idempotent."""
        if spec.blind and spec.show:
            raise ArgumentError(f"a blind project can't show {', '.join(spec.show)}")
        with self.database.write() as tx:
            project = tx.take("project")
            row = {
                "project": project,
                "marker": spec.marker,
                "queue": spec.marker.rpartition("/")[2],
                "title": spec.title,
                "classes": list(spec.classes),
                "show": list(spec.show),
                "blind": spec.blind,
                "kind": spec.kind,
                "people": spec.people,
                "n_open": 0,
                "created_at": tx.at,
            }
            tx.change(t.projects.insert(), row)
            return _projects(tx.connection, t.projects.c.project == project)[0]

    def open_bucket(self, project_ref: str, access: BucketAccess) -> None:  # noqa: ARG002  the port's
        """Return: the page shows images through the gateway, and needs no keys."""
        with self.database.read() as tx:
            _require(tx, project_ref)

    def announce(self, project_ref: str, url: str, secret: str) -> None:  # noqa: ARG002  the port's
        """Return: the service takes the answers itself, so nobody needs to call it."""
        with self.database.read() as tx:
            _require(tx, project_ref)

    def set_choices(self, project_ref: str, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from; answers stay as they are."""
        with self.database.read() as tx:
            if _require(tx, project_ref).classes == list(choices):
                return
        of = t.projects.c.project == number(project_ref)
        with self.database.write() as writing:
            _require(writing.connection, project_ref)
            writing.change(t.projects.update().where(of).values(classes=list(choices)))

    # --- tasks ------------------------------------------------------------------------------------

    def import_tasks(self, project_ref: str, tasks: Sequence[TaskData]) -> Sequence[str]:
        """Import all tasks or none; their ids in the same order. Not idempotent."""
        rows = [_new_task(task) for task in tasks]
        with self.database.write() as tx:
            project = _require(tx.connection, project_ref)
            if not tasks:
                return ()
            lacking = [task for task in tasks if project.kind not in task.data]
            if lacking:
                raise AnnotatorError(
                    f"{len(lacking)} tasks lack {project.kind!r}, which project {project_ref} shows",
                    remedy="rename the queue: it then gets a project for its inputs",
                )
            own = {"project": project.project, "people": project.people, "updated_at": tx.at}
            for task, row in enumerate(rows, start=tx.take("task", len(rows))):
                row.update(own, task=task, turn=turn(task))
            tx.change(_NEW_TASK, rows)
            count_open(tx, project.project, len(rows))
        if len(tasks) >= MANY:
            time.sleep(TURN_S)
        return [f"{PREFIX}{row['task']}" for row in rows]

    def find(self, project_ref: str, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`; a key may be found more than once."""
        keys = list(dict.fromkeys(task_keys))
        found: list[RemoteTask] = []
        with self.database.read() as tx:
            project = _require(tx, project_ref).project
            for start in range(0, len(keys), KEYS_A_QUERY):
                some = t.tasks.c.task_key.in_(keys[start : start + KEYS_A_QUERY])
                found += _remote(tx, some & (t.tasks.c.project == project))
        return found

    def tasks(
        self, project_ref: str, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page; changed since, or all."""
        last = 0
        while True:
            with self.database.read() as tx:
                project = _require(tx, project_ref).project
                of = (t.tasks.c.project == project) & (t.tasks.c.task > last)
                if updated_after is not None:
                    of &= t.tasks.c.updated_at > micros(updated_after)
                page = _remote(tx, of, limit=self._page_size)
            if page:
                yield page
            if len(page) < self._page_size:
                return
            last = number(page[-1].remote_id)

    def replace_data(self, remote_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone. Idempotent."""
        if not isinstance(data.get(KEY), str):
            raise ArgumentError(
                f"the new data of task {remote_id} lacks its key",
                remedy=f"keep {KEY!r} in the data: without it the task can't be found again",
            )
        change = t.tasks.update().where(t.tasks.c.task == number(remote_id))
        with self.database.write() as tx:
            done = tx.change(change.values(data=dict(data), updated_at=tx.at))
            return done.rowcount > 0

    def ask_people(self, remote_id: str, people: int, *, done: bool) -> bool:
        """Let a task take this many answers, and say whether it has enough of them."""
        with self.database.write() as tx:
            of = t.tasks.c.task == number(remote_id)
            held = tx.connection.execute(sa.select(t.tasks).where(of)).one_or_none()
            if held is None:
                return False
            is_open = not done and held.n_answers < people
            values = {"people": people, "done": done, "is_open": is_open, "updated_at": tx.at}
            tx.change(t.tasks.update().where(of).values(values))
            count_open(tx, held.project, is_open - held.is_open)
        return True

    def delete_task(self, remote_id: str) -> None:
        """Delete a task with its answers; one that is not there is fine."""
        with self.database.write() as tx:
            _delete(tx, number(remote_id))
        self.database.scrub()


def number(remote_id: str) -> int:
    """The number behind an id of the page; 0, which is none, for another text."""
    return int(remote_id.removeprefix(PREFIX)) if is_of_page(remote_id) else 0


_NEW_TASK: sa.Insert = t.tasks.insert()


def _new_task(task: TaskData) -> dict[str, Any]:
    return {
        "task_key": task.task_key,
        "item_id": token_hex(16),
        "data": {**task.data, KEY: task.task_key},
        "look_of": task.look_of,
        "by_referee": task.by_referee,
        "n_answers": 0,
        "done": False,
        "is_open": True,
    }


def _delete(tx: Writing, task: int) -> None:
    held = tx.connection.execute(sa.select(t.tasks).where(t.tasks.c.task == task)).one_or_none()
    if held is None:
        return
    tx.change(t.replies.delete().where(t.replies.c.item_id == held.item_id))
    for table in (t.annotations, t.leases, t.tasks):
        tx.change(table.delete().where(table.c.task == task))
    count_open(tx, held.project, -held.is_open)


def _require(tx: sa.Connection, project_ref: str) -> Any:
    of = t.projects.c.project == number(project_ref)
    found = tx.execute(sa.select(t.projects).where(of)).one_or_none()
    if found is None:
        raise ProjectGone(f"project {project_ref} of the labelling page no longer exists")
    return found


def _projects(tx: sa.Connection, of: sa.ColumnElement[bool]) -> list[Project]:
    in_project = t.tasks.c.project == t.projects.c.project
    n_tasks = sa.select(sa.func.count()).where(in_project).scalar_subquery()
    given = t.annotations.join(t.tasks, t.tasks.c.task == t.annotations.c.task)
    n_annotations = (
        sa.select(sa.func.count()).select_from(given).where(in_project, told()).scalar_subquery()
    )
    rows = tx.execute(
        sa.select(t.projects, n_tasks.label("n_tasks"), n_annotations.label("n_annotations"))
        .where(of)
        .order_by(t.projects.c.project)
    )
    return [
        Project(
            project_ref=f"{PREFIX}{r.project}",
            title=r.title,
            marker=r.marker,
            n_tasks=r.n_tasks,
            n_annotations=r.n_annotations,
            created_at=moment(r.created_at),
            people=r.people,
        )
        for r in rows
    ]


def _remote(
    tx: sa.Connection, of: sa.ColumnElement[bool], *, limit: int | None = None
) -> list[RemoteTask]:
    held = t.tasks.c
    wanted = sa.select(held.task, held.task_key, held.updated_at, held.people).where(of)
    rows = tx.execute(wanted.order_by(held.task).limit(limit)).all()
    by_task: dict[int, list[RemoteAnnotation]] = defaultdict(list)
    given = t.annotations.c
    numbers = [r.task for r in rows]
    for start in range(0, len(numbers), KEYS_A_QUERY):
        some = given.task.in_(numbers[start : start + KEYS_A_QUERY])
        for a in tx.execute(
            sa.select(t.annotations).where(some, told()).order_by(given.annotation)
        ):
            by_task[a.task].append(
                RemoteAnnotation(
                    remote_id=f"{PREFIX}{a.annotation}",
                    updated_at=moment(a.updated_at),
                    annotator=a.person,
                    choices=tuple(a.choices),
                    skipped=a.skipped,
                )
            )
    return [
        RemoteTask(
            remote_id=f"{PREFIX}{r.task}",
            task_key=r.task_key,
            updated_at=moment(r.updated_at),
            annotations=tuple(by_task[r.task]),
            people=r.people,
        )
        for r in rows
    ]
