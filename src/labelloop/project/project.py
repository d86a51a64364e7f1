"""Project: one labelloop.toml, and what it names, each opened when it is first needed."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from labelloop.adapters.system_clock import SystemClock
from labelloop.core.remote_id import is_of_page
from labelloop.core.token import receiver_key
from labelloop.errors import LedgerError, without_frames
from labelloop.ledger import Ledger, classes, pauses
from labelloop.ledger.database import Identity
from labelloop.ports.clock import silent
from labelloop.project import adapters
from labelloop.settings.file import FILE_NAME, load
from labelloop.settings.settings import Settings
from labelloop.steps.prepare import prepare, refuse_lost, refuse_other_project

if TYPE_CHECKING:
    from pydantic import SecretStr

    from labelloop.adapters.desk.annotator import DeskAnnotator
    from labelloop.adapters.notifications.folder import NotificationFolder
    from labelloop.adapters.s3.store import S3Store
    from labelloop.core.queue import Queue
    from labelloop.doctor.subject import LogFiles
    from labelloop.ports.annotator import Annotator, BucketAccess
    from labelloop.ports.clock import Clock, Progress
    from labelloop.ports.desk import Desk
    from labelloop.ports.log import PredictionLog
    from labelloop.ports.notifications import Notifications
    from labelloop.ports.receiver import Receiver
    from labelloop.ports.source import Source
    from labelloop.ports.store import Store
    from labelloop.steps.notify.notify import Subscribed

T = TypeVar("T")

FOR_MLFLOW = ("dataset.built", "accuracy.measured", "candidate.promoted")
"""The events that [mlflow] hears of."""


class Project:
    """The ledger, the log, the store, the source and the annotator of one project.

    Store, log, annotator, desk, source, notifications and receivers, each with the events that it hears of,
    can be handed in, as `labelloop.testing` offers them in memory.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: "Clock | None" = None,
        progress: "Progress" = silent,
        warn: Callable[[str], None] = lambda _text: None,
        store: "Store | None" = None,
        log: "PredictionLog | None" = None,
        annotator: "Annotator | None" = None,
        desk: "Desk | None" = None,
        source: "Source | None" = None,
        notifications: "Notifications | None" = None,
        receivers: "Sequence[tuple[Receiver, Sequence[str]]] | None" = None,
        stop_when: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self._stop_when = stop_when
        self.clock: Clock = clock or SystemClock()
        self.progress = progress
        self._warn = warn
        self._store = store
        self._log = log
        self._annotator = annotator
        self._desk = desk
        self._source = source
        self._notifications = notifications
        self._receivers = receivers
        self._to_read: Ledger | None = None
        self._log_opened: list[PredictionLog] = []
        self._opened: list[object] = []

    @classmethod
    def open(
        cls,
        path: str | Path = FILE_NAME,
        *,
        clock: "Clock | None" = None,
        progress: "Progress" = silent,
        warn: Callable[[str], None] = lambda _text: None,
        parse_conditions: bool = True,
        stop_when: Callable[[], bool] = lambda: False,
    ) -> Self:
        """The project that the labelloop.toml at `path` describes.

        `warn` is told what isn't wrong, and likely isn't meant. `parse_conditions`: whether each `where`
        is checked now, or when `queues` are first needed. `stop_when`: once that is True, the ledger
        begins no transaction that writes.

        Raises:
            ConfigError: the file is missing, or holds what can't be used.
        """
        settings = load(Path(path), parse_conditions=parse_conditions)
        return cls(settings, clock=clock, progress=progress, warn=warn, stop_when=stop_when)

    @cached_property
    def queues(self) -> "tuple[Queue, ...]":
        """The queues, evaluation first, else in the order of the file."""
        return self.settings.queues()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close everything; what is needed again is opened again."""
        for name, attribute in vars(type(self)).items():
            if isinstance(attribute, cached_property):
                self.__dict__.pop(name, None)
        self._to_read = None
        self._log_opened.clear()
        for opened in reversed(self._opened):
            close = getattr(opened, "close", None)
            if close is not None:
                close()
        self._opened.clear()

    def _keep(self, opened: T) -> T:
        """What was opened, to be closed with the project."""
        self._opened.append(opened)
        return opened

    # --- the ledger -------------------------------------------------------------------------------

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, to be written: created or migrated where needed, and made ready for the settings.

        Raises:
            LedgerError: the ledger is new and the log isn't: the ledger was lost. Or it is another
                project's.
        """
        ledger = self._open_ledger()
        if self._log is not None and ledger.identity() is None:
            ledger.create_identity(Identity(self._log.ledger_id, self._log.salt))
        prepare(
            ledger,
            self.settings,
            log_identity=self.log_identity,
            now=self.clock.now(),
            warn=self._warn,
            receivers=lambda: self._receiver_keys(ledger),
        )
        ledger.stop_when(self._stop_when)
        return ledger

    @property
    def ledger_to_read(self) -> Ledger:
        """The ledger as it is, which nothing is written to; an empty one where none was made yet.

        It needs neither keys nor servers, but for a ledger in PostgreSQL.

        Raises:
            LedgerError: it is of another version, was lost or moved, or is another project's.
        """
        if self._to_read is None:
            self._to_read = self._open_to_read()
        return self._to_read or self._keep(Ledger.empty())

    def _open_to_read(self) -> Ledger | None:
        with without_frames():
            ledger = Ledger.read_only(self.settings.state.ledger.get_secret_value())
        if ledger is None:
            if self._log is None and adapters.log_is_at_hand(self.settings):
                refuse_lost(self.log_identity(), self.settings.state.warehouse)
            return None
        with self._keep(ledger).read() as tx:
            refuse_other_project(tx, self.settings)
        ledger.read_with(self.settings.answers())
        return ledger

    @property
    def ledger_id(self) -> str:
        """The ledger's identity, as the log has it and as tasks carry it."""
        identity = self.ledger.identity()
        assert identity is not None  # noqa: S101  it is prepared
        return identity.ledger_id

    def existing_ledger(self) -> Ledger | None:
        """The ledger as it is; None where none was made yet."""
        with without_frames():
            ledger = Ledger.look(self.settings.state.ledger.get_secret_value())
        return ledger and self._keep(ledger)

    def ledger_to_move(self) -> Ledger:
        """The ledger as it is.

        Raises:
            LedgerError: there is none yet.
        """
        source = self.existing_ledger()
        if source is None or source.identity() is None:
            raise LedgerError(
                "there is no ledger to move yet",
                remedy="set [state] ledger to the new place: the first run creates the ledger there",
            )
        return source

    def catalog_file(self) -> Path | None:
        """The file of the log's catalog; None where it is kept elsewhere."""
        return _file(self.settings.state.catalog.get_secret_value())

    def other_files(self) -> "Mapping[str, Path | None]":
        """By their names in a backup: the files of the log's catalog and of the answers; None: no file."""
        from labelloop.steps.backup import ANSWERS, CATALOG

        page = self.settings.labelling_page
        files = {CATALOG: self.catalog_file()}
        return files if page is None else files | {ANSWERS: _file(page.answers.get_secret_value())}

    def ledger_at(self, url: str) -> Ledger:
        """Another ledger, created where there is none."""
        return self._keep(Ledger.open(url))

    def ledger_to_rebuild(self) -> "tuple[Ledger, PredictionLog]":
        """The ledger, without an identity where it was lost, and the log that can fill it.

        Raises:
            LedgerError: there is no log whose identity it could take.
        """
        found = self.log_identity()
        if found is None:
            raise LedgerError(
                f"there is no prediction log at {self.settings.state.warehouse}, and only the log "
                "has the id and the salt that the ledger needs",
                remedy="first restore the prediction log and its catalog ([state] warehouse and catalog)",
            )
        ledger = self._open_ledger()
        return ledger, self._log or self._keep(adapters.log(self.settings, found))

    def paused(self) -> frozenset[str]:
        """The names of the queues that are paused."""
        with self.ledger.read() as tx:
            return pauses.queues(tx)

    def _open_ledger(self) -> Ledger:
        with without_frames():
            return self._keep(Ledger.open(self.settings.state.ledger.get_secret_value()))

    def renamed(self) -> Mapping[str, str]:
        """Each old name of a class, and what it counts as now."""
        with self.ledger.read() as tx:
            return classes.renamed(tx)

    def renamed_so_far(self) -> Mapping[str, str]:
        """What `renamed` will say, without making a ledger where there is none."""
        ledger = self.existing_ledger()
        if ledger is None:
            return self.settings.answers().renamed
        ledger.read_with(self.settings.answers())
        with ledger.read() as tx:
            return classes.renamed(tx)

    # --- the prediction log -----------------------------------------------------------------------

    @cached_property
    def log(self) -> "PredictionLog":
        """The prediction log, created where it is absent."""
        identity = self.ledger.identity()
        assert identity is not None  # noqa: S101  it is prepared
        log = self._log or self._keep(adapters.log(self.settings, identity))
        log.read_as(self.renamed())
        return log

    @property
    def log_to_read(self) -> "PredictionLog | None":
        """The prediction log as it is; None where none was made yet.

        Raises:
            LogError: it can't be reached.
        """
        if self._log is None and not self._log_opened:
            identity = self.ledger_to_read.identity()
            if identity is None or self.log_identity() is None:
                return None
            self._log_opened.append(self._keep(adapters.log(self.settings, identity)))
        log = self._log or self._log_opened[0]
        with self.ledger_to_read.read() as tx:
            log.read_as(classes.renamed(tx))
        return log

    def log_identity(self) -> Identity | None:
        """The identity of the ledger that writes the log; None where there is no log yet."""
        if self._log is not None:
            return Identity(self._log.ledger_id, self._log.salt)
        return adapters.log_identity(self.settings)

    def log_files(self) -> "LogFiles | None":
        """The log's files, one by one; None where it doesn't lie in files."""
        return None if self._log is not None else self._keep(adapters.log_files(self.settings))

    def check_engine(self) -> None:
        """Raise what stands in the way of the engine that the settings name."""
        spark = adapters.spark(self.settings.engine)
        if spark is not None:
            spark.check()

    # --- inputs and people ------------------------------------------------------------------------

    @cached_property
    def store(self) -> "Store":
        """The store of the inputs."""
        own = self.settings.store
        if self._store is not None:
            return adapters.moved(self._store, own)
        return adapters.moved(adapters.store(own) if own.is_folder else self._s3_store, own)

    @cached_property
    def _s3_store(self) -> "S3Store":
        return self._keep(adapters.s3_store(self.settings.store))

    @cached_property
    def notifications(self) -> "Notifications | None":
        """What the bucket says of its objects by itself, where the settings say where."""
        own = self.settings.store
        if self._notifications is not None or own.notifications is None:
            return self._notifications
        return adapters.notifications(own.notifications, self._s3_store, own)

    @cached_property
    def notification_folder(self) -> "NotificationFolder | None":
        """Where the bucket's notifications are appended; None if the settings name no folder."""
        return adapters.notification_folder(self.settings.store, self.clock)

    @cached_property
    def source(self) -> "Source | None":
        """The table of predictions, where the settings name one."""
        own = self.settings.source
        if self._source is not None or own is None:
            return self._source
        return self._keep(adapters.source(own, self.settings.store))

    @cached_property
    def annotator(self) -> "Annotator":
        """Where people label."""
        if self._annotator is not None:
            return self._annotator
        own = self.settings
        if own.labelling_page is None:
            return self._label_studio
        if own.label_studio is None:
            return self._page
        from labelloop.project.both import BothAnnotators

        return BothAnnotators(self._label_studio, self._page, on_page=own.on_page())

    @cached_property
    def _label_studio(self) -> "Annotator":
        own = self.settings.label_studio
        assert own is not None  # noqa: S101  the settings name this or the labelling page
        return self._keep(adapters.label_studio(own))

    @cached_property
    def _page(self) -> "DeskAnnotator":
        return self._keep(adapters.labelling_page(self.settings, self.clock))

    @cached_property
    def desk(self) -> "Desk | None":
        """The labelling page's state; None where the settings name no labelling page."""
        if self._desk is not None or self.settings.labelling_page is None:
            return self._desk
        return adapters.desk(self._page, self.settings)

    def task_page(self, project_ref: str, remote_id: str) -> str | None:
        """Where a person opens a task; None while the annotator's address isn't known."""
        if self._annotator is not None:
            return self._annotator.task_url(project_ref, remote_id)
        own = self.settings
        if own.label_studio is None or is_of_page(remote_id):
            return f"{own.service.base_url or ''}/label#{remote_id}"
        return adapters.label_studio_page(own.label_studio, project_ref, remote_id)

    @cached_property
    def receivers(self) -> "tuple[Subscribed, ...]":
        """Who hears of events."""
        from labelloop.steps.notify.notify import Subscribed

        if self._receivers is not None:
            return tuple(
                Subscribed(f"in memory {number}", tuple(on), receiver)
                for number, (receiver, on) in enumerate(self._receivers)
            )
        own, key = self.settings, _receiver_key(self.ledger_to_read)
        found = [
            Subscribed(key(n.url), tuple(n.on), adapters.receiver(n, own.project.name))
            for n in own.notify
        ]
        if own.mlflow is not None:
            to = adapters.mlflow(own.mlflow, own.project.name, self._report_page)
            found.append(Subscribed(key(own.mlflow.url), FOR_MLFLOW, to))
        return tuple(found)

    def _report_page(self) -> bytes | None:
        """The report as the last run kept it."""
        from labelloop.pages.report import page
        from labelloop.views import kept_report

        kept = kept_report.kept(self.ledger_to_read, inputs=None)
        return None if kept is None else page(kept).encode("utf-8", "replace")

    def _receiver_keys(self, ledger: Ledger) -> list[str]:
        """What the ledger calls each receiver; none of one whose variables aren't set."""
        if self._receivers is not None:
            return [f"in memory {number}" for number in range(len(self._receivers))]
        key = _receiver_key(ledger)
        named = [n for n in (*self.settings.notify, self.settings.mlflow) if n is not None]
        return [key(n.url) for n in named if not any(n.unset())]

    def bucket_access(self, uri: str | None) -> "BucketAccess":
        """How the annotator opens the bucket of a URI; that of the inputs for None."""
        return adapters.bucket_access(self.settings.store, uri)


def _receiver_key(ledger: Ledger) -> "Callable[[SecretStr], str]":
    """How a ledger calls the receiver at a URL."""
    identity = ledger.identity()
    salt = identity.salt if identity else b""
    return lambda url: receiver_key(url.get_secret_value(), salt=salt)


def _file(url: str) -> Path | None:
    """The file of a SQLite database; None where it is another."""
    start = "sqlite:///"
    return Path(url.removeprefix(start)) if url.startswith(start) else None
