"""The project as requests see it: read-only, beside the worker that changes it."""

import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from labelloop.core import due
from labelloop.core.token import form_secret
from labelloop.errors import LabelloopError, LedgerError
from labelloop.ledger import Ledger, Transaction, accounts, sessions
from labelloop.ledger.accounts import Account
from labelloop.ledger.sessions import Session
from labelloop.loop import Loop
from labelloop.service.journal import Journal
from labelloop.service.work import Work
from labelloop.settings.service import hours
from labelloop.settings.settings import Settings
from labelloop.views.service import ServiceState, service_state
from labelloop.web.background import Background, Made

if TYPE_CHECKING:
    from labelloop.ledger.database import Identity

T = TypeVar("T")

FRESH_S = 2.0
"""How long the accounts and the ledger's version are taken as they were."""
KEPT_S = 2.0
"""How long a result is given to everybody who asks for the same."""

QUICK_S, OLDEST_S = 0.1, 60.0
"""How long a new result is waited for where the one before will do, and how old that may be."""


class Site:
    """One project for many requests at a time. No request waits for a verb, nor for a writer."""

    def __init__(
        self,
        open_loop: Callable[[], Loop],
        *,
        tell: Callable[[str], None],
        journal: Journal,
        below: str = "",
        work: Callable[[], Work | None] = lambda: None,
        ending: threading.Event | None = None,
    ) -> None:
        """`open_loop` reads the settings; `tell` reaches the worker, and `work` says what it does.

        ending
            set once the process is told to end
        below
            where the project lies among several, such as `/p/pets`

        Raises:
            ConfigError: the settings can't be read.
        """
        self._open_loop = open_loop
        self._loop = open_loop()
        self._tell = tell
        self._below = below
        self._work = work
        self.ending = ending or threading.Event()
        self.journal = journal
        self._opening = threading.Lock()
        self._looked_at_s = -FRESH_S
        self._accounts: dict[str, Account] | None = None
        self._sessions: dict[str, Session] = {}
        self._identity: Identity | None = None
        self._secret = secrets.token_bytes(16)
        self._keeping = threading.Lock()
        self._kept: dict[str, tuple[float, object]] = {}
        self._behind: Background[object] = Background()
        self._n_writes = 0
        self._making: dict[str, threading.Lock] = {}

    @property
    def settings(self) -> Settings:
        """The settings as they were last read."""
        return self._loop.settings

    @property
    def prefix(self) -> str:
        """The path at which browsers find the project; empty for the root."""
        public_url = self.settings.service.public_url
        return urlsplit(public_url).path if public_url else self._below

    @property
    def outer_prefix(self) -> str:
        """The path at which browsers find the service: all of its projects, where it has several."""
        return self.prefix.removesuffix(self._below)

    @property
    def is_one_of_several(self) -> bool:
        """Whether the service has several projects, each with a path of its own."""
        return bool(self._below)

    def loop(self) -> Loop:
        """The project, whose ledger is open for reading, and of this version.

        Raises:
            LedgerError: it can't be read, is of another version, or was moved.
        """
        with self._opening:
            if time.monotonic() - self._looked_at_s >= FRESH_S:
                if not self._loop.project.ledger_to_read.is_current():
                    self._loop.close()  # it was made, migrated or moved meanwhile
                with self._loop.project.ledger_to_read.read() as tx:
                    self._accounts = accounts.by_token_hash(tx)
                    self._sessions = sessions.by_cookie_hash(tx)
                if self._identity is None:
                    self._identity = self._loop.project.ledger_to_read.identity()
                self._looked_at_s = time.monotonic()
            return self._loop

    def now(self) -> datetime:
        """The present instant, by the project's clock."""
        return self._loop.project.clock.now()

    def own_loop(self) -> Loop:
        """The project, opened anew for who writes to it; close it."""
        return self._open_loop()

    def accounts(self) -> dict[str, Account]:
        """Who has a token, by its hash.

        Raises:
            LedgerError: the ledger can't be read, and never could.
        """
        try:
            self.loop()
        except LabelloopError:
            if self._accounts is None:
                raise
        assert self._accounts is not None  # noqa: S101  read by now
        return self._accounts

    def session(self, cookie_hash: str) -> Session | None:
        """The session of a cookie, if it hasn't ended, nor its account been excluded or given anew since."""
        found = self._sessions.get(cookie_hash)
        if found is None or not found.began_at <= self.now() < found.ends_at:
            return None
        account = self.account(found.account)
        return found if account is not None and account.added_at <= found.began_at else None

    def account(self, name: str) -> Account | None:
        """The account of this name, if it isn't excluded."""
        held = (self._accounts or {}).values()
        return next((a for a in held if a.name == name and a.excluded_at is None), None)

    def forget_results(self) -> None:
        """Make every result anew for who asks next."""
        self._n_writes += 1
        self._kept.clear()

    def look_again(self) -> None:
        """Read accounts and sessions afresh for the next request: they changed."""
        self._looked_at_s = -FRESH_S

    @property
    def ledger_id(self) -> str:
        """The ledger's name; empty while there is none."""
        return "" if self._identity is None else self._identity.ledger_id

    def secret(self) -> bytes:
        """What proofs of forms are made with: the same in every process that serves this ledger."""
        held = self._identity
        return form_secret(held.ledger_id, salt=held.salt).encode() if held else self._secret

    def kept(self, name: str, make: Callable[[Loop], T]) -> T:
        """A result, made once for all who ask within two seconds.

        Raises:
            LabelloopError: as `make` does.
        """
        with self._keeping:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            at_s, held = self._kept.get(name, (-KEPT_S, None))
            if time.monotonic() - at_s < KEPT_S:
                return held  # type: ignore[return-value]  # made by the same function
            found = make(self.loop())
            self._kept[name] = time.monotonic(), found
            return found

    def lately(self, name: str, make: Callable[[Loop], T]) -> T:
        """A result that may be up to a minute old where it takes long: it is made anew behind those who ask.

        Never one from before this service's own last write.

        Raises:
            LabelloopError: as `make` does.
        """

        def look(wait_s: float) -> Made[object]:
            return self._behind.look(
                (name, self._n_writes),
                lambda: make(self.loop()),
                fresh_s=KEPT_S,
                oldest_s=OLDEST_S,
                wait_s=wait_s,
            )

        made = look(QUICK_S)
        while made.running and made.result is None:
            made = look(60.0)
        if made.error is not None:
            raise made.error
        return made.result  # type: ignore[return-value]  # made by the same function

    def service_state(self) -> ServiceState:
        """What the verbs did last, and what is paused."""
        loop = self.loop()
        own = loop.settings
        quiet = own.service.quiet_hours
        return service_state(
            loop.project.ledger_to_read,
            every=own.service.run_every,
            quiet=due.is_quiet(
                loop.project.clock.now(), hours(quiet) if quiet else None, own.project.timezone
            ),
        )

    def work(self) -> Work | None:
        """The verb that is being done, by this service's worker or by another process; None: none."""
        own = self._work()
        if own is not None:
            return own
        try:
            elsewhere = self.kept("running", lambda loop: loop.project.ledger_to_read.running())
        except LabelloopError:
            return None
        return next((Work(verb) for verb in elsewhere), None)

    def ask(self, command: str, *, by: str) -> None:
        """Let the worker do something, and say who asked for it."""
        self.journal.line("asked", command=command, by=by)
        self._tell(command)

    def hint(self) -> None:
        """Let the worker collect soon."""
        self._tell("collect")

    def write(self, change: Callable[[Transaction, datetime], T], *, shows: bool = True) -> T:
        """Change the ledger, in one short transaction that waits for the writer before it.

        Returns what `change` does.

        shows
            whether pages show the change at once: every kept result is made anew then

        Raises:
            LedgerError: there is no ledger yet, or it can't be written.
        """
        ledger = Ledger.look(self.settings.state.ledger.get_secret_value())
        if ledger is None:
            raise LedgerError(
                "there is no ledger yet", remedy="wait until the first index has ended"
            )
        try:
            with ledger.write_at_once() as tx:
                return change(tx, self.now())
        finally:
            ledger.close()
            if shows:
                self.forget_results()

    def reload(self) -> bool:
        """Read the settings again, and let the worker do so; a broken file keeps the old ones."""
        self._tell("reload")
        try:
            loop = self._open_loop()
        except LabelloopError as exc:
            self.journal.line(
                "settings kept", level="error", because=str(exc.args[0]), remedy=exc.remedy
            )
            return False
        with self._opening:
            old, self._loop = self._loop, loop
            self._looked_at_s = -FRESH_S
        old.close()
        return True

    def close(self) -> None:
        """Close every connection."""
        self._loop.close()
