"""The draws of a round, a page at a time: what each page costs doesn't grow with the ledger."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from labelloop.core.looks import Look, Reply, confirmed
from labelloop.core.queue import Purpose
from labelloop.core.task import TaskState
from labelloop.ledger import classes, looks
from labelloop.ledger import tables as t
from labelloop.ledger.blindness import Hidden
from labelloop.ledger.database import Transaction
from labelloop.ledger.top_ups import TopUps

_WINDOW = 200
"""Draws a statement."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the round or top-up, and the position in it."""

    number: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDraw:
    """A draw with all that was known when it was drawn, and what became of it.

    place
        where it stands in the order of sending
    inclusion
        the chance to be drawn by now, top-ups included
    answer
        the answer that holds
    """

    place: Place
    queue: str
    purpose: Purpose
    sample_id: str
    model: str
    predicted_at: datetime
    predicted_class: str | None
    confidence: float | None
    risk: float | None
    inclusion: float | None
    uniform: bool
    is_audit: bool
    reason: str
    state: TaskState
    answer: str | None


@dataclass(frozen=True, slots=True)
class DrawPage:
    """Some draws in the order of sending; `after`: where the next page begins, None: this is the last."""

    draws: tuple[ShownDraw, ...]
    after: Place | None


def page(
    tx: Transaction,
    round_number: int,
    queue: str,
    *,
    after: Place | None = None,
    most: int = 50,
    hidden: Hidden | None = None,
) -> DrawPage:
    """The draws of a queue in a round, those of top-ups after its own.

    hidden
        the samples that aren't shown; such a page may hold fewer
    """
    found: list[ShownDraw] = []
    last: Place | None = None
    seen = 0
    for draw, content in islice(_draws(tx, round_number, queue, after), _WINDOW * 5):
        if len(found) == most:
            return DrawPage(tuple(found), last)
        last, seen = draw.place, seen + 1
        if hidden is None or not hidden.has(draw.sample_id, content):
            found.append(draw)
    return DrawPage(tuple(found), last if seen == _WINDOW * 5 else None)


def first_draws(
    tx: Transaction, round_number: int, queue: str, *, most: int, hidden: Hidden
) -> Iterator[ShownDraw]:
    """The first draws of a queue in a round, but for those that are hidden."""
    drawn = islice(_draws(tx, round_number, queue, None), most)
    yield from (draw for draw, content in drawn if not hidden.has(draw.sample_id, content))


def queues_of(tx: Transaction, round_number: int) -> list[str]:
    """The queues that drew in a round, by name."""
    found: list[str] = []
    c = t.draws.c
    for number in TopUps.read(tx).with_own([round_number]):
        last = ""
        # from one to the next by the index: to ask for the distinct ones reads every draw
        while True:
            following = sa.select(sa.func.min(c.queue)).where(c.round == number, c.queue > last)
            name = tx.execute(following).scalar_one_or_none()
            if name is None:
                break
            last = name
            found.append(name)
    return sorted(set(found))


def _draws(
    tx: Transaction, round_number: int, queue: str, after: Place | None
) -> Iterator[tuple[ShownDraw, str]]:
    """Each draw, and the hash of its input."""
    top_ups, present = TopUps.read(tx), classes.renamed(tx)
    with_looks = round_number in looks.rounds_with(tx)
    for number in top_ups.with_own([round_number]):
        if after is not None and number < after.number:
            continue
        position = after.position if after is not None and number == after.number else -1
        while rows := _window(tx, number, queue, position):
            position = rows[-1].position
            told = looks.replies_about(tx, [r.asked_about for r in rows]) if with_looks else {}
            for r in rows:
                label = present.get(r.label, r.label)
                predicted = present.get(r.predicted_class, r.predicted_class)
                if label is not None and r.purpose == Purpose.EVALUATION:
                    first = {Look.FIRST: Reply(label, r.annotator)}
                    label = confirmed({**told.get(r.asked_about, {}), **first}, predicted)
                yield _shown(r, predicted, label, top_ups), r.content_hash


def _window(tx: Transaction, number: int, queue: str, position: int) -> Sequence[sa.Row[Any]]:
    c = t.draws.c
    return tx.execute(
        sa.select(
            t.draws,
            t.tasks.c.purpose,
            t.tasks.c.state,
            t.tasks.c.sample_id.label("asked_about"),
            t.labels.c.label,
            t.labels.c.annotator,
        )
        .join(t.tasks, t.tasks.c.task_key == c.task_key)
        .outerjoin(t.labels, t.labels.c.task_key == c.task_key)
        .where(c.round == number, c.queue == queue, c.position > position)
        .order_by(c.position)
        .limit(_WINDOW)
    ).all()


def _shown(r: sa.Row[Any], predicted: str | None, answer: str | None, top_ups: TopUps) -> ShownDraw:
    inclusion = r.inclusion
    if r.purpose == Purpose.EVALUATION and not r.audit_only:
        inclusion = top_ups.inclusion(r.round, inclusion)
    return ShownDraw(
        place=Place(r.round, r.position),
        queue=r.queue,
        purpose=Purpose(r.purpose),
        sample_id=r.sample_id,
        model=r.model,
        predicted_at=r.predicted_at,
        predicted_class=predicted,
        confidence=r.confidence,
        risk=r.risk,
        inclusion=inclusion,
        uniform=r.uniform,
        is_audit=r.within is not None,
        reason=r.reason,
        state=TaskState(r.state),
        answer=answer,
    )
