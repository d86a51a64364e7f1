"""Tasks: the state of what was drawn. Every change of state goes through `move`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from labelloop.core.annotation import Standing
from labelloop.core.queue import Purpose
from labelloop.core.task import ASKED_AGAIN, MOVES, OPEN, Task, TaskState
from labelloop.errors import LedgerError
from labelloop.ledger import classes, events, held_counts, task_counts
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SendableTask:
    """A task beside what its draw knows: all that a queue may show, and the hash of what was predicted."""

    task: Task
    content_hash: str
    predicted_class: str | None
    confidence: float | None
    corrected_class: str | None
    flagged: bool | None
    model: str


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many tasks of a queue stand in a state, and since when the oldest does."""

    queue: str
    purpose: Purpose
    state: TaskState
    n: int
    oldest_at: datetime | None


_STANDING = t.tasks.update().where(
    t.tasks.c.task_key.in_(sa.bindparam("keys", expanding=True)),
    t.tasks.c.state == sa.bindparam("in"),
)


def move(
    tx: Transaction,
    tasks: Iterable[Task],
    to: TaskState,
    *,
    actor: str,
    at: datetime,
    detail: str = "",
    details: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Move tasks to a state, with an event each. The only place where a state changes.

    details
        by their keys, what the events of single tasks say in place of `detail`

    Raises:
        LedgerError: a task may not make this move.
    """
    moved = list(tasks)
    for task in moved:
        if to not in MOVES[task.state]:
            raise LedgerError(
                f"task {task.task_key} can't go from {task.state} to {to}",
                remedy="this is a bug in labelloop: please report it with this message",
            )
    values: dict[str, object] = {"state": to.value}
    if to is TaskState.RESOLVED:
        values["resolved_at"] = at
    if to in OPEN:
        values["resolved_at"] = None
    for state in dict.fromkeys(task.state for task in moved):
        keys = [task.task_key for task in moved if task.state is state]
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            changed = tx.execute(_STANDING, {"keys": chunk, "in": state.value, **values})
            if changed.rowcount != len(chunk):
                raise LedgerError(
                    f"{len(chunk) - changed.rowcount} tasks are no longer {state}, because another step "
                    "changed them",
                    remedy="nothing was written; run again",
                )
    task_counts.count_moved(tx, moved, to)
    said = {task.task_key: details.get(task.task_key, detail) for task in moved}
    events.record(tx, [events.Event(at, actor, to.value, key, why) for key, why in said.items()])


def to_send(tx: Transaction, queue: str, limit: int) -> list[SendableTask]:
    """The queue's next drawn tasks, in the order of sending."""
    return _sendable(tx, _NEXT, {"of": queue, "most": limit})


def in_doubt(tx: Transaction) -> list[Task]:
    """The tasks whose sending was begun and not confirmed, of queues that are gone too."""
    return _tasks(tx, t.tasks.c.state == TaskState.SENDING.value)


def with_lapsing_url(
    tx: Transaction, expires_before: datetime, *, lasting: bool = False
) -> list[SendableTask]:
    """Open tasks whose image URL lapses before a moment; `lasting`: those that never lapse too."""
    return _sendable(tx, _LAPSING_OR_LASTING if lasting else _LAPSING, {"before": expires_before})


def without_copy(tx: Transaction) -> list[SendableTask]:
    """Open blind tasks whose copy was removed when they were resolved: they were reopened."""
    return _sendable(tx, _WITHOUT_COPY)


def with_unneeded_copy(tx: Transaction, resolved_before: datetime) -> list[Task]:
    """Tasks whose blind copy nobody needs any more."""
    copied = t.tasks.c.media_uri.is_not(None)
    settled = (t.tasks.c.state == TaskState.RESOLVED.value) & (
        t.tasks.c.resolved_at < resolved_before
    )
    given_up = t.tasks.c.state.in_([TaskState.UNAVAILABLE.value, TaskState.ABANDONED.value])
    return _tasks(tx, copied & settled) + _tasks(tx, copied & given_up)


def set_copies(tx: Transaction, media_uris: Iterable[tuple[str, str | None]]) -> None:
    """Note where the blind copy of each task_key lies, before it is made; None: it was removed."""
    copies = [{"of": task_key, "media_uri": media_uri} for task_key, media_uri in media_uris]
    if copies:
        tx.execute(t.tasks.update().where(t.tasks.c.task_key == sa.bindparam("of")), copies)


def begin_sending(
    tx: Transaction,
    tasks: Sequence[Task],
    project_ref: str,
    *,
    at: datetime,
    url_expires_at: datetime | None,
) -> None:
    """Note, before the request, that tasks are being sent to a project; None: without a URL."""
    move(tx, tasks, TaskState.SENDING, actor="send", at=at, detail=f"project {project_ref}")
    for start in range(0, len(tasks), _CHUNK):
        keys = [task.task_key for task in tasks[start : start + _CHUNK]]
        tx.execute(
            t.tasks.update()
            .where(t.tasks.c.task_key.in_(keys))
            .values(project_ref=project_ref, sent_at=at, url_expires_at=url_expires_at)
        )


def confirm_sent(
    tx: Transaction,
    tasks: Sequence[Task],
    remote_ids: Sequence[str],
    *,
    at: datetime,
    people_asked: Sequence[int],
) -> None:
    """Note the ids that tasks which were being sent got, and how many answers each takes there."""
    if not tasks:
        return
    move(tx, tasks, TaskState.SENT, actor="send", at=at)
    again = [task.task_key for task in tasks if task.attempt]
    held_counts.add_tasks(tx, by_key(tx, again).values())
    tx.execute(
        t.tasks.update()
        .where(t.tasks.c.task_key == sa.bindparam("key"))
        .values(remote_id=sa.bindparam("id"), people_asked=sa.bindparam("people")),
        [
            {"key": task.task_key, "id": number, "people": people}
            for task, number, people in zip(tasks, remote_ids, people_asked, strict=True)
        ],
    )


def return_to_drawn(
    tx: Transaction, tasks: Sequence[Task], *, actor: str, at: datetime, why: str
) -> None:
    """Tasks that the annotator doesn't hold wait to be sent, again where they had been sent."""
    move(tx, tasks, TaskState.DRAWN, actor=actor, at=at, detail=why)
    held_counts.remove_tasks(tx, [task for task in tasks if task.remote_id is not None])
    for task in tasks:
        tx.execute(
            t.tasks.update()
            .where(t.tasks.c.task_key == task.task_key)
            .values(
                project_ref=None,
                remote_id=None,
                people_asked=None,
                attempt=task.attempt + (task.state is not TaskState.SENDING),
            )
        )


def set_url_expiry(tx: Transaction, task_key: str, url_expires_at: datetime | None) -> None:
    """Note until when the image URL in a task works; None: it doesn't lapse."""
    tx.execute(
        t.tasks.update().where(t.tasks.c.task_key == task_key).values(url_expires_at=url_expires_at)
    )


def set_remote_id(tx: Transaction, task_key: str, remote_id: str) -> None:
    """Note that another of a task's duplicates now stands for it."""
    tx.execute(t.tasks.update().where(t.tasks.c.task_key == task_key).values(remote_id=remote_id))


def set_people_asked(tx: Transaction, task_key: str, people_asked: int) -> None:
    """Note how many answers a task takes."""
    tx.execute(
        t.tasks.update().where(t.tasks.c.task_key == task_key).values(people_asked=people_asked)
    )


def to_check_people_asked(tx: Transaction) -> list[Task]:
    """The tasks before people that may ask more or fewer of them than are still needed."""
    answerable = t.tasks.c.state.in_([s.value for s in OPEN | {TaskState.RESOLVED}])
    there = t.tasks.c.remote_id.is_not(None)
    undecided = t.tasks.c.state.in_([TaskState.TIED.value, TaskState.ANNOTATED.value])
    with_strays = t.tasks.c.task_key.in_(sa.select(t.strays.c.task_key))
    waiting = t.tasks.c.state.in_([TaskState.SENT.value, TaskState.SKIPPED.value])
    void = t.apart & (t.annotations.c.standing == Standing.VOID.value)
    with_void = t.tasks.c.task_key.in_(sa.select(t.annotations.c.task_key).where(void))
    found = [
        *_tasks(tx, there & undecided),
        *_tasks(tx, there & t.further & waiting),
        *_tasks(tx, there & waiting & with_void),
        *_tasks(tx, t.asked_wrongly & answerable),
        *_tasks(tx, there & with_strays & answerable),
    ]
    return list({task.task_key: task for task in found}.values())


def by_key(tx: Transaction, task_keys: Sequence[str]) -> dict[str, Task]:
    """Those of `task_keys` that the ledger knows."""
    found: dict[str, Task] = {}
    for start in range(0, len(task_keys), _CHUNK):
        chunk = task_keys[start : start + _CHUNK]
        found.update((task.task_key, task) for task in _tasks(tx, t.tasks.c.task_key.in_(chunk)))
    return found


def first_look_keys(tx: Transaction, purpose: Purpose, sample_ids: Sequence[str]) -> dict[str, str]:
    """The key of the task that asks for a first answer, by sample, for those of some samples."""
    found: dict[str, str] = {}
    for start in range(0, len(sample_ids), _CHUNK):
        chunk = sample_ids[start : start + _CHUNK]
        rows = tx.execute(
            sa.select(t.tasks.c.sample_id, t.tasks.c.task_key).where(
                t.tasks.c.purpose == purpose.value,
                t.tasks.c.sample_id.in_(chunk),
                t.tasks.c.look == 0,
            )
        )
        found |= {r.sample_id: r.task_key for r in rows}
    return found


def asked_again(
    tx: Transaction, sample_ids: Sequence[str], content_hashes: Sequence[str]
) -> dict[str, tuple[TaskState, str | None]]:
    """The state and the label of the task that asks again about an input, by sample and by content."""
    present = classes.renamed(tx)
    found: dict[str, tuple[TaskState, str | None]] = {}
    for column, values in (
        (t.draws.c.sample_id, sample_ids),
        (t.draws.c.content_hash, content_hashes),
    ):
        wanted = sorted({value for value in values if value})
        for start in range(0, len(wanted), _CHUNK):
            rows = tx.execute(
                sa.select(column, t.tasks.c.state, t.labels.c.label)
                .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
                .outerjoin(t.labels, t.labels.c.task_key == t.tasks.c.task_key)
                .where(
                    column.in_(wanted[start : start + _CHUNK]),
                    t.tasks.c.look == ASKED_AGAIN,
                    t.tasks.c.forgotten_at.is_(None),
                )
            )
            found |= {r[0]: (TaskState(r.state), present.get(r.label, r.label)) for r in rows}
    return found


def keys_by_content(
    tx: Transaction, purpose: Purpose, content_hashes: Sequence[str]
) -> dict[str, str]:
    """The key of the oldest task that asks for a first answer to an input, by the input's hash.

    Tasks whose own input is gone, which were given up or whose sample was forgotten are left out.
    """
    hashes = sorted({content for content in content_hashes if content})
    given_up = (TaskState.UNAVAILABLE.value, TaskState.ABANDONED.value)
    found: dict[str, str] = {}
    for start in range(0, len(hashes), _CHUNK):
        rows = tx.execute(
            sa.select(t.draws.c.content_hash, t.draws.c.task_key)
            .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
            .where(
                t.draws.c.content_hash.in_(hashes[start : start + _CHUNK]),
                t.tasks.c.purpose == purpose.value,
                t.tasks.c.look == 0,
                t.tasks.c.state.not_in(given_up),
                t.tasks.c.forgotten_at.is_(None),
            )
            .order_by(t.draws.c.draw.desc())
        )
        found |= {r.content_hash: r.task_key for r in rows}
    return found


def looks_at(tx: Transaction, sample_ids: Sequence[str]) -> list[Task]:
    """The tasks that ask for further looks at some samples."""
    found: list[Task] = []
    for start in range(0, len(sample_ids), _CHUNK):
        chunk = sample_ids[start : start + _CHUNK]
        own = (t.tasks.c.purpose == Purpose.EVALUATION.value) & t.tasks.c.sample_id.in_(chunk)
        found += _tasks(tx, own & t.further)
    return found


def several_answers(tx: Transaction) -> list[Task]:
    """The tasks that several people's votes decide, and that people can answer or have settled."""
    return _tasks(
        tx,
        t.several
        & t.tasks.c.state.in_([s.value for s in OPEN | {TaskState.RESOLVED}])
        & t.tasks.c.forgotten_at.is_(None),
    )


def tied(tx: Transaction) -> list[Task]:
    """The tasks on which people disagree, by queue and sample."""
    found = _tasks(tx, t.tasks.c.state == TaskState.TIED.value)
    return sorted(found, key=lambda task: (task.queue, task.sample_id))


def of_samples(tx: Transaction, sample_ids: Sequence[str]) -> list[Task]:
    """The tasks of some samples."""
    return _tasks(tx, _of_any_purpose & t.tasks.c.sample_id.in_(sample_ids))


def anonymise(tx: Transaction, sample_id: str, name: str, at: datetime) -> None:
    """Put a sample's hash in its place, and drop what leads to its input or its task."""
    tx.execute(
        t.tasks.update()
        .where(_of_any_purpose, t.tasks.c.sample_id == sample_id)
        .values(
            sample_id=name,
            uri="",
            media_uri=None,
            url_expires_at=None,
            remote_id=None,
            people_asked=None,
            forgotten_at=at,
        )
    )


def in_project(tx: Transaction, project_ref: str) -> list[Task]:
    """The tasks that were sent to a project and are believed to be there."""
    return _tasks(tx, (t.tasks.c.project_ref == project_ref) & t.tasks.c.remote_id.is_not(None))


def n_in_project(tx: Transaction, project_ref: str) -> int:
    """How many they are."""
    there = (t.tasks.c.project_ref == project_ref) & t.tasks.c.remote_id.is_not(None)
    return int(tx.execute(sa.select(sa.func.count()).where(there)).scalar_one())


def open_in_project(
    tx: Transaction, project_ref: str, remote_ids: Sequence[str] | None = None
) -> list[Task]:
    """Those of them that aren't settled; with `remote_ids`, of those alone."""
    there = (
        (t.tasks.c.project_ref == project_ref)
        & t.tasks.c.remote_id.is_not(None)
        & t.tasks.c.state.in_([s.value for s in OPEN])
    )
    if remote_ids is None:
        return _tasks(tx, there)
    chunks = (remote_ids[start : start + _CHUNK] for start in range(0, len(remote_ids), _CHUNK))
    return [task for ids in chunks for task in _tasks(tx, there & t.tasks.c.remote_id.in_(ids))]


def projects(tx: Transaction) -> dict[str, str]:
    """The projects that tasks were sent to, and the queue of each."""
    found: dict[str, str] = {}
    query = (
        sa.select(t.tasks.c.project_ref, t.tasks.c.queue).order_by(t.tasks.c.project_ref).limit(1)
    )
    last = ""
    # from one to the next by the index: to ask for the distinct ones reads every task
    while (row := tx.execute(query.where(t.tasks.c.project_ref > last)).first()) is not None:
        last, found[row.project_ref] = row.project_ref, row.queue
    return found


def counts_by_state(tx: Transaction) -> list[StateCount]:
    """How many tasks of each queue stand in each state, and since when those that people were asked do."""
    rows = tx.execute(
        sa.select(
            t.tasks.c.queue,
            t.tasks.c.purpose,
            t.tasks.c.state,
            sa.func.min(t.tasks.c.sent_at).label("oldest_at"),
        )
        .where(t.tasks.c.state.in_([s.value for s in OPEN - {TaskState.SKIPPED}]))
        .group_by(t.tasks.c.queue, t.tasks.c.purpose, t.tasks.c.state)
    )
    oldest = {(r.queue, r.purpose, r.state): r.oldest_at for r in rows}
    return [
        StateCount(c.queue, c.purpose, c.state, c.n, oldest.get((c.queue, c.purpose, c.state)))
        for c in task_counts.every(tx)
    ]


def n_by_age(
    tx: Transaction, states: Iterable[TaskState], edges: Sequence[datetime]
) -> dict[str, list[int]]:
    """How many of each queue's tasks in `states` were sent after the first of `edges`, then between
    it and the next, and so on; last, how many before all of them.
    """
    counts = [
        sa.func.sum(sa.case((t.tasks.c.sent_at > edge, 1), else_=0)).label(f"n{i}")
        for i, edge in enumerate(edges)
    ]
    rows = tx.execute(
        sa.select(t.tasks.c.queue, *counts, sa.func.count().label("n"))
        .where(t.tasks.c.state.in_([s.value for s in states]))
        .group_by(t.tasks.c.queue)
    )
    found: dict[str, list[int]] = {}
    for queue, *upto in rows:
        found[queue] = [int(n) - int(before) for before, n in pairwise([0, *upto])]
    return found


def n_sent_since(tx: Transaction, queue: str, since: datetime) -> int:
    """How many of a queue's tasks were sent at that moment or later."""
    sent = (t.tasks.c.queue == queue) & (t.tasks.c.sent_at >= since)
    return int(tx.execute(sa.select(sa.func.count()).where(sent)).scalar_one())


def oldest_with_people(tx: Transaction) -> dict[str, datetime]:
    """By queue: when the oldest of the tasks that wait for a person was sent."""
    waiting = (TaskState.SENT, TaskState.ANNOTATED, TaskState.TIED)
    rows = tx.execute(
        sa.select(t.tasks.c.queue, sa.func.min(t.tasks.c.sent_at).label("at"))
        .where(t.tasks.c.state.in_([s.value for s in waiting]), t.tasks.c.sent_at.is_not(None))
        .group_by(t.tasks.c.queue)
    )
    return {r.queue: r.at for r in rows}


def oldest_drawn_at(tx: Transaction) -> dict[str, datetime]:
    """By queue: when the oldest of the tasks that wait to be sent was drawn."""
    rows = tx.execute(
        sa.select(t.tasks.c.queue, sa.func.min(t.rounds.c.created_at).label("at"))
        .join(t.draws, t.draws.c.task_key == t.tasks.c.task_key)
        .join(t.rounds, t.rounds.c.round == t.draws.c.round)
        .where(t.tasks.c.state.in_([TaskState.DRAWN.value, TaskState.SENDING.value]))
        .group_by(t.tasks.c.queue)
    )
    return {r.queue: r.at for r in rows}


def n_to_send_again(tx: Transaction) -> int:
    """How many tasks wait to be sent that people could answer before."""
    again = (t.tasks.c.state == TaskState.DRAWN.value) & (t.tasks.c.attempt > 0)
    return int(tx.execute(sa.select(sa.func.count()).where(again)).scalar_one())


def n_with_lapsed_url(tx: Transaction, now: datetime) -> int:
    """How many open tasks show an image whose link has lapsed."""
    lapsed = t.tasks.c.state.in_([s.value for s in OPEN]) & (t.tasks.c.url_expires_at < now)
    return int(tx.execute(sa.select(sa.func.count()).where(lapsed)).scalar_one())


def n_forgotten(tx: Transaction) -> int:
    """How many tasks nobody can answer because their sample was forgotten."""
    state = t.tasks.c.state == TaskState.UNAVAILABLE.value
    forgotten = state & t.tasks.c.forgotten_at.is_not(None)
    return int(tx.execute(sa.select(sa.func.count()).where(forgotten)).scalar_one())


def oldest_first(tx: Transaction, states: Iterable[TaskState]) -> list[Task]:
    """The tasks in `states`, those that were sent first first."""
    found = _tasks(tx, t.tasks.c.state.in_([s.value for s in states]))
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(found, key=lambda task: (task.sent_at or never, task.queue, task.sample_id))


_of_any_purpose = t.tasks.c.purpose.in_(list(Purpose))
"""True; the index on samples begins with the purpose."""


def _tasks(tx: Transaction, condition: sa.ColumnElement[bool]) -> list[Task]:
    return [_task(r) for r in tx.execute(sa.select(t.tasks).where(condition))]


def _query_of_sendable(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    asked = t.tasks.alias()  # the task that a draw names; a further look is at the same sample
    first = (
        sa.select(t.tasks.c.task_key, sa.func.min(t.draws.c.draw).label("draw"))
        .join(
            asked,
            (asked.c.purpose == t.tasks.c.purpose) & (asked.c.sample_id == t.tasks.c.sample_id),
        )
        .join(t.draws, t.draws.c.task_key == asked.c.task_key)
        .where(condition, t.draws.c.queue == t.tasks.c.queue)
        .group_by(t.tasks.c.task_key)
        .subquery()
    )
    return (
        sa.select(
            t.tasks,
            t.draws.c.content_hash,
            t.draws.c.predicted_class,
            t.draws.c.confidence,
            t.draws.c.corrected_class,
            t.draws.c.flagged,
            t.draws.c.model,
        )
        .join(first, first.c.task_key == t.tasks.c.task_key)
        .join(t.draws, t.draws.c.draw == first.c.draw)
        .order_by(t.draws.c.round, t.draws.c.queue, t.draws.c.position, t.tasks.c.look)
    )


# made once: making one takes longer than running it
_NEXT = _query_of_sendable(
    (t.tasks.c.queue == sa.bindparam("of")) & (t.tasks.c.state == TaskState.DRAWN.value)
).limit(sa.bindparam("most"))
_OPEN = t.tasks.c.state.in_([s.value for s in OPEN])
_BLIND = t.blind
_OLD = t.tasks.c.url_expires_at < sa.bindparam("before")
_NEEDS_NO_COPY = ~_BLIND | t.tasks.c.media_uri.is_not(None)
_LAPSING = _query_of_sendable(_OPEN & _OLD & _NEEDS_NO_COPY)
_LAPSING_OR_LASTING = _query_of_sendable(
    _OPEN & (_OLD | t.tasks.c.url_expires_at.is_(None)) & _NEEDS_NO_COPY
)
_WITHOUT_COPY = _query_of_sendable(_OPEN & _BLIND & t.tasks.c.media_uri.is_(None))


def _sendable(
    tx: Transaction, query: sa.Select[Any], asked: Mapping[str, object] = MappingProxyType({})
) -> list[SendableTask]:
    present = classes.renamed(tx)
    return [
        SendableTask(
            task=_task(r),
            content_hash=r.content_hash,
            predicted_class=present.get(r.predicted_class, r.predicted_class),
            confidence=r.confidence,
            corrected_class=present.get(r.corrected_class, r.corrected_class),
            flagged=r.flagged,
            model=r.model,
        )
        for r in tx.execute(query, asked)
    ]


def _task(r: sa.Row[tuple[object, ...]]) -> Task:
    return Task(
        task_key=r.task_key,
        sample_id=r.sample_id,
        uri=r.uri,
        queue=r.queue,
        purpose=Purpose(r.purpose),
        look=r.look,
        state=TaskState(r.state),
        project_ref=r.project_ref,
        remote_id=r.remote_id,
        media_uri=r.media_uri,
        attempt=r.attempt,
        sent_at=r.sent_at,
        url_expires_at=r.url_expires_at,
        answers_wanted=r.answers_wanted,
        people_asked=r.people_asked,
        forgotten=r.forgotten_at is not None,
    )
