"""What Label Studio answers, as far as labelloop reads it: parsed once, here."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, RootModel

from labelloop.adapters.labelling_config import CONTROL
from labelloop.ports import RemoteAnnotation, RemoteTask


class Payload(BaseModel):
    """An answer's known part; Label Studio may add fields as it likes."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Access(Payload):
    """The short-lived token that a personal access token is exchanged for."""

    access: str


class Version(Payload):
    """Label Studio's version."""

    release: str


class Account(Payload):
    """The account that a token belongs to."""

    email: str = ""


class Project(Payload):
    """One project of the list. `total_annotations_number` leaves skips out."""

    id: int
    created_at: datetime
    title: str | None = None
    description: str | None = None
    task_number: int | None = None
    total_annotations_number: int | None = None
    skipped_annotations_number: int | None = None
    maximum_annotations: int | None = None


class ProjectConfig(Payload):
    """A project's labelling config."""

    label_config: str


class ProjectPage(Payload):
    """One page of projects; `next` is None on the last."""

    next: str | None
    results: list[Project]


class Imported(Payload):
    """What an import made."""

    task_ids: list[int]


class Annotation(Payload):
    """One annotation; what its result holds depends on the project's config, so on people."""

    id: int
    updated_at: datetime
    completed_by: object = None
    was_cancelled: bool = False
    result: object = None

    def remote(self) -> RemoteAnnotation:
        """The annotation as the steps know it."""
        return RemoteAnnotation(
            annotation_id=self.id,
            updated_at=self.updated_at,
            annotator=_user(self.completed_by),
            choices=_choices(self.result),
            skipped=self.was_cancelled,
        )


class Task(Payload):
    """One task of a listing."""

    id: int
    updated_at: datetime
    data: dict[str, object] = Field(default_factory=dict)
    annotations: list[Annotation] = Field(default_factory=list)
    overlap: int = 1

    def remote(self) -> RemoteTask:
        """The task as the steps know it."""
        key = self.data.get("labelloop")
        return RemoteTask(
            ls_task_id=self.id,
            task_key=key if isinstance(key, str) else None,
            updated_at=self.updated_at,
            annotations=tuple(a.remote() for a in sorted(self.annotations, key=lambda a: a.id)),
            people=self.overlap,
        )


class TaskPage(Payload):
    """One page of tasks."""

    tasks: list[Task]


class Storage(Payload):
    """One S3 import storage of a project."""

    id: int
    bucket: str | None = None


class Storages(RootModel[list[Storage]]):
    """The S3 import storages of a project."""


class Nothing(Payload):
    """An answer of which nothing is read but that it is JSON."""


class Organizations(RootModel[list[Nothing]]):
    """The organisations that the account is a member of."""


def _user(completed_by: object) -> str:
    """The user's id; Label Studio names it plainly or, in some editions, inside an object."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("id")
    return str(completed_by) if completed_by is not None else "unknown"


def _choices(result: object) -> tuple[str, ...]:
    """The choices of our control; other controls that people added are not ours to read."""
    chosen: list[str] = []
    for region in result if isinstance(result, list) else []:
        if not isinstance(region, dict) or region.get("from_name") != CONTROL:
            continue
        value = region.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        chosen += [c for c in choices or [] if isinstance(c, str)]
    return tuple(chosen)
