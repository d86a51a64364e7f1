"""Dataset versions and their exports."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from labelloop.core.dataset import DatasetVersion, Origin, Row
from labelloop.core.looks import Look, Reply, confirmed
from labelloop.core.queue import Purpose
from labelloop.core.task import ASKED_AGAIN, TaskState
from labelloop.errors import DatasetError
from labelloop.ledger import classes, looks
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.top_ups import TopUps

WRITING, RELEASED = "writing", "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export of a dataset version."""

    dataset: str
    version: int
    format: str
    target: str
    at: datetime


def latest(tx: Transaction, name: str) -> DatasetVersion | None:
    """The newest released version of a dataset."""
    row = tx.execute(
        sa.select(t.datasets)
        .where(t.datasets.c.name == name, t.datasets.c.state == RELEASED)
        .order_by(t.datasets.c.version.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _version(row)


NAMES = ("training", "evaluation")


def every(tx: Transaction) -> list[DatasetVersion]:
    """All released versions, by name and version."""
    rows = tx.execute(
        sa.select(t.datasets)
        .where(t.datasets.c.state == RELEASED)
        .order_by(t.datasets.c.name, t.datasets.c.version)
    )
    return [_version(r) for r in rows]


def find(tx: Transaction, name: str, version: int | None) -> DatasetVersion:
    """One released version; the newest where `version` is None.

    Raises:
        DatasetError: there is none of that name or number.
    """
    released = every(tx)
    found = [d for d in released if d.name == name and version in (None, d.version)]
    if not found:
        if name not in NAMES:
            raise DatasetError(f"no dataset {name!r}", remedy=f"name {' or '.join(NAMES)}")
        have = ", ".join(f"{d.name}@{d.version}" for d in released)
        wanted = name if version is None else f"{name}@{version}"
        raise DatasetError(
            f"no dataset version {wanted!r}",
            remedy=f"the released versions are: {have}"
            if have
            else "none is released yet: run `labelloop build`; it says which labels are left out, and why",
        )
    return found[-1]


def begun(tx: Transaction, name: str) -> int | None:
    """The version of a dataset that was begun and not released; None where there is none."""
    version: int | None = tx.execute(
        sa.select(t.datasets.c.version).where(
            t.datasets.c.name == name, t.datasets.c.state == WRITING
        )
    ).scalar_one_or_none()
    return version


def begin(tx: Transaction, version: DatasetVersion) -> None:
    """Record a version before its folder is renamed; it replaces one that was begun and not released."""
    tx.execute(
        t.datasets.delete().where(t.datasets.c.name == version.name, t.datasets.c.state == WRITING)
    )
    tx.execute(
        t.datasets.insert().values(
            name=version.name,
            version=version.version,
            content_hash=version.content_hash,
            parent=version.parent,
            uri=version.uri,
            counts_json=_counts_json(version),
            state=WRITING,
            created_at=version.created_at,
            redacted_from=version.redacted_from,
        )
    )


def release(tx: Transaction, name: str, version: int) -> None:
    """Record that the folder of a version is complete and has its name."""
    tx.execute(
        t.datasets.update()
        .where(t.datasets.c.name == name, t.datasets.c.version == version)
        .values(state=RELEASED)
    )


def redact(tx: Transaction, redacted: DatasetVersion) -> None:
    """Record the content of a released version after rows were removed from it."""
    tx.execute(
        t.datasets.update()
        .where(t.datasets.c.name == redacted.name, t.datasets.c.version == redacted.version)
        .values(
            content_hash=redacted.content_hash,
            counts_json=_counts_json(redacted),
            redacted_from=redacted.redacted_from,
        )
    )


def exports_of(tx: Transaction, name: str, version: int) -> list[Export]:
    """The exports of a version, oldest first."""
    rows = tx.execute(
        sa.select(t.exports)
        .where(t.exports.c.dataset == name, t.exports.c.version == version)
        .order_by(t.exports.c.at, t.exports.c.target)
    )
    return [
        Export(dataset=r.dataset, version=r.version, format=r.format, target=r.target, at=r.at)
        for r in rows
    ]


def record_export(
    tx: Transaction, name: str, version: int, *, format_name: str, target: str, at: datetime
) -> None:
    """Record an export of a version; repeating an export updates its time."""
    same = sa.and_(
        t.exports.c.dataset == name,
        t.exports.c.version == version,
        t.exports.c.format == format_name,
        t.exports.c.target == target,
    )
    tx.execute(t.exports.delete().where(same))
    tx.execute(
        t.exports.insert().values(
            dataset=name, version=version, format=format_name, target=target, at=at
        )
    )


def export_targets(tx: Transaction, format_name: str) -> list[str]:
    """Where versions were exported in one format, the latest first, each place once."""
    latest_at = sa.func.max(t.exports.c.at)
    return list(
        tx.execute(
            sa.select(t.exports.c.target)
            .where(t.exports.c.format == format_name)
            .group_by(t.exports.c.target)
            .order_by(latest_at.desc(), t.exports.c.target)
        ).scalars()
    )


def human_rows(tx: Transaction, purpose: Purpose) -> Iterator[Row]:
    """People's labels for a purpose as rows of a manifest, by sample_id.

    A sample drawn in several rounds stands with its first draw. Where that has second looks, the label is
    the answer that holds after them; where people were asked again about a label, what they answered then.
    """
    first = (
        sa.select(t.draws.c.task_key, sa.func.min(t.draws.c.draw).label("draw"))
        .group_by(t.draws.c.task_key)
        .subquery()
    )
    rows = tx.execute(
        sa.select(
            t.draws,
            t.tasks.c.uri,
            t.tasks.c.sample_id.label("asked_about"),
            t.tasks.c.look,
            t.labels.c.label,
            t.labels.c.annotator,
            t.labels.c.revision,
        )
        .join(first, first.c.draw == t.draws.c.draw)
        .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
        .join(t.labels, t.labels.c.task_key == t.draws.c.task_key)
        .where(
            t.tasks.c.purpose == purpose.value,
            t.tasks.c.state == TaskState.RESOLVED.value,
            t.tasks.c.forgotten_at.is_(None),
        )
    )
    present, extra = classes.renamed(tx), classes.extra_answers(tx)
    with_looks = looks.rounds_with(tx) if purpose is Purpose.EVALUATION else frozenset()
    further = looks.replies(tx) if with_looks else {}
    top_ups = TopUps.read(tx)
    ordered = sorted(rows, key=lambda r: (in_order(r.sample_id), r.look))
    again = {key: r for r in ordered if r.look == ASKED_AGAIN for key in _inputs(r)}
    seen: set[str] = set()
    for r in ordered:
        if (
            r.look and r.sample_id in seen
        ):  # its first answer stands there, with what was answered now
            continue
        seen.add(r.sample_id)
        held = next((again[key] for key in _inputs(r) if key in again), r)
        label, annotator = present.get(held.label, held.label), held.annotator
        if top_ups.round_of(r.round) in with_looks:
            replies = {**further.get(r.asked_about, {}), Look.FIRST: Reply(label, annotator)}
            label = confirmed(replies, present.get(r.predicted_class, r.predicted_class)) or label
            annotator = " + ".join(each.by for each in replies.values() if each.answer == label)
        yield Row(
            sample_id=r.sample_id,
            uri=r.uri,
            content_hash=r.content_hash,
            label=label,
            extra_answer=label in extra,
            origin=Origin.HUMAN,
            confidence=r.confidence,
            model=r.model,
            round=top_ups.round_of(r.round),
            queue=r.queue,
            inclusion=top_ups.inclusion(r.round, r.inclusion)
            if purpose is Purpose.EVALUATION and not r.audit_only
            else r.inclusion,
            annotator=annotator,
            annotation_revision=held.revision,
        )


def _inputs(r: sa.Row[Any]) -> tuple[str, ...]:
    """The names of a draw's input: its sample, and its content, which copies share."""
    return (r.sample_id, f"\0{r.content_hash}") if r.content_hash else (r.sample_id,)


def in_order(sample_id: str) -> bytes:
    """What puts rows of a manifest in their order: that of the log's engine."""
    return sample_id.encode("utf-8", "surrogatepass")


def _counts_json(version: DatasetVersion) -> str:
    counts = {
        "human": version.n_human,
        "model": version.n_model,
        "certified": version.n_certified,
    }
    return json.dumps(counts)


def _version(r: sa.Row[tuple[object, ...]]) -> DatasetVersion:
    counts = json.loads(r.counts_json)
    return DatasetVersion(
        name=r.name,
        version=r.version,
        content_hash=r.content_hash,
        parent=r.parent,
        uri=r.uri,
        n_human=counts["human"],
        n_model=counts["model"],
        n_certified=counts["certified"],
        created_at=r.created_at,
        redacted_from=r.redacted_from,
    )
