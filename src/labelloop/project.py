"""Connections: what the settings name, opened when it is first needed. The only place that wires adapters."""

import time
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from labelloop.errors import LedgerError, without_frames
from labelloop.ledger import Ledger, classes, rejects
from labelloop.settings.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from labelloop.adapters.s3.access import S3Access
    from labelloop.adapters.s3.store import S3Store
    from labelloop.adapters.spark.engine import SparkEngine
    from labelloop.doctor.subject import LogFiles
    from labelloop.ledger.database import Identity
    from labelloop.ports.annotator import Annotator, BucketAccess
    from labelloop.ports.clock import Clock, Progress
    from labelloop.ports.log import PredictionLog
    from labelloop.ports.notifications import Notifications
    from labelloop.ports.source import Source
    from labelloop.ports.store import Store


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        time.sleep(seconds)


def silent(what: str, done: int, total: int | None) -> None:
    """A Progress that nobody watches."""


class Connections:
    """The ledger, the log, the store, the source and the annotator of one project.

    Store, log and annotator can be handed in, as `labelloop.testing` offers them in memory.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: "Clock | None" = None,
        progress: "Progress" = silent,
        store: "Store | None" = None,
        log: "PredictionLog | None" = None,
        annotator: "Annotator | None" = None,
        source: "Source | None" = None,
        notifications: "Notifications | None" = None,
    ) -> None:
        self.settings = settings
        self.queues = settings.queues()
        self.clock: Clock = clock or SystemClock()
        self._progress = progress
        self._given = (store, log, annotator, source)
        self._given_notifications = notifications
        self._opened: list[object] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the next verb opens them again."""
        for name in (
            "ledger",
            "log",
            "store",
            "annotator",
            "source",
            "_notifications",
            "_s3_store",
        ):
            self.__dict__.pop(name, None)
        for opened in reversed(self._opened):
            close = getattr(opened, "close", None)
            if close is not None:
                close()
        self._opened.clear()

    # --- what the steps need ------------------------------------------------------------------

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, created or migrated where needed.

        Raises:
            LedgerError: the ledger is new and the log isn't: the ledger was lost. Or it is another
                project's.
        """
        from labelloop.steps.one_project import keep_to_project

        with without_frames():
            ledger = Ledger.open(self.settings.state.ledger.get_secret_value())
        self._opened.append(ledger)
        if ledger.identity() is None:
            if self._given[1] is None:
                self._refuse_lost_ledger(ledger)
            ledger.create_identity()
        own = self.settings.store
        keep_to_project(
            ledger,
            self.settings.project.name,
            own.root_of(own.uri),
            was=[own.root_of(uri) for uri in own.was],
        )
        self._declare_classes(ledger)
        self._move_rejects(ledger)
        return ledger

    def _move_rejects(self, ledger: Ledger) -> None:
        """Let what was set aside in a bucket or folder be known under its present name."""
        own = self.settings.store
        now = own.root_of(own.uri)
        for was in own.was:
            with ledger.read() as tx:
                if not rejects.below(tx, own.root_of(was)):
                    continue
            with ledger.write_at_once() as tx:
                rejects.move(tx, own.root_of(was), now)

    def _declare_classes(self, ledger: Ledger) -> None:
        """Take the settings' classes into the ledger, where they changed."""
        named = self.settings.answers()
        with ledger.read() as tx:
            if classes.declared(tx, named):
                return
        with ledger.write_at_once() as tx:
            classes.declare(tx, named, self.clock.now())

    def _renamed(self) -> dict[str, str]:
        with self.ledger.read() as tx:
            return classes.renamed(tx)

    @cached_property
    def log(self) -> "PredictionLog":
        """The prediction log, created where it is absent."""
        log = self._given[1] or self._open_log()
        log.read_as(self._renamed())
        return log

    def _open_log(self, identity: "Identity | None" = None) -> "PredictionLog":
        from labelloop.adapters.iceberg.log import IcebergLog

        state = self.settings.state
        own = identity or self.ledger.create_identity()
        with without_frames():
            log = IcebergLog.open(
                warehouse=state.warehouse,
                catalog=state.catalog.get_secret_value(),
                ledger_id=own.ledger_id,
                salt=own.salt,
                s3=self._s3_access(),
                spark=self._spark(),
            )
        self._opened.append(log)
        return log

    def _spark(self) -> "SparkEngine | None":
        own = self.settings.engine
        if own.kind != "spark":
            return None
        from labelloop.adapters.spark.engine import SparkEngine

        options = {name: value.get_secret_value() for name, value in own.options.items()}
        return SparkEngine(master=own.master, options=options)

    def _check_engine(self) -> None:
        spark = self._spark()
        if spark is not None:
            spark.check()

    @property
    def _ledger_id(self) -> str:
        """The ledger's identity, as the log has it and as tasks and projects carry it."""
        given = self._given[1]
        return given.ledger_id if given is not None else self.ledger.create_identity().ledger_id

    def _log_identity(self) -> tuple[str, bytes] | None:
        """Which ledger writes the log, and the log's salt; None where there is no log yet."""
        given = self._given[1]
        if given is not None:
            return given.ledger_id, given.salt
        from labelloop.adapters.iceberg.log import IcebergLog

        state = self.settings.state
        with without_frames():
            return IcebergLog.identity(
                warehouse=state.warehouse,
                catalog=state.catalog.get_secret_value(),
                s3=self._s3_access(),
            )

    def _log_files(self) -> "LogFiles | None":
        if self._given[1] is not None:
            return None
        from labelloop.adapters.iceberg.files import IcebergFiles

        state = self.settings.state
        with without_frames():
            files = IcebergFiles(
                warehouse=state.warehouse,
                catalog=state.catalog.get_secret_value(),
                s3=self._s3_access(),
            )
        self._opened.append(files)
        return files

    def _refuse_lost_ledger(self, ledger: Ledger) -> None:
        found = self._log_identity()
        # another process may have made both since we looked into the ledger
        if found is not None and ledger.identity() is None:
            raise LedgerError(
                f"the ledger is new, but the prediction log at {self.settings.state.warehouse} "
                f"belongs to ledger "
                f"{found[0]}: the ledger was lost, or [state] ledger names another one",
                remedy="restore the ledger, or point [state] ledger to it; where there is no backup, "
                "`labelloop ledger rebuild` brings back what is left; to start over, move the log and "
                "its catalog away too",
            )

    def _s3_access(self) -> "S3Access":
        """How the server of the inputs is reached; a warehouse on S3 lies there too."""
        from labelloop.adapters.s3.access import S3Access

        own = self.settings.store
        return S3Access(
            endpoint_url=own.endpoint_url,
            access_key=_revealed(own.access_key),
            secret_key=_revealed(own.secret_key),
            session_token=_revealed(own.session_token),
            profile=own.profile,
            region=own.region,
            addressing=own.addressing,
            proxy=_revealed(own.proxy),
            ca_file=str(own.ca_file) if own.ca_file else None,
        )

    def _bucket_access(self, uri: str | None) -> "BucketAccess":
        """How Label Studio opens the bucket of a uri; of the inputs for None.

        It signs links for browsers, so it takes the address that they reach.
        """
        from labelloop.ports.annotator import BucketAccess

        own = self.settings.store
        return BucketAccess(
            bucket=(uri or own.uri).removeprefix("s3://").partition("/")[0],
            endpoint_url=own.public_endpoint_url or own.endpoint_url,
            region=own.region,
            access_key=_revealed(own.access_key) or "",
            secret_key=_revealed(own.secret_key) or "",
            session_token=_revealed(own.session_token),
        )

    @cached_property
    def store(self) -> "Store":
        """The store of the inputs."""
        own = self.settings.store
        store = self._given[0] or self._open_store()
        if not own.was:
            return store
        from labelloop.adapters.moved_store import MovedStore

        was = [own.root_of(uri) for uri in own.was]
        return MovedStore(store, was=was, now=own.root_of(own.uri))

    def _open_store(self) -> "Store":
        own = self.settings.store
        if own.is_folder:
            from labelloop.adapters.folder.store import FolderStore

            return FolderStore(
                own.uri,
                prefixes=own.prefixes,
                blind_uri=own.blind_uri,
                public_url=own.public_endpoint_url,
            )
        return self._s3_store

    @cached_property
    def _s3_store(self) -> "S3Store":
        from labelloop.adapters.s3.store import S3Store

        own = self.settings.store
        store = S3Store(
            own.uri,
            self._s3_access(),
            public_endpoint_url=own.public_endpoint_url,
            prefixes=own.prefixes,
            hidden_uri=own.blind_uri,
            connect_timeout_s=min(5.0, own.timeout.total_seconds()),
            read_timeout_s=own.timeout.total_seconds(),
        )
        self._opened.append(store)
        return store

    @cached_property
    def source(self) -> "Source | None":
        """The table of predictions, where the settings name one."""
        own = self.settings.source
        if self._given[3] is not None or own is None:
            return self._given[3]
        source: Source
        if own.kind == "iceberg":
            from labelloop.adapters.sources.iceberg import IcebergSource

            source = IcebergSource(
                own.table or "",
                catalog=_revealed(own.catalog) or "",
                catalog_name=own.catalog_name,
                s3=self._s3_access(),
            )
        elif own.kind == "delta":
            from labelloop.adapters.sources.delta import DeltaSource

            source = DeltaSource(own.uri, s3=self._s3_access())
        else:
            from labelloop.adapters.sources.files import FilesSource

            source = FilesSource(own.uri, own.kind, s3=self._s3_access())
        self._opened.append(source)
        return source

    @cached_property
    def annotator(self) -> "Annotator":
        """Label Studio."""
        if self._given[2] is not None:
            return self._given[2]
        from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator

        own = self.settings.label_studio
        with without_frames():
            annotator = LabelStudioAnnotator(
                url=own.url,
                api_key=own.api_key.get_secret_value(),
                public_url=own.public_url,
                timeout_s=own.timeout.total_seconds(),
                ca_file=str(own.ca_file) if own.ca_file else None,
                proxy=own.proxy.get_secret_value() if own.proxy else None,
            )
        self._opened.append(annotator)
        return annotator

    def buckets(self) -> list[str]:
        """The buckets of the store's server that the key may list."""
        from labelloop.adapters.s3.store import S3Store

        return self.store.buckets() if isinstance(self.store, S3Store) else []

    @cached_property
    def _notifications(self) -> "Notifications | None":
        """What the bucket says of its objects by itself, where the settings say where."""
        own = self.settings.store
        if self._given_notifications is not None or own.notifications is None:
            return self._given_notifications
        from labelloop.adapters.notifications.bucket import BucketNotifications
        from labelloop.adapters.notifications.files import NotificationFiles

        bucket = own.uri.removeprefix("s3://").partition("/")[0]
        return BucketNotifications(NotificationFiles(own.notifications, bucket), self._s3_store)


def _revealed(secret: "SecretStr | None") -> str | None:
    return None if secret is None else secret.get_secret_value()
