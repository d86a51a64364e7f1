"""The whole story of one sample: what models and users said of it, what people were asked and answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labelloop.core.annotation import Annotation
from labelloop.core.dataset import DatasetVersion, Origin
from labelloop.core.task import Task
from labelloop.errors import DatasetError
from labelloop.exports import manifest
from labelloop.ledger import annotations, blindness, datasets, looks, picks, tasks, tombstones
from labelloop.ledger.datasets import Export
from labelloop.ledger.picks import Pick
from labelloop.ports.log import PredictionLog, StoredPrediction

if TYPE_CHECKING:
    from labelloop.ledger import Ledger

NEWEST_VERSIONS = 20
"""In so many of the newest versions of each dataset a sample is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStory:
    """A task, its label, and every revision of every answer, the oldest first."""

    task: Task
    label: str | None
    revisions: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A dataset version that holds the sample, with the label that it has there, and its exports."""

    version: DatasetVersion
    label: str
    origin: Origin
    exports: tuple[Export, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Everything that is known of one sample.

    open_tasks
        the keys of the blind tasks that wait for an answer: while there are any, nobody but an operator
        who says so may see this
    versions_left
        how many older dataset versions weren't looked into
    """

    sample_id: str
    uri: str
    content_hash: str
    text: str | None
    predictions: tuple[StoredPrediction, ...]
    picks: tuple[Pick, ...]
    tasks: tuple[TaskStory, ...]
    memberships: tuple[Membership, ...]
    versions_left: int
    open_tasks: tuple[str, ...]


def lineage(ledger: "Ledger", log: PredictionLog | None, sample_id: str) -> Lineage | None:
    """The story of a sample; None where nothing is known of it."""
    with ledger.read() as tx:
        picked = tuple(p for p in picks.of_sample(tx, sample_id) if not p.forgotten)
        asked = tasks.by_key(tx, [p.task_key for p in picked])
        further = looks.tasks_of(tx, sorted({task.sample_id for task in asked.values()}))
        every = [*asked.values(), *(k for own in further.values() for k in own.values())]
        labels = annotations.labels(tx, [task.task_key for task in every])
        revisions = annotations.revisions(tx, [task.task_key for task in every])
        open_tasks = tuple(blindness.open_tasks_of(tx, sample_id))
        released = datasets.every(tx)
    predictions = tuple(log.of_sample(sample_id)) if log is not None else ()
    if not picked and not predictions:
        return None
    memberships, left = _memberships(ledger, released, sample_id)
    first = predictions[0] if predictions else None
    return Lineage(
        sample_id=sample_id,
        uri=first.uri if first is not None else picked[0].uri,
        content_hash=first.content_hash if first is not None else picked[0].content_hash,
        text=None if first is None else first.text,
        predictions=predictions,
        picks=picked,
        tasks=tuple(
            TaskStory(
                task=task,
                label=labels[task.task_key].label if task.task_key in labels else None,
                revisions=tuple(revisions.get(task.task_key, ())),
            )
            for task in sorted(every, key=lambda k: (k.purpose, k.look))
        ),
        memberships=memberships,
        versions_left=left,
        open_tasks=open_tasks,
    )


def is_forgotten(ledger: "Ledger", sample_id: str) -> bool:
    """True if the sample was forgotten on request."""
    if ledger.identity() is None:
        return False
    with ledger.read() as tx:
        return bool(tombstones.every(tx).among([sample_id]))


def without_names(found: Lineage) -> Lineage:
    """The story with numbers in place of people, each the same throughout."""
    numbers: dict[str, str] = {}
    for story in found.tasks:
        for revision in story.revisions:
            numbers.setdefault(revision.annotator, f"person {len(numbers) + 1}")
    return named(found, numbers)


def named(found: Lineage, names: Mapping[str, str]) -> Lineage:
    """The story with other names of people; who has none keeps the id of their account."""
    stories = tuple(
        replace(
            story,
            revisions=tuple(
                replace(r, annotator=names.get(r.annotator, r.annotator)) for r in story.revisions
            ),
        )
        for story in found.tasks
    )
    return replace(found, tasks=stories)


def _memberships(
    ledger: "Ledger", released: Sequence[DatasetVersion], sample_id: str
) -> tuple[tuple[Membership, ...], int]:
    by_name: dict[str, list[DatasetVersion]] = {}
    for version in sorted(released, key=lambda v: -v.version):
        by_name.setdefault(version.name, []).append(version)
    found: list[Membership] = []
    left = 0
    for name in sorted(by_name):
        left += len(by_name[name][NEWEST_VERSIONS:])
        for version in by_name[name][:NEWEST_VERSIONS]:
            try:
                row = manifest.label_of(version, sample_id)
            except DatasetError:  # its folder is gone or damaged, which the doctor says
                left += 1
                continue
            if row is not None:
                with ledger.read() as tx:
                    exports = tuple(datasets.exports_of(tx, version.name, version.version))
                found.append(
                    Membership(version=version, label=row[0], origin=row[1], exports=exports)
                )
    return tuple(found), left
