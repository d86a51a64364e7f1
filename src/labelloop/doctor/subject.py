"""What the doctor examines. Connections are made by the checks, so that a broken one is a finding."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

from labelloop.core.queue import Queue
from labelloop.doctor.glimpse import Glimpse, glimpse
from labelloop.ledger import Ledger
from labelloop.ledger.database import Identity
from labelloop.ports.annotator import Annotator, AnnotatorFacts
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.desk import Desk
from labelloop.ports.log import VisibleBatch
from labelloop.ports.source import Source
from labelloop.ports.store import Store, StoredObject
from labelloop.reading.columns import HowToRead
from labelloop.reading.exclude import Exclude
from labelloop.reading.tag_names import TagNames
from labelloop.settings.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that labelloop runs on. `mounts` is Linux's list of mounts, empty elsewhere."""

    mounts: str = ""
    in_container: bool = False

    @classmethod
    def here(cls) -> "Machine":
        """This one."""
        try:
            mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
        except OSError:
            mounts = ""
        marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
        inside = any(m.exists() for m in marks) or "KUBERNETES_SERVICE_HOST" in os.environ
        return cls(mounts=mounts, in_container=inside)


class LogFiles(Protocol):
    """The files of a log that lies in files, as the adapter looks at them and mends them."""

    def check_writable(self) -> None:
        """Return if files can be written and deleted where the log lies; raise why if they can't."""

    def unreadable(self) -> str | None:
        """Why the catalog or its tables can't be read; None where they can, or where there are none."""

    def visible(self) -> frozenset[int]:
        """The numbers of the batches that the tables hold."""

    def damaged(self, *, whole: bool) -> Iterator[str]:
        """Each file of the tables that is damaged, and how; where `whole`, every page is looked at."""

    def not_whole(self, batches: Sequence[VisibleBatch]) -> Mapping[int, str]:
        """Those of the batches, by number, whose file isn't there whole, and what is wrong with it."""

    def adopt(self, batches: Sequence[VisibleBatch]) -> None:
        """Make batches visible whose files are whole."""

    def begin_anew(self, ledger_id: str, salt: bytes) -> str | None:
        """Make empty tables where none can be read; returns where a damaged catalog was put aside."""

    def remove_left(self, void: Sequence[int]) -> list[str]:
        """Remove half-written files and those of batches that were given up; returns their paths."""


@dataclass(kw_only=True)
class Subject:
    """One project with everything it talks to. What one check found out, the next may use."""

    settings: Settings
    queues: tuple[Queue, ...]
    open_store: Callable[[], Store]
    open_source: Callable[[], Source | None] = lambda: None
    """The table of predictions; None where the settings name none."""
    how_to_read: Callable[[], HowToRead] | None = None
    open_annotator: Callable[[], Annotator]
    open_desk: Callable[[], Desk | None] = lambda: None
    """The labelling page's state; None where the settings name no labelling page."""
    open_ledger: Callable[[], Ledger | None]
    """The ledger; None where none was made yet."""
    log_identity: Callable[[], Identity | None]
    """The identity of the ledger that writes the log; None where there is no log yet."""
    log_files: LogFiles | None = None
    """The log's files; None where it doesn't lie in files."""
    check_engine: Callable[[], None] = lambda: None
    """Raises what stands in the way of the engine that the settings name."""
    thorough: bool = False
    """Whether files are read whole, and not just looked at."""
    clock: Clock
    progress: Progress
    machine: Machine = field(default_factory=Machine.here)
    asked_at: datetime | None = None
    """When the annotator was asked for its facts."""

    @cached_property
    def store(self) -> Store:
        """The store of the inputs."""
        return self.open_store()

    @cached_property
    def source(self) -> Source:
        """The table of predictions."""
        source = self.open_source()
        assert source is not None  # noqa: S101  only what the settings name is examined
        return source

    @cached_property
    def reading(self) -> HowToRead:
        """How the table's rows are read."""
        assert self.how_to_read is not None  # noqa: S101  as above
        return self.how_to_read()

    @property
    def by_text(self) -> bool:
        """Whether the inputs are texts: tasks hold them, and show no image by a link."""
        return self.settings.input.kind == "text"

    @property
    def by_tags(self) -> bool:
        """Whether tags say what the model predicted."""
        return self.settings.source is None or self.settings.source.with_tags

    @cached_property
    def annotator(self) -> Annotator:
        """Where people answer."""
        return self.open_annotator()

    @cached_property
    def facts(self) -> AnnotatorFacts:
        """What the annotator says of itself and of the account; asked once."""
        self.asked_at = self.clock.now()
        return self.annotator.facts()

    @property
    def annotator_is_ahead(self) -> timedelta | None:
        """By how much its clock is ahead of this one; None where it wasn't heard of."""
        facts: AnnotatorFacts | None = self.__dict__.get("facts")
        if facts is None or facts.served_at is None or self.asked_at is None:
            return None
        return facts.served_at - self.asked_at

    @cached_property
    def ledger(self) -> Ledger | None:
        """The ledger; None where none was made yet."""
        return self.open_ledger()

    @cached_property
    def glimpse(self) -> Glimpse:
        """Some hundred objects of the store."""
        patterns = self.settings.store.exclude
        exclude = Exclude(patterns) if patterns else None
        return glimpse(self.store, progress=self.progress, exclude=exclude)

    @cached_property
    def tagged(self) -> list[tuple[StoredObject, Mapping[str, str]]]:
        """The objects of the glimpse with their tags."""
        return list(self.store.tags(self.glimpse.objects))

    @property
    def names(self) -> TagNames:
        """How the application calls its tags."""
        return TagNames(**self.settings.store.tags.model_dump())

    @property
    def any_blind(self) -> bool:
        """Whether a queue shows blind copies."""
        return not self.by_text and any(q.blind and q.images != "gateway" for q in self.queues)

    @property
    def any_open(self) -> bool:
        """Whether a queue shows images by their own links."""
        return not self.by_text and any(not q.blind for q in self.queues)

    @property
    def annotator_url(self) -> str:
        """The annotator as people open it."""
        return self.settings.annotator_url()
