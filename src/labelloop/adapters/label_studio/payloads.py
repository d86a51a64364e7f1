"""What Label Studio answers, as far as labelloop reads it: parsed once, here."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel

from labelloop.adapters.label_studio.labelling_config import CONTROL
from labelloop.ports.annotator import RemoteAnnotation, RemoteTask


def _utc(at: datetime) -> datetime:
    """A moment in UTC; one without an offset is UTC, and one at the ends of time is a mistake."""
    moment = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    if not 1970 <= moment.year <= 9998:
        raise ValueError("expected a year from 1970 to 9998")
    return moment.astimezone(UTC)


Id = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Moment = Annotated[datetime, AfterValidator(_utc)]


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

    id: Id
    created_at: Moment
    title: str | None = None
    description: str | None = None
    task_number: Count | None = None
    total_annotations_number: Count | None = None
    skipped_annotations_number: Count | None = None
    maximum_annotations: Count | None = None


class ProjectConfig(Payload):
    """A project's labelling config."""

    label_config: str


class ProjectPage(Payload):
    """One page of projects; `next` is None on the last."""

    next: str | None
    results: list[Project]


class Imported(Payload):
    """What an import made."""

    task_ids: list[Id]


class Annotation(Payload):
    """One annotation; what its result holds depends on the project's config, so on people."""

    id: Id
    updated_at: Moment
    completed_by: object = None
    was_cancelled: bool = False
    result: object = None

    def remote(self) -> RemoteAnnotation:
        """The annotation as the steps know it."""
        return RemoteAnnotation(
            remote_id=str(self.id),
            updated_at=self.updated_at,
            annotator=_user(self.completed_by) or f"unknown ({self.id})",
            choices=_choices(self.result),
            skipped=self.was_cancelled,
        )


class Task(Payload):
    """One task of a listing."""

    id: Id
    updated_at: Moment
    data: dict[str, object] = Field(default_factory=dict)
    annotations: list[Annotation] = Field(default_factory=list)
    overlap: Count = 1

    def remote(self) -> RemoteTask:
        """The task as the steps know it."""
        key = self.data.get("labelloop")
        return RemoteTask(
            remote_id=str(self.id),
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

    id: Id
    bucket: str | None = None


class Storages(RootModel[list[Storage]]):
    """The S3 import storages of a project."""


class Webhook(Payload):
    """One webhook of a project."""

    id: Id
    url: str
    headers: dict[str, str] = {}


class Webhooks(RootModel[list[Webhook]]):
    """The webhooks of a project."""


class Nothing(Payload):
    """An answer of which nothing is read but that it is JSON."""


class Organizations(RootModel[list[Nothing]]):
    """The organisations that the account is a member of."""


class Member(Account):
    """A member of the account's organisation."""

    id: Id


class Members(RootModel[list[Member]]):
    """The members of the account's organisation."""


def _user(completed_by: object) -> str | None:
    """The user's id; Label Studio names it plainly or, in some editions, inside an object.

    None where the account was deleted: two such answers are of two people, as far as anybody knows.
    """
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("id")
    return _text(str(completed_by)) if completed_by is not None else None


def _text(text: str) -> str:
    """The text without what a database can't hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _choices(result: object) -> tuple[str, ...]:
    """The choices of our control; other controls that people added are not ours to read."""
    chosen: list[str] = []
    for region in result if isinstance(result, list) else []:
        if not isinstance(region, dict) or region.get("from_name") != CONTROL:
            continue
        value = region.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        given = choices if isinstance(choices, list) else []
        chosen += [_text(c) for c in given if isinstance(c, str)]
    return tuple(chosen)
