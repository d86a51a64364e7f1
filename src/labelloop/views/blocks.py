"""What stands in the way of the loop, and who can do what about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from labelloop.core.task import TaskState
from labelloop.ledger import Transaction, batches, clocks_ahead, erasures, outbox, pauses, tasks
from labelloop.ledger.tasks import StateCount
from labelloop.views.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """So many things that don't go on by themselves, in words, and the remedy.

    `since`: when the oldest of them came to that, where it is known.
    """

    kind: str
    n: int
    says: str
    remedy: str
    since: datetime | None = None


def blocks(
    tx: Transaction,
    *,
    now: datetime,
    running: Mapping[str, str],
    waiting: Sequence[StateCount],
    drawn_at: datetime | None,
) -> tuple[Block, ...]:
    """What stands in the way now.

    running
        the verbs that run: their work isn't stuck
    drawn_at
        since when the oldest task waits to be sent
    """
    n = {state: sum(w.n for w in waiting if w.state is state) for state in TaskState}
    found = [*_of_people(n), *_of_inputs(tx, n), *_of_pauses(tx)]
    if "send" not in running:
        found += _of_sending(tx, n, now, drawn_at)
    if "index" not in running:
        found.append(_of_index(tx))
    found += _of_clocks(tx, now)
    found += _of_receivers(tx)
    if "forget" not in running:
        found.append(_of_forget(tx))
    return tuple(block for block in found if block.n)


def _of_people(n: Mapping[TaskState, int]) -> Iterator[Block]:
    tied, skipped = n[TaskState.TIED], n[TaskState.SKIPPED]
    yield Block(
        kind="tied",
        n=tied,
        says=f"{_tasks(tied)} tied: people disagree",
        remedy="`labelloop status --ties` lists them; one more answer, an edit, or `labelloop people settle` "
        "settles each of them",
    )
    yield Block(
        kind="skipped",
        n=skipped,
        says=f"{_tasks(skipped)} skipped by everybody who saw them",
        remedy="others can still answer; if no class fits, offer another answer: [project] "
        "extra_answers",
    )


def _of_receivers(tx: Transaction) -> Iterator[Block]:
    failing, given_up = outbox.n_failing(tx), outbox.n_dead(tx)
    yield Block(
        kind="not told yet",
        n=failing,
        says=f"{counted(failing, 'event')} that a receiver could not be told yet",
        remedy="`labelloop notify` says why; each is tried again for four days",
    )
    yield Block(
        kind="never told",
        n=given_up,
        says=f"{counted(given_up, 'event')} given up, as a receiver failed for days",
        remedy="`labelloop notify` lists them; `labelloop notify --resend ID` sends one again",
    )


def _of_sending(
    tx: Transaction, n: Mapping[TaskState, int], now: datetime, drawn_at: datetime | None
) -> Iterator[Block]:
    again, lapsed, doubtful = (
        tasks.n_to_send_again(tx),
        tasks.n_with_lapsed_url(tx, now),
        TaskState.SENDING,
    )
    drawn = n[TaskState.DRAWN] - again
    yield Block(
        kind="to send",
        n=drawn,
        says=f"{_tasks(drawn)} drawn and not sent",
        remedy="`labelloop send` sends them, or says why it can't",
        since=drawn_at,
    )
    yield Block(
        kind="in doubt",
        n=n[doubtful],
        says=f"{_tasks(n[doubtful])} on the way to people when send was interrupted",
        remedy="the next `labelloop send` checks whether they arrived",
    )
    yield Block(
        kind="to send again",
        n=again,
        says=f"{_tasks(again)} gone from where people answer before they had a label",
        remedy="the next `labelloop send` sends them again",
    )
    yield Block(
        kind="lapsed",
        n=lapsed,
        says=f"{_tasks(lapsed)} whose image nobody can see: the link has expired",
        remedy="`labelloop send` renews it; let it run more often than [store] presign_life",
    )


def _of_inputs(tx: Transaction, n: Mapping[TaskState, int]) -> Iterator[Block]:
    forgotten = tasks.n_forgotten(tx)
    gone = n[TaskState.UNAVAILABLE] - forgotten
    yield Block(
        kind="unavailable",
        n=gone,
        says=f"{_tasks(gone)} whose input is gone or overwritten, or can't be shown",
        remedy="they stay unlabelled, and the worst case of each number includes them",
    )
    yield Block(
        kind="forgotten",
        n=forgotten,
        says=f"{_tasks(forgotten)} whose sample was forgotten before it had a label",
        remedy="they stay unlabelled, and the worst case of each number includes them",
    )


def _of_index(tx: Transaction) -> Block:
    n = len(batches.unfinished(tx))
    what = "1 batch" if n == 1 else f"{n:,} batches"
    return Block(
        kind="batches",
        n=n,
        says=f"{what} of predictions only partly in the log: index was interrupted",
        remedy="the next `labelloop index` finishes the work",
    )


def _of_clocks(tx: Transaction, now: datetime) -> Iterator[Block]:
    ahead = clocks_ahead.known(tx, now)
    if ahead is not None:
        yield Block(
            kind="dated ahead",
            n=ahead.n,
            says=f"{counted(ahead.n, 'prediction')} dated in the future, up to {ahead.until:%d %b %Y %H:%M} "
            "UTC: a clock of the application runs ahead",
            remedy="correct it (NTP); write local times with their offset, or they are read as UTC. They are "
            "labelled, and count in `last 7 days` when their time comes",
        )


def _of_pauses(tx: Transaction) -> Iterator[Block]:
    for pause in pauses.every(tx):
        yield Block(
            kind="paused",
            n=1,
            says=f"Queue {pause.queue!r} is paused by {pause.paused_by}: nothing new of it is sent",
            remedy=f"POST /api/v1/queues/{quote(pause.queue)}/resume to `labelloop serve` lets it go on",
            since=pause.paused_at,
        )


def _of_forget(tx: Transaction) -> Block:
    begun = erasures.unfinished(tx)
    return Block(
        kind="erasures",
        n=len(begun),
        says="Samples not erased everywhere yet: `labelloop forget` was interrupted",
        remedy="run it again without a sample: it finishes the erasure",
        since=min((each.begun_at for each in begun), default=None),
    )


def _tasks(n: int) -> str:
    return "1 task" if n == 1 else f"{n:,} tasks"
