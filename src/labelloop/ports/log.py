"""The prediction log: every prediction and all feedback, in numbered batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from labelloop.core.ranked import Ranked, Score
from labelloop.core.round import Candidate, Count, FrameRange, RateCount, Span
from labelloop.core.sample import Feedback, Prediction, PredictionTable, Role
from labelloop.core.slice_count import SliceCount
from labelloop.core.upkeep import LogShape, Upkeep
from labelloop.core.where import Where
from labelloop.errors import LogError
from labelloop.ports.clock import Progress

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Sequence[Prediction] | Sequence[Feedback] | PredictionTable
"""What a batch is written from."""

BatchKind = Literal["predictions", "feedback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSample:
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
class LoggedPrediction:
    """One prediction that the log holds, beside the feedback on its sample so far."""

    sample_id: str
    role: Role
    model: str
    predicted_class: str
    content_hash: str
    flagged: bool | None
    corrected_class: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrediction:
    """One prediction as the log holds it, for people to look at; feedback is what was said so far."""

    sample_id: str
    uri: str
    predicted_at: datetime
    model: str
    role: Role
    predicted_class: str
    confidence: float | None
    attributes: Mapping[str, str]
    content_hash: str
    text: str | None
    batch: int
    line: int
    flagged: bool | None
    corrected_class: str | None

    @property
    def place(self) -> "LogPlace":
        """Where it stands among all."""
        return LogPlace(self.batch, self.line)


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a serving prediction stands: newer batches come first, within one smaller places on the line."""

    batch: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsing:
    """Which serving predictions are looked for.

    without_samples, without_content
        left out: samples, and contents by their hashes
    budget_s
        how long to look; what was found by then is returned
    """

    where: Where | None = None
    without_samples: frozenset[str] = frozenset()
    without_content: frozenset[str] = frozenset()
    budget_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Predictions that were found, the newest batch first.

    searched_to
        the place up to which all were looked at, where some are left; None: all were looked at
    """

    rows: Sequence[StoredPrediction]
    searched_to: LogPlace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many there are; `whole` is False where there may be more."""

    n: int
    whole: bool


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
class SameSize:
    """A content whose copies its hash doesn't tell: an upload in parts, or as large as one of these.

    `named`: it is that of a sample which was asked for.
    """

    uri: str
    content_hash: str
    size_bytes: int
    named: bool


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

    def same_size(self, sample_ids: Sequence[str], limit: int) -> Sequence[SameSize]:
        """The contents that may be copies of those of `sample_ids` although their hashes differ.

        The ETag of an upload in parts is no hash of its bytes. All contents of a size are given, those
        of `sample_ids` too, where one at least was uploaded so; by size and uri, `limit` at most.
        """

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

    def samples(self, sample_ids: Sequence[str]) -> Mapping[str, LoggedSample]:
        """Those of `sample_ids` that have a serving prediction."""

    def may_hold(self, places: Any, *, serving: bool = False) -> Any:
        """(N,) bool: whether a sample at each place on the line may have a prediction here.

        Never False where one has, and seldom True where none has.

        places
            (N,) int64, in any order
        serving
            count only samples that were served by a prediction
        """

    def predictions(self, sample_ids: Sequence[str]) -> Sequence[LoggedPrediction]:
        """Every prediction of `sample_ids`, of any role, the earliest batch first."""

    def browse(self, browsing: Browsing, *, after: LogPlace | None, limit: int) -> Found:
        """The first serving predictions after a place that are looked for, `limit` at most."""

    def count(self, browsing: Browsing, *, at_most: int) -> Counted:
        """How many serving predictions are looked for; counting ends above `at_most`."""

    def of_sample(self, sample_id: str) -> Sequence[StoredPrediction]:
        """Every prediction of one sample, of any role, the earliest batch first."""

    def texts(self, sample_ids: Sequence[str]) -> Mapping[str, str]:
        """The texts of those of `sample_ids` whose serving prediction has one."""

    def attributes(self) -> frozenset[str]:
        """The names of the attributes that any prediction carries."""

    def counts(self, frame: FrameRange, conditions: Sequence[Where]) -> Sequence[Count]:
        """The frame's rows by predicted class, risk bin and pattern; bit i: conditions[i] holds."""

    def slices(self, frame: FrameRange) -> Sequence[SliceCount]:
        """How often the values of attributes occur in the frame, by attribute and value: see
        `labelloop.core.slice_count` for which are counted. An empty value is none.
        """

    def rates(self, frame: FrameRange) -> Sequence[RateCount]:
        """The frame's rows by predicted class, risk bin and sampling rate; empty if all was logged."""

    def rows(
        self, frame: FrameRange, conditions: Sequence[Where], spans: Sequence[Span]
    ) -> Sequence[Candidate]:
        """The frame's rows that lie in a span of their pattern."""

    def scan(
        self, frame: FrameRange, conditions: Sequence[Where], attributes: Sequence[str]
    ) -> "Iterator[pa.RecordBatch]":
        """Every row of the frame, a batch at a time, in no order.

        Columns: sample_id, line, pattern, predicted_class, confidence, margin, sampling_rate; then one of
        text for each of `attributes`, named `attributes.NAME`. Null stands for what a row doesn't have.
        """

    def beside(self, frame: FrameRange, model: str) -> "Iterator[pa.RecordBatch]":
        """The frame's rows whose samples `model` predicted too without serving, in no order.

        Columns: sample_id, line, predicted_class, confidence; and said, the class that `model` named.
        """

    def ranked(
        self,
        frame: FrameRange,
        score: Score,
        where: Where | None = None,
        *,
        n: int,
        by: Sequence[str] = (),
    ) -> Sequence[Ranked]:
        """The frame's rows that match and have the highest scores, in order of these.

        Ties go by line, then by sample_id. Rows without a score are left out: those without what it is
        computed from.

        n
            how many; if `by` is given, how many of each group
        by
            the columns that group rows: "predicted_class" or "attributes.NAME"
        """

    def embeddings(
        self, frame: FrameRange, sample_ids: Sequence[str]
    ) -> Mapping[str, Sequence[float]]:
        """The embeddings of those of `sample_ids` whose row of the frame has one."""

    def opinions(
        self, sample_ids: Sequence[str], model: str | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """What was said last of those of `sample_ids` that the log knows; `model`: by this one alone.

        Of the newest batch, a shadow model before the serving one. Columns: sample_id, model,
        predicted_class, confidence, probabilities; in no order.
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


def refuse_feedback(conditions: Sequence[Where]) -> None:
    """Return if conditions can be asked of a frame.

    Raises:
        LogError: one names feedback.
    """
    for condition in conditions:
        if condition.names_feedback:
            raise LogError(
                f"where = {condition.text!r} names feedback, which has a clock of its own",
                remedy="ask for what was received, not for a frame",
            )
