"""What every Annotator does: in memory, on the labelling page, and on a real Label Studio."""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol

import httpx
import pytest
import sqlalchemy as sa

from labelloop.adapters.desk import tables as t
from labelloop.adapters.desk.annotator import DeskAnnotator, number
from labelloop.adapters.desk.desk import DatabaseDesk
from labelloop.adapters.desk.tasks import recount
from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
from labelloop.core.remote_id import PAGE_PREFIX as PREFIX
from labelloop.core.remote_id import order_given
from labelloop.core.verdict import Outcome
from labelloop.demo.servers import LabelStudio
from labelloop.errors import AnnotatorDenied, AnnotatorError, ArgumentError, ProjectGone
from labelloop.ports.annotator import (
    Annotator,
    BucketAccess,
    Project,
    ProjectSpec,
    RemoteTask,
    Suggestion,
    TaskData,
)
from labelloop.ports.desk import Answer
from labelloop.testing import MemoryAnnotator
from tests.label_studios import LABEL_STUDIOS

ODD_CLASSES = (
    "dog",
    "a<b & \"c\" 'd'",
    "x/y\\z",
    "$image",
    "$predicted_class",
    "100%",
    "&amp;",
    "日本語",
    "עברית",
    "🍞",
    'name="label"',
    "[2]",
)


class People(Protocol):
    """Those who answer, and who clean up by hand."""

    def answer(self, remote_id: str, *choices: str, by: str) -> str: ...
    def skip(self, remote_id: str, *, by: str) -> str: ...
    def edit(self, annotation_id: str, choice: str) -> None: ...
    def delete_annotation(self, annotation_id: str) -> None: ...
    def offer(self, project_ref: str, choices: Sequence[str] | None) -> None: ...
    def remove_marker(self, project_ref: str) -> None: ...
    def rename_project(self, project_ref: str, title: str) -> None: ...
    def delete_project(self, project_ref: str) -> None: ...
    def duplicate_task(self, remote_id: str) -> str: ...
    def offered(self, project_ref: str, *, by: str) -> Sequence[str]: ...
    def choices(self, project_ref: str) -> Sequence[str]: ...


class RealPeople:
    """People at a real Label Studio, by its API: each with an account, made when first needed."""

    tokens: ClassVar[dict[tuple[str, str], str]] = {}

    def __init__(self, server: LabelStudio) -> None:
        self.url = server.url
        self.client = self._client(server.legacy_token)

    def _client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Token {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, trust_env=False)

    def _ask(self, method: str, path: str, body: object = None, *, by: str | None = None) -> Any:
        headers = {"Authorization": f"Token {self._token(by)}"} if by else None
        response = self.client.request(method, path, json=body, headers=headers)
        response.raise_for_status()
        return response.json() if response.content else None

    def _token(self, name: str) -> str:
        """The token of a person, who signs up by the organisation's invitation the first time."""
        if (self.url, name) not in self.tokens:
            invitation = self._ask("GET", "/api/invite")["invite_url"]
            with self._client() as browser:
                browser.get(invitation).raise_for_status()
                form = {
                    "email": f"{name}@labelloop.example",
                    "password": "labelloop-people",
                    "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                }
                signed_up = browser.post(invitation, data=form)
                assert signed_up.status_code == 302, signed_up.text[:500]
                token = browser.get("/api/current-user/token").raise_for_status().json()["token"]
            self.tokens[self.url, name] = token
        return self.tokens[self.url, name]

    def dismiss(self, name: str) -> None:
        """Remove a person from the organisation."""
        headers = {"Authorization": f"Token {self._token(name)}"}
        who = self.client.get("/api/current-user/whoami", headers=headers).json()
        path = f"/api/organizations/{who['active_organization']}/memberships/{who['id']}/"
        self._ask("DELETE", path)

    def next_task(self, project_ref: str, *, by: str) -> dict[str, Any] | None:
        """The next task of the labelling stream, as it is shown; None where there is none."""
        headers = {"Authorization": f"Token {self._token(by)}"}
        response = self.client.get(f"/api/projects/{project_ref}/next", headers=headers)
        if response.status_code == 404:
            return None
        shown: dict[str, Any] = response.raise_for_status().json()
        return shown

    def offered(self, project_ref: str, *, by: str) -> Sequence[str]:
        """The next task of the labelling stream; unlike in memory, one task is offered at a time."""
        task = self.next_task(project_ref, by=by)
        return [] if task is None else [str(task["id"])]

    @staticmethod
    def _result(*choices: str, control: str = "label") -> list[dict[str, Any]]:
        value = {"choices": list(choices)}
        given = {"from_name": control, "to_name": "image", "type": "choices", "value": value}
        return [given] if choices else []

    def choices(self, project_ref: str) -> Sequence[str]:
        """What Label Studio itself reads out of the labelling config."""
        control = self._ask("GET", f"/api/projects/{project_ref}/")["parsed_label_config"]["label"]
        return list(control["labels"])

    def offer(self, project_ref: str, choices: Sequence[str] | None) -> None:
        path = f"/api/projects/{project_ref}/"
        config = self._ask("GET", path)["label_config"]
        if choices is None:
            config = config.replace('name="label"', 'name="other"')
        else:
            made = "".join(f'<Choice value="{c}"/>' for c in choices)
            config = re.sub(r"<Choice .*(?=</Choices>)", made, config, flags=re.DOTALL)
        self._ask("PATCH", path, {"label_config": config})

    def draft(self, remote_id: str, choice: str, *, by: str) -> None:
        body = {"result": self._result(choice), "lead_time": 1}
        self._ask("POST", f"/api/tasks/{remote_id}/drafts", body, by=by)

    def answer_elsewhere(self, remote_id: str, choice: str, *, by: str) -> None:
        """An answer of a control that isn't ours."""
        body = {"result": self._result(choice, control="other")}
        self._ask("POST", f"/api/tasks/{remote_id}/annotations/", body, by=by)

    def answer(self, remote_id: str, *choices: str, by: str) -> str:
        body = {"result": self._result(*choices)}
        said = self._ask("POST", f"/api/tasks/{remote_id}/annotations/", body, by=by)
        return str(said["id"])

    def skip(self, remote_id: str, *, by: str) -> str:
        body = {"result": [], "was_cancelled": True}
        said = self._ask("POST", f"/api/tasks/{remote_id}/annotations/", body, by=by)
        return str(said["id"])

    def edit(self, annotation_id: str, choice: str) -> None:
        body = {"result": self._result(choice), "was_cancelled": False}
        self._ask("PATCH", f"/api/annotations/{annotation_id}/", body)

    def delete_annotation(self, annotation_id: str) -> None:
        self._ask("DELETE", f"/api/annotations/{annotation_id}/")

    def remove_marker(self, project_ref: str) -> None:
        self._ask("PATCH", f"/api/projects/{project_ref}/", {"description": "ours"})

    def rename_project(self, project_ref: str, title: str) -> None:
        self._ask("PATCH", f"/api/projects/{project_ref}/", {"title": title})

    def delete_project(self, project_ref: str) -> None:
        self._ask("DELETE", f"/api/projects/{project_ref}/")

    def duplicate_task(self, remote_id: str) -> str:
        task = self._ask("GET", f"/api/tasks/{remote_id}/")
        body = [{"data": task["data"]}]
        path = f"/api/projects/{task['project']}/import?return_task_ids=true"
        return str(self._ask("POST", path, body)["task_ids"][0])


class DeskPeople:
    """People at the labelling page; what the page lets nobody do is done in its database."""

    def __init__(self, annotator: DeskAnnotator) -> None:
        self.database = annotator.database
        self.desk = DatabaseDesk(annotator.database)

    def _annotate(self, remote_id: str, by: str, choices: Sequence[str], *, skipped: bool) -> str:
        person = f"{by}@labelloop.example"
        task = number(remote_id)
        with self.database.read() as tx:
            item_id = tx.scalar(sa.select(t.tasks.c.item_id).where(t.tasks.c.task == task)) or ""
            own = (t.annotations.c.task == task) & (t.annotations.c.person == person)
            again = tx.scalar(sa.select(sa.func.count()).where(own))
        if again or len(choices) != 1 - skipped:
            return self._insert(task, person, choices)
        choice = None if skipped else choices[0]
        given = Answer(answer_id=uuid.uuid4().hex, item_id=item_id, choice=choice)
        reply = self.desk.give(person, given)
        if not reply.accepted:
            assert reply.outcome in {Outcome.SETTLED, Outcome.UNKNOWN_CLASS}, reply
            return self._insert(task, person, choices)
        with self.database.read() as tx:
            return f"{PREFIX}{tx.scalar(sa.select(t.annotations.c.annotation).where(own))}"

    def _insert(self, task: int, person: str, choices: Sequence[str]) -> str:
        with self.database.write() as tx:
            row = {
                "annotation": tx.take("annotation"),
                "task": task,
                "person": person,
                "choices": list(choices),
                "skipped": False,
                "given_at": tx.at,
                "updated_at": tx.at,
            }
            tx.connection.execute(t.annotations.insert().values(row))
            recount(tx, [task])
        return f"{PREFIX}{row['annotation']}"

    def answer(self, remote_id: str, *choices: str, by: str) -> str:
        return self._annotate(remote_id, by, choices, skipped=False)

    def skip(self, remote_id: str, *, by: str) -> str:
        return self._annotate(remote_id, by, (), skipped=True)

    def _of(self, annotation_id: str) -> Any:
        wanted = sa.select(t.annotations.c.person, t.tasks.c.item_id, t.tasks.c.task).join(
            t.tasks, t.tasks.c.task == t.annotations.c.task
        )
        of = t.annotations.c.annotation == number(annotation_id)
        with self.database.read() as tx:
            return tx.execute(wanted.where(of)).one()

    def edit(self, annotation_id: str, choice: str) -> None:
        held = self._of(annotation_id)
        given = Answer(answer_id=uuid.uuid4().hex, item_id=held.item_id, choice=choice)
        assert self.desk.give(held.person, given).outcome is Outcome.MENDED

    def delete_annotation(self, annotation_id: str) -> None:
        held = self._of(annotation_id)
        assert self.desk.undo(held.person, held.item_id).accepted
        self.desk.release(held.person)

    def _edit(self, project_ref: str, **values: Any) -> None:
        of = t.projects.c.project == number(project_ref)
        with self.database.write() as tx:
            tx.connection.execute(t.projects.update().where(of).values(**values))

    def offer(self, project_ref: str, choices: Sequence[str] | None) -> None:
        if choices is None:
            pytest.skip("the page has no labelling config that people could edit")
        self._edit(project_ref, classes=list(choices))

    def remove_marker(self, project_ref: str) -> None:
        self._edit(project_ref, marker="")

    def rename_project(self, project_ref: str, title: str) -> None:
        self._edit(project_ref, title=title)

    def delete_project(self, project_ref: str) -> None:
        with self.database.write() as tx:
            for table in (t.tasks, t.projects):
                of = table.c.project == number(project_ref)
                tx.connection.execute(table.delete().where(of))

    def duplicate_task(self, remote_id: str) -> str:
        of = t.tasks.c.task == number(remote_id)
        with self.database.write() as tx:
            row = dict(tx.connection.execute(sa.select(t.tasks).where(of)).one()._mapping)
            row |= {"task": tx.take("task"), "item_id": uuid.uuid4().hex, "updated_at": tx.at}
            tx.connection.execute(t.tasks.insert().values(row))
        return f"{PREFIX}{row['task']}"

    def offered(self, project_ref: str, *, by: str) -> Sequence[str]:
        with self.database.read() as tx:
            of = t.projects.c.project == number(project_ref)
            queue = tx.scalar(sa.select(t.projects.c.queue).where(of)) or ""
            held = tx.execute(sa.select(t.tasks.c.item_id, t.tasks.c.task))
            ids = {row.item_id: row.task for row in held}
        person = f"{by}@labelloop.example"
        items = self.desk.next_items(queue, person)
        self.desk.release(person)
        return [f"{PREFIX}{ids[item.item_id]}" for item in items]

    def choices(self, project_ref: str) -> Sequence[str]:
        of = t.projects.c.project == number(project_ref)
        with self.database.read() as tx:
            return list(tx.execute(sa.select(t.projects.c.classes).where(of)).scalar_one())


@dataclass(frozen=True)
class Office:
    annotator: Annotator
    people: People

    def project(self, **changes: Any) -> Project:
        return self.annotator.create_project(spec(**changes))

    def task(self, project: Project, remote_id: str) -> RemoteTask:
        return everything(self.annotator, project)[remote_id]


def spec(**changes: Any) -> ProjectSpec:
    given: dict[str, Any] = {
        "title": "fruit / accuracy",
        "marker": f"labelloop:{uuid.uuid4().hex}/accuracy",
        "classes": ("fig", "plum"),
        "show": (),
        "blind": True,
    }
    return ProjectSpec(**(given | changes))


def task_data(n: int, **extra: Any) -> list[TaskData]:
    keys = [uuid.uuid4().hex for _ in range(n)]
    image = "http://9.9.9.9/a.png?X-Amz-Signature=00%2B"
    return [
        TaskData(task_key=key, data={"image": image, "labelloop": key, **extra}) for key in keys
    ]


def everything(annotator: Annotator, project: Project) -> dict[str, RemoteTask]:
    pages = annotator.tasks(project.project_ref)
    return {task.remote_id: task for page in pages for task in page}


@pytest.fixture(params=["memory", "desk", "label_studio", "older_label_studio"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    if request.param == "memory":
        annotator = MemoryAnnotator(page_size=3)
        yield Office(annotator, annotator)
        return
    if request.param == "desk":
        page = DeskAnnotator(f"sqlite:///{tmp_path / 'answers.db'}", page_size=3)
        yield Office(page, DeskPeople(page))
        page.close()
        return
    server: LabelStudio = request.getfixturevalue(request.param)
    people = RealPeople(server)
    real = LabelStudioAnnotator(url=server.url, api_key=server.personal_access_token(), page_size=3)
    yield Office(real, people)
    real.close()
    people.client.close()


def test_a_created_project_is_found_by_its_marker_with_nothing_in_it(office: Office) -> None:
    wanted = spec()
    created = office.annotator.create_project(wanted)
    found = [p for p in office.annotator.projects() if p.marker == wanted.marker]
    assert found == [created]
    assert (created.title, created.n_tasks, created.n_annotations) == (wanted.title, 0, 0)


@pytest.mark.mistake("project-renamed")
def test_a_renamed_project_is_found_by_its_marker(office: Office) -> None:
    project = office.project()
    office.people.rename_project(project.project_ref, "something else")
    (found,) = [p for p in office.annotator.projects() if p.marker == project.marker]
    assert (found.project_ref, found.title) == (project.project_ref, "something else")


@pytest.mark.mistake("marker-removed")
def test_tasks_of_a_project_without_its_marker_are_still_found(office: Office) -> None:
    project = office.project()
    [given] = task_data(1)
    office.annotator.import_tasks(project.project_ref, [given])
    office.people.remove_marker(project.project_ref)
    assert project.project_ref not in {p.project_ref for p in office.annotator.projects()}
    assert len(office.annotator.find(project.project_ref, [given.task_key])) == 1


@pytest.fixture(params=["memory", *LABEL_STUDIOS])
def outsider(request: pytest.FixtureRequest) -> Iterator[tuple[Annotator, Project, str]]:
    """An annotator whose account was removed from the organisation, a project there, a key in it."""
    [given] = task_data(1)
    if request.param == "memory":
        memory = MemoryAnnotator()
        project = memory.create_project(spec())
        memory.import_tasks(project.project_ref, [given])
        memory.outside = True
        yield memory, project, given.task_key
        return
    server: LabelStudio = request.getfixturevalue(request.param)
    people = RealPeople(server)
    member = LabelStudioAnnotator(url=server.url, api_key=server.legacy_token)
    project = member.create_project(spec())
    member.import_tasks(project.project_ref, [given])
    name = f"left-{uuid.uuid4().hex[:8]}"
    real = LabelStudioAnnotator(url=server.url, api_key=people._token(name))
    real.check_account()
    assert project.project_ref in {p.project_ref for p in real.projects()}
    people.dismiss(name)
    yield real, project, given.task_key
    member.close()
    real.close()
    people.client.close()


@pytest.mark.mistake("account-outside")
def test_an_account_outside_the_organisation_is_refused_and_sees_nothing_as_gone(
    outsider: tuple[Annotator, Project, str],
) -> None:
    annotator, project, key = outsider
    with pytest.raises(AnnotatorDenied, match="belongs to no organisation"):
        annotator.check_account()
    assert project.project_ref not in {p.project_ref for p in annotator.projects()}
    with suppress(AnnotatorDenied):  # 1.20.0 lets it in
        assert annotator.find(project.project_ref, [key])


def test_projects_come_oldest_first(office: Office) -> None:
    made = [office.project().project_ref for _ in range(3)]
    listed = office.annotator.projects()
    assert [p.project_ref for p in listed if p.project_ref in made] == made
    assert [p.created_at for p in listed] == sorted(p.created_at for p in listed)


def test_a_blind_project_shows_nothing(office: Office) -> None:
    with pytest.raises(ArgumentError, match="blind"):
        office.project(show=("confidence",))


def test_imported_tasks_have_ids_in_order_and_keep_their_keys(office: Office) -> None:
    project = office.project()
    tasks = task_data(7)
    ids = office.annotator.import_tasks(project.project_ref, tasks)
    held = everything(office.annotator, project)
    assert list(held) == sorted(ids, key=order_given) == list(ids)
    assert [held[i].task_key for i in ids] == [t.task_key for t in tasks]
    assert all(task.annotations == () for task in held.values())


def test_label_studio_offers_the_answer_that_is_filled_in_and_no_answer_counts_yet(
    office: Office,
) -> None:
    said = Suggestion(answer="plum", model="m7", score=0.75)
    project = office.project(blind=False)
    tasks = [replace(task, suggestion=said) for task in task_data(2)]
    ids = office.annotator.import_tasks(project.project_ref, tasks)
    held = everything(office.annotator, project)
    assert all(held[i].annotations == () for i in ids)
    if isinstance(office.people, RealPeople):
        path = f"/api/projects/{project.project_ref}/next"
        (offered,) = office.people._ask("GET", path, by="ana")["predictions"]
        assert (offered["model_version"], offered["score"]) == ("m7", 0.75)
        assert offered["result"][0]["value"] == {"choices": ["plum"]}
        before = office.people._ask("GET", f"/api/projects/{office.project().project_ref}/")
        assert before["show_collab_predictions"] is False  # no other project is touched


def test_an_import_is_all_or_nothing(office: Office) -> None:
    project = office.project()
    tasks = [*task_data(2), TaskData(task_key="bad", data={"labelloop": "bad"})]
    with pytest.raises(AnnotatorError, match="image"):
        office.annotator.import_tasks(project.project_ref, tasks)
    assert everything(office.annotator, project) == {}


def test_importing_nothing_does_nothing(office: Office) -> None:
    project = office.project()
    assert list(office.annotator.import_tasks(project.project_ref, [])) == []


def test_tasks_are_found_by_key_as_often_as_they_stand_there(office: Office) -> None:
    project = office.project()
    tasks = task_data(5)
    ids = office.annotator.import_tasks(project.project_ref, tasks)
    twin = office.people.duplicate_task(ids[1])
    keys = [tasks[1].task_key, tasks[4].task_key, "unknown", tasks[4].task_key]
    found = office.annotator.find(project.project_ref, keys)
    assert sorted(t.remote_id for t in found) == sorted([ids[1], ids[4], twin])
    assert list(office.annotator.find(project.project_ref, [])) == []


def test_many_keys_are_found(office: Office) -> None:
    project = office.project()
    tasks = task_data(90)
    ids = office.annotator.import_tasks(project.project_ref, tasks)
    found = office.annotator.find(project.project_ref, [t.task_key for t in tasks])
    assert {t.remote_id: t.task_key for t in found} == dict(
        zip(ids, (t.task_key for t in tasks), strict=True)
    )


def test_keys_are_looked_up_literally(office: Office) -> None:
    project = office.project()
    odd = ["100%", "%2541", 'quo"te', "back\\slash", "日本語", "a,b"]
    image = {"image": "http://9.9.9.9/a.png"}
    tasks = [TaskData(task_key=key, data={**image, "labelloop": key}) for key in odd]
    office.annotator.import_tasks(project.project_ref, tasks)
    for key in odd:
        found = office.annotator.find(project.project_ref, [key])
        assert [t.task_key for t in found] == [key]


def test_an_answer_is_read_with_who_and_when(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    annotation_id = office.people.answer(task_id, "plum", by="ana")
    [annotation] = office.task(project, task_id).annotations
    assert annotation.remote_id == annotation_id
    assert (annotation.choices, annotation.skipped) == (("plum",), False)
    assert annotation.annotator
    assert annotation.updated_at.utcoffset() == timedelta(0)


def test_class_names_survive_both_ways(office: Office) -> None:
    project = office.project(classes=ODD_CLASSES)
    tasks = task_data(len(ODD_CLASSES))
    ids = office.annotator.import_tasks(project.project_ref, tasks)
    for task_id, name in zip(ids, ODD_CLASSES, strict=True):
        office.people.answer(task_id, name, by="ana")
    held = everything(office.annotator, project)
    assert [held[i].annotations[0].choices for i in ids] == [(name,) for name in ODD_CLASSES]


Change = Callable[[People, int], object]


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (None, lambda people, task: people.answer(task, "fig", by="ana")),
        (None, lambda people, task: people.skip(task, by="ana")),
        ("answer", lambda people, annotation: people.edit(annotation, "plum")),
        ("answer", lambda people, annotation: people.delete_annotation(annotation)),
        ("skip", lambda people, annotation: people.edit(annotation, "plum")),
        ("skip", lambda people, annotation: people.delete_annotation(annotation)),
    ],
    ids=["answer", "skip", "edit", "delete", "edit a skip", "delete a skip"],
)
def test_whatever_people_do_makes_the_task_one_that_changed(
    office: Office, before: str | None, change: Change
) -> None:
    project = office.project()
    ids = office.annotator.import_tasks(project.project_ref, task_data(3))
    touched = ids[1]
    if before == "answer":
        subject = office.people.answer(touched, "fig", by="ana")
    elif before == "skip":
        subject = office.people.skip(touched, by="ana")
    else:
        subject = touched
    there = everything(office.annotator, project)
    seen = max(t.updated_at for t in there.values())
    assert list(office.annotator.tasks(project.project_ref, seen)) == []
    change(office.people, subject)
    changed = list(office.annotator.tasks(project.project_ref, seen))
    assert [[t.remote_id for t in page] for page in changed] == [[touched]]
    # a deletion is told from a loss by this
    assert all(changed[0][0].updated_at > a.updated_at for a in there[touched].annotations)


def test_an_edit_is_a_later_revision_of_the_same_annotation(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    office.people.answer(task_id, "fig", by="ana")
    [first] = office.task(project, task_id).annotations
    office.people.edit(first.remote_id, "plum")
    [second] = office.task(project, task_id).annotations
    assert second.remote_id == first.remote_id
    assert second.updated_at > first.updated_at
    assert second.choices == ("plum",)


def test_skips_are_read_and_counted_with_the_annotations(office: Office) -> None:
    wanted = spec()
    project = office.annotator.create_project(wanted)
    ids = office.annotator.import_tasks(project.project_ref, task_data(3))
    office.people.skip(ids[0], by="ana")
    office.people.answer(ids[1], "fig", by="ana")
    [skip] = office.task(project, ids[0]).annotations
    assert (skip.skipped, skip.choices) == (True, ())
    [listed] = [p for p in office.annotator.projects() if p.marker == wanted.marker]
    assert (listed.n_tasks, listed.n_annotations) == (3, 2)
    office.people.delete_annotation(skip.remote_id)
    [listed] = [p for p in office.annotator.projects() if p.marker == wanted.marker]
    assert (listed.n_tasks, listed.n_annotations) == (3, 1)


def test_several_annotations_of_a_task_come_in_the_order_of_their_ids(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    ids = [office.people.answer(task_id, name, by="ana") for name in ("fig", "plum")]
    office.people.edit(ids[0], "fig")
    assert [a.remote_id for a in office.task(project, task_id).annotations] == ids


def test_people_are_told_apart(office: Office) -> None:
    project = office.project(people=2)
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    for by in ("ana", "ben", "ana"):
        office.people.answer(task_id, "fig", by=by)
    first, second, third = (a.annotator for a in office.task(project, task_id).annotations)
    assert first == third != second


def test_a_task_is_offered_until_as_many_people_as_the_project_asks_have_answered(
    office: Office,
) -> None:
    project = office.project(people=2)
    assert project.people == 2
    assert [p.people for p in office.annotator.projects() if p == project] == [2]
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    assert office.task(project, task_id).people == 2

    def offered(by: str) -> bool:
        return list(office.people.offered(project.project_ref, by=by)) == [task_id]

    office.people.answer(task_id, "fig", by="ana")
    assert not offered("ana")
    office.people.skip(task_id, by="cem")
    assert offered("ben"), "who skips doesn't count"
    office.people.answer(task_id, "plum", by="ben")
    assert not offered("dan")


def test_a_second_answer_of_one_person_takes_the_place_of_another(office: Office) -> None:
    project = office.project(people=2)
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    for _ in range(2):
        office.people.answer(task_id, "fig", by="ana")
    assert list(office.people.offered(project.project_ref, by="ben")) == []
    office.annotator.ask_people(task_id, 3, done=False)
    assert list(office.people.offered(project.project_ref, by="ben")) == [task_id]


def test_a_task_that_was_done_is_offered_to_one_more_person(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    answer = office.people.answer(task_id, "fig", by="ana")
    assert list(office.people.offered(project.project_ref, by="ben")) == []
    before = office.task(project, task_id)
    assert office.annotator.ask_people(task_id, 2, done=False) is True
    assert office.annotator.ask_people(task_id, 2, done=False) is True
    after = office.task(project, task_id)
    assert (after.people, after.annotations) == (2, before.annotations)
    assert after.updated_at > before.updated_at
    assert list(office.people.offered(project.project_ref, by="ana")) == []
    assert list(office.people.offered(project.project_ref, by="ben")) == [task_id]
    data = {"image": "http://9.9.9.9/b.png", "labelloop": str(after.task_key)}
    office.annotator.replace_data(task_id, data)
    office.annotator.import_tasks(project.project_ref, task_data(1))
    assert office.task(project, task_id).people == 2, "kept by what else happens to the project"
    office.people.delete_annotation(answer)
    assert office.task(project, task_id).people == 2


def test_a_task_can_be_withdrawn_from_people_again(office: Office) -> None:
    project = office.project(people=2)
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    office.people.answer(task_id, "fig", by="ana")
    assert office.annotator.ask_people(task_id, 1, done=True) is True
    assert list(office.people.offered(project.project_ref, by="ben")) == []


def test_choices_change_under_answers_which_stay(office: Office) -> None:
    project = office.project()
    [one, two] = office.annotator.import_tasks(project.project_ref, task_data(2))
    office.people.answer(one, "fig", by="ana")
    before = office.task(project, one)
    for choices in (["fig", "plum", *ODD_CLASSES], ["pear", "quince"], ["pear", "quince"]):
        office.annotator.set_choices(project.project_ref, choices)
        assert list(office.people.choices(project.project_ref)) == choices
    assert office.task(project, one) == before
    office.people.answer(two, "quince", by="ana")
    assert office.task(project, two).annotations[0].choices == ("quince",)
    assert office.task(project, two).people == 1


def test_choices_of_a_project_that_is_gone(office: Office) -> None:
    project = office.project()
    office.people.delete_project(project.project_ref)
    with pytest.raises(ProjectGone):
        office.annotator.set_choices(project.project_ref, ["fig"])


@pytest.mark.mistake("choices-edited")
def test_choices_edited_by_hand_are_put_back(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    office.people.answer(task_id, "plum", by="ana")
    for edited in (["fig"], ["fig", "prune"], ["fig", "plum", "pear"]):
        office.people.offer(project.project_ref, edited)
        assert list(office.people.choices(project.project_ref)) == edited
        office.annotator.set_choices(project.project_ref, ["fig", "plum"])
        assert list(office.people.choices(project.project_ref)) == ["fig", "plum"]
    assert office.task(project, task_id).annotations[0].choices == ("plum",)


@pytest.mark.mistake("control-gone")
def test_choices_need_our_control(office: Office) -> None:
    project = office.project()
    office.people.offer(project.project_ref, None)
    with pytest.raises(AnnotatorError, match="has no Choices named 'label'"):
        office.annotator.set_choices(project.project_ref, ["fig"])


@pytest.mark.mistake("answer-no-class")
def test_an_answer_may_hold_nothing_or_several_choices(office: Office) -> None:
    project = office.project()
    [one, two] = office.annotator.import_tasks(project.project_ref, task_data(2))
    office.people.answer(one, by="ana")
    office.people.answer(two, "fig", "plum", by="ana")
    held = everything(office.annotator, project)
    assert [held[i].annotations[0].choices for i in (one, two)] == [(), ("fig", "plum")]


@pytest.mark.mistake("draft")
@pytest.mark.mistake("answer-no-class")
@pytest.mark.parametrize("version", LABEL_STUDIOS)
def test_drafts_are_no_answers_and_other_controls_name_no_class(
    version: str, request: pytest.FixtureRequest
) -> None:
    server: LabelStudio = request.getfixturevalue(version)
    people = RealPeople(server)
    annotator = LabelStudioAnnotator(url=server.url, api_key=server.legacy_token)
    wanted = spec()
    project = annotator.create_project(wanted)
    [one, two] = annotator.import_tasks(project.project_ref, task_data(2))
    people.draft(one, "fig", by="ana")
    people.answer_elsewhere(two, "fig", by="ana")
    held = everything(annotator, project)
    assert held[one].annotations == ()
    assert [a.choices for a in held[two].annotations] == [()]
    [listed] = [p for p in annotator.projects() if p.marker == wanted.marker]
    assert listed.n_annotations == 1
    # that answer fits no config that we could write
    with pytest.raises(AnnotatorError, match="incompatible"):
        annotator.set_choices(project.project_ref, ["pear"])
    annotator.close()
    people.client.close()


@pytest.mark.mistake("config-refuses")
@pytest.mark.parametrize("version", LABEL_STUDIOS)
def test_a_config_that_shows_other_data_refuses_tasks(
    version: str, request: pytest.FixtureRequest
) -> None:
    server: LabelStudio = request.getfixturevalue(version)
    people = RealPeople(server)
    annotator = LabelStudioAnnotator(url=server.url, api_key=server.legacy_token)
    project = annotator.create_project(spec())
    path = f"/api/projects/{project.project_ref}/"
    config = people._ask("GET", path)["label_config"].replace("$image", "$img")
    people._ask("PATCH", path, {"label_config": config})
    with pytest.raises(AnnotatorError, match='"img" key is expected') as caught:
        annotator.import_tasks(project.project_ref, task_data(1))
    assert type(caught.value) is AnnotatorError
    annotator.close()
    people.client.close()


def test_nobody_can_be_asked_about_a_task_that_is_gone(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    office.annotator.delete_task(task_id)
    assert office.annotator.ask_people(task_id, 2, done=False) is False


def test_pages_hold_each_task_once_also_when_some_go_meanwhile(office: Office) -> None:
    project = office.project()
    ids = list(office.annotator.import_tasks(project.project_ref, task_data(8)))
    pages = office.annotator.tasks(project.project_ref)
    first = [t.remote_id for t in next(pages)]
    office.annotator.delete_task(first[0])
    rest = [t.remote_id for page in pages for t in page]
    assert first + rest == ids


def test_data_is_replaced_as_a_whole_and_answers_stay(office: Office) -> None:
    project = office.project()
    [given] = task_data(1, confidence=0.5)
    [task_id] = office.annotator.import_tasks(project.project_ref, [given])
    office.people.answer(task_id, "fig", by="ana")
    new = {"image": "http://9.9.9.9/b.png", "labelloop": given.task_key}
    assert office.annotator.replace_data(task_id, new) is True
    assert office.annotator.replace_data(task_id, new) is True
    [found] = office.annotator.find(project.project_ref, [given.task_key])
    assert [a.choices for a in found.annotations] == [("fig",)]


def test_data_without_the_key_is_refused(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    with pytest.raises(ArgumentError, match="key"):
        office.annotator.replace_data(task_id, {"image": "http://9.9.9.9/b.png"})


def test_a_deleted_task_is_gone_and_deleting_it_again_is_fine(office: Office) -> None:
    project = office.project()
    [task_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    office.annotator.delete_task(task_id)
    office.annotator.delete_task(task_id)
    assert everything(office.annotator, project) == {}
    assert office.annotator.replace_data(task_id, {"image": "x", "labelloop": "k"}) is False


def test_a_project_deleted_by_hand_is_reported_as_gone(office: Office) -> None:
    project = office.project()
    office.annotator.import_tasks(project.project_ref, task_data(1))
    office.people.delete_project(project.project_ref)
    assert project.project_ref not in {p.project_ref for p in office.annotator.projects()}
    with pytest.raises(ProjectGone):
        office.annotator.import_tasks(project.project_ref, task_data(1))
    with pytest.raises(ProjectGone):
        office.annotator.find(project.project_ref, ["k"])
    with pytest.raises(ProjectGone):
        list(office.annotator.tasks(project.project_ref))


def test_a_project_and_a_task_have_pages_for_people(office: Office) -> None:
    project = office.project(marker=f"labelloop:{uuid.uuid4().hex}/apples")
    ref = project.project_ref
    page = office.annotator.project_url(ref)
    assert page.endswith((f"/projects/{ref}", f"/projects/{ref}/data", "/label/apples"))
    assert office.annotator.task_url(ref, "12").startswith(page)
    assert office.annotator.task_url(ref, "12").endswith("12")


def test_a_bucket_of_a_project_that_is_gone_is_reported_so(office: Office) -> None:
    project = office.project()
    office.people.delete_project(project.project_ref)
    access = BucketAccess(
        bucket="b", endpoint_url=None, region=None, access_key="a", secret_key="b"
    )
    with pytest.raises(ProjectGone):
        office.annotator.open_bucket(project.project_ref, access)


def test_it_is_told_whom_to_call_as_often_as_one_likes(office: Office) -> None:
    project = office.project()
    for url in ("http://9.9.9.9/a", "http://9.9.9.9/a", "http://9.9.9.9/b"):
        office.annotator.announce(project.project_ref, url, "s3cret")
    office.people.delete_project(project.project_ref)
    with pytest.raises(ProjectGone):
        office.annotator.announce(project.project_ref, "http://9.9.9.9/a", "s3cret")


def test_it_says_who_it_is_and_whom_it_takes_us_for(office: Office) -> None:
    facts = office.annotator.facts()
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", facts.version)
    assert "@" in facts.user
    assert facts.served_at is not None


def test_whoever_answered_has_a_name(office: Office) -> None:
    project = office.project()
    [remote_id] = office.annotator.import_tasks(project.project_ref, task_data(1))
    office.people.answer(remote_id, "fig", by="ana")
    [annotation] = office.task(project, remote_id).annotations
    assert office.annotator.accounts()[annotation.annotator].startswith("ana@")


@pytest.mark.parametrize("version", LABEL_STUDIOS)
def test_a_personal_token_says_until_when_it_works(
    version: str, request: pytest.FixtureRequest
) -> None:
    label_studio: LabelStudio = request.getfixturevalue(version)
    for key, kind in (
        (label_studio.personal_access_token(), "personal access"),
        (label_studio.legacy_token, "legacy"),
    ):
        annotator = LabelStudioAnnotator(url=label_studio.url, api_key=key)
        facts = annotator.facts()
        annotator.close()
        assert facts.access == f"{kind} token"
        assert (facts.access_expires_at is not None) == (kind == "personal access")


@pytest.mark.parametrize("version", LABEL_STUDIOS)
def test_a_legacy_token_works_too(version: str, request: pytest.FixtureRequest) -> None:
    label_studio: LabelStudio = request.getfixturevalue(version)
    annotator = LabelStudioAnnotator(url=label_studio.url + "/", api_key=label_studio.legacy_token)
    wanted = spec(title="q")
    created = annotator.create_project(wanted)
    assert created in annotator.projects()
    assert created.title == "q labels"


def test_long_titles_are_cut_to_what_label_studio_takes(label_studio: LabelStudio) -> None:
    annotator = LabelStudioAnnotator(url=label_studio.url, api_key=label_studio.legacy_token)
    title = annotator.create_project(spec(title="warehouse images " * 9)).title
    assert title == "warehouse images warehouse images warehouse…"


def test_a_tasks_data_is_all_that_a_blind_project_holds(label_studio: LabelStudio) -> None:
    annotator = LabelStudioAnnotator(url=label_studio.url, api_key=label_studio.legacy_token)
    project = annotator.create_project(spec())
    [given] = task_data(1)
    [task_id] = annotator.import_tasks(project.project_ref, [given])
    people = RealPeople(label_studio)
    held = people._ask("GET", f"/api/tasks/{task_id}/")
    made = people._ask("GET", f"/api/projects/{project.project_ref}/")
    people.client.close()
    assert held["data"] == dict(given.data)
    assert (held["meta"], held["predictions"]) == ({}, [])
    assert made["show_collab_predictions"] is False
    assert (made["maximum_annotations"], made["sampling"]) == (1, "Sequential sampling")
    assert made["parsed_label_config"]["label"]["labels"] == ["fig", "plum"]
