"""Labels of a training set that a model contradicts, the surest contradiction first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, Ints
from labelloop.core.dataset import MANIFEST, DatasetVersion, Origin, Row
from labelloop.core.task import TaskState
from labelloop.errors import ArgumentError
from labelloop.ledger import Transaction, tasks
from labelloop.ports.log import PredictionLog
from labelloop.statistics.label_errors import Sureness
from labelloop.steps.build import manifest_file
from labelloop.steps.compare import candidate

if TYPE_CHECKING:
    import pyarrow as pa

Opinions = Callable[[Sequence[str]], "Iterator[pa.RecordBatch]"]
"""What a model says of some samples: the columns of `PredictionLog.opinions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A label that a model contradicts.

    label, label_probability
        the label, and the probability that the model gives it
    said, said_probability
        the class that the model gives instead, and its probability
    origin, by, queue
        who gave the label: people, whose ids in the annotator `by` names, or a model
    guarantee
        the number of the guarantee that covers the label; None: a person's, or none does
    asked_again, answer
        the state of the task that asks again, and its label; None: nobody was asked, or no label yet
    """

    sample_id: str
    label: str
    label_probability: float
    said: str
    said_probability: float
    model: str
    origin: Origin
    by: str | None
    queue: str | None
    content_hash: str
    guarantee: int | None
    asked_again: TaskState | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """The labels of a version that a model contradicts.

    n_labels, n_judged
        the labels of the version, and those that a model has an opinion of
    n_by_confidence
        of these, those whose opinion is a class and its confidence alone
    n, first
        how many labels are contradicted, and the first ones: the lowest label_probability first
    """

    version: str
    n_labels: int
    n_judged: int
    n_by_confidence: int
    n: int
    first: tuple[Suspect, ...]


def from_log(log: PredictionLog, model: str | None = None) -> Opinions:
    """What the log's newest predictions say; `model`: those of this one alone."""
    return partial(log.opinions, model=model)


def from_file(path: Path, classes: Sequence[str], renamed: Mapping[str, str]) -> Opinions:
    """What stands in a file as `compare` takes it; Parquet may have a column `probabilities` too.

    Raises:
        ArgumentError: the file can't be used.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    said = candidate.from_file(path, classes, renamed)
    table = candidate.read_table(path)
    lists = pa.nulls(len(table), pa.list_(pa.float64()))
    if path.suffix.lower() not in candidate.CSV and "probabilities" in pq.read_schema(path).names:
        try:
            held = pq.read_table(path, columns=["probabilities"], partitioning=None)
            lists = held.column(0).cast(pa.list_(pa.float64()))
        except (OSError, pa.ArrowException) as exc:
            raise ArgumentError(
                f"{path}: column 'probabilities' can't be read: {exc}",
                remedy="expected a list of numbers in each row, one for each class in the order of "
                "[project] classes",
            ) from exc
    ids = table.column("sample_id").cast(pa.string())
    whole = pa.table(
        {
            "sample_id": ids,
            "model": pa.repeat(pa.scalar(path.name), len(table)),
            "predicted_class": pa.array([said.answers[i] for i in ids.to_pylist()], pa.string()),
            "confidence": table.column("confidence").cast(pa.float64()),
            "probabilities": lists,
        }
    )

    def opinions(sample_ids: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        wanted = pc.is_in(whole.column("sample_id"), pa.array(sample_ids, pa.string()))
        yield from whole.filter(wanted).to_batches()

    return opinions


def suspects(
    tx: Transaction,
    version: DatasetVersion,
    opinions: Opinions,
    classes: Sequence[str],
    *,
    limit: int | None = None,
) -> Suspects:
    """The labels of a training version that opinions contradict; `limit`: so many are told of.

    The version is read twice: for the thresholds of the classes, and for what they say of each label.

    Raises:
        ArgumentError: the version isn't one of a training set.
    """
    if version.name != "training":
        raise ArgumentError(
            f"{version.name} v{version.version} isn't a training set: second looks check the labels of "
            "an evaluation set",
            remedy="name training, or training@3",
        )
    path = Path(version.uri) / MANIFEST
    sums = Sureness(len(classes))
    n_judged = n_by_confidence = 0
    for page in _judged(path, opinions, classes):
        sums.add(page.labels, page.probabilities)
        n_judged += page.labels.size
        n_by_confidence += page.n_by_confidence
    thresholds = sums.thresholds()
    found: list[tuple[float, str, str, float, str]] = []
    for page in _judged(path, opinions, classes):
        doubted, said = thresholds.contradicted(page.labels, page.probabilities)
        for row in np.flatnonzero(doubted).tolist():
            p = page.probabilities[row]
            own, other = float(p[page.labels[row]]), int(said[row])
            found.append(
                (own, page.sample_ids[row], classes[other], float(p[other]), page.models[row])
            )
    found.sort()
    return Suspects(
        version=f"training v{version.version}",
        n_labels=version.n_human + version.n_model,
        n_judged=n_judged,
        n_by_confidence=n_by_confidence,
        n=len(found),
        first=tuple(_told(tx, path, found[:limit])),
    )


def _told(
    tx: Transaction, path: Path, found: Sequence[tuple[float, str, str, float, str]]
) -> Iterator[Suspect]:
    """What the manifest and the ledger say of the labels that are contradicted."""
    if not found:
        return
    ids = [sample_id for _, sample_id, *_ in found]
    columns = [field.name for field in fields(Row)]
    held = manifest_file.read(path, columns, [("sample_id", "in", ids)]).to_pylist()
    rows = {row["sample_id"]: Row(**row | {"origin": Origin(row["origin"])}) for row in held}
    again = tasks.asked_again(tx, ids, [row.content_hash for row in rows.values()])
    for own, sample_id, said, probability, model in found:
        row = rows[sample_id]
        state, answer = again.get(sample_id) or again.get(row.content_hash) or (None, None)
        yield Suspect(
            sample_id=sample_id,
            label=row.label,
            label_probability=own,
            said=said,
            said_probability=probability,
            model=model,
            origin=row.origin,
            by=row.annotator,
            queue=row.queue,
            content_hash=row.content_hash,
            guarantee=row.certificate,
            asked_again=state,
            answer=answer,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """Labels and what is said of them: (n,) int64, and (n, K) float64 that sum to 1."""

    sample_ids: Sequence[str]
    models: Sequence[str]
    labels: Ints
    probabilities: Floats
    n_by_confidence: int


def _judged(path: Path, opinions: Opinions, classes: Sequence[str]) -> Iterator[_Page]:
    for rows in manifest_file.pages(path, ["sample_id", "label"]):
        labels = dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        for batch in opinions(list(labels)):
            yield _page(batch, labels, classes)


def _page(batch: "pa.RecordBatch", labels: Mapping[str, str], classes: Sequence[str]) -> _Page:
    """The rows of a batch whose label and prediction name classes, with their probabilities."""
    numbers = {name: i for i, name in enumerate(classes)}
    ids = batch.column("sample_id").to_pylist()
    own = np.array([numbers.get(labels[i], -1) for i in ids], dtype=np.int64)
    names = batch.column("predicted_class").to_pylist()
    said = np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
    sure = batch.column("confidence").to_numpy(zero_copy_only=False).astype(np.float64)
    p = _from_confidence(said, sure, len(classes))
    listed = _from_lists(batch.column("probabilities"), said, p)
    known = (own >= 0) & (said >= 0) & (listed | np.isfinite(sure))
    rows = np.flatnonzero(known)
    models = batch.column("model").to_pylist()
    return _Page(
        sample_ids=[ids[i] for i in rows],
        models=[models[i] for i in rows],
        labels=own[rows],
        probabilities=p[rows],
        n_by_confidence=int((known & ~listed).sum()),
    )


def _from_confidence(said: Ints, sure: Floats, n_classes: int) -> Floats:
    """(n, K): the confidence for the class that is said, and the rest in equal parts for the others."""
    p = np.repeat(((1 - sure) / max(1, n_classes - 1))[:, None], n_classes, axis=1)
    p[np.arange(said.size), said] = sure
    return p


def _from_lists(lists: "pa.Array", said: Ints, into: Floats) -> npt.NDArray[np.bool_]:
    """Put the lists into their rows; returns which rows have one that can be used.

    A list counts if it has a number for each class and the largest one where the predicted class stands:
    else it is in another order.
    """
    import pyarrow.compute as pc

    n, n_classes = into.shape
    usable = np.zeros(n, dtype=np.bool_)
    whole = pc.fill_null(pc.equal(pc.list_value_length(lists), n_classes), False)
    rows = np.flatnonzero(whole.to_numpy(zero_copy_only=False) & (said >= 0))
    if not rows.size:
        return usable
    flat = lists.take(rows).flatten().to_numpy(zero_copy_only=False)
    values = flat.astype(np.float64).reshape(rows.size, n_classes)
    total = values.sum(axis=1)
    good = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1) & (total > 0)
    good &= values[np.arange(rows.size), said[rows]] == values.max(axis=1)
    into[rows[good]] = values[good] / total[good, None]
    usable[rows[good]] = True
    return usable
