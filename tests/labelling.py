"""The labelling page over a project in memory and a desk in a database, for tests and real browsers."""

import base64
import io
import socket
import threading
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from labelloop.adapters.desk.annotator import DeskAnnotator
from labelloop.adapters.desk.desk import DatabaseDesk
from labelloop.adapters.system_clock import SystemClock
from labelloop.ledger import accounts
from labelloop.loop import Loop
from labelloop.ports.annotator import ProjectSpec, RemoteTask, TaskData
from labelloop.ports.desk import Guide
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.settings.file import load
from labelloop.web.app import application
from labelloop.web.site import Site
from tests.world import World

SCOPES = ("label",)


def picture(n: int, *, orientation: int = 1) -> str:
    """An image as a link that holds it: a number on a colour of its own, 300 by 200."""
    image = Image.new("RGB", (300, 200), f"hsl({n * 47 % 360}, 45%, 55%)")
    draw = ImageDraw.Draw(image)
    draw.text((110, 60), str(n), fill="white", font_size=72)
    draw.rectangle((0, 0, 40, 200), fill="black")
    exif = Image.Exif()
    exif[0x0112] = orientation
    held = io.BytesIO()
    image.save(held, "JPEG", exif=exif)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"


class LabellingService:
    """A service whose project has a labelling page; close it."""

    def __init__(self, folder: Path, *, guides: Mapping[str, Guide] | None = None) -> None:
        self.world = World(folder)
        self.world.loop.index()
        self.annotator = DeskAnnotator(f"sqlite:///{folder / 'answers.db'}")
        self.desk = DatabaseDesk(self.annotator.database, guides=guides)
        self.projects: dict[str, str] = {}
        self.lines: list[str] = []
        self.told: list[str] = []
        self._site = Site(self._open, tell=self.told.append, journal=Journal(to=lambda: self))
        self.app = application(self._site, worker_is_alive=lambda: True)
        self._server: uvicorn.Server | None = None

    @cached_property
    def url(self) -> str:
        """Where it listens, from now on."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, access_log=False))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, daemon=True
        )
        self._thread.start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    def client(self, name: str, *scopes: str, **headers: str) -> TestClient:
        """A person who asks without a socket."""
        made = TestClient(
            self.app,
            base_url="http://127.0.0.1:8500",
            client=("127.0.0.1", 50_000),
            headers={"Authorization": f"Bearer {self.add(name, *scopes)}", **headers},
        )
        if not scopes or "label" in scopes:
            made.headers["X-CSRF-Token"] = made.get("/label/session").json()["csrf"]
        return made

    def _open(self) -> Loop:
        settings = load(self.world.folder / "labelloop.toml", {})
        project = Project(
            settings,
            clock=SystemClock(),
            log=self.world.log,
            store=self.world.store,
            annotator=self.world.annotator,
            desk=self.desk,
        )
        return Loop(project)

    def write(self, text: str) -> None:
        self.lines.append(text)

    def flush(self) -> None:
        """As a file has it."""

    def queue(self, name: str, classes: Sequence[str], **spec: Any) -> None:
        """Make a queue; blind unless it shows something."""
        show = tuple(spec.pop("show", ()))
        made = ProjectSpec(
            title=name,
            marker=f"labelloop:l1/{name}",
            classes=tuple(classes),
            show=show,
            blind=not show,
            **spec,
        )
        self.projects[name] = self.annotator.create_project(made).project_ref

    def put(self, queue: str, inputs: Sequence[Mapping[str, object]]) -> list[str]:
        """Import tasks; their remote ids."""
        made = [
            TaskData(task_key=key, data={**data, "labelloop": key})
            for data in inputs
            for key in [uuid.uuid4().hex]
        ]
        return list(self.annotator.import_tasks(self.projects[queue], made))

    def pictures(self, queue: str, n: int, **extra: object) -> list[str]:
        """Import so many images."""
        return self.put(queue, [{"image": picture(i), **extra} for i in range(n)])

    def tasks(self, queue: str) -> list[RemoteTask]:
        """All tasks of a queue as steps see them."""
        pages = self.annotator.tasks(self.projects[queue])
        return [task for each in pages for task in each]

    def answers(self, queue: str) -> list[tuple[str, str]]:
        """Who said what, in the order of the tasks; a skip is an empty text."""
        return [
            (a.annotator, "".join(a.choices))
            for task in self.tasks(queue)
            for a in task.annotations
        ]

    def add(self, name: str, *scopes: str) -> str:
        """A person's token."""
        token = accounts.new_token()
        with self.world.loop.project.ledger.write_at_once() as tx:
            accounts.add(tx, name, scopes or SCOPES, token, at=self.world.clock.now())
        self._site._looked_at_s = -1e9
        return token

    def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join(10)
        self._site.close()
        self.annotator.close()
        self.world.loop.close()
