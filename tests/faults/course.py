"""A course of the loop behind the proxy: faults befall its requests, and its end is compared."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from socket import create_connection
from types import TracebackType
from typing import Self

from labelloop.loop import open_loop
from tests.chaos.trial import Course, End, Later, Stage, in_child
from tests.faults.proxy import Fault, Seen

LABEL_STUDIO, S3 = 0, 1
TRIES = 6
"""How often a stage is run until it succeeds: the faults are over before."""


class Proxies:
    """The process that stands before the servers."""

    def __init__(self, *urls: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.proxy", *urls],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        *ports, control = json.loads(self._process.stdout.readline())
        self.urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
        self._socket = create_connection(("127.0.0.1", control))
        self._control = self._socket.makefile("rw")

    def plan(self, faults: Sequence[Fault]) -> None:
        """Let these befall what comes from now on, counted from here."""
        self._command([asdict(fault) for fault in faults])

    def seen(self) -> list[Seen]:
        """The requests since the last plan."""
        return self._command(None)

    def _command(self, what: object) -> list[Seen]:
        self._control.write(json.dumps(what) + "\n")
        self._control.flush()
        return [Seen(**found) for found in json.loads(self._control.readline())]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._control.close()
        self._socket.close()
        self._process.terminate()
        self._process.communicate()


@dataclass
class Passed:
    """What a course came to: its end, what befell it, and what the runs said."""

    end: End
    seen: list[list[Seen]] = field(default_factory=list)
    """The requests, by stage."""
    points: dict[int, list[str]] = field(default_factory=dict)
    """Where each stage's last run could have been killed."""
    errors: list[str] = field(default_factory=list)
    """The explained errors with which runs ended."""

    @property
    def faults(self) -> list[Seen]:
        """The requests that went wrong."""
        return [seen for stage in self.seen for seen in stage if seen.kind]


def outcome(end: End) -> End:
    """An end without the dataset versions before the newest: a run that fails in part releases one more."""
    newest = {row[0]: (row[0], row[2], row[3]) for row in end.datasets}
    return replace(end, datasets=tuple(newest.values()))


def play(course: Course, proxies: Proxies, plan: Sequence[Sequence[Fault]]) -> Passed:
    """Carry a course out with the faults of each stage; a stage that fails is run again.

    Raises:
        AssertionError: a run ended otherwise than with an explained error, or never succeeds.
    """
    seen: list[list[Seen]] = []
    errors: list[str] = []
    points: dict[int, list[str]] = {}

    def run(i: int, stage: Stage, folder: Path) -> None:
        proxies.plan(plan[i])
        for _ in range(TRIES):
            said, points[i] = attempt(folder, stage)
            errors.extend(said)
            if not said:
                break
        else:
            raise AssertionError(f"run {i + 1} never succeeds: {said}")
        seen.append(proxies.seen())

    return Passed(course.play(run), seen, points, errors)


def attempt(folder: Path, stage: Stage) -> tuple[list[str], list[str]]:
    """The explained errors of one `labelloop run`, in a process of its own, and the points it reached."""
    note = folder / "failures.json"

    def run(_: Path) -> None:
        with open_loop(folder / "labelloop.toml", clock=Later(stage.ahead)) as loop:
            failures = loop.run(now=stage.close_round).failures
        note.write_text(json.dumps([f"{verb}: {error}" for verb, error in failures.items()]))

    _, points = in_child(folder, run)
    return json.loads(note.read_text()), points
