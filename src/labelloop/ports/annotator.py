"""Where people answer: projects, tasks and annotations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

InputKind = Literal["image", "text"]
"""What people label. It is also the name of the data key that holds it: an image's URL, or a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpec:
    """A project to create. `show` names the data keys its annotators see beside the input.

    `people` is how many different people each of its tasks asks, unless told otherwise.
    """

    title: str
    marker: str
    classes: tuple[str, ...]
    show: tuple[str, ...]
    blind: bool
    kind: InputKind = "image"
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project in Label Studio, found by its marker. `n_annotations` includes skips.

    `people` is how many different people a task asks that is imported now.
    """

    project_id: int
    title: str
    marker: str
    n_tasks: int
    n_annotations: int
    created_at: datetime
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """What is imported as one task: `data` and nothing else."""

    task_key: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAnnotation:
    """One annotation as Label Studio holds it. `choices` are the classes chosen, as they stand."""

    annotation_id: int
    updated_at: datetime
    annotator: str
    choices: tuple[str, ...]
    skipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTask:
    """One task as Label Studio holds it; `task_key` is None where it isn't one of ours.

    `people` is how many different people may answer before it counts as done; skips don't count.
    """

    ls_task_id: int
    task_key: str | None
    updated_at: datetime
    annotations: tuple[RemoteAnnotation, ...]
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAccess:
    """How Label Studio opens a bucket by itself, to sign links into it. The keys are secret."""

    bucket: str
    endpoint_url: str | None
    region: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorFacts:
    """Whom labelloop talks to, and as whom. `token_expires_at` is None where the token doesn't say."""

    version: str
    user: str
    token: Literal["personal", "legacy"]
    token_expires_at: datetime | None
    served_at: datetime | None


class Annotator(Protocol):
    """Label Studio, as far as labelloop needs it.

    Every call may raise AnnotatorUnavailable (asking again may work) or AnnotatorDenied.
    """

    @property
    def url(self) -> str:
        """Where it is reached."""

    @property
    def timeout_s(self) -> float:
        """After this long without an answer, a request that was received has been carried out."""

    def facts(self) -> AnnotatorFacts:
        """Its version, and the account of the token."""

    def check_account(self) -> None:
        """Return if the account is one that sees projects.

        Raises:
            AnnotatorDenied: it is no member of any organisation. It may make projects all the same.
        """

    def accounts(self) -> Mapping[str, str]:
        """The e-mail address of each person by the id that annotations name: those whom it tells of."""

    def project_url(self, project_id: int) -> str:
        """Where a person opens the project."""

    def projects(self) -> Sequence[Project]:
        """The projects that carry a marker of labelloop, oldest first."""

    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project; not idempotent."""

    def open_bucket(self, project_id: int, access: BucketAccess) -> None:
        """See that the project can show s3:// links into a bucket, with these keys. Idempotent.

        Raises:
            BucketRefused: Label Studio can't open the bucket, or won't.
            ProjectGone: the project no longer exists.
        """

    def import_tasks(self, project_id: int, tasks: Sequence[TaskData]) -> Sequence[int]:
        """Import all tasks or none; their ids in the same order. Not idempotent.

        Raises:
            ProjectGone: the project no longer exists.
        """

    def find(self, project_id: int, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`; a key may be found more than once.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorDenied: it does, and the account may not see it. Older versions let it.
        """

    def tasks(
        self, project_id: int, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page; changed after a moment, or all.

        Raises:
            ProjectGone: the project no longer exists.
        """

    def replace_data(self, ls_task_id: int, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone. Idempotent."""

    def ask_people(self, ls_task_id: int, people: int, *, done: bool) -> bool:
        """Let a task ask this many different people, and say whether they have answered: a task that
        isn't done is offered to whoever hasn't answered it. False where it is gone. Idempotent.
        """

    def set_choices(self, project_id: int, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from; answers stay as they are. Idempotent.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: its labelling config has no place for them any more.
        """

    def delete_task(self, ls_task_id: int) -> None:
        """Delete a task; one that is not there is fine."""
