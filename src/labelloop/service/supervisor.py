"""Keeps the worker running, and tells it what people and webhooks ask for."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labelloop.service.journal import Journal
from labelloop.service.work import Work, heard
from labelloop.service.worker import START

GRACE_S = 20.0
"""How long a worker may take to end its present transaction; what is killed then is done again later."""
AGAIN_S = (1.0, 60.0)
"""The first and the longest wait before a worker that ended by itself is started again."""


@dataclass(frozen=True, slots=True)
class Supervised:
    """A project for the worker.

    name
        its name among several; empty where it is the only one
    own_url
        where an annotator reaches the service of the project; None: it can't
    """

    name: str
    config: Path
    own_url: str | None = None

    @property
    def arguments(self) -> tuple[str, str, str]:
        """What the worker is told of it."""
        return self.name, str(self.config), self.own_url or ""


class Supervisor:
    """One worker process for all projects, started again where it ends by itself."""

    def __init__(self, projects: Sequence[Supervised], journal: Journal) -> None:
        self._projects = list(projects)
        self._journal = journal
        self._process: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self._telling = threading.Lock()
        self._work: dict[str, Work] = {}
        self._watch = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._process = self._spawn()
        self._watch.start()

    def work(self, project: str = "") -> Work | None:
        """What the worker does in a project just now; None: nothing."""
        return self._work.get(project)

    def _hear(self, process: "subprocess.Popen[str]") -> None:
        """Hear what a worker says of its work, until it ends."""
        assert process.stdout is not None  # noqa: S101  it is a pipe
        for line in process.stdout:
            said = heard(line)
            if said is None:
                continue
            project, work = said
            if work is None:
                self._work.pop(project, None)
            else:
                self._work[project] = work
        self._work.clear()

    def add(self, project: Supervised) -> None:
        """Let one more project have a worker."""
        with self._telling:
            self._projects.append(project)
            self._say(f"{START} {json.dumps(project.arguments)}")

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._process is not None and self._process.poll() is None

    def tell(self, command: str, project: str = "") -> None:
        """Ask the worker for one of `worker.COMMANDS`; one that is down does what is due when it starts."""
        with self._telling:
            self._say(f"{command} {project}")

    def _say(self, line: str) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):
                process.stdin.write(f"{line}\n")
                process.stdin.flush()

    def stop(self) -> None:
        """Let the worker end after its present transaction; returns when it has ended."""
        self._ending.set()
        process = self._process
        if process is None or process.stdin is None:
            return
        with self._telling, suppress(OSError, ValueError):
            process.stdin.close()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._journal.line("worker killed", level="warning", because=f"it took {GRACE_S:g} s")
            process.kill()
            process.wait()

    def _spawn(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603  this program
            [
                *(sys.executable, "-m", "labelloop.service.worker"),
                *(
                    part
                    for p in self._projects
                    for part in (p.name, str(p.config), p.own_url or "")
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._hear, args=(process,), daemon=True).start()
        return process

    def _keep(self) -> None:
        wait_s = AGAIN_S[0]
        while not self._ending.is_set():
            assert self._process is not None  # noqa: S101  started before
            try:
                code = self._process.wait(60.0)
            except subprocess.TimeoutExpired:
                wait_s = AGAIN_S[0]
                continue
            if self._ending.is_set():
                return
            self._journal.line("worker ended", level="error", code=code, again_in_s=wait_s)
            if self._ending.wait(wait_s):
                return
            wait_s = min(2 * wait_s, AGAIN_S[1])
            with self._telling:
                self._process = self._spawn()
