"""Label Studio and the labelling page as one annotator: each queue's tasks go to the one it names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from labelloop.core.remote_id import is_of_page
from labelloop.ports.annotator import (
    Annotator,
    AnnotatorFacts,
    BucketAccess,
    Project,
    ProjectSpec,
    RemoteTask,
    TaskData,
)


class BothAnnotators:
    """Two annotators, told apart by their ids. `on_page`: the queues whose tasks go to the page."""

    def __init__(self, other: Annotator, page: Annotator, *, on_page: frozenset[str]) -> None:
        self._other = other
        self._page = page
        self._on_page = on_page

    def _of(self, remote_id: str) -> Annotator:
        return self._page if is_of_page(remote_id) else self._other

    @property
    def name(self) -> str:
        """What people call the two."""
        return f"{self._other.name} or {self._page.name}"

    @property
    def url(self) -> str:
        """Where the other one is reached: the page is wherever the answers are."""
        return self._other.url

    @property
    def timeout_s(self) -> float:
        """The longer of the two."""
        return max(self._other.timeout_s, self._page.timeout_s)

    def facts(self) -> AnnotatorFacts:
        """The other one's."""
        return self._other.facts()

    def check_account(self) -> None:
        """Return if both let labelloop in."""
        self._other.check_account()
        self._page.check_account()

    def accounts(self) -> Mapping[str, str]:
        """Everybody whom one of the two knows."""
        return {**self._page.accounts(), **self._other.accounts()}

    def project_url(self, project_ref: str) -> str:
        """Where a person opens the project."""
        return self._of(project_ref).project_url(project_ref)

    def task_url(self, project_ref: str, remote_id: str) -> str:
        """Where a person opens one task."""
        return self._of(project_ref).task_url(project_ref, remote_id)

    def projects(self) -> Sequence[Project]:
        """The projects of both, oldest first; one of a queue that has moved takes no more tasks."""
        both = [*self._other.projects(), *self._page.projects()]
        here = [replace(p, takes_tasks=self._takes(p)) for p in both]
        return sorted(here, key=lambda p: p.created_at)

    def _takes(self, project: Project) -> bool:
        goes_to_page = _queue(project.marker) in self._on_page
        return goes_to_page == is_of_page(project.project_ref)

    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project where its queue's tasks go."""
        goes_to_page = _queue(spec.marker) in self._on_page
        return (self._page if goes_to_page else self._other).create_project(spec)

    def open_bucket(self, project_ref: str, access: BucketAccess) -> None:
        """See that the project can show s3:// links into a bucket."""
        self._of(project_ref).open_bucket(project_ref, access)

    def announce(self, project_ref: str, url: str, secret: str) -> None:
        """Let its annotator call `url` when an answer of the project comes."""
        self._of(project_ref).announce(project_ref, url, secret)

    def import_tasks(self, project_ref: str, tasks: Sequence[TaskData]) -> Sequence[str]:
        """Import all tasks or none; their ids in the same order."""
        return self._of(project_ref).import_tasks(project_ref, tasks)

    def find(self, project_ref: str, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`."""
        return self._of(project_ref).find(project_ref, task_keys)

    def tasks(
        self, project_ref: str, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page."""
        return self._of(project_ref).tasks(project_ref, updated_after)

    def replace_data(self, remote_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone."""
        return self._of(remote_id).replace_data(remote_id, data)

    def ask_people(self, remote_id: str, people: int, *, done: bool) -> bool:
        """Let a task take this many answers, and say whether it has enough of them."""
        return self._of(remote_id).ask_people(remote_id, people, done=done)

    def set_choices(self, project_ref: str, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from."""
        self._of(project_ref).set_choices(project_ref, choices)

    def delete_task(self, remote_id: str) -> None:
        """Delete a task with its annotations."""
        self._of(remote_id).delete_task(remote_id)


def _queue(marker: str) -> str:
    return marker.rpartition("/")[2]
