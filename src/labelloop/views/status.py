"""What waits for whom."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from labelloop.core import due
from labelloop.core.annotation import votes
from labelloop.core.estimate import Undefined
from labelloop.core.queue import Purpose
from labelloop.core.task import TaskState
from labelloop.ledger import (
    Ledger,
    Transaction,
    annotations,
    batches,
    looks,
    people,
    rejects,
    rounds,
    tasks,
)
from labelloop.ledger.people import LATELY
from labelloop.ledger.rejects import RejectedRow
from labelloop.measuring.harder import NO_LOOK, Harder, harder
from labelloop.ports.clock import Clock
from labelloop.views.blocks import Block, blocks
from labelloop.views.not_sent import NotSent, not_sent

WITH_PEOPLE = (TaskState.SENT, TaskState.ANNOTATED, TaskState.TIED)
"""The states in which a task waits for a person."""

AGES = {
    "under 1 day": timedelta(days=1),
    "1 to 3 days": timedelta(days=3),
    "3 to 7 days": timedelta(days=7),
}
"""How long tasks have waited, each up to so long, without the ones before."""
OLDER = "over 7 days"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """How many tasks of a queue stand where.

    oldest_at, by_age
        since when the oldest one waits for a person; how many wait for how long
    drawn_at
        since when the oldest one waits to be sent
    """

    queue: str
    purpose: Purpose
    by_state: Mapping[TaskState, int]
    oldest_at: datetime | None
    by_age: Mapping[str, int] = field(default_factory=dict)
    drawn_at: datetime | None = None

    @property
    def n_to_send(self) -> int:
        """Drawn, not yet before people."""
        return self._n(TaskState.DRAWN, TaskState.SENDING)

    @property
    def n_open(self) -> int:
        """Waiting for a person."""
        return self._n(*WITH_PEOPLE)

    @property
    def n_tied(self) -> int:
        """Of those, answered by as many people as were wanted, who don't agree."""
        return self._n(TaskState.TIED)

    @property
    def n_skipped(self) -> int:
        """Skipped by everybody who saw them."""
        return self._n(TaskState.SKIPPED)

    @property
    def n_resolved(self) -> int:
        """With a label that holds."""
        return self._n(TaskState.RESOLVED)

    @property
    def n_lost(self) -> int:
        """Without their input, or given up."""
        return self._n(TaskState.UNAVAILABLE, TaskState.ABANDONED)

    def _n(self, *states: TaskState) -> int:
        return sum(self.by_state.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole picture.

    queues
        that whose oldest task has waited for a person the longest first
    n_rejected, n_rejected_last_day
        rejected rows, by reason, at least so many; those first seen in the last 24 hours
    n_rejected_most
        the same at most; None where nobody can tell how many a file hides
    indexed
        whether any prediction came in yet
    due_at
        None: the first round is due with the first predictions
    running
        the verbs that run now, and which process each
    blocks
        what stands in the way, and who can do what about it
    not_sent
        the queues that drew more in the newest round than they sent, and why
    n_extra_rounds
        rounds by `--since` and `--until`, which no regular one is reckoned from
    n_wasted
        by account: answers to second looks of the last 30 days that their authors could not give; the
        looks are asked again
    n_void
        by account: blind answers of the last 30 days that count as none, as their authors had looked at
        what the model said; others are asked
    harder
        a hint from confidences alone, which is no accuracy: whether the traffic looks harder
    """

    queues: tuple[QueueStatus, ...]
    n_rejected: Mapping[str, int]
    strays: tuple["AnswerToMend", ...]
    last_round: int | None
    due_at: datetime | None
    due: bool
    indexed: bool = True
    n_rejected_most: Mapping[str, int | None] = field(default_factory=dict)
    n_rejected_last_day: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    not_sent: tuple[NotSent, ...] = ()
    harder: Harder | Undefined = NO_LOOK
    n_extra_rounds: int = 0
    n_wasted: Mapping[str, int] = field(default_factory=dict)
    n_void: Mapping[str, int] = field(default_factory=dict)


def status(ledger: Ledger, *, clock: Clock, every: timedelta, timezone: str = "UTC") -> Status:
    """What waits for whom, now."""
    now, running = clock.now(), ledger.running()
    with ledger.read() as tx:
        waiting = tasks.counts_by_state(tx)
        ages = tasks.n_by_age(tx, WITH_PEOPLE, [now - edge for edge in AGES.values()])
        drawn = tasks.oldest_drawn_at(tx)
        latest = rounds.latest(tx)
        rejected_rows = rejects.by_reason(tx)
        fresh = rejects.by_reason(tx, after=now - timedelta(days=1))
        indexed = bool(rejected_rows or batches.highest(tx))
        strays = _to_mend(tx)
        fewer = not_sent(rounds.whereabouts(tx, latest.round)) if latest else ()
        n_extra = sum(r.extra for r in rounds.every(tx))
        wasted = _wasted(tx, now)
        void = annotations.n_void(tx, now - LATELY)
        hint = harder(tx, now=now, timezone=timezone)
        blocked = blocks(
            tx,
            now=now,
            running=running,
            waiting=waiting,
            drawn_at=min(drawn.values(), default=None),
        )
    last_at = latest.created_at if latest else None
    queues: list[QueueStatus] = []
    for name in dict.fromkeys(w.queue for w in waiting):
        own = [w for w in waiting if w.queue == name]
        oldest = [w.oldest_at for w in own if w.oldest_at is not None and w.state in WITH_PEOPLE]
        queues.append(
            QueueStatus(
                queue=name,
                purpose=own[0].purpose,
                by_state={w.state: w.n for w in own},
                oldest_at=min(oldest, default=None),
                by_age=dict(zip((*AGES, OLDER), ages.get(name, []), strict=False)),
                drawn_at=drawn.get(name),
            )
        )
    return Status(
        queues=tuple(sorted(queues, key=_longest_first)),
        n_rejected={reason: n.least for reason, n in rejected_rows.items()},
        n_rejected_most={reason: n.most for reason, n in rejected_rows.items()},
        strays=strays,
        last_round=latest.round if latest else None,
        due_at=due.next_round_at(last_at, every),
        due=due.round_is_due(last_at, every, now),
        indexed=indexed,
        n_rejected_last_day={reason: n.least for reason, n in fresh.items()},
        running=running,
        blocks=blocked,
        not_sent=fewer,
        harder=hint,
        n_extra_rounds=n_extra,
        n_wasted=wasted,
        n_void=void,
    )


def _wasted(tx: Transaction, now: datetime) -> dict[str, int]:
    """The most first; nothing is read where no round has second looks."""
    if not looks.rounds_with(tx):
        return {}
    done = people.done(tx, now - LATELY)
    own = Counter(d.annotator for d in done if not d.counted and not d.void)
    return dict(sorted(own.items(), key=lambda each: (-each[1], each[0])))


def _longest_first(queue: QueueStatus) -> tuple[bool, datetime, str]:
    at = queue.oldest_at or queue.drawn_at
    return at is None, at or datetime.max.replace(tzinfo=UTC), queue.queue


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerToMend:
    """An answer that is no class: who gave it, as the annotator names people, and where it stands."""

    value: str
    annotator: str
    queue: str
    project_ref: str
    remote_id: str


def _to_mend(tx: Transaction) -> tuple[AnswerToMend, ...]:
    found = annotations.strays(tx)
    held = tasks.by_key(tx, [stray.task_key for stray in found])
    return tuple(
        AnswerToMend(
            value=stray.value,
            annotator=stray.annotator,
            queue=task.queue,
            project_ref=task.project_ref or "",
            remote_id=task.remote_id or "",
        )
        for stray in found
        if (task := held.get(stray.task_key)) is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A task that waits for a person, or that people skipped; since when, and where it stands."""

    queue: str
    sample_id: str
    state: TaskState
    since: datetime | None
    project_ref: str
    remote_id: str


def waits(ledger: Ledger, *, skipped: bool = False) -> list[Wait]:
    """Every task that waits for a person, or everybody skipped, the longest first."""
    states = (TaskState.SKIPPED,) if skipped else WITH_PEOPLE
    with ledger.read() as tx:
        found = tasks.oldest_first(tx, states)
    return [
        Wait(
            queue=task.queue,
            sample_id=task.sample_id,
            state=task.state,
            since=task.sent_at,
            project_ref=task.project_ref or "",
            remote_id=task.remote_id or "",
        )
        for task in found
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """A task on which people disagree; `votes` are the answers with how many gave each."""

    task_key: str
    queue: str
    sample_id: str
    project_ref: str
    remote_id: str
    votes: Mapping[str, int]


def ties(ledger: Ledger) -> list[Tie]:
    """Every tied task, by queue and sample."""
    with ledger.read() as tx:
        tied = tasks.tied(tx)
        held = annotations.latest(tx, [task.task_key for task in tied])
    return [
        Tie(
            task_key=task.task_key,
            queue=task.queue,
            sample_id=task.sample_id,
            project_ref=task.project_ref or "",
            remote_id=task.remote_id or "",
            votes=dict(Counter(v.answer or "" for v in votes(held.get(task.task_key, ())))),
        )
        for task in tied
    ]


def rejected(ledger: Ledger) -> list[RejectedRow]:
    """Every rejected row, newest first."""
    with ledger.read() as tx:
        return rejects.every(tx)
