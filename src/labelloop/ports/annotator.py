"""Where people answer: projects, tasks and annotations.

An annotator is a labelling tool, or a labelling page of our own. An adapter holds projects (one a queue), in
them tasks, each with what people are shown and a `task_key`, and for each task the annotations that people
gave. It promises:

- Ids are text. Of two ids of one kind (projects, tasks, annotations) the one given later is longer, or as
  long and sorts after, as whole numbers and ULIDs do. An annotator that is restored from a backup may give
  an id again: the steps compare ids together with the key.
- What is imported comes back as it is: a task is found by its `task_key`, a project by its `marker`. Neither
  the key nor any other byte of a blind project's page tells of the prediction.
- A task's or an annotation's `updated_at` rises with every change of it, a deletion of an annotation
  included, which changes its task. Instants are the annotator's own, in UTC.
- A request that got no answer is carried out within `timeout_s`, or never.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

InputKind = Literal["image", "text"]
"""What people label. It is also the name of the data key that holds it: an image's URL, or a text."""


CALLER_HEADER = "Labelloop-Secret"
"""The header by which an annotator that calls labelloop proves itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpec:
    """A project to create. `show` names the data keys its annotators see beside the input.

    marker
        the text by which the project is found again; people may change the title, not this
    blind
        its annotators see the input and nothing else: nothing of the prediction, nor each other's answers
    people
        how many different people each of its tasks asks, unless told otherwise
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
    """A project of ours, found by its marker. `n_annotations` includes skips.

    `people` is how many different people a task asks that is imported now. `takes_tasks`: False where its
    queue has moved to another annotator; what was sent to it is still collected.
    """

    project_ref: str
    title: str
    marker: str
    n_tasks: int
    n_annotations: int
    created_at: datetime
    people: int = 1
    takes_tasks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An answer that is filled in before anybody looks: what `model` said, and how sure it was."""

    answer: str
    model: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """What is imported as one task: `data` is all that people can find out.

    look_of
        the key of the sample's first task, where this is a further look at it: for annotators that can
        see to it that nobody looks twice
    by_referee
        whether a referee gives the look, where one is left
    suggestion
        the answer that is filled in, where the annotator can do that; None in every blind project
    """

    task_key: str
    data: Mapping[str, Any]
    look_of: str | None = None
    by_referee: bool = False
    suggestion: Suggestion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAnnotation:
    """One annotation as the annotator holds it. `choices` are the classes chosen, as they stand.

    `annotator` tells one person from another; people whom it can't tell apart are different people.
    """

    remote_id: str
    updated_at: datetime
    annotator: str
    choices: tuple[str, ...]
    skipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTask:
    """One task as the annotator holds it; `task_key` is None where it isn't one of ours.

    `people` is how many answers the task takes: it is offered to people who haven't answered it until it
    has that many annotations. Skips don't count; every other annotation does, whatever it says.
    """

    remote_id: str
    task_key: str | None
    updated_at: datetime
    annotations: tuple[RemoteAnnotation, ...]
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAccess:
    """How the annotator opens a bucket by itself, to sign links into it. The keys are secret."""

    bucket: str
    endpoint_url: str | None
    region: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorFacts:
    """Whom labelloop talks to, and as whom.

    access
        what lets labelloop in, in words: "a personal access token"
    access_expires_at
        when it stops doing so; None where that isn't known
    served_at
        the annotator's clock; None where it doesn't tell
    """

    version: str
    user: str
    access: str
    access_expires_at: datetime | None
    served_at: datetime | None


class Annotator(Protocol):
    """Where people answer, as far as labelloop needs it.

    Every call may raise AnnotatorUnavailable (asking again may work; `carried_out` says whether the request
    may have been) or AnnotatorDenied (the account may not). What else is refused is an AnnotatorError,
    whose remedy says where in the annotator it is mended. Calls may come from several threads.
    """

    @property
    def name(self) -> str:
        """What people call it, to name it in messages."""

    @property
    def url(self) -> str:
        """Where it is reached; another address may be another annotator."""

    @property
    def timeout_s(self) -> float:
        """After this long without an answer, a request that was received has been carried out."""

    def facts(self) -> AnnotatorFacts:
        """Its version, and the account that labelloop uses."""

    def check_account(self) -> None:
        """Return if the account is one that sees projects.

        Raises:
            AnnotatorDenied: it sees none. It may make projects all the same.
        """

    def accounts(self) -> Mapping[str, str]:
        """The e-mail address of each person by the id that annotations name: those whom it tells of."""

    def project_url(self, project_ref: str) -> str:
        """Where a person opens the project."""

    def task_url(self, project_ref: str, remote_id: str) -> str:
        """Where a person opens one task."""

    def projects(self) -> Sequence[Project]:
        """The projects that carry a marker of labelloop, oldest first."""

    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project; not idempotent."""

    def open_bucket(self, project_ref: str, access: BucketAccess) -> None:
        """See that the project can show s3:// links into a bucket, with these keys. Idempotent.

        Raises:
            BucketRefused: the annotator can't open the bucket, or won't.
            ProjectGone: the project no longer exists.
        """

    def announce(self, project_ref: str, url: str, secret: str) -> None:
        """Let the annotator call `url` when an answer of the project comes, changes or goes. Idempotent.

        `secret` stands in the header `CALLER_HEADER` of each call. Whether the annotator can reach the
        URL shows when it calls.

        Raises:
            ProjectGone: the project no longer exists.
        """

    def import_tasks(self, project_ref: str, tasks: Sequence[TaskData]) -> Sequence[str]:
        """Import all tasks or none; their ids in the same order. Not idempotent.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: the project takes no such tasks.
            RequestTooLarge: fewer at a time may be taken.
        """

    def find(self, project_ref: str, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`; a key may be found more than once.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorDenied: it does, and the account may not see it. Some annotators let it.
        """

    def tasks(
        self, project_ref: str, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page; changed after a moment, or all.

        Tasks that come or go meanwhile make no other task be left out.

        Raises:
            ProjectGone: the project no longer exists.
        """

    def replace_data(self, remote_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone. Idempotent."""

    def ask_people(self, remote_id: str, people: int, *, done: bool) -> bool:
        """Let a task take this many answers, and say whether it has enough of them: a task that isn't
        done is offered to whoever hasn't answered it. False where it is gone. Idempotent.
        """

    def set_choices(self, project_ref: str, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from; answers stay as they are. Idempotent.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: people changed the project so that it has no place for them any more.
        """

    def delete_task(self, remote_id: str) -> None:
        """Delete a task with its annotations; one that is not there is fine."""
