"""Label Studio as an Annotator: projects, tasks and answers over its HTTP API."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from labelloop.adapters.label_studio import payloads
from labelloop.adapters.label_studio.address import project_page, task_page
from labelloop.adapters.label_studio.api import (
    AddressRefused,
    InternalError,
    LabelStudioApi,
    NotFound,
    PageNotFound,
)
from labelloop.adapters.label_studio.labelling_config import (
    CONTROL,
    filled_in,
    labelling_config,
    marker_of,
    project_description,
    project_title,
    readable,
    with_choices,
)
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
    CALLER_HEADER,
    AnnotatorFacts,
    BucketAccess,
    Project,
    ProjectSpec,
    RemoteTask,
    TaskData,
)

KEY = "labelloop"
"""The data key of a task's identity."""

PROJECTS_PER_PAGE = 100  # Label Studio's limit
STORAGES = "/api/storages/s3"
WEBHOOKS = "/api/webhooks/"
ANSWERS_CHANGED = [
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
]
"""What Label Studio calls for."""
LINK_MINUTES = 60
"""How long a link works that Label Studio signs when an image is viewed."""
KEYS_PER_REQUEST = 80  # keeps the request line under 4,094 bytes, where some servers cut it


class LabelStudioAnnotator:
    """Label Studio at `url`. `api_key` is a personal access token or a legacy one.

    public_url
        what people open, where it differs
    timeout_s
        how long an answer may take
    ca_file
        PEM certificates to trust in place of the system's
    proxy
        the HTTP proxy to go through, in place of what the environment says
    page_size
        tasks to a page (1,000 took Label Studio 1.2 s, 10,000 took 12 s)
    sleep
        how to wait between retries
    """

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        public_url: str | None = None,
        timeout_s: float = 30.0,
        ca_file: str | None = None,
        proxy: str | None = None,
        page_size: int = 500,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = LabelStudioApi(
            url=url,
            api_key=api_key,
            timeout_s=timeout_s,
            ca_file=ca_file,
            proxy=proxy,
            sleep=sleep,
        )
        self._public_url = (public_url or self._api.url).rstrip("/")
        self._timeout_s = timeout_s
        self._page_size = page_size

    def close(self) -> None:
        """Close the connections; it also happens when the object is dropped."""
        self._api.close()

    @property
    def name(self) -> str:
        """What people call it."""
        return "Label Studio"

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self._api.url

    @property
    def timeout_s(self) -> float:
        """After this long without an answer, a request that was received has been carried out."""
        return self._timeout_s

    def facts(self) -> AnnotatorFacts:
        """Its version, and the account of the token."""
        version = self._api.ask("GET", "/api/version", payloads.Version)
        account = self._api.ask("GET", "/api/current-user/whoami", payloads.Account)
        return AnnotatorFacts(
            version=version.release,
            user=account.email,
            access="personal access token" if self._api.personal else "legacy token",
            access_expires_at=self._api.token_expires_at,
            served_at=self._api.served_at,
        )

    def check_account(self) -> None:
        """Return if the account is one that sees projects.

        Raises:
            AnnotatorDenied: it is no member of any organisation. It may make projects all the same.
        """
        if not self._api.ask("GET", "/api/organizations/", payloads.Organizations).root:
            raise AnnotatorDenied(
                f"the account of the token belongs to no organisation in Label Studio at {self._api.url}, "
                "so it sees no projects",
                remedy="ask a member to invite this account (Organization page), or use the token of a "
                "member",
            )

    def accounts(self) -> Mapping[str, str]:
        """The e-mail address of each member of the organisation, by the id that annotations name."""
        members = self._api.ask("GET", "/api/users/", payloads.Members).root
        return {str(m.id): m.email for m in members if m.email}

    def project_url(self, project_ref: str) -> str:
        """Where a person opens the project."""
        return project_page(self._public_url, project_ref)

    def task_url(self, project_ref: str, remote_id: str) -> str:
        """Where a person opens one task."""
        return task_page(self._public_url, project_ref, remote_id)

    def projects(self) -> Sequence[Project]:
        """The projects that carry a marker of labelloop, oldest first."""
        found: dict[int, Project] = {}
        page = 1
        while True:
            try:
                listed = self._api.ask(
                    "GET",
                    "/api/projects/",
                    payloads.ProjectPage,
                    params={
                        "page": page,
                        "page_size": PROJECTS_PER_PAGE,
                        "ordering": "id",
                        # Without this, each project brings its config and eight counts along.
                        "include": "id,title,description,created_at,task_number,"
                        "total_annotations_number,skipped_annotations_number,maximum_annotations",
                    },
                )
            except NotFound:
                if page > 1:  # projects were deleted meanwhile, and the last page with them
                    break
                raise
            for project in listed.results:
                marker = marker_of(project.description)
                if marker is not None:
                    found[project.id] = _project(project, marker)
            if listed.next is None:
                break
            page += 1
        return sorted(found.values(), key=lambda p: (p.created_at, order_given(p.project_ref)))

    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project; not idempotent."""
        body = {
            "title": project_title(spec.title),
            "description": project_description(spec),
            "label_config": labelling_config(spec),
            "maximum_annotations": spec.people,
            "sampling": "Sequential sampling",
            "show_collab_predictions": False,
            "enable_empty_annotation": False,
        }
        created = self._api.ask("POST", "/api/projects/", payloads.Project, body=body)
        return _project(created, spec.marker)

    def open_bucket(self, project_ref: str, access: BucketAccess) -> None:
        """See that the project can show s3:// links into a bucket, with these keys. Idempotent.

        It is an import storage that is never synced. Label Studio tries it each time.

        Raises:
            BucketRefused: Label Studio can't open the bucket, or won't.
            ProjectGone: the project no longer exists.
        """
        self._require_project(project_ref)
        params = {"project": project_ref}
        listed = self._api.ask("GET", STORAGES, payloads.Storages, params=params)
        there = [storage.id for storage in listed.root if storage.bucket == access.bucket]
        body = {
            "project": int(project_ref),
            "title": "labelloop: never sync",
            "bucket": access.bucket,
            "s3_endpoint": access.endpoint_url,
            "region_name": access.region,
            "aws_access_key_id": access.access_key,
            "aws_secret_access_key": SecretStr(access.secret_key),
            "aws_session_token": access.session_token and SecretStr(access.session_token),
            "use_blob_urls": True,
            "presign": True,
            "presign_ttl": LINK_MINUTES,
        }
        method, path = ("PATCH", f"{STORAGES}/{there[0]}") if there else ("POST", STORAGES)
        try:
            self._api.ask(method, path, payloads.Nothing, body=body)
        except AnnotatorError as exc:
            passing = isinstance(exc, AnnotatorUnavailable) and not isinstance(exc, InternalError)
            if passing or isinstance(exc, AnnotatorDenied):
                raise
            remedy = (
                "see that Label Studio reaches the endpoint, and that the key may list the bucket"
            )
            if isinstance(exc, AddressRefused):
                remedy = exc.remedy
            raise BucketRefused(
                f"Label Studio can't show images from the bucket {access.bucket!r}: {exc.args[0]}",
                remedy=f'{remedy}; or set images = "presign" in the queue',
            ) from exc

    def announce(self, project_ref: str, url: str, secret: str) -> None:
        """Let Label Studio call `url` when an answer of the project comes, changes or goes. Idempotent.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: the address is private, and Label Studio (from 1.23.1 on) calls none such.
        """
        self._require_project(project_ref)
        params = {"project": project_ref}
        listed = self._api.ask("GET", WEBHOOKS, payloads.Webhooks, params=params)
        ours = [hook for hook in listed.root if CALLER_HEADER in hook.headers or hook.url == url]
        body = {
            "url": url,
            "send_payload": False,
            "send_for_all_actions": False,
            "headers": {CALLER_HEADER: SecretStr(secret)},
            "is_active": True,
            "actions": ANSWERS_CHANGED,
        }
        if ours:
            self._api.ask("PATCH", f"{WEBHOOKS}{ours[0].id}/", payloads.Nothing, body=body)
        else:
            body["project"] = int(project_ref)
            self._api.ask("POST", WEBHOOKS, payloads.Nothing, body=body)

    def import_tasks(self, project_ref: str, tasks: Sequence[TaskData]) -> Sequence[str]:
        """Import all tasks or none; their ids in the same order. Not idempotent.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: its labelling config shows what the tasks don't hold.
        """
        if not tasks:
            return ()
        body: list[dict[str, object]] = [
            {
                "data": {**readable(task.data), KEY: task.task_key},
                **({"predictions": [filled_in(task)]} if task.suggestion else {}),
            }
            for task in tasks
        ]
        path = f"/api/projects/{project_ref}/import"
        try:
            with self._of_project(project_ref):
                imported = self._api.ask(
                    "POST", path, payloads.Imported, params={"return_task_ids": "true"}, body=body
                )
        except PageNotFound as exc:
            # Here Label Studio itself answers with a page of HTML: ask it in another way.
            self._require_project(project_ref)
            raise exc from None
        except (ProjectGone, AnnotatorUnavailable, AnnotatorDenied, RequestTooLarge):
            raise
        except AnnotatorError as exc:
            mended = "mend its labelling config under Settings, Labeling Interface"
            raise AnnotatorError(exc.args[0], remedy=mended) from exc
        if len(imported.task_ids) != len(tasks):
            raise AnnotatorUnavailable(
                f"Label Studio created {len(imported.task_ids)} tasks in project {project_ref}, and "
                f"{len(tasks)} were sent",
                remedy="run again: labelloop looks which tasks arrived, and sends the missing ones",
            )
        if models := [task.suggestion.model for task in tasks if task.suggestion]:
            # Label Studio fills in the predictions of one version: that of the newest tasks
            shown = {"show_collab_predictions": True, "model_version": models[-1]}
            path = f"/api/projects/{project_ref}/"
            with self._of_project(project_ref):
                self._api.ask("PATCH", path, payloads.Nothing, body=shown)
        return [str(number) for number in imported.task_ids]

    def find(self, project_ref: str, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`; a key may be found more than once.

        Raises:
            ProjectGone: the project no longer exists.
        """
        keys = list(dict.fromkeys(task_keys))
        found: list[RemoteTask] = []
        for start in range(0, len(keys), KEYS_PER_REQUEST):
            some = keys[start : start + KEYS_PER_REQUEST]
            for page in self._pages(project_ref, _filter(f"data.{KEY}", "in_list", "String", some)):
                found += page
        return found

    def tasks(
        self, project_ref: str, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page; changed after a moment, or all.

        Raises:
            ProjectGone: the project no longer exists.
        """
        if updated_after is None:
            return self._pages(project_ref)
        moment = updated_after.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self._pages(project_ref, _filter("updated_at", "greater", "Datetime", moment))

    def replace_data(self, remote_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone. Idempotent."""
        if not isinstance(data.get(KEY), str):
            raise ArgumentError(
                f"the new data of task {remote_id} lacks its key",
                remedy=f"keep {KEY!r} in the data: without it the task can't be found again",
            )
        return self._patch_task(remote_id, {"data": readable(data)})

    def ask_people(self, remote_id: str, people: int, *, done: bool) -> bool:
        """Let a task ask this many different people, and say whether they have answered: a task that
        isn't done is offered to whoever hasn't answered it. False where it is gone. Idempotent.
        """
        # A new `overlap` alone leaves is_labeled as it was: nobody would be offered the task.
        return self._patch_task(remote_id, {"overlap": people, "is_labeled": done})

    def _patch_task(self, remote_id: str, body: Mapping[str, object]) -> bool:
        try:
            self._api.ask("PATCH", f"/api/tasks/{remote_id}/", payloads.Nothing, body=body)
        except NotFound:
            return False
        return True

    def set_choices(self, project_ref: str, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from; answers stay as they are. Idempotent.

        What people changed in the labelling config besides stays too.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: its labelling config has no place for them any more.
        """
        path = f"/api/projects/{project_ref}/"
        with self._of_project(project_ref):
            held = self._api.ask("GET", path, payloads.ProjectConfig).label_config
            wanted = with_choices(held, choices)
            if wanted is None:
                raise AnnotatorError(
                    f"the labelling config of project {project_ref} has no Choices named {CONTROL!r}, "
                    "so labelloop can't update its choices from the settings",
                    remedy="restore the control (Settings, Labeling Interface), or delete the project: "
                    "labelloop then creates a new one for its open tasks",
                )
            if wanted != held:
                self._api.ask("PATCH", path, payloads.Nothing, body={"label_config": wanted})

    def delete_task(self, remote_id: str) -> None:
        """Delete a task; one that is not there is fine."""
        with suppress(NotFound):
            self._api.delete(f"/api/tasks/{remote_id}/")

    def _pages(
        self, project_ref: str, *filters: Mapping[str, object]
    ) -> Iterator[Sequence[RemoteTask]]:
        """Tasks in the order of their ids. Each page starts after the last id of the one before,
        so that tasks which come or go meanwhile move no other task past us unseen.
        """
        last_id = 0
        while True:
            items = [*filters, _filter("id", "greater", "Number", last_id)]
            query = {
                "filters": {"conjunction": "and", "items": items},
                "ordering": ["tasks:id"],
            }
            params: dict[str, str | int] = {
                "project": project_ref,
                "fields": "all",
                "resolve_uri": "false",
                "page": 1,
                "page_size": self._page_size,
                # Label Studio unquotes this once more than it should.
                "query": json.dumps(query, separators=(",", ":")).replace("%", "%25"),
            }
            with self._of_project(project_ref):
                page = self._api.ask("GET", "/api/tasks", payloads.TaskPage, params=params)
            if page.tasks:
                yield [task.remote() for task in page.tasks]
            if len(page.tasks) < self._page_size:
                return
            last_id = page.tasks[-1].id

    def _require_project(self, project_ref: str) -> None:
        with self._of_project(project_ref):
            self._api.ask("GET", f"/api/projects/{project_ref}/", payloads.Nothing)

    @contextmanager
    def _of_project(self, project_ref: str) -> Iterator[None]:
        """What isn't found inside is the project."""
        try:
            yield
        except NotFound as exc:
            raise ProjectGone(
                f"project {project_ref} no longer exists in Label Studio at {self._api.url}",
                remedy="run again: labelloop creates a new project and sends the open tasks to it",
            ) from exc


def _project(project: payloads.Project, marker: str) -> Project:
    return Project(
        project_ref=str(project.id),
        title=project.title or "",
        marker=marker,
        n_tasks=project.task_number or 0,
        n_annotations=(project.total_annotations_number or 0)
        + (project.skipped_annotations_number or 0),
        created_at=project.created_at,
        people=project.maximum_annotations or 1,
    )


def _filter(column: str, operator: str, kind: str, value: object) -> dict[str, object]:
    return {
        "filter": f"filter:tasks:{column}",
        "operator": operator,
        "type": kind,
        "value": value,
    }
