"""What the steps need of foreign technology: store, source, prediction log, annotator, clock.

Each has an in-memory adapter in `labelloop.testing`; one contract suite holds all of them to the
behaviour stated here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from labelloop.core.round import Candidate, Count, FrameRange, Span
from labelloop.core.sample import Feedback, Prediction, PredictionTable, Role
from labelloop.core.upkeep import LogShape, Upkeep
from labelloop.core.where import Where

if TYPE_CHECKING:
    import pyarrow as pa

# --- clock and progress ---------------------------------------------------------------------


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime:
        """The present instant, UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class Progress(Protocol):
    """Hears how far a step is."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """`done` of `total` (None: unknown) of `what` are finished."""


# --- store ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of the listing. `sample_id` is its key; `content_hash` its ETag without quotes.

    Where a hash costs reading the whole object, it is empty in the listing and comes with the tags.
    `tags` are there where the listing tells them, and there are any.
    `fault` says why the object can't be used, or its tags can't be read.
    """

    sample_id: str
    uri: str
    content_hash: str
    size_bytes: int
    last_modified: datetime
    tags: Mapping[str, str] | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserView:
    """What a browser gets for a URL. `allowed_origin` is the origin that CORS lets read it, or "*"."""

    status: int
    content_type: str
    allowed_origin: str | None
    modified_at: datetime | None
    served_at: datetime | None


class Store(Protocol):
    """A bucket or folder that holds the inputs, and the place for blind copies.

    Every call may raise StoreUnavailable (asking again may work) or StoreDenied (it won't).
    """

    @property
    def inline(self) -> bool:
        """Whether `presign` gives the bytes themselves: no name shows, so blind needs no copy."""

    def place_of(self, uri: str) -> str:
        """Where the object of a uri lies now, if the bucket or folder had another name before."""

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every object, page by page, each once.

        Raises:
            StoreDenied: a prefix that matches nothing, though there is something beside it.
        """

    def uri_of(self, sample_id: str) -> str:
        """Where the object of a sample lies, or would lie; no request is made."""

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """The tags of each object, many at once, in any order; an object that is gone is left out."""

    def lasting(self, life: timedelta) -> timedelta:
        """How long a URL that is made now for `life` will work."""

    def presign(self, uri: str, life: timedelta) -> str:
        """A URL that an annotator's browser can open for `life`; no request is made.

        Raises:
            InputGone: `inline` only: the object no longer exists.
            InputTooLarge: `inline` only: it is too large to travel inside a task.
        """

    def copy_blind(self, source_uri: str, target_uri: str) -> None:
        """Copy the bytes and the content type, and nothing else: no tag, no metadata. Idempotent.

        Raises:
            InputGone: the source no longer exists.
        """

    def exists(self, uri: str) -> bool:
        """Whether an object stands at `uri`."""

    def existing(self, uris: Sequence[str]) -> Sequence[bool]:
        """Whether an object stands at each uri, in their order; many are looked for at once."""

    def delete(self, uri: str) -> None:
        """Delete the object at `uri`; one that is not there is fine."""

    def read(self, uri: str, *, content_hash: str | None = None) -> bytes:
        """The bytes of the object at `uri`.

        Raises:
            InputGone: it no longer exists.
            InputChanged: it does, with a content whose hash isn't the `content_hash` of the listing. One
                that a table's row got, of its text or uri, says nothing of the content.
        """

    def check_writable(self, uri: str) -> None:
        """Return if objects can be written and deleted below `uri`; raise why if they can't."""

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put an object of ours at `uri`, in place of what stood there."""

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for `url`; nothing but the answer's head is read."""

    def retention(self, uri: str) -> timedelta | None:
        """How long after its upload a rule deletes what is stored at or below `uri`; None: no rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Some objects that are new or have other tags, and the position after what named them.

    `n_unreadable` notifications may have named others.
    """

    objects: Sequence[StoredObject]
    n_unreadable: int
    position: str


class Notifications(Protocol):
    """What a store tells of its objects by itself: in place of a listing, and not for ever complete."""

    def since(self, position: str | None) -> Iterator[Notified]:
        """What was named after `position`; everything for None.

        Objects that are gone, or that a listing wouldn't show, are left out.

        Raises:
            StoreError: the notifications can't be read.
        """

    def end(self) -> str:
        """The position after all that is there now."""


# --- source ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a table of predictions. `version` differs where its content does."""

    uri: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumns:
    """The columns of a file; `sparse`: rows may have others, which are not there in each."""

    names: tuple[str, ...]
    sparse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRows:
    """Some rows of a file, in order.

    batch
        a pyarrow RecordBatch
    numbers
        the place of each row in the file, 1 first; of text files the line
    unreadable
        the places of rows that can't be read, and why
    """

    batch: Any
    numbers: Sequence[int]
    unreadable: tuple[tuple[int, str], ...] = ()


class Source(Protocol):
    """A table of predictions that somebody else writes: files that are read once each.

    Every call may raise StoreUnavailable (asking again may work) or StoreDenied (it won't).
    """

    @property
    def rewrites(self) -> bool:
        """Whether the rows of a file that is gone were moved into others."""

    def files(self) -> Sequence[SourceFile]:
        """The files that the table has now, the newest last where that is known."""

    def columns(self, file: SourceFile) -> SourceColumns:
        """The columns of a file.

        Raises:
            SourceFileBad: it can't be read.
        """

    def read(self, file: SourceFile, columns: Sequence[str] | None) -> Iterator[SourceRows]:
        """The rows of a file, some at a time; of all columns, or of those named that it has.

        Raises:
            SourceFileBad: it can't be read, or not to its end.
        """


# --- prediction log -------------------------------------------------------------------------

Rows = Sequence[Prediction] | Sequence[Feedback] | PredictionTable
"""What a batch is written from."""

BatchKind = Literal["predictions", "feedback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the log knows of one sample: its serving prediction and the feedback so far.

    `repeated` names the other models whose prediction of it is stored; `shadows` are the classes that
    shadow models gave first, by model.
    """

    sample_id: str
    model: str
    predicted_at: datetime
    predicted_class: str
    confidence: float | None
    content_hash: str
    flagged: bool | None
    corrected_class: str | None
    repeated: frozenset[str] = frozenset()
    shadows: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One prediction that the log holds, beside the feedback on its sample so far."""

    sample_id: str
    role: Role
    model: str
    predicted_class: str
    content_hash: str
    flagged: bool | None
    corrected_class: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleBatch:
    """A batch that the log holds."""

    batch: int
    kind: BatchKind
    path: str
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRows:
    """The rows of one sample in one batch. Of feedback `uri` and `content_hash` are empty."""

    sample_id: str
    batch: int
    kind: BatchKind
    n_rows: int
    uri: str = ""
    content_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPart:
    """Frames, and which of their predictions may stand as labels of the training set.

    cells
        (predicted class, risk bin) whose predictions may; None: those that have min_confidence
    certificate
        the certificate that says so; None: no bound is proven
    """

    frames: tuple[FrameRange, ...]
    cells: frozenset[tuple[str, int]] | None = None
    min_confidence: float = 0.0
    certificate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCount:
    """How many uncontested predictions of a frame share a class and a risk bin.

    `n_kept` of them have a class, and are named neither by sample_id nor by content hash: those that
    may stand as labels.
    """

    frame: int
    predicted_class: str
    risk_bin: int
    n: int
    n_kept: int


class PredictionLog(Protocol):
    """Every prediction and all feedback; append-only but for `erase`, in numbered batches.

    A batch becomes visible at once or not at all, and only once however often it is committed.
    """

    @property
    def ledger_id(self) -> str:
        """The ledger that writes this log."""

    @property
    def salt(self) -> bytes:
        """The key of the line."""

    def read_as(self, renamed: Mapping[str, str]) -> None:
        """From now on, give every class under its present name; the keys of `renamed` are old ones.

        What is in the log stays as it was written.
        """

    def write_batch(
        self,
        batch: int,
        kind: BatchKind,
        rows: Rows,
        indexed_at: datetime,
    ) -> str:
        """Write a batch durably, not yet visible; returns its path."""

    def commit_batch(self, batch: int, kind: BatchKind, path: str) -> None:
        """Make a written batch visible; a repeated call changes nothing.

        Raises:
            LogError: what stands at `path` isn't a whole batch.
        """

    def is_whole(self, path: str, n_rows: int) -> bool:
        """Whether a batch of `n_rows` rows was written whole at `path`."""

    def visible_after(self, batch: int) -> Sequence[VisibleBatch]:
        """The visible batches whose number is above `batch`, in their order."""

    def held(self, sample_ids: Sequence[str]) -> Sequence[HeldRows]:
        """The visible rows of `sample_ids`, counted by sample and batch, in their order."""

    def twins(self, sample_ids: Sequence[str], limit: int) -> Sequence[str]:
        """Other samples with the content of one of `sample_ids`, sorted, `limit` at most."""

    def erase(self, sample_ids: Sequence[str], *, allowed: Callable[[], None]) -> None:
        """Take every row of `sample_ids` out, and leave nothing of them where the log lies.

        Batches keep their numbers. Older versions of the log are gone afterwards, and so is what was
        written and not committed: nobody else may be writing. Idempotent, wherever it was killed.

        allowed
            called before anything is removed, once it is known what: raises where somebody else may be
            writing by now
        """

    def shape(self, *, closed_before: datetime, unused_before: datetime) -> LogShape:
        """How much `maintain` would find to tidy, told at little cost."""

    def maintain(
        self,
        *,
        closed_before: datetime,
        unused_before: datetime,
        allowed: Callable[[], None],
        progress: Progress,
        dry_run: bool = False,
    ) -> Upkeep:
        """Keep the log quick to ask: every answer stays what it was, and every batch its number.

        Small files of batches indexed before `closed_before` become larger ones. What was replaced
        before `unused_before`, and what was written by then and is needed by nothing, is removed: a
        reading that began later isn't disturbed. No batch may be written and not committed. Idempotent,
        wherever it was killed.

        allowed
            called before each change to what is visible, or removal; what it raises ends the work
        """

    def snapshot(self) -> int | None:
        """The log's present version; None while it is empty."""

    def known(self, sample_ids: Sequence[str]) -> Mapping[str, Known]:
        """Those of `sample_ids` that have a serving prediction."""

    def recorded(self, sample_ids: Sequence[str]) -> Sequence[Recorded]:
        """Every prediction of `sample_ids`, of any role, the earliest batch first."""

    def texts(self, sample_ids: Sequence[str]) -> Mapping[str, str]:
        """The texts of those of `sample_ids` whose serving prediction has one."""

    def attributes(self) -> frozenset[str]:
        """The names of the attributes that any prediction carries."""

    def counts(self, frame: FrameRange, conditions: Sequence[Where]) -> Sequence[Count]:
        """The frame's rows by predicted class, risk bin and pattern; bit i: conditions[i] holds."""

    def rows(
        self, frame: FrameRange, conditions: Sequence[Where], spans: Sequence[Span]
    ) -> Sequence[Candidate]:
        """The frame's rows that lie in a span of their pattern."""

    def scan(
        self, frame: FrameRange, conditions: Sequence[Where], attributes: Sequence[str]
    ) -> "Iterator[pa.RecordBatch]":
        """Every row of the frame, a batch at a time, in no order.

        Columns: sample_id, line, pattern, predicted_class, confidence, margin; then one of text for
        each of `attributes`, named `attributes.NAME`. Null stands for what a row doesn't have.
        """

    def rows_of(
        self, frame: FrameRange, conditions: Sequence[Where], sample_ids: Sequence[str]
    ) -> Sequence[Candidate]:
        """The frame's rows of these samples, in order of their place."""

    def received(self, batch_after: int, batch_to: int, where: Where) -> Sequence[Candidate]:
        """Samples with feedback in the batches (batch_after, batch_to] that match `where`.

        Feedback is folded (the latest of each kind, up to batch_to); only samples with a serving
        prediction in a batch up to batch_to are returned.
        """

    def model_labels(
        self,
        parts: Sequence[LabelPart],
        *,
        without_samples: Sequence[str],
        without_content: Sequence[str],
    ) -> "Iterator[pa.RecordBatch]":
        """Serving predictions without flag or correction that their part admits, batch by batch in
        order of sample_id, without those named by sample_id or content hash.

        Columns: sample_id, uri, content_hash, predicted_class, confidence, model; and certificate
        (int64), that of its part.

        A prediction belongs to the first part with a frame that holds it. Answers that name no
        class are none.
        """

    def label_counts(
        self,
        frames: Sequence[FrameRange],
        *,
        without_samples: Sequence[str],
        without_content: Sequence[str],
    ) -> Sequence[LabelCount]:
        """The serving predictions of each frame without flag or correction, counted; `frame` is the
        index of the first frame that holds them.
        """


# --- annotator ------------------------------------------------------------------------------

InputKind = Literal["image", "text"]
"""What people label. It is also the name of the data key that holds it: an image's URL, or a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpec:
    """A project to create. `show` names the data keys its annotators see beside the input.

    `people` is how many different people each of its tasks asks, unless told otherwise.
    """

    title: str
    marker: str
    classes: tuple[str, ...]
    show: tuple[str, ...]
    blind: bool
    kind: InputKind = "image"
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project in Label Studio, found by its marker. `n_annotations` includes skips.

    `people` is how many different people a task asks that is imported now.
    """

    project_id: int
    title: str
    marker: str
    n_tasks: int
    n_annotations: int
    created_at: datetime
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """What is imported as one task: `data` and nothing else."""

    task_key: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAnnotation:
    """One annotation as Label Studio holds it. `choices` are the classes chosen, as they stand."""

    annotation_id: int
    updated_at: datetime
    annotator: str
    choices: tuple[str, ...]
    skipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTask:
    """One task as Label Studio holds it; `task_key` is None where it isn't one of ours.

    `people` is how many different people may answer before it counts as done; skips don't count.
    """

    ls_task_id: int
    task_key: str | None
    updated_at: datetime
    annotations: tuple[RemoteAnnotation, ...]
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAccess:
    """How Label Studio opens a bucket by itself, to sign links into it. The keys are secret."""

    bucket: str
    endpoint_url: str | None
    region: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorFacts:
    """Whom labelloop talks to, and as whom. `token_expires_at` is None where the token doesn't say."""

    version: str
    user: str
    token: Literal["personal", "legacy"]
    token_expires_at: datetime | None
    served_at: datetime | None


class Annotator(Protocol):
    """Label Studio, as far as labelloop needs it.

    Every call may raise AnnotatorUnavailable (asking again may work) or AnnotatorDenied.
    """

    @property
    def url(self) -> str:
        """Where it is reached."""

    @property
    def timeout_s(self) -> float:
        """After this long without an answer, a request that was received has been carried out."""

    def facts(self) -> AnnotatorFacts:
        """Its version, and the account of the token."""

    def check_account(self) -> None:
        """Return if the account is one that sees projects.

        Raises:
            AnnotatorDenied: it is no member of any organisation. It may make projects all the same.
        """

    def accounts(self) -> Mapping[str, str]:
        """The e-mail address of each person by the id that annotations name: those whom it tells of."""

    def project_url(self, project_id: int) -> str:
        """Where a person opens the project."""

    def projects(self) -> Sequence[Project]:
        """The projects that carry a marker of labelloop, oldest first."""

    def create_project(self, spec: ProjectSpec) -> Project:
        """Create a project; not idempotent."""

    def open_bucket(self, project_id: int, access: BucketAccess) -> None:
        """See that the project can show s3:// links into a bucket, with these keys. Idempotent.

        Raises:
            BucketRefused: Label Studio can't open the bucket, or won't.
            ProjectGone: the project no longer exists.
        """

    def import_tasks(self, project_id: int, tasks: Sequence[TaskData]) -> Sequence[int]:
        """Import all tasks or none; their ids in the same order. Not idempotent.

        Raises:
            ProjectGone: the project no longer exists.
        """

    def find(self, project_id: int, task_keys: Sequence[str]) -> Sequence[RemoteTask]:
        """The tasks that carry one of `task_keys`; a key may be found more than once.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorDenied: it does, and the account may not see it. Older versions let it.
        """

    def tasks(
        self, project_id: int, updated_after: datetime | None = None
    ) -> Iterator[Sequence[RemoteTask]]:
        """The project's tasks with their annotations, page by page; changed after a moment, or all.

        Raises:
            ProjectGone: the project no longer exists.
        """

    def replace_data(self, ls_task_id: int, data: Mapping[str, Any]) -> bool:
        """Replace a task's data; False where the task is gone. Idempotent."""

    def ask_people(self, ls_task_id: int, people: int, *, done: bool) -> bool:
        """Let a task ask this many different people, and say whether they have answered: a task that
        isn't done is offered to whoever hasn't answered it. False where it is gone. Idempotent.
        """

    def set_choices(self, project_id: int, choices: Sequence[str]) -> None:
        """Make `choices` what a project's annotators choose from; answers stay as they are. Idempotent.

        Raises:
            ProjectGone: the project no longer exists.
            AnnotatorError: its labelling config has no place for them any more.
        """

    def delete_task(self, ls_task_id: int) -> None:
        """Delete a task; one that is not there is fine."""
