"""What was picked for people, the newest first: for pages that show a few of millions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.looks import Look, Referees, Reply, confirmed
from labelloop.core.queue import Purpose
from labelloop.core.task import TaskState
from labelloop.ledger import classes, looks
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.top_ups import TopUps

WINDOW = 10_000
"""So many picks are looked at in one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A draw as people look at it: what was predicted, why it was drawn, and the label that holds by now.

    number
        of the draw: newer ones have larger numbers
    forgotten
        its sample was forgotten: `sample_id` is a hash
    """

    number: int
    round: int
    queue: str
    purpose: Purpose
    sample_id: str
    uri: str
    task_key: str
    model: str
    predicted_at: datetime
    predicted_class: str | None
    confidence: float | None
    corrected_class: str | None
    flagged: bool | None
    attributes: Mapping[str, str]
    content_hash: str
    reason: str
    inclusion: float | None
    state: TaskState
    label: str | None
    forgotten: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PickFilter:
    """Which picks are looked for; None: any.

    since, until
        of the prediction: since <= predicted_at < until
    """

    queue: str | None = None
    round: int | None = None
    predicted_class: str | None = None
    confidence_from: float | None = None
    confidence_to: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    flagged: bool = False
    labelled: bool = False


def windows(
    tx: Transaction, wanted: PickFilter, *, before: int | None = None
) -> Iterator[tuple[int, list[Pick]]]:
    """The picks that are looked for, newest first, some at a time; with the number looked at so far."""
    d = t.draws.c
    top = tx.execute(sa.select(sa.func.max(d.draw))).scalar_one_or_none() or 0
    high = top if before is None else min(top, before - 1)
    conditions = _conditions(tx, wanted)
    reader = _Reader(tx)
    while high > 0:
        low = max(0, high - WINDOW)
        yield low + 1, reader.read([d.draw <= high, d.draw > low, *conditions])
        high = low


def of_sample(tx: Transaction, sample_id: str) -> list[Pick]:
    """Every draw of one sample, newest first."""
    return _Reader(tx).read([t.draws.c.sample_id == sample_id])


def _conditions(tx: Transaction, wanted: PickFilter) -> list[sa.ColumnElement[bool]]:
    d = t.draws.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.queue is not None:
        found.append(d.queue == wanted.queue)
    if wanted.round is not None:
        found.append(d.round.in_(TopUps.read(tx).with_own([wanted.round])))
    if wanted.predicted_class is not None:
        found.append(d.predicted_class.in_(_names(tx, wanted.predicted_class)))
    if wanted.confidence_from is not None:
        found.append(d.confidence >= wanted.confidence_from)
    if wanted.confidence_to is not None:
        found.append(d.confidence <= wanted.confidence_to)
    if wanted.since is not None:
        found.append(d.predicted_at >= wanted.since)
    if wanted.until is not None:
        found.append(d.predicted_at < wanted.until)
    if wanted.flagged:
        found.append(d.flagged.is_(True))
    if wanted.labelled:
        found.append(t.labels.c.label.is_not(None))
    return found


def _names(tx: Transaction, present: str) -> list[str]:
    """The names that count as one class: its own, and its old ones."""
    renamed = classes.renamed(tx)
    return [present, *(old for old, now in renamed.items() if now == present)]


class _Reader:
    """Reads draws with the labels that hold."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._present = classes.renamed(tx)
        self._top_ups = TopUps.read(tx)
        self._with_looks = looks.rounds_with(tx)
        self._referees = looks.referees(tx) if self._with_looks else Referees()

    def read(self, conditions: Sequence[sa.ColumnElement[bool]]) -> list[Pick]:
        d, task = t.draws.c, t.tasks.c
        rows = self._tx.execute(
            sa.select(
                t.draws,
                task.uri,
                task.purpose,
                task.state,
                task.forgotten_at,
                task.sample_id.label("asked_about"),
                t.labels.c.label,
                t.labels.c.annotator,
                t.labels.c.first_at,
            )
            .join(t.tasks, task.task_key == d.task_key)
            .outerjoin(t.labels, t.labels.c.task_key == d.task_key)
            .where(*conditions)
            .order_by(d.draw.desc())
        ).all()
        again = {r.asked_about for r in rows if self._is_followed(r) and r.label is not None}
        further = looks.replies_about(self._tx, sorted(again)) if again else {}
        return [self._pick(r, further.get(r.asked_about, {})) for r in rows]

    def _is_followed(self, r: sa.Row[tuple[object, ...]]) -> bool:
        followed = self._top_ups.round_of(r.round) in self._with_looks
        return followed and r.purpose == Purpose.EVALUATION.value

    def _pick(self, r: sa.Row[tuple[object, ...]], further: Mapping[Look, Reply]) -> Pick:
        predicted = self._present.get(r.predicted_class, r.predicted_class)
        label = self._present.get(r.label, r.label)
        if label is not None and self._is_followed(r):
            first = Reply(label, r.annotator, r.annotator in self._referees.at(r.first_at))
            label = confirmed({**further, Look.FIRST: first}, predicted)
        of_accuracy = r.purpose == Purpose.EVALUATION.value and not r.audit_only
        return Pick(
            number=r.draw,
            round=self._top_ups.round_of(r.round),
            queue=r.queue,
            purpose=Purpose(r.purpose),
            sample_id=r.sample_id,
            uri=r.uri,
            task_key=r.task_key,
            model=r.model,
            predicted_at=r.predicted_at,
            predicted_class=predicted,
            confidence=r.confidence,
            corrected_class=r.corrected_class,
            flagged=r.flagged,
            attributes=json.loads(r.attributes_json) if r.attributes_json else {},
            content_hash=r.content_hash,
            reason=r.reason,
            inclusion=self._top_ups.inclusion(r.round, r.inclusion) if of_accuracy else r.inclusion,
            state=TaskState(r.state),
            label=label,
            forgotten=r.forgotten_at is not None and r.asked_about == r.sample_id,
        )
