"""Settings -> adapters. A technology is imported when its adapter is asked for."""

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from labelloop.core.image_kind import MEDIA_TYPES, kind_of
from labelloop.core.json_path import json_paths
from labelloop.errors import ConfigError, StoreDenied, without_frames
from labelloop.settings.label_studio import LabelStudioSettings
from labelloop.settings.mlflow import MlflowSettings
from labelloop.settings.notify import NotifySettings
from labelloop.settings.settings import Settings
from labelloop.settings.source import SourceSettings
from labelloop.settings.state import EngineSettings
from labelloop.settings.store import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from labelloop.adapters.desk.annotator import DeskAnnotator
    from labelloop.adapters.iceberg.files import IcebergFiles
    from labelloop.adapters.iceberg.log import IcebergLog
    from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator
    from labelloop.adapters.notifications.bucket import BucketNotifications
    from labelloop.adapters.notifications.folder import NotificationFolder
    from labelloop.adapters.s3.access import S3Access
    from labelloop.adapters.s3.store import S3Store
    from labelloop.adapters.spark.engine import SparkEngine
    from labelloop.ledger.database import Identity
    from labelloop.ports.annotator import BucketAccess
    from labelloop.ports.clock import Clock
    from labelloop.ports.desk import Desk, Guide
    from labelloop.ports.receiver import Receiver
    from labelloop.ports.source import Source
    from labelloop.ports.store import Store
    from labelloop.settings.queue import QueueSettings


def s3_access(own: StoreSettings) -> "S3Access":
    """How the server of the inputs is reached; a warehouse on S3 lies there too."""
    from labelloop.adapters.s3.access import S3Access

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
        connect_timeout_s=min(5.0, own.timeout.total_seconds()),
        read_timeout_s=own.timeout.total_seconds(),
    )


def bucket_access(own: StoreSettings, uri: str | None) -> "BucketAccess":
    """How Label Studio opens the bucket of a URI; that of the inputs for None.

    It signs links for browsers, so it takes the address that they reach.
    """
    from labelloop.ports.annotator import BucketAccess

    return BucketAccess(
        bucket=_bucket(uri or own.uri),
        endpoint_url=own.public_endpoint_url or own.endpoint_url,
        region=own.region,
        access_key=_revealed(own.access_key) or "",
        secret_key=_revealed(own.secret_key) or "",
        session_token=_revealed(own.session_token),
    )


def store(own: StoreSettings) -> "Store":
    """The bucket or the folder of the inputs."""
    if not own.is_folder:
        return s3_store(own)
    from labelloop.adapters.folder.store import FolderStore

    return FolderStore(
        own.uri,
        prefixes=own.prefixes,
        blind_uri=own.blind_uri,
        public_url=own.public_endpoint_url,
    )


def s3_store(own: StoreSettings) -> "S3Store":
    """The bucket of the inputs."""
    from labelloop.adapters.s3.store import S3Store

    return S3Store(
        own.uri,
        s3_access(own),
        public_endpoint_url=own.public_endpoint_url,
        prefixes=own.prefixes,
        hidden_uri=own.blind_uri,
    )


def moved(inputs: "Store", own: StoreSettings) -> "Store":
    """The store, which also finds inputs by the URIs that they had before it was renamed."""
    if not own.was:
        return inputs
    from labelloop.adapters.moved_store import MovedStore

    was = [own.root_of(uri) for uri in own.was]
    return MovedStore(inputs, was=was, now=own.root_of(own.uri))


def notifications(file: Path, bucket: "S3Store", own: StoreSettings) -> "BucketNotifications":
    """What the bucket says of its objects by itself, in a file or a folder of files."""
    from labelloop.adapters.notifications.bucket import BucketNotifications
    from labelloop.adapters.notifications.files import NotificationFiles

    return BucketNotifications(NotificationFiles(file, _bucket(own.uri)), bucket)


def receiver(own: NotifySettings, project: str) -> "Receiver":
    """Who hears of events at a URL."""
    if own.form == "airflow":
        from labelloop.adapters.receivers.airflow import AirflowReceiver

        return AirflowReceiver(
            own.url.get_secret_value(), project=project, secret=_revealed(own.secret) or ""
        )
    from labelloop.adapters.receivers.http import HttpReceiver

    try:
        return HttpReceiver(
            own.url.get_secret_value(),
            project=project,
            secret=_revealed(own.secret),
            form=own.form,
        )
    except ValueError as exc:
        raise ConfigError(
            f"[[notify]]: {exc}", remedy="write the secret as the receiver shows it"
        ) from None


def mlflow(own: MlflowSettings, project: str, report: "Callable[[], bytes | None]") -> "Receiver":
    """The tracking server that hears of datasets, accuracies and promotions."""
    from labelloop.adapters.receivers.mlflow import MlflowReceiver

    return MlflowReceiver(
        own.url.get_secret_value(),
        project=project,
        experiment=own.experiment,
        alias=own.alias,
        secret=_revealed(own.secret),
        report=report,
    )


def notification_folder(own: StoreSettings, clock: "Clock") -> "NotificationFolder | None":
    """Where notifications that come as webhooks are appended; None if the settings name no folder.

    Raises:
        StoreDenied: it can't be made.
    """
    from labelloop.adapters.notifications.folder import NotificationFolder

    folder = own.notifications
    if folder is None or folder.is_file():
        return None
    try:
        return NotificationFolder(folder, clock.now)
    except OSError as exc:
        raise StoreDenied(
            f"[store] notifications: {folder} can't be made: {exc.strerror}",
            remedy="check that this user may write there",
        ) from exc


def source(own: SourceSettings, inputs: StoreSettings) -> "Source":
    """The table of predictions; one on S3 lies on the server of the inputs."""
    table = _table(own, s3_access(inputs))
    paths = json_paths([*own.columns.written(), *own.attributes])
    if not paths:
        return table
    from labelloop.adapters.sources.bodies import BodiesSource

    lists = (own.columns.probabilities, own.columns.embedding)
    return BodiesSource(table, paths, lists={str(name) for name in lists})


def _table(own: SourceSettings, s3: "S3Access") -> "Source":
    if own.kind == "iceberg":
        from labelloop.adapters.sources.iceberg import IcebergSource

        return IcebergSource(
            own.table or "",
            catalog=_revealed(own.catalog) or "",
            catalog_name=own.catalog_name,
            s3=s3,
        )
    if own.kind == "delta":
        from labelloop.adapters.sources.delta import DeltaSource

        return DeltaSource(own.uri, s3=s3)
    if own.kind == "sagemaker":
        from labelloop.adapters.sources.sagemaker import SageMakerSource

        return SageMakerSource(own.uri, s3=s3)
    if own.kind == "kserve":
        from labelloop.adapters.sources.kserve import KServeSource

        return KServeSource(own.uri, s3=s3)
    if own.kind == "langfuse":
        from labelloop.adapters.sources.langfuse import LangfuseSource

        return LangfuseSource(
            own.uri, score=own.score or "", judge=own.score_source, order=own.class_order, s3=s3
        )
    if own.kind == "databricks":
        from labelloop.adapters.sources.databricks import DatabricksSource

        return DatabricksSource(own.uri, s3=s3)
    from labelloop.adapters.sources.files import FilesSource

    return FilesSource(own.uri, own.kind, s3=s3)


def label_studio(own: LabelStudioSettings) -> "LabelStudioAnnotator":
    """Label Studio."""
    from labelloop.adapters.label_studio.annotator import LabelStudioAnnotator

    with without_frames():
        return LabelStudioAnnotator(
            url=own.url,
            api_key=own.api_key.get_secret_value(),
            public_url=own.public_url,
            timeout_s=own.timeout.total_seconds(),
            ca_file=str(own.ca_file) if own.ca_file else None,
            proxy=_revealed(own.proxy),
        )


def labelling_page(settings: Settings, clock: "Clock") -> "DeskAnnotator":
    """The labelling page, as the steps see it."""
    from labelloop.adapters.desk.annotator import DeskAnnotator

    own = settings.labelling_page
    assert own is not None  # noqa: S101  only a page that the settings name is opened
    with without_frames():
        return DeskAnnotator(
            own.answers.get_secret_value(),
            page_url=settings.service.base_url or "",
            now=clock.now,
        )


def desk(page: "DeskAnnotator", settings: Settings) -> "Desk":
    """The labelling page, as its people see it.

    Raises:
        ConfigError: a queue's guidelines, or an image that they name, can't be read.
    """
    from labelloop.adapters.desk.desk import DatabaseDesk

    return DatabaseDesk(
        page.database,
        referees=settings.people.referees,
        guides={q.name: _guide(q) for q in settings.queue},
    )


def _guide(queue: "QueueSettings") -> "Guide":
    from labelloop.ports.desk import Guide

    guidelines, images = "", {}
    if queue.guidelines is not None:
        what = f"queue {queue.name!r}: guidelines = {str(queue.guidelines)!r}"
        try:
            guidelines = queue.guidelines.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(
                f"{what} can't be read: {getattr(exc, 'strerror', None) or 'it is no UTF-8 text'}",
                remedy="name a Markdown file in UTF-8, from the folder of labelloop.toml",
            ) from exc
        names = {unquote(name) for name in _IMAGE.findall(guidelines) if "://" not in name}
        images = {name: _image(queue.guidelines.parent, name, what) for name in sorted(names)}
    return Guide(
        title=queue.name,
        description=queue.description,
        guidelines=guidelines,
        images=images,
        reveal=queue.show_when,
    )


_IMAGE = re.compile(r"!\[[^\]]*\]\(<?([^)>\s]+)")
_IMAGE_BYTES = 1 << 20
_SHOWN = ("jpg", "png", "webp", "gif", "avif")


def _image(folder: Path, name: str, what: str) -> str:
    """An image beside the guidelines, as an address that holds it.

    Raises:
        ConfigError: it can't be read, is too large or no image, or lies elsewhere.
    """
    path = (folder / name).resolve()
    try:
        data = path.read_bytes() if path.is_relative_to(folder.resolve()) else b""
    except OSError:
        data = b""
    kind = kind_of(data)
    if kind not in _SHOWN or len(data) > _IMAGE_BYTES:
        raise ConfigError(
            f"{what} names the image {name!r}, which isn't one of at most 1 MiB beside them",
            remedy="put a JPEG, PNG, WebP, GIF or AVIF file into the folder of the guidelines, or below",
        )
    return f"data:{MEDIA_TYPES[kind]};base64,{b64encode(data).decode()}"


def label_studio_page(own: LabelStudioSettings, project_ref: str, remote_id: str) -> str | None:
    """Where a person opens a task; None while the variable isn't set that says where."""
    from labelloop.adapters.label_studio.address import task_page

    try:
        return task_page(own.public_url or own.url, project_ref, remote_id)
    except ConfigError:
        return None


def log_is_at_hand(settings: Settings) -> bool:
    """Whether the prediction log is in files on this machine, so that neither key nor server is needed."""
    from labelloop.adapters.iceberg.catalog import sqlite_file

    try:
        state = settings.state
        warehouse, catalog = state.warehouse, state.catalog.get_secret_value()
    except ConfigError:
        return False
    file = sqlite_file(catalog)
    return "://" not in warehouse and file is not None and file.exists()


def log(settings: Settings, identity: "Identity") -> "IcebergLog":
    """The prediction log of the ledger with this identity, created where it is absent."""
    from labelloop.adapters.iceberg.log import IcebergLog

    with without_frames():
        return IcebergLog.open(
            warehouse=settings.state.warehouse,
            catalog=settings.state.catalog.get_secret_value(),
            ledger_id=identity.ledger_id,
            salt=identity.salt,
            s3=_s3_of_log(settings),
            spark=spark(settings.engine),
        )


def log_identity(settings: Settings) -> "Identity | None":
    """The identity of the ledger that writes the prediction log; None where there is no log yet."""
    from labelloop.adapters.iceberg.log import IcebergLog
    from labelloop.ledger.database import Identity

    with without_frames():
        found = IcebergLog.identity(
            warehouse=settings.state.warehouse,
            catalog=settings.state.catalog.get_secret_value(),
            s3=_s3_of_log(settings),
        )
    return None if found is None else Identity(*found)


def log_files(settings: Settings) -> "IcebergFiles":
    """The files of the prediction log, to be looked at one by one and mended."""
    from labelloop.adapters.iceberg.files import IcebergFiles

    with without_frames():
        return IcebergFiles(
            warehouse=settings.state.warehouse,
            catalog=settings.state.catalog.get_secret_value(),
            s3=_s3_of_log(settings),
        )


def spark(own: EngineSettings) -> "SparkEngine | None":
    """Spark, where the settings name it as the engine of selections."""
    if own.kind != "spark":
        return None
    from labelloop.adapters.spark.engine import SparkEngine

    options = {name: value.get_secret_value() for name, value in own.options.items()}
    return SparkEngine(master=own.master, options=options)


def _s3_of_log(settings: Settings) -> "S3Access | None":
    return s3_access(settings.store) if "://" in settings.state.warehouse else None


def _bucket(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[0]


def _revealed(secret: "SecretStr | None") -> str | None:
    return None if secret is None else secret.get_secret_value()
