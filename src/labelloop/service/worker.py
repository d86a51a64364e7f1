"""The process that does the verbs, so that requests never wait for one.

It is told what to do by lines on its standard input, and ends where that ends: with its parent. Several
projects have a thread each: most of a process's memory is what it imports, which they share.
"""

import json
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from labelloop.core.due import VERBS
from labelloop.errors import LabelloopError, Stopped
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.service.schedule import Schedule
from labelloop.service.work import Saying

POLL_S = 2.0
"""How often the ledger and the clock are looked at."""
COALESCE_S = 1.0
"""How long hints are gathered before one collect answers them all."""
START = "start"
"""Let one more project have a worker: its name, its settings file and the service's URL, as JSON."""
COMMANDS = ("run", "round", "collect", "notify", "reload")
AGAIN_S = 30.0
"""How long one of several projects rests that can't be opened, or whose worker failed."""


class Worker:
    """Does what is due in one project until it is told to end."""

    def __init__(self, config: Path, own_url: str | None, *, name: str = "") -> None:
        """`name`: the project's among several."""
        self._config = config
        self._own_url = own_url
        self._journal = Journal(project=name)
        self._saying = Saying(name)
        self._told: queue.Queue[str] = queue.Queue()
        self._ending = threading.Event()

    def tell(self, command: str) -> None:
        """Take one of `COMMANDS`; it is done after the present verb."""
        self._told.put(command)

    def stop(self) -> None:
        """End before the next transaction that writes."""
        self._ending.set()
        self._told.put("stop")

    def keep_running(self) -> None:
        """Do what is due until `stop`; a project that fails is tried again later, for others go on."""
        while not self._ending.is_set():
            try:
                self.run()
            except LabelloopError as exc:
                self._journal.line(
                    "failed", level="error", error=str(exc.args[0]), remedy=exc.remedy or None
                )
            except Exception as exc:  # noqa: BLE001  others go on: it is said, and tried again
                self._journal.line("failed", level="error", error=type(exc).__name__)
            self._ending.wait(AGAIN_S)

    def run(self) -> None:
        """Do what is due, until `stop`.

        Raises:
            LabelloopError: the project can't be opened.
        """
        schedule = Schedule(
            self._open(), self._journal, own_url=self._own_url, begin=self._saying.begin
        )
        try:
            while not self._ending.is_set():
                schedule = self._turn(schedule)
        except Stopped:
            pass
        finally:
            schedule.loop.close()
            self._journal.line("ended")

    def _turn(self, schedule: Schedule) -> Schedule:
        """Do what is due or asked for, or wait a moment for it."""
        asked = self._asked(POLL_S)
        if "reload" in asked:
            schedule = self._reloaded(schedule)
        if "run" in asked or "round" in asked:
            verbs = VERBS if "round" in asked else tuple(v for v in VERBS if v != "select")
            schedule.do(self._with_due_round(schedule, verbs), now="round" in asked)
        elif "notify" in asked:
            schedule.do(("notify",))
        elif verbs := schedule.due(hinted="collect" in asked):
            schedule.do(verbs)
        else:
            schedule.loop.close()
        return schedule

    def _with_due_round(self, schedule: Schedule, verbs: tuple[str, ...]) -> tuple[str, ...]:
        chosen = {*verbs, *schedule.due()}
        return tuple(v for v in VERBS if v in chosen)

    def _asked(self, wait_s: float) -> set[str]:
        """What was told meanwhile; hints that follow one another are gathered for a second."""
        asked: set[str] = set()
        try:
            asked.add(self._told.get(timeout=wait_s))
            if asked == {"collect"}:
                self._ending.wait(COALESCE_S)
            while True:
                asked.add(self._told.get_nowait())
        except queue.Empty:
            return asked

    def _open(self) -> Loop:
        """The project, whose verbs stop between two transactions once the process is told to end.

        Raises:
            ConfigError: the settings can't be read.
        """

        def progress(what: str, done: int, total: int | None) -> None:
            if self._ending.is_set():
                raise Stopped
            self._saying.progress(what, done, total)

        project = Project.open(
            self._config,
            progress=progress,
            warn=lambda text: self._journal.line("warning", level="warning", says=text),
            stop_when=self._ending.is_set,
        )
        self._journal.as_json = project.settings.service.log == "json"
        return Loop(project)

    def _reloaded(self, schedule: Schedule) -> Schedule:
        try:
            loop = self._open()
        except LabelloopError as exc:
            self._journal.line(
                "settings kept",
                level="error",
                because=f"the file can't be used: {exc.args[0]}",
                remedy=exc.remedy,
            )
            return schedule
        schedule.loop.close()
        schedule.loop = loop
        self._journal.line("settings read")
        return schedule


class Workers:
    """The workers of several projects, each in a thread."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()

    def start(self, name: str, config: str, own_url: str) -> None:
        """Let a project have a worker from now on."""
        if name in self._workers or self._ending.is_set():
            return
        worker = self._workers[name] = Worker(Path(config), own_url or None, name=name)
        thread = threading.Thread(target=worker.keep_running)
        self._threads.append(thread)
        thread.start()

    def tell(self, command: str, name: str) -> None:
        """Tell the worker of a project."""
        if name in self._workers:
            self._workers[name].tell(command)

    def stop(self) -> None:
        """Let all of them end."""
        self._ending.set()
        for each in self._workers.values():
            each.stop()

    def wait(self) -> None:
        """Return when all have ended."""
        self._ending.wait()
        for thread in self._threads:
            thread.join()


def main() -> None:
    """Run a worker for each three arguments: a project's name, its settings file, and the service's URL.

    A project that has no name is the only one, and its worker the main thread.
    """
    given = sys.argv[1:]
    if given[:1] == [""]:
        _work_alone(Worker(Path(given[1]), given[2] or None))
        return
    workers = Workers()
    _listen(workers.tell, workers.start, workers.stop)
    for name, config, own_url in zip(given[::3], given[1::3], given[2::3], strict=True):
        workers.start(name, config, own_url)
    workers.wait()


def _work_alone(worker: Worker) -> None:
    _listen(lambda command, _: worker.tell(command), lambda *_: None, worker.stop)
    try:
        worker.run()
    except LabelloopError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(1)


def _listen(
    tell: Callable[[str, str], None],
    start: Callable[[str, str, str], None],
    stop: Callable[[], None],
) -> None:
    """Hear what the parent says, in a thread, until it says no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which says stop
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so does that
    signal.signal(signal.SIGTERM, lambda *_: stop())

    def listen() -> None:
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            if command in COMMANDS:
                tell(command, rest)
            elif command == START:
                start(*json.loads(rest))
        stop()

    threading.Thread(target=listen, daemon=True).start()


if __name__ == "__main__":
    main()
