"""What the worker is at work on: it says so in lines of JSON on its standard output."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TextIO

EVERY_S = 0.25
"""How often a project says how far it is."""


@dataclass(frozen=True, slots=True)
class Work:
    """A verb that is being done, and how far its present part is; `total` None: that isn't known."""

    verb: str
    what: str = ""
    done: int = 0
    total: int | None = None


class Saying:
    """Says what the worker of a project does, as it goes on; nobody need listen."""

    def __init__(self, project: str, to: Callable[[], TextIO] = lambda: sys.stdout) -> None:
        self._project = project
        self._to = to
        self._work: Work | None = None
        self._said_s = 0.0

    def begin(self, verb: str) -> None:
        """A verb begins; "" ends the one before."""
        self._work = Work(verb) if verb else None
        self._say()

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Hear how far it is."""
        if self._work is None or time.monotonic() - self._said_s < EVERY_S:
            return
        self._work = replace(self._work, what=what, done=done, total=total)
        self._say()

    def _say(self) -> None:
        self._said_s = time.monotonic()
        held = {"project": self._project, "work": self._work and asdict(self._work)}
        try:
            print(json.dumps(held), file=self._to(), flush=True)
        except (OSError, ValueError):
            return  # nobody listens: the work goes on


def heard(line: str) -> tuple[str, Work | None] | None:
    """The project and the work of a line; None: it is no such line.

    >>> heard('{"project": "pets", "work": {"verb": "index", "what": "listed", "done": 7, "total": null}}')
    ('pets', Work(verb='index', what='listed', done=7, total=None))
    >>> heard("nonsense")
    """
    try:
        held = json.loads(line)
        return held["project"], Work(**held["work"]) if held["work"] else None
    except (ValueError, KeyError, TypeError):
        return None
