"""Does each verb of one project when it is due. What is due is worked out anew each time."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import PurePath
from secrets import token_hex

from labelloop.core import due
from labelloop.core.due import VerbState
from labelloop.errors import AnnotatorError, LabelloopError, LeaseHeld, LedgerError, Stopped
from labelloop.ledger import pauses, rounds, verb_states
from labelloop.loop import Loop
from labelloop.service.journal import Journal
from labelloop.settings.service import hours
from labelloop.views import verbs as wording

ELSEWHERE = timedelta(seconds=5)
"""How long to wait for a verb that another process is doing."""


class Schedule:
    """The due-time loop of one project.

    Its memory is the ledger: two of them share the work, and one that was killed leaves nothing behind.
    While the ledger can't be written, it remembers by itself how its verbs ended.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        *,
        own_url: str | None = None,
        begin: Callable[[str], None] = lambda _verb: None,
    ) -> None:
        """`own_url`: where the annotator reaches the service; None: it can't.

        `begin` hears which verb begins, and "" when the last has ended.
        """
        self.loop = loop
        self._own_url = own_url
        self._journal = journal
        self._begin = begin
        self._unwritten: dict[str, VerbState] = {}
        self._elsewhere_until: dict[str, datetime] = {}

    def due(self, *, hinted: bool = False) -> tuple[str, ...]:
        """The verbs that are due now, in order; `hinted`: somebody said that there are new answers."""
        now, own = self.loop.project.clock.now(), self.loop.settings
        round_at: datetime | None = None
        held = False
        try:
            with self.loop.project.ledger_to_read.read() as tx:
                states = verb_states.every(tx)
                latest = rounds.latest(tx)
                paused = pauses.queues(tx)
            round_at = due.next_round_at(latest.created_at if latest else None, own.rounds.every)
            held = any(q.purpose == "evaluation" and q.name in paused for q in own.queue)
        except LabelloopError:  # it is said by the verb that then fails
            states = {}
        found = due.due_verbs(
            states | self._unwritten,
            every=own.service.run_every,
            now=now,
            round_at=round_at,
            held=held,
            hinted=hinted,
        )
        return tuple(v for v in found if not self._is_elsewhere(v, now))

    def do(self, verbs: tuple[str, ...], *, now: bool = False) -> dict[str, bool]:
        """Do these verbs; returns which of them succeeded. `now` draws a round even if none is due.

        A verb that fails doesn't stop the others, but for one: without `index` no round is drawn, as its
        traffic would be missing.

        Raises:
            Stopped: the process was told to end.
        """
        run = token_hex(4)
        done: dict[str, bool] = {}
        try:
            for verb in verbs:
                if verb == "select" and not done.get("index"):
                    self._journal.line("left out", run=run, verb=verb, because="index did not run")
                    continue
                self._begin(verb)
                done[verb] = self._do(verb, run, now=now)
                if verb == "send" and done[verb]:
                    self._announce(run)
        finally:
            self._begin("")
            self.loop.close()  # what changed outside is seen afresh by the next run
        return done

    def _do(self, verb: str, run: str, *, now: bool) -> bool:
        own = self.loop.settings
        began_at = self.loop.project.clock.now()
        quiet = due.is_quiet(
            began_at,
            hours(own.service.quiet_hours) if own.service.quiet_hours else None,
            own.project.timezone,
        )
        error: str | None = None
        remedy: str | None = None
        try:
            result = self.loop.do(verb, now=now, quiet=quiet)
        except LeaseHeld as exc:
            self._elsewhere_until[verb] = began_at + ELSEWHERE
            self._journal.line("elsewhere", run=run, verb=verb, because=exc.args[0])
            return False
        except Stopped:
            self._journal.line("stopped", run=run, verb=verb)
            raise
        except LabelloopError as exc:
            error, remedy = str(exc.args[0]), exc.remedy or None
        except Exception as exc:  # noqa: BLE001  a service goes on: it is shown, and tried again
            error = _told(exc)
        took_s = round((self.loop.project.clock.now() - began_at).total_seconds(), 3)
        if error is None:
            says = "nothing was due" if result is None else self._line(verb, result)
            self._journal.line("done", run=run, verb=verb, says=says, took_s=took_s)
        else:
            self._journal.line(
                "failed",
                level="error",
                run=run,
                verb=verb,
                error=error,
                remedy=remedy,
                took_s=took_s,
            )
        self._note(verb, error)
        return error is None

    def _announce(self, run: str) -> None:
        """Have the annotator say when answers come. Without that they are collected all the same."""
        if self._own_url is None:
            return
        try:
            self.loop.announce(f"{self._own_url}/webhooks/label-studio")
        except (AnnotatorError, LedgerError) as exc:
            self._journal.line(
                "not announced",
                level="warning",
                run=run,
                because=exc.args[0],
                remedy=exc.remedy or None,
            )

    def _line(self, verb: str, result: object) -> str:
        said = wording.line(verb, result, self.loop.settings.project.timezone)
        return said.replace("\n", "; ")

    def _note(self, verb: str, error: str | None) -> None:
        """Remember how a verb ended: in the ledger, or here until it can be written."""
        at = self.loop.project.clock.now()
        before = self._unwritten.get(verb) or self._state(verb)
        if error is None:
            state = VerbState(succeeded_at=at, failed_at=before.failed_at)
        else:
            n = before.n_failures + 1
            state = replace(before, failed_at=at, n_failures=n, error=error)
        self._unwritten[verb] = state
        try:
            with self.loop.project.ledger.write_at_once() as tx:
                for name, each in self._unwritten.items():
                    verb_states.put(tx, name, each)
        except (LabelloopError, Stopped):
            return
        self._unwritten.clear()

    def _state(self, verb: str) -> VerbState:
        try:
            with self.loop.project.ledger_to_read.read() as tx:
                return verb_states.every(tx).get(verb, VerbState())
        except LabelloopError:
            return VerbState()

    def _is_elsewhere(self, verb: str, now: datetime) -> bool:
        until = self._elsewhere_until.get(verb)
        return until is not None and now < until <= now + ELSEWHERE


def _told(exc: Exception) -> str:
    """An error that nobody expected: its kind and where it came from. Its text might hold a key."""
    frames = traceback.extract_tb(exc.__traceback__)
    at = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    said = f": {exc.strerror}" if isinstance(exc, OSError) and exc.strerror else ""
    return f"{type(exc).__name__}{said}{at}"
