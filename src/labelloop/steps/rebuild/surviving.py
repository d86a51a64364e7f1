"""What is left of a lost ledger: tasks and answers where people gave them, and version folders."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from labelloop.core.annotation import Label
from labelloop.core.dataset import DatasetVersion, Origin
from labelloop.core.queue import Purpose
from labelloop.core.token import project_marker
from labelloop.errors import DatasetError
from labelloop.ports.annotator import Annotator, RemoteTask
from labelloop.ports.clock import Progress
from labelloop.steps.build import manifest_file


@dataclass(frozen=True, slots=True)
class SurvivingTask:
    """A task as the annotator holds it, with its place there."""

    queue: str
    project_ref: str
    task: RemoteTask


@dataclass(frozen=True, slots=True)
class SurvivingLabel:
    """A person's label as a manifest holds it: its task isn't known there."""

    queue: str
    label: Label
    at: datetime


@dataclass(frozen=True, slots=True)
class Released:
    """What the version folders hold."""

    versions: list[DatasetVersion] = field(default_factory=list)
    labels: dict[tuple[Purpose, str], SurvivingLabel] = field(default_factory=dict)
    """By purpose and sample: the newest versions' labels of people."""
    not_read: list[str] = field(default_factory=list)


def surviving_tasks(
    annotator: Annotator, ledger_id: str, progress: Progress
) -> dict[str, SurvivingTask]:
    """The annotator's tasks of ours by their key; of duplicates the one that people answered."""
    found: dict[str, SurvivingTask] = {}
    prefix = project_marker(ledger_id, "")
    for project in annotator.projects():
        if not project.marker.startswith(prefix):
            continue
        queue = project.marker.removeprefix(prefix)
        for page in annotator.tasks(project.project_ref):
            for task in page:
                if task.task_key is None:
                    continue
                before = found.get(task.task_key)
                if before is None or (task.annotations and not before.task.annotations):
                    found[task.task_key] = SurvivingTask(queue, project.project_ref, task)
            progress("tasks found", len(found), None)
    return found


def released_in(folder: Path) -> Released:
    """The versions whose folders are whole, and the labels of people in the newest of each name."""
    released = Released()
    for place in sorted(folder.glob("*/v*")):
        try:
            released.versions.append(version_in(place))
        except DatasetError as exc:
            released.not_read.append(str(exc.args[0]))
    released.versions.sort(key=lambda v: (v.name, v.version))
    for version in {v.name: v for v in released.versions}.values():
        released.labels.update(_labels(version))
    return released


def version_in(place: Path) -> DatasetVersion:
    """The version that a folder describes.

    Raises:
        DatasetError: it can't be read, or describes another folder's version.
    """
    path = place / "dataset.json"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        counts = held["counts"]
        version = DatasetVersion(
            name=str(held["name"]),
            version=int(held["version"]),
            content_hash=str(held["content_hash"]),
            parent=None if held["parent"] is None else int(held["parent"]),
            uri=str(place),
            n_human=int(counts["human"]),
            n_model=int(counts["model"]),
            n_certified=int(counts["certified"]),
            created_at=datetime.fromisoformat(held["created_at"]),
            redacted_from=str(held["redacted"][-1]["from"]) if held.get("redacted") else None,
        )
        named = (place.parent.name, place.name)
        if not 0 <= (version.parent or 0) < version.version < 10**9:
            raise ValueError(f"version {version.version} of parent {version.parent}")
        if named != (version.name, f"v{version.version:04d}") or version.created_at.tzinfo is None:
            raise ValueError(f"it describes {version.name} v{version.version}")
    except (
        OSError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as exc:
        raise DatasetError(
            f"{path} can't be read: {type(exc).__name__}: {exc}",
            remedy="restore it from a backup",
        ) from exc
    manifest_file.verify(version)
    return version


def _labels(version: DatasetVersion) -> Iterator[tuple[tuple[Purpose, str], SurvivingLabel]]:
    columns = ["sample_id", "label", "queue", "annotator", "annotation_revision"]
    table = manifest_file.read(
        Path(version.uri) / "manifest.parquet",
        columns,
        [("origin", "==", Origin.HUMAN.value)],
    )
    purpose = Purpose.EVALUATION if version.name == "evaluation" else Purpose.TRAINING
    for row in table.to_pylist():
        label = Label(
            task_key="",
            label=row["label"],
            method=f"as in {version.name} v{version.version}",
            n_votes=1,
            revision=row["annotation_revision"] or "",
            annotator=row["annotator"] or "",
        )
        yield (
            (purpose, row["sample_id"]),
            SurvivingLabel(row["queue"] or version.name, label, version.created_at),
        )
