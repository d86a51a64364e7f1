"""The process that does the verbs, so that requests never wait for one.

It is told what to do by lines on its standard input, and ends where that ends: with its parent.
"""

import queue
import signal
import sys
import threading
from pathlib import Path

from labelloop.core.due import VERBS
from labelloop.errors import LabelloopError, Stopped
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.service.schedule import Schedule

POLL_S = 2.0
"""How often the ledger and the clock are looked at."""
COALESCE_S = 1.0
"""How long hints are gathered before one collect answers them all."""
COMMANDS = ("run", "round", "collect", "notify", "reload", "stop")


class Worker:
    """Does what is due until it is told to end."""

    def __init__(self, config: Path, own_url: str | None) -> None:
        self._config = config
        self._own_url = own_url
        self._journal = Journal()
        self._told: queue.Queue[str] = queue.Queue()
        self._ending = threading.Event()

    def tell(self, command: str) -> None:
        """Take one of `COMMANDS`; it is done after the present verb."""
        if command == "stop":
            self._ending.set()
        self._told.put(command)

    def run(self) -> None:
        """Do what is due, until `stop`."""
        schedule = Schedule(self._open(), self._journal, own_url=self._own_url)
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

        def progress(what: str, done: int, total: int | None) -> None:  # noqa: ARG001  fixed by Progress
            if self._ending.is_set():
                raise Stopped

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


def main() -> None:
    """Run a worker for the settings file that the first argument names; the second is the service's URL."""
    worker = Worker(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which says stop
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so does that
    signal.signal(signal.SIGTERM, lambda *_: worker.tell("stop"))

    def listen() -> None:
        for line in sys.stdin:
            if line.strip() in COMMANDS:
                worker.tell(line.strip())
        worker.tell("stop")

    threading.Thread(target=listen, daemon=True).start()
    try:
        worker.run()
    except LabelloopError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
