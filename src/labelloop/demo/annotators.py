"""People who label, as Label Studio sees them: they open a task, look at its image, and answer.

They know what the task shows them and nothing else; a picture tells them the digit, and now and
then they are wrong. Whoever has answered a picture leaves it to the others when it comes again.
"""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from labelloop.errors import LabelloopError

if TYPE_CHECKING:
    import httpx

PASSWORD = "labelloop-demo"  # noqa: S105  for 127.0.0.1
WORKERS = 2
PAGE_SIZE = 1_000
"""More tasks than the demonstration has in one project."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who labels, and in what share of pictures they are wrong."""

    email: str
    error_rate: float


PEOPLE = (
    Person("ana@example.com", 0.01),
    Person("ben@example.com", 0.02),
    Person("cem@example.com", 0.03),
)
"""Who labels in the demonstration; all of them are referees."""


class AnnotatorsError(LabelloopError):
    """The annotators of the demonstration could not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A project's labelling interface, as far as an answer needs it."""

    control: str
    input_name: str
    image_key: str
    choices: tuple[str, ...]

    @classmethod
    def parse(cls, label_config: str) -> "Form":
        """The one image and the one list of choices of a labelling configuration."""
        root = ElementTree.fromstring(label_config)  # noqa: S314 - our own Label Studio's
        image, choices = root.find(".//Image"), root.find(".//Choices")
        if image is None or choices is None:
            raise AnnotatorsError("a project has no image or no choices to answer with")
        return cls(
            control=choices.attrib["name"],
            input_name=choices.attrib["toName"],
            image_key=image.attrib["value"].removeprefix("$"),
            choices=tuple(choice.attrib["value"] for choice in choices.iter("Choice")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A task that nobody has answered, as an annotator's page shows it."""

    task_id: int
    image_url: str
    form: Form


class Eyes:
    """What people see in a picture.

    truth
        the class of an image, by the SHA-256 of its bytes: what a look at it tells
    seed
        decides which images they get wrong, and how
    """

    def __init__(self, truth: Mapping[bytes, str], *, seed: int = 0) -> None:
        self._truth = truth
        self._seed = seed.to_bytes(8, "big", signed=True)

    def judge(self, picture: bytes, choices: Sequence[str], person: Person) -> str:
        """What a person says the picture shows: the truth, or now and then something else."""
        content = sha256(picture).digest()
        truth = self._truth.get(content)
        if truth is None:
            raise AnnotatorsError("a task shows an image that the application never served")
        about = person.email.encode() + content
        luck = int.from_bytes(self._digest(b"luck", about)[:8], "big") / 2**64
        if luck >= person.error_rate:
            return truth
        others = [choice for choice in choices if choice != truth]
        return others[int(luck / person.error_rate * len(others))]

    def _digest(self, what: bytes, about: bytes) -> bytes:
        return blake2b(about, key=self._seed, person=what, digest_size=16).digest()


class Annotators(Eyes):
    """People at work on one Label Studio.

    token
        of somebody who may invite them
    truth, seed
        what they see; the seed decides who takes which task, too
    """

    def __init__(self, url: str, token: str, *, truth: Mapping[bytes, str], seed: int = 0) -> None:
        import httpx

        super().__init__(truth, seed=seed)
        self._studio = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Token {token}"},
            timeout=60,
            trust_env=False,
        )
        self._browser = httpx.Client(timeout=60, trust_env=False)
        self._tokens: dict[Person, str] = {}
        self._answered_by: dict[bytes, set[Person]] = {}
        self._lock = threading.Lock()

    def join(self) -> None:
        """Let each of them sign up by the organisation's invitation."""
        import httpx

        invited = self._studio.get("/api/invite")
        self._expect(invited, 200)
        page = invited.json()["invite_url"]
        for person in PEOPLE:
            with httpx.Client(
                base_url=self._studio.base_url, timeout=60, trust_env=False
            ) as browser:
                self._expect(browser.get(page), 200)
                form = {
                    "email": person.email,
                    "password": PASSWORD,
                    "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                }
                self._expect(browser.post(page, data=form), 302)
                token = browser.get("/api/current-user/token")
                self._expect(token, 200)
                self._tokens[person] = token.json()["token"]

    def close(self) -> None:
        """Close their connections."""
        self._studio.close()
        self._browser.close()

    def waiting(self) -> Sequence[Waiting]:
        """The tasks that nobody has answered, project by project."""
        found = []
        for project in self._projects():
            form = Form.parse(project["label_config"])
            for task in self._unanswered(project["id"]):
                url = task["data"][form.image_key]
                found.append(Waiting(task_id=task["id"], image_url=url, form=form))
        return found

    def n_waiting(self) -> int:
        """How many tasks nobody has answered: a quick count, for whoever watches."""
        return sum(
            project["task_number"] - project["num_tasks_with_annotations"]
            for project in self._projects()
        )

    def work(self, on_progress: Callable[[int, int], None]) -> int:
        """Answer all that waits; how many answers that took. `on_progress` hears done and total."""
        tasks = self.waiting()
        on_progress(0, len(tasks))
        n_answered = 0
        with ThreadPoolExecutor(WORKERS) as pool:
            for done, answered in enumerate(pool.map(self.answer, tasks), 1):
                n_answered += answered
                on_progress(done, len(tasks))
        return n_answered

    def answer(self, task: Waiting) -> bool:
        """Look at the task's image and choose; False where each of them has answered that image.

        A repeated call leaves the first answer alone.
        """
        picture = self._browser.get(task.image_url)
        self._expect(picture, 200)
        person = self._taker(picture.content, task.task_id)
        if person is None:
            return False
        choice = self.judge(picture.content, task.form.choices, person)
        # The same answer has the same id: Label Studio refuses to store it twice.
        identity = uuid.UUID(bytes=self._digest(b"answer", str(task.task_id).encode()))
        body = {
            "unique_id": str(identity),
            "lead_time": 2.0,
            "result": [
                {
                    "from_name": task.form.control,
                    "to_name": task.form.input_name,
                    "type": "choices",
                    "value": {"choices": [choice]},
                }
            ],
        }
        answer = self._studio.post(
            f"/api/tasks/{task.task_id}/annotations/",
            json=body,
            headers={"Authorization": f"Token {self._tokens[person]}"},
        )
        self._expect(answer, 201, 409)
        return True

    def _taker(self, picture: bytes, task_id: int) -> Person | None:
        """Who takes a task: anybody who hasn't answered its picture yet."""
        with self._lock:
            before = self._answered_by.setdefault(sha256(picture).digest(), set())
            free = [person for person in PEOPLE if person not in before]
            if not free:
                return None
            luck = self._digest(b"taker", str(task_id).encode())
            taker = free[int.from_bytes(luck, "big") % len(free)]
            before.add(taker)
            return taker

    def _projects(self) -> "list[dict[str, Any]]":
        answer = self._studio.get("/api/projects/", params={"page_size": 100})
        self._expect(answer, 200)
        projects: list[dict[str, Any]] = answer.json()["results"]
        return projects

    def _unanswered(self, project_id: int) -> "list[dict[str, Any]]":
        import httpx

        query = (
            '{"filters": {"conjunction": "and", "items": [{"filter": "filter:tasks:completed_at",'
            ' "operator": "empty", "value": true, "type": "Datetime"}]}}'
        )
        params = httpx.QueryParams(project=project_id, page_size=PAGE_SIZE, query=query)
        answer = self._studio.get("/api/tasks", params=params)
        self._expect(answer, 200)
        tasks: list[dict[str, Any]] = answer.json()["tasks"]
        return tasks

    @staticmethod
    def _expect(answer: "httpx.Response", *statuses: int) -> None:
        if answer.status_code not in statuses:
            where = answer.request.url.copy_with(query=None)
            raise AnnotatorsError(
                f"{where} answered {answer.status_code}: {answer.text[:200]}",
                remedy="read label-studio.log in the demonstration's folder",
            )
